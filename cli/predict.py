"""``maskcls predict``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .opening import opened
from .options import (
    JOBS,
    BatchOption,
    Device,
    DeviceOption,
    Face,
    JobsOption,
    MinQualityOption,
    OverwriteOption,
    Precision,
    PrecisionOption,
    Runtime,
    RuntimeOption,
    SearchOption,
    WeightsOption,
    WhichFaces,
)
from .outputs import check_outputs, json_lines, page, table
from .terminal import one_line_errors, progress_bar, tell

if TYPE_CHECKING:
    from ..classify.answer import Answer

PLACES = 3
"""Photos and folders named in a title; more are counted."""
LINES = 10
"""Answers printed at the terminal; all of them are in the file."""


def predict(
    photos: Annotated[
        list[Path],
        typer.Argument(metavar="PHOTO|DIR", help="Photos, and folders of photos, searched recursively."),
    ],
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="Model made by `maskcls build-index`. Default: the built-in one."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Answers: .csv or .parquet.")] = Path("predictions.csv"),
    report: Annotated[Path | None, typer.Option(help="Also write a page with faces and neighbours (.html).")] = None,
    explain: Annotated[
        Path | None,
        typer.Option(help="Also write all voters behind every answer, with their weights (.jsonl)."),
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Answers less sure than this get status `unsure` and a reason.")
    ] = 0.0,
    submission: Annotated[Path | None, typer.Option(help="Also write the contest's ImageID,ans file (.csv).")] = None,
    overwrite: OverwriteOption = False,
    face: Annotated[
        Face | None, typer.Option(help="How the face is looked for. Default: as for the model's own photos.")
    ] = None,
    faces: Annotated[
        WhichFaces, typer.Option(help="Predict the largest face of a photo, or all of them, one row a face.")
    ] = WhichFaces.largest,
    min_quality: MinQualityOption = 0.0,
    search: SearchOption = None,
    jobs: JobsOption = JOBS,
    batch_size: BatchOption = 64,
    device: DeviceOption = Device.auto,
    runtime: RuntimeOption = Runtime.auto,
    precision: PrecisionOption = Precision.auto,
    weights: WeightsOption = None,
) -> None:
    """Predict mask, gender and age of the faces in photos, one row a face, with the neighbours behind it.

    A photo is called by its path below the folder if one folder is given, otherwise by its path as it is given. A photo
    that cannot be read or shows no face gets a row with the reason; the run fails only if no photo has a prediction. A
    killed run resumes where it stopped.
    """
    with one_line_errors():
        import shutil

        from ..classify.answer import PREDICTED
        from ..classify.predict.explain import write_explanations
        from ..classify.predict.job import predict_photos
        from ..classify.predict.photos import check_image_ids, named_photos
        from ..classify.predict.submission import write_submission
        from ..classify.tasks import PREDICTION_COLUMNS
        from ..embedder.errors import MaskclsError
        from ..embedder.photo import shown
        from ..embedder.pipeline import MOST_FACES
        from ..embedder.storage.atomic import write_table

        check_outputs(
            overwrite,
            (out, table("predictions", PREDICTION_COLUMNS, exact=True)),
            (report, page("reports", "maskcls predict")),
            (submission, table("submissions", ("ImageID", "ans"), exact=True, suffixes=(".csv",))),
            (explain, json_lines("explanations", ("path", "face_id", "answer", "voters"))),
            inputs=[place for place in photos if place.is_file()],
        )
        crops_kept = 0
        if report:
            from ..classify.predict.report import MAX_REPORT, write_report

            crops_kept = MAX_REPORT
        found, passed_over = named_photos(photos)
        if submission:
            if faces is not WhichFaces.largest:
                raise MaskclsError("--submission has one line a photo; leave out --faces all")
            check_image_ids(found)
        loaded, encoder, finder, mode = opened(model, device, runtime, precision, weights, face, search)
        steps = out.with_name(f".{out.name}.steps")
        with progress_bar() as progress:
            predicted = predict_photos(
                [photo.path for photo in found],
                [photo.name for photo in found],
                loaded,
                encoder,
                finder,
                mode=mode,
                faces=1 if faces is WhichFaces.largest else MOST_FACES,
                min_confidence=min_confidence,
                min_quality=min_quality,
                jobs=jobs,
                batch_size=batch_size,
                steps=steps,
                keep_crops=crops_kept,
                explain=explain is not None,
                progress=partial(progress, "predicting"),
            )
        places = ", ".join(map(shown, photos[:PLACES])) + f" and {len(photos) - PLACES} more" * (len(photos) > PLACES)
        answers, rows = predicted.answers, predicted.table
        write_table(out, rows)
        counts = rows["status"].value_counts()
        answered = sum(int(counts.get(status, 0)) for status in PREDICTED)
        answers_name = "answered" if faces is WhichFaces.largest else "faces answered"
        unsure = f" ({counts['unsure']} of them unsure)" if "unsure" in counts else ""
        tell(out=out, photos=len(found), counts=counts.to_dict(), passed_over=passed_over.kinds, answers=rows)
        typer.echo(
            f"{shown(out)}: {len(found)} photos, {answered} {answers_name}{unsure}, "
            f"{counts.get('no_face', 0)} without a face, {counts.get('unreadable', 0)} unreadable"
        )
        for answer in answers[:LINES]:
            typer.echo(f"  {_line(answer)}")
        if len(answers) > LINES:
            typer.echo(f"  … {len(answers) - LINES} more rows in {shown(out)}")
        if passed_over:
            typer.echo(f"passed over: {passed_over}")
        if report:
            write_report(report, predicted, loaded, f"maskcls: {places}")
            typer.echo(f"{shown(report)}: report")
        if explain:
            explained = write_explanations(explain, answers)
            typer.echo(f"{shown(explain)}: voters of {explained} answers")
        if submission:
            filled = write_submission(submission, answers, loaded, [photo.image_id for photo in found])
            typer.echo(f"{shown(submission)}: {filled} photos without an answer got the most common class")
        shutil.rmtree(steps, ignore_errors=True)
        if not answered:
            raise MaskclsError(f"{places}: no face in any of {len(found)} photos; see {shown(out)}")


def _line(answer: Answer) -> str:
    """One answer for the terminal."""
    from ..embedder.photo import shown

    number = answer.face.number if answer.face is not None else 1
    name = shown(answer.path) + (f", face {number}" if number > 1 else "")
    words = [prediction.label for prediction in answer.tasks.values() if prediction is not None]
    if not words:
        return f"{name}: {answer.reason}"
    if answer.age is not None:
        words.append(f"({answer.age.years:.0f} years, 80 % between {answer.age.low:.0f} and {answer.age.high:.0f})")
    return f"{name}: {' '.join(words)}" + (f"; {answer.reason}" if answer.reason else "")
