"""``maskcls runs``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import OverwriteOption
from .outputs import check_outputs, json_object
from .terminal import one_line_errors, tell

KIND = "maskcls-comparison"
NAME, WIDTH = 26, 27
"""Of the columns of a comparison at the terminal."""


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder of runs made by `maskcls train`, or one run.")],
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            help="Out-of-fold predictions (`maskcls evaluate --predictions`) to compare with (repeatable); the first "
            "is the baseline."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the intervals.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="All figures as JSON.")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """List trainings, what they differ in, and their scores on the faces that all of them predict.

    The first is the base: what the others gain on it comes with a 95 % interval of the difference (people are
    resampled, the same ones for both).
    """
    with one_line_errors():
        from ..classify.comparison.cnn.runs import MEASURES, Entry, compare, differing, find_runs, read_predictions
        from ..embedder.photo import shown
        from ..embedder.storage.atomic import write_json

        check_outputs(overwrite, (json_file, json_object("comparisons", KIND)))
        others = [Entry(shown(path.stem), {}, read_predictions(path)) for path in beside or []]
        found = find_runs(folder)
        for entry in found:
            typer.echo(
                _described(entry.name, entry.config, len(entry.predictions) if entry.predictions is not None else None)
            )
        for name, values in differing(found).items():
            typer.echo(
                f"  {name}: {', '.join(f'{value} ({run.name})' for run, value in zip(found, values, strict=True))}"
            )
        compared = compare([*others, *found], seed=seed)
        if compared.rows:
            typer.echo(f"\n{compared.faces} faces of {compared.people} people that all of them predict")
            base = compared.rows[0]["name"]
            typer.echo(" " * NAME + "".join(_cut(row["name"]).rjust(WIDTH) for row in compared.rows))
            for name in MEASURES:
                typer.echo(f"{name:{NAME}}" + "".join(_figure(row[name]).rjust(WIDTH) for row in compared.rows))
            if len(compared.rows) > 1:
                typer.echo(f"\ndifference to {base}")
            for name in MEASURES if len(compared.rows) > 1 else ():
                cells = (_figure(row["difference"].get(name), "+") for row in compared.rows)
                typer.echo(f"{name:{NAME}}" + "".join(cell.rjust(WIDTH) for cell in cells))
        content = {"faces": compared.faces, "people": compared.people, "rows": compared.rows}
        content |= {"runs": {entry.name: dict(entry.config) for entry in found}}
        tell(**content)
        if json_file:
            write_json(json_file, {"kind": KIND, **content})
            typer.echo(f"{shown(json_file)}: all figures")


def _described(name: str, config: Mapping[str, Any], answered: int | None) -> str:
    settings = config.get("settings", {})
    state = "not finished" if answered is None else f"{answered} faces predicted"
    network = f"{settings.get('backbone')}{' per task' if settings.get('per_task') else ''}"
    return (
        f"{name}: {network}, {settings.get('crop')} {settings.get('image_size')} px, {state}, {config.get('started')}"
    )


def _cut(name: str) -> str:
    return name if len(name) < WIDTH else f"…{name[-(WIDTH - 2) :]}"


def _figure(found: Mapping[str, Any] | None, sign: str = "") -> str:
    if not found or found["value"] is None:
        return "" if not found else "n/a"
    interval = "" if found["low"] is None else f" ({found['low']:{sign}.3f} to {found['high']:{sign}.3f})"
    return f"{found['value']:{sign}.3f}{interval}"
