"""Check that everything a prediction needs is installed and intact, and how fast it runs."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...embedder.detection.finder import FaceFinder
from ...embedder.detection.libfacedetection import has_libfacedetection, libfacedetection_version
from ...embedder.errors import MaskclsError
from ...embedder.facenet.encoder import Encoder, FaceNetEncoder, pick_device
from ...embedder.facenet.runtimes import pick_runtime, threads
from ...embedder.photo import photo_of, shown
from ...embedder.pipeline import encode_photos
from ..age.vote import NOBODY
from .answers import answer_faces
from .loading import BUILTIN, load_model
from .model import Model

LIBRARIES = ("torch", "torchvision", "facenet-pytorch", "faiss-cpu", "numpy", "pandas", "scikit-learn", "pillow")
TRIED = 32
"""Random photos that are predicted to measure the speed."""
ROUNDS = 3
SIDE = 200
"""Of a random photo, in pixels."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    fine: bool
    text: str


def examine(
    model: Path | None = None, weights: Path | None = None, device: str = "auto", jobs: int = 2
) -> Iterator[Finding]:
    """Check one part after the other; parts that need a broken one are skipped.

    Args:
        model: to check and to predict with, by default the built-in one, which is checked in any case.
        weights: FaceNet weights, by default the packaged ones.
        device: ``auto``, ``cpu`` or ``cuda``.
        jobs: threads that decode photos.
    """
    seen: dict[str, Any] = {}

    def look(name: str, at: Callable[[], tuple[object, str]]) -> Finding:
        try:
            seen[name], text = at()
        except (MaskclsError, OSError, ImportError) as error:
            return Finding(name, False, str(error))
        return Finding(name, True, text)

    yield look("versions", lambda: (None, versions()))
    yield look("runtime", lambda: (pick_device(device), runtime(pick_device(device))))
    chosen = seen.get("runtime", "cpu")
    yield look("face finder", lambda: _finder(chosen))
    yield look("built-in model", lambda: _model(BUILTIN))
    answering = "built-in model"
    if model is not None:
        answering = "model"
        yield look(answering, lambda: _model(model))
    if answering in seen:
        yield look("FaceNet weights", lambda: _encoder(seen[answering], model or BUILTIN, weights, chosen))
    if {"face finder", "FaceNet weights"} <= seen.keys():
        parts = seen[answering], seen["FaceNet weights"], seen["face finder"]
        yield look("speed", lambda: (None, speed(*parts, jobs)))


def versions() -> str:
    """Of maskcls, Python and the libraries that predictions depend on."""
    return ", ".join(f"{name} {_version(name)}" for name in ("maskcls", "Python", *LIBRARIES))


def runtime(device: str) -> str:
    """What the networks run on."""
    where = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    return f"{pick_runtime(device=device)} on {device} ({where}), {threads()} threads, {os.cpu_count()} cores"


def speed(model: Model, encoder: Encoder, finder: FaceFinder, jobs: int) -> str:
    """Random photos predicted a second, each taken as a face: decoding and detection come on top.

    A first batch warms up and does not count; then the median of :data:`ROUNDS`.
    """
    random = np.random.default_rng(0)
    images = [Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), np.uint8)) for _ in range(TRIED)]
    sources = [partial(photo_of, image) for image in images]

    def once() -> float:
        began = time.perf_counter()
        with encode_photos(sources, finder, encoder, mode="whole", jobs=jobs, batch_size=TRIED) as batches:
            for batch in batches:
                faces = [photo.face for photo in batch if photo.face is not None]
                embeddings, maps = (np.stack([getattr(face, part) for face in faces]) for part in ("embedding", "map"))
                ages = model.ages(embeddings, maps, np.full(len(faces), NOBODY, np.int64))
                answer_faces(model, ages, embeddings, maps)
        return time.perf_counter() - began

    once()
    seconds = sorted(once() for _ in range(ROUNDS))[ROUNDS // 2]
    return f"{TRIED / seconds:.0f} faces/s ({TRIED} random photos in a batch, median of {ROUNDS})"


def _model(folder: Path) -> tuple[Model, str]:
    model = load_model(folder)
    what = "prototypes" if "members" in model.table else "faces"
    heads = ", ".join(model.heads) or "no heads"
    return model, f"{shown(folder)}: verified (SHA-256); {len(model.table)} {what} in the gallery, {heads}"


def _finder(device: str) -> tuple[FaceFinder, str]:
    finder = FaceFinder(device, pick_runtime(device=device).engine)
    search = f"{libfacedetection_version()} searches" if has_libfacedetection() else "MTCNN searches"
    return finder, f"{search}; MTCNN's weights found and verified (SHA-256)"


def _encoder(model: Model, folder: Path, weights: Path | None, device: str) -> tuple[FaceNetEncoder, str]:
    encoder = FaceNetEncoder(weights, device, model.tuned, pick_runtime(device=device))
    model.check_encoder(encoder.info, folder)
    return encoder, f"{encoder.info.name}: found, verified (SHA-256), and those of the model"


def _version(name: str) -> str:
    """Of an installed package.

    Raises:
        MaskclsError: it is not installed.
    """
    if name == "Python":
        return platform.python_version()
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise MaskclsError(f"{name} is not installed; run `pip install maskcls` again") from error
