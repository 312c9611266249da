"""What a command's options ask for, opened: a model to answer with, a pool to build from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .options import Device, Face, Precision, Runtime, Search

if TYPE_CHECKING:
    from ..classify.model.loading import LoadedModel


def opened(
    model: Path | None,
    device: Device,
    runtime: Runtime,
    precision: Precision,
    weights: Path | None,
    face: Face | None,
    search: Search | None,
) -> LoadedModel:
    """See :func:`~..classify.model.loading.open_model`; where no model is named, a line names the one that is used.

    Raises:
        MaskclsError: as there.
    """
    from ..classify.model.loading import name_of, open_model

    if model is None:
        typer.echo(f"no --model given: {name_of(model)} answers", err=True)
    return open_model(
        model, device=device, runtime=runtime, precision=precision, weights=weights, face=face, search=search
    )
