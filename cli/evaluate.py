"""``maskcls evaluate``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any

import typer

from .options import (
    PASSES,
    ConfidenceOption,
    Device,
    DeviceOption,
    FinetuneOption,
    KnownOption,
    OverwriteOption,
    PassesOption,
    WeightsOption,
    fine_tuning,
)
from .outputs import check_outputs, json_object, page, table
from .terminal import figure_lines, one_line_errors, progress_bar, tell

KIND = "maskcls-evaluation"
NAME, WIDTH = 38, 11
"""Of the columns of a comparison at the terminal."""


def evaluate(
    faces: Annotated[list[Path], typer.Argument(help="Embedding sets made by `maskcls embed`: these are scored.")],
    also: Annotated[
        list[Path] | None, typer.Option("--also", help="A set that models are only built from (repeatable).")
    ] = None,
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(
            help="A set to pseudo-label anew in every fold, by a model that has not seen the people scored there; "
            "scores are given with and without it (repeatable)."
        ),
    ] = None,
    min_confidence: ConfidenceOption = None,
    known: KnownOption = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts the people are split into.")] = 5,
    split: Annotated[Path | None, typer.Option(help="Split made by `maskcls split`, instead of --folds.")] = None,
    score_folds: Annotated[
        int | None, typer.Option(min=1, help="Predict this many folds only, where a run takes too long.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed of folds, training and intervals.")] = 0,
    senior_from: Annotated[int, typer.Option(min=31, max=100, help="Age from which gallery faces count as >=60.")] = 60,
    baselines: Annotated[bool, typer.Option("--baselines", help="Score simple models in the same folds.")] = False,
    builtin: Annotated[bool, typer.Option("--builtin", help="Score the built-in model on the same faces.")] = False,
    leakage: Annotated[bool, typer.Option("--leakage", help="Score a random split too: the size of the leak.")] = False,
    finetune: FinetuneOption = None,
    passes: PassesOption = PASSES,
    device: DeviceOption = Device.auto,
    weights: WeightsOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="All figures as JSON.")] = None,
    report: Annotated[Path | None, typer.Option(help="A page with all figures (.html).")] = None,
    error_gallery: Annotated[
        Path | None, typer.Option(help="A folder with a card for every wrong prediction; holds faces.")
    ] = None,
    predictions: Annotated[Path | None, typer.Option(help="Out-of-fold predictions: .csv or .parquet.")] = None,
    other_predictions: Annotated[
        Path | None, typer.Option(file_okay=False, help="A folder for those of --baselines and without --unlabelled.")
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Score mask, gender and age on people the model has not seen: k folds of people, everything fitted inside.

    Scores come with 95 % intervals (people are resampled). A face is scored on the labels it has; a score without any
    label is n/a. Pseudo-labels (--also) are never scored, and train only folds whose people their teacher has not
    seen. A killed run that writes a file resumes with the fold it was in.
    """
    with one_line_errors():
        import sys
        import time

        from ..classify.data.face_set import merge_sets, open_sets
        from ..classify.evaluation.builtin_baseline import beside_builtin
        from ..classify.evaluation.error_gallery import write_error_gallery
        from ..classify.evaluation.error_gallery_folder import check_error_gallery_folder
        from ..classify.evaluation.evaluate import EvaluationSettings, datasets_to_build_from, plan
        from ..classify.evaluation.evaluate import evaluate as run
        from ..classify.evaluation.report import write_evaluation
        from ..classify.labels.pseudo_labels.label_set import without_labels
        from ..classify.labels.pseudo_labels.labels import SelfTraining, read_thresholds
        from ..classify.tasks import PROBABILITIES
        from ..embedder.errors import MaskclsError
        from ..embedder.photo import shown
        from ..embedder.storage.atomic import write_json, write_table

        others = sorted(other_predictions.glob("*.parquet")) if other_predictions else []
        answer_file = table("out-of-fold predictions", ("face_id", "fold", *PROBABILITIES))
        check_outputs(
            overwrite,
            (json_file, json_object("figures", KIND)),
            (report, page("reports", "maskcls evaluate")),
            (predictions, answer_file),
            *((path, answer_file) for path in others),
        )
        if error_gallery:
            check_error_gallery_folder(error_gallery)
        began = time.monotonic()
        least = read_thresholds(min_confidence or ()) if unlabelled else None
        train_only = [*(also or []), *(unlabelled or [])]
        sets = open_sets([*faces, *train_only, *(known or [])])
        used = len(faces) + len(train_only)
        if least is not None:
            first = used - len(unlabelled or ())
            sets[first:used] = [without_labels(one, least) for one in sets[first:used]]
        pool = merge_sets(sets, used)
        chosen = plan(pool, datasets_to_build_from(sets[:used], len(faces)), split, folds, seed, score_folds)
        typer.echo(
            f"{len(chosen.scored)} faces scored in {chosen.folds} folds of people, {len(pool)} faces to build from, "
            f"{pool.copies} exact copies left out"
        )
        finetuning = fine_tuning(finetune, passes, device, weights)
        if finetuning and leakage:
            raise MaskclsError("--leakage: not with --finetune; the size of the leak is that of the data")
        if min_confidence and not unlabelled:
            raise MaskclsError("--min-confidence goes with --unlabelled")
        outputs = (json_file, report, predictions, error_gallery, other_predictions)
        written = next((path for path in outputs if path), None)
        settings = EvaluationSettings(
            seed=seed,
            senior_from=senior_from,
            finetuning=finetuning,
            self_training=None if least is None else SelfTraining(least),
            baselines=baselines,
            leakage=leakage,
        )
        with progress_bar() as progress:
            done = run(pool, chosen, settings, written and written.with_name(f".{written.name}.folds"), progress)
        summary = done.summary
        if builtin:
            summary = beside_builtin(summary, done.predictions, pool, chosen.scored, seed)
        summary["data"] |= {
            "sets": [
                {"name": shown(folder.name), "faces": len(one)}
                for folder, one in zip([*faces, *train_only], sets[:used], strict=True)
            ],
            "command": " ".join(["maskcls", *map(shown, sys.argv[1:])]),
            "seconds": round(time.monotonic() - began, 1),
        }
        tell(**summary)
        for line in _lines(summary):
            typer.echo(line)
        if json_file:
            write_json(json_file, {"kind": KIND, **summary})
            typer.echo(f"{shown(json_file)}: all figures")
        if report:
            write_evaluation(report, summary)
            typer.echo(f"{shown(report)}: report")
        if predictions:
            write_table(predictions, done.predictions)
            typer.echo(f"{shown(predictions)}: out-of-fold predictions")
        if other_predictions:
            for name, one in done.others.items():
                place = other_predictions / f"{name.replace(',', '').replace(' ', '-')}.parquet"
                write_table(place, one)
                typer.echo(f"{shown(place)}: out-of-fold predictions")
        if error_gallery:
            with progress_bar() as progress:
                errors = write_error_gallery(
                    error_gallery,
                    done.predictions,
                    pool.table.set_index("face_id"),
                    progress=partial(progress, "cutting faces"),
                )
            typer.echo(f"{shown(error_gallery / 'index.html')}: {errors} faces with an error; holds photos of people")
        done.cache.clear()


def _lines(summary: dict[str, Any]) -> list[str]:
    """The figures for the terminal."""
    lines = figure_lines(summary["overall"])
    for title in ("pseudo_labels", "baselines", "leakage"):
        if title in summary:
            lines += ["", f"{title.replace('_', '-')}: {summary[title]['note']}", *_comparison(summary[title])]
    return [*lines, "", *map(str, summary["data"]["notes"])]


def _comparison(part: dict[str, Any]) -> list[str]:
    """A table whose column heads are wrapped."""
    heads = [wrap(name.replace("accuracy", "acc."), WIDTH - 2) for name in part["metrics"]]
    height = max(map(len, heads))
    heads = [[""] * (height - len(head)) + head for head in heads]
    lines = [" " * NAME + "".join(head[row].rjust(WIDTH) for head in heads) for row in range(height)]
    for row in part["rows"]:
        cells = (row[name]["value"] for name in part["metrics"])
        figures = ("n/a".rjust(WIDTH) if value is None else f"{value:{WIDTH}.3f}" for value in cells)
        lines.append(f"{row['name']:{NAME}}" + "".join(figures))
    return lines
