"""``maskcls ensemble``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import OverwriteOption
from .outputs import check_outputs, json_object, table
from .terminal import one_line_errors, tell

if TYPE_CHECKING:
    from ..classify.comparison.ensemble.ensemble import Mixed
    from ..classify.metrics.bootstrap import Estimate

KIND = "maskcls-ensemble"
WIDTH = 24
"""Of a column at the terminal."""


def ensemble(
    answers: Annotated[
        list[Path],
        typer.Argument(
            help="Out-of-fold predictions of each member (`maskcls evaluate --predictions`); with --use, those of "
            "`maskcls predict`."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Mixed answers: .csv or .parquet.")],
    weights: Annotated[Path | None, typer.Option(help="Weights and scores as JSON. Default: beside --out.")] = None,
    use: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Mix `maskcls predict` files by these weights, those of all folds."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the resamples for the intervals.")] = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Mix the answers of several models by weights that suit other people than those they are used for.

    The members must answer for the same faces in the same folds of people: evaluate all with one --split. The weights
    of a fold are fitted on the answers of the other folds: for mask, gender and age band by log loss, for the years by
    their absolute error. The scores are those of answers to people that neither models nor weights have seen.
    """
    with one_line_errors():
        from ..classify.comparison.ensemble.ensemble import mix
        from ..classify.comparison.ensemble.members import read_members
        from ..classify.comparison.ensemble.predictions import mix_predictions
        from ..classify.tasks import PROBABILITIES
        from ..embedder.photo import shown
        from ..embedder.storage.atomic import write_json, write_table

        place = weights or out.with_suffix(".weights.json")
        columns = ("path", "status") if use else ("face_id", "fold")
        check_outputs(
            overwrite,
            (out, table("mixed answers", (*columns, *PROBABILITIES))),
            (None if use else place, json_object("weights", KIND)),
            inputs=[*answers, *([use] if use else [])],
        )
        if use:
            mixed = mix_predictions(answers, use)
            write_table(out, mixed)
            counts = mixed["status"].value_counts()
            tell(out=out, photos=len(mixed), answered=int(counts.get("ok", 0)))
            typer.echo(f"{shown(out)}: {len(mixed)} photos, {counts.get('ok', 0)} answered")
            return
        members = read_members(answers)
        done = mix(members, seed=seed)
        for line in _lines(done):
            typer.echo(line)
        write_table(out, done.answers)
        typer.echo(f"{shown(out)}: {len(done.answers)} mixed answers of {len(members.names)} members")
        content = done.content(members.names)
        write_json(place, {"kind": KIND, **content})
        tell(out=out, weights_file=place, **content)
        typer.echo(f"{shown(place)}: weights and scores")


def _lines(done: Mixed) -> list[str]:
    """Scores and weights for the terminal."""
    from ..classify.evaluation.evaluate import HEADLINES

    names = list(done.scores)
    lines = [f"{'':24}" + "".join(f"{name[: WIDTH - 2]:>{WIDTH}}" for name in names)]
    for figure in HEADLINES:
        cells = []
        for name in names:
            one = done.scores[name][figure]
            text = "n/a" if one.value != one.value else f"{one.value:.3f}{_interval(one, '.3f', '-')}"
            cells.append(f"{text:>{WIDTH}}")
        lines.append(f"{figure:24}" + "".join(cells))
    lines.append("")
    for figure, (best, one) in done.differences.items():
        lines.append(f"{figure}: {one.value:+.4f}{_interval(one, '+.4f', ' to ')} against {best}, its best member")
    lines.append("")
    for question, values in done.everywhere.weights.items():
        shares = ", ".join(f"{name} {value:.2f}" for name, value in zip(names, values, strict=False))
        lines.append(f"weights of {question}, all folds: {shares}")
    return lines


def _interval(one: Estimate, digits: str, between: str) -> str:
    """In brackets; empty where all faces are of one person."""
    return "" if one.low != one.low else f" ({one.low:{digits}}{between}{one.high:{digits}})"
