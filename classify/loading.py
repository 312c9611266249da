"""Which model answers."""

from __future__ import annotations

from pathlib import Path

from ..embedder.errors import MaskclsError
from .model import Model


def load_model(folder: Path | None) -> Model:
    """The model of a folder.

    Raises:
        MaskclsError: no folder is named, or it holds no model that can be used.
    """
    if folder is None:
        raise MaskclsError("--model: name a model made by `maskcls build-index`; none comes with this version")
    return Model.load(folder)
