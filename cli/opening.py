"""What a command's options ask for, opened: a model to answer with, a pool to build from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .options import Device, Face, Precision, Runtime

if TYPE_CHECKING:
    from ..classify.data.face_set import FaceSet
    from ..classify.model.loading import LoadedModel


def opened(
    model: Path | None,
    device: Device,
    runtime: Runtime,
    precision: Precision,
    weights: Path | None,
    face: Face | None,
) -> LoadedModel:
    """See :func:`~..classify.model.loading.open_model`; where no model is named, a line says which one answers.

    Raises:
        MaskclsError: as there.
    """
    from ..classify.model.loading import name_of, open_model

    if model is None:
        typer.echo(f"no --model given: {name_of(model)} answers", err=True)
    return open_model(model, device=device, runtime=runtime, precision=precision, weights=weights, face=face)


def seen_again(
    pool: FaceSet,
    views: int,
    seed: int,
    folder: Path | None,
    device: Device,
    weights: Path | None,
    step: Callable[[str, int, int], None],
    precision: Precision = Precision.auto,
) -> FaceSet:
    """See :func:`~..classify.data.augmentation.augment`.

    Raises:
        MaskclsError: as there.
    """
    if not views:
        return pool
    from ..classify.data.augmentation import augment
    from ..embedder.facenet.encoder import FaceNetEncoder, pick_device
    from ..embedder.facenet.runtimes import pick_runtime

    chosen = pick_device(device.value)
    encoder = FaceNetEncoder(weights, chosen, runtime=pick_runtime("auto", precision.value, chosen))
    return augment(pool, encoder, views, seed, folder, lambda done, total: step("seeing again", done, total))
