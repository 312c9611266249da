"""Is everything there that answering needs, is it what it should be, and how fast is it?"""

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
from ...embedder.errors import MaskclsError
from ...embedder.facenet.encoder import Encoder, FaceNetEncoder, pick_device
from ...embedder.facenet.runtimes import pick_runtime, threads
from ...embedder.photo import photo_of, shown
from ...embedder.pipeline import encode_photos
from ..model.loading import BUILTIN, load_model
from ..model.model import Model
from .job import answer

LIBRARIES = ("torch", "torchvision", "facenet-pytorch", "faiss-cpu", "numpy", "pandas", "scikit-learn", "pillow")
TRIED = 32
"""Made-up photos that are answered for to tell the speed."""
ROUNDS = 3
SIDE = 200
"""Of a made-up photo, in pixels."""


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is as it should be, and what there is to say."""

    name: str
    fine: bool
    text: str


def examine(
    model: Path | None = None, weights: Path | None = None, device: str = "auto", jobs: int = 2
) -> Iterator[Finding]:
    """Look at one thing after the other; what needs something that is broken is not looked at.

    Args:
        model: the model that is to answer, by default the built-in one; that is looked at in any case.
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
    """maskcls, Python and the libraries that answers depend on."""
    return ", ".join(f"{name} {_version(name)}" for name in ("maskcls", "Python", *LIBRARIES))


def runtime(device: str) -> str:
    """What the networks run on."""
    where = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    return f"{pick_runtime(device=device)} on {device} ({where}), {threads()} threads, {os.cpu_count()} cores"


def speed(model: Model, encoder: Encoder, finder: FaceFinder, jobs: int) -> str:
    """Made-up photos answered for a second, each taken as a face: decoding and searching come on top.

    A first batch warms up and does not count; then the median of :data:`ROUNDS`.
    """
    random = np.random.default_rng(0)
    images = [Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), np.uint8)) for _ in range(TRIED)]
    sources = [partial(photo_of, image) for image in images]

    def once() -> float:
        began = time.perf_counter()
        for batch in encode_photos(sources, finder, encoder, mode="whole", jobs=jobs, batch_size=TRIED):
            answer(batch, [""] * len(batch), model)
        return time.perf_counter() - began

    once()
    seconds = sorted(once() for _ in range(ROUNDS))[ROUNDS // 2]
    return f"{TRIED / seconds:.0f} faces/s ({TRIED} made-up faces in a batch, median of {ROUNDS})"


def _model(folder: Path) -> tuple[Model, str]:
    model = load_model(folder)
    what = "prototypes" if "members" in model.table else "faces"
    heads = ", ".join(model.heads) or "no heads"
    return model, f"{shown(folder)}: verified (SHA-256); {len(model.table)} {what} in the gallery, {heads}"


def _finder(device: str) -> tuple[FaceFinder, str]:
    return FaceFinder(device, pick_runtime(device=device).engine), "MTCNN's weights found and verified (SHA-256)"


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
