"""The model that a command's options ask for, opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .options import Device, Face, Precision, Runtime

if TYPE_CHECKING:
    from ..classify.loading import Opened


def opened(
    model: Path | None,
    device: Device,
    runtime: Runtime,
    precision: Precision,
    weights: Path | None,
    face: Face | None,
) -> Opened:
    """See :func:`~..classify.loading.open_model`; where no model is named, a line says which one answers.

    Raises:
        MaskclsError: as there.
    """
    from ..classify.loading import name_of, open_model

    if model is None:
        typer.echo(f"no --model given: {name_of(model)} answers", err=True)
    return open_model(model, device=device, runtime=runtime, precision=precision, weights=weights, face=face)
