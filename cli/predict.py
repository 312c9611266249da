"""``maskcls predict``."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from .opening import opened
from .options import (
    JOBS,
    BatchOption,
    Device,
    DeviceOption,
    Face,
    JobsOption,
    Precision,
    PrecisionOption,
    Runtime,
    RuntimeOption,
    WeightsOption,
)
from .terminal import one_line_errors, progress_bar, tell

LINES = 10
"""Answers printed at the terminal; all of them are in the file."""


def predict(
    photos: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of photos, searched recursively.")],
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="Model made by `maskcls build-index`. Default: the built-in one."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Answers: .csv or .parquet.")] = Path("predictions.csv"),
    report: Annotated[Path | None, typer.Option(help="Also write a page with faces and neighbours (.html).")] = None,
    explain: Annotated[
        Path | None,
        typer.Option(
            help="Also write the evidence of every answer (.jsonl): all voters, and the smallest set of them without "
            "whom another age band would be said."
        ),
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Answers less sure than this get status `unsure` and a reason.")
    ] = 0.0,
    submission: Annotated[Path | None, typer.Option(help="Also write the contest's ImageID,ans file.")] = None,
    face: Annotated[
        Face | None, typer.Option(help="How the face is looked for. Default: as for the model's own photos.")
    ] = None,
    jobs: JobsOption = JOBS,
    batch_size: BatchOption = 64,
    device: DeviceOption = Device.auto,
    runtime: RuntimeOption = Runtime.auto,
    precision: PrecisionOption = Precision.auto,
    weights: WeightsOption = None,
) -> None:
    """Say mask, gender and age of the largest face in every photo, one row a photo, with the neighbours behind it.

    A photo that cannot be read or shows no face gets a row that says why; the run fails only if none was answered.
    A killed run goes on where it stopped.
    """
    with one_line_errors():
        from ..classify.predict.explain import write_evidence
        from ..classify.predict.job import ANSWERED, predict_photos, write_answers
        from ..classify.predict.submission import write_submission
        from ..embedder.datasets.layouts import read_dataset
        from ..embedder.errors import MaskclsError
        from ..embedder.photo import shown

        crops_kept = 0
        if report:
            from ..classify.predict.report import MAX_REPORT, write_report

            crops_kept = MAX_REPORT
        dataset = read_dataset(photos, "folders")
        loaded, encoder, finder, mode = opened(model, device, runtime, precision, weights, face)
        journal = out.with_name(f".{out.name}.partial")
        with progress_bar() as progress:
            answers = predict_photos(
                [item.path for item in dataset.photos],
                photos,
                loaded,
                encoder,
                finder,
                mode=mode,
                min_confidence=min_confidence,
                jobs=jobs,
                batch_size=batch_size,
                partial=journal,
                keep_crops=crops_kept,
                explain=bool(report or explain),
                progress=partial(progress, "predicting"),
            )
        write_answers(out, answers.table)
        counts = answers.table["status"].value_counts()
        answered = sum(int(counts.get(status, 0)) for status in ANSWERED)
        unsure = f" ({counts['unsure']} of them unsure)" if "unsure" in counts else ""
        tell(
            out=out,
            photos=len(answers.table),
            counts=counts.to_dict(),
            other_files=dataset.other_files,
            answers=answers.table,
        )
        typer.echo(
            f"{shown(out)}: {len(answers.table)} photos, {answered} answered{unsure}, "
            f"{counts.get('no_face', 0)} without a face, {counts.get('unreadable', 0)} unreadable"
        )
        for row in answers.table.head(LINES).to_dict("records"):
            typer.echo(f"  {_line(row)}")
        if len(answers.table) > LINES:
            typer.echo(f"  … {len(answers.table) - LINES} more rows in {shown(out)}")
        if dataset.other_files:
            typer.echo(f"{dataset.other_files} files that are no photos by name were passed over")
        if report:
            write_report(report, answers, loaded, f"maskcls: {shown(photos)}")
            typer.echo(f"{shown(report)}: report")
        if explain:
            write_evidence(explain, answers.table, answers.evidence, loaded)
            typer.echo(f"{shown(explain)}: evidence of {len(answers.evidence)} answers")
        if submission:
            filled = write_submission(submission, answers.table, loaded)
            typer.echo(f"{shown(submission)}: {filled} photos without an answer got the most common class")
        journal.unlink(missing_ok=True)
        if not answered:
            raise MaskclsError(f"{shown(photos)}: no face in any of {len(answers.table)} photos; see {shown(out)}")


def _line(row: dict[Hashable, Any]) -> str:
    """One answer for the eye."""
    from ..embedder.photo import shown

    name = shown(str(row["path"]))
    if row["status"] not in ("ok", "unsure"):
        return f"{name}: {row['reason']}"
    words = [row[task] for task in ("mask", "gender", "age_band") if isinstance(row[task], str)]
    if isinstance(row["age_band"], str):
        words.append(f"({row['age']:.0f} years, 80 % between {row['age_low']:.0f} and {row['age_high']:.0f})")
    return f"{name}: {' '.join(words)}" + (f"; {row['reason']}" if isinstance(row["reason"], str) else "")
