"""A model from its folder, with what it looks at photos with; where no folder is given, the built-in model.

That one was built from FairFace and has prototypes instead of faces in its gallery. ``docs/model_card.md`` says what it
was made of and how well it answers; ``make builtin-model`` makes it again.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast

from ...embedder.detection.finder import FaceFinder, FaceMode
from ...embedder.detection.search import SearchName
from ...embedder.facenet.encoder import FaceNetEncoder, pick_device
from ...embedder.facenet.runtimes import check_process, pick_runtime
from ...embedder.photo import shown
from .model import Model

BUILTIN = Path(__file__).with_name("builtin")
"""Where the built-in model lies, inside the package."""


def load_model(folder: Path | None) -> Model:
    """The model of a folder, or the built-in one; every file's SHA-256 is checked.

    Raises:
        MaskclsError: one line saying which part is missing, damaged or of another format.
    """
    return Model.load(folder or BUILTIN)


class LoadedModel(NamedTuple):
    """A model, its own encoder, a finder of faces, and how they are looked for."""

    model: Model
    encoder: FaceNetEncoder
    finder: FaceFinder
    mode: FaceMode


def open_model(
    folder: Path | None,
    *,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    weights: Path | None = None,
    face: str | None = None,
    search: str | None = None,
) -> LoadedModel:
    """The model of a folder, or the built-in one, ready to answer about photos.

    Args:
        device: see :func:`~...embedder.facenet.encoder.pick_device`.
        runtime, precision: see :func:`~...embedder.facenet.runtimes.pick_runtime`.
        weights: FaceNet weights that the model was built with, where these are not the packaged ones.
        face: ``auto``, ``detect`` or ``whole``; by default as the model's own photos were read.
        search: ``libfacedetection`` or ``mtcnn``; by default the first, where it is installed.

    Raises:
        MaskclsError: one line: the model is missing or damaged, was built with other weights, or what was asked for is
            not there; or this process was forked from one that has loaded a model.
    """
    check_process()
    model = load_model(folder)
    chosen = pick_device(device)
    how = pick_runtime(runtime, precision, chosen)
    encoder = FaceNetEncoder(weights, chosen, model.tuned, how)
    model.check_encoder(encoder.info, folder or BUILTIN)
    finder = FaceFinder(chosen, how.engine, cast(SearchName | None, search))
    return LoadedModel(model, encoder, finder, cast(FaceMode, face or model.reading))


def name_of(folder: Path | None) -> str:
    """Which model answers, for people: the folder, or what the built-in model is."""
    if folder is not None:
        return shown(folder)
    return "the built-in model (FairFace photos, drawn masks; see docs/model_card.md)"
