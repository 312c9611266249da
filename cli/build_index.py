"""``maskcls build-index``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from .options import (
    PASSES,
    Device,
    DeviceOption,
    FinetuneOption,
    KnownOption,
    PassesOption,
    Precision,
    PrecisionOption,
    WeightsOption,
    fine_tuning,
)
from .terminal import one_line_errors, progress_bar, tell


def build_index(
    faces: Annotated[list[Path], typer.Argument(help="Embedding sets made by `maskcls embed`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Model to make or replace.")],
    seed: Annotated[int, typer.Option(help="Of held-out people and training.")] = 0,
    split: Annotated[Path | None, typer.Option(help="Split made by `maskcls split`, for --without.")] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="FOLD", help="Build without the people of this fold of --split (repeatable)."),
    ] = None,
    known: KnownOption = None,
    prototypes: Annotated[
        int,
        typer.Option(
            min=0,
            help="The gallery holds centroids of so many people at least, alike in age, gender and mask state, and "
            "nobody's own face; 0 for faces.",
        ),
    ] = 0,
    finetune: FinetuneOption = None,
    passes: PassesOption = PASSES,
    device: DeviceOption = Device.auto,
    weights: WeightsOption = None,
    precision: PrecisionOption = Precision.auto,
    gallery: Annotated[
        str, typer.Option(help="exact, ivf, auto (by size) or postgresql://… of a server with pgvector.")
    ] = "auto",
) -> None:
    """Make a model: a FAISS gallery for the age vote, and CNN heads for mask and gender.

    Sets that lack a label take part where they have one. Choices are made on held-out people only. Sets made by
    `maskcls pseudo-label` train heads and age space; they do not vote. --passes, --device, --weights and --precision
    are for --finetune.
    """
    with one_line_errors():
        from ..classify.evaluation.leakage_guard import training_pool
        from ..classify.model.build import build_model, check_answers
        from ..classify.model.storage import check_target
        from ..embedder.photo import shown
        from ..index.flat import Gallery
        from ..index.storage import check_kind

        check_target(out)
        check_kind(gallery)
        pool, left_out = training_pool(faces, known or [], split, without or [])
        checkpoints = out.resolve().with_name(f".{out.resolve().name}.finetune")
        wanted = fine_tuning(finetune, passes, device, weights, checkpoints, precision)
        with progress_bar() as progress:
            model, report = build_model(
                pool, seed, progress, finetuning=wanted, prototypes=prototypes, gallery_kind=gallery
            )
        check_answers(report, faces)
        model.save(out)
        tell(
            out=out,
            gallery=report.gallery,
            faces=report.faces,
            people=report.people,
            copies=report.copies,
            vote=report.vote,
            heads=report.heads,
            missing=report.missing,
        )
        shutil.rmtree(checkpoints, ignore_errors=True)
        kind = "prototypes" if prototypes else "faces"
        typer.echo(
            f"{shown(out)}: {report.gallery} {kind} in the gallery, {report.faces} faces of about "
            f"{report.people} people used, {report.copies} exact copies left out"
        )
        if left_out:
            typer.echo(f"{left_out} faces of people of fold {shown(', '.join(without or []))} left out")
        if pseudo := int((~pool.real).sum()):
            typer.echo(f"{pseudo} of the faces have pseudo-labels")
        if isinstance(model.gallery, Gallery) and model.gallery.kind == "ivf":
            typer.echo(
                f"gallery in an inverted file: a search reads {model.gallery.searched}, "
                f"{100 * model.gallery.recall:.1f} % of the 100 nearest found on a sample"
            )
        if report.vote:
            vote = report.vote
            typer.echo(
                f"age vote on the held-out people that chose its settings: MAE {vote.mae:.2f} years, band macro F1 "
                f"{vote.macro_f1:.3f} ({vote.settings.voters} voters, temperature {vote.settings.temperature}, "
                f"prior correction {vote.settings.correction})"
            )
            for name in vote.at_grid_end:
                typer.echo(f"age vote: {name} is the first or last value tried; one beyond may be better")
        elif "age" not in report.missing:
            typer.echo("age vote: too few people to tune it, default settings kept")
        for task, head in report.heads.items():
            typer.echo(
                f"{task} on {head.held_out_faces} faces of the held-out people that chose its settings: accuracy "
                f"{head.accuracy:.4f}, macro F1 {head.macro_f1:.4f}"
            )
        if report.vote or report.heads:
            typer.echo("for scores on people that chose nothing: maskcls evaluate")
        for task in report.missing:
            typer.echo(f"no answers for {task}: too few labels (two classes with two people each are the least)")
