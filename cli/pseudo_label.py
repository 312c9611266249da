"""``maskcls pseudo-label``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from .options import ConfidenceOption, Device, DeviceOption, WeightsOption
from .terminal import one_line_errors, progress_bar, tell


def pseudo_label(
    model: Annotated[Path, typer.Argument(help="Model made by `maskcls build-index`: the teacher.")],
    unlabelled: Annotated[Path, typer.Argument(help="Embedding set of the photos to label.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Embedding set to write, with the model's labels.")],
    min_confidence: ConfidenceOption = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Label only mask, gender or age (repeatable). Default: all.")
    ] = None,
    device: DeviceOption = Device.auto,
    weights: WeightsOption = None,
) -> None:
    """Give faces a model's confident predictions as labels, to build another model from them.

    Labels that UNLABELLED has are ignored for these tasks and kept for other tasks. Every row names the model and its
    probability, and the set stores salted hashes of the photos that the model was built from: no command scores or
    tunes a model on people that its teacher has seen. The last two options are for a fine-tuned model, which reads the
    photos again.
    """
    with one_line_errors():
        from ..classify.labels.pseudo_labels.label_set import check_out, check_teacher, label_set
        from ..classify.labels.pseudo_labels.labels import read_thresholds
        from ..classify.model.model import Model
        from ..embedder.facenet.encoder import FaceNetEncoder, pick_device
        from ..embedder.facenet.runtimes import pick_runtime
        from ..embedder.faceset.store import open_set
        from ..embedder.photo import shown

        thresholds = read_thresholds(min_confidence or (), task)
        check_out(out)
        teacher, found = Model.load(model), open_set(unlabelled)
        check_teacher(teacher, model, found, unlabelled)
        encoder = None
        if teacher.tuned is not None:
            chosen = pick_device(device.value)
            encoder = FaceNetEncoder(weights, chosen, teacher.tuned, pick_runtime(device=chosen))
            teacher.check_encoder(encoder.info, model)
        with progress_bar() as progress:
            done = label_set(teacher, found, out, thresholds, encoder, partial(progress, "labelling"))
        tell(out=out, faces=done.faces, labelled=len(done.table), own=done.own, forgotten=done.forgotten)
        tell(tasks={name: done.counts(name) for name in thresholds})
        typer.echo(f"{shown(out)}: {len(done.table)} of {done.faces} faces labelled")
        for name, threshold in thresholds.items():
            counts = done.counts(name)
            classes = ", ".join(f"{label} {count}" for label, count in counts.items()) or "none"
            typer.echo(f"  {name}, probability at least {threshold:g}: {sum(counts.values())} faces ({classes})")
        if done.own:
            typer.echo(f"{done.own} faces left out: the model was built from their photos")
        if done.forgotten:
            typer.echo(f"{done.forgotten} faces left out: their photos were forgotten")
