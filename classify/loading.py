"""The model that answers where none is given: built from FairFace, with prototypes instead of faces in its gallery.

``docs/model_card.md`` says what it was made of and how well it answers; ``make builtin-model`` makes it again.
"""

from __future__ import annotations

from pathlib import Path

from ..embedder.photo import shown
from .model import Model

BUILTIN = Path(__file__).with_name("builtin_model")
"""Where the built-in model lies, inside the package."""


def load_model(folder: Path | None) -> Model:
    """The model of a folder, or the built-in one; every file's SHA-256 is checked.

    Raises:
        MaskclsError: one line saying which part is missing, damaged or of another format.
    """
    return Model.load(folder or BUILTIN)


def name_of(folder: Path | None) -> str:
    """Which model answers, for people: the folder, or what the built-in model is."""
    if folder is not None:
        return shown(folder)
    return "the built-in model (FairFace photos, drawn masks; see docs/model_card.md)"
