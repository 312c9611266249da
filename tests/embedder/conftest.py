from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.detection.align import CROP_SIZE
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.facenet.encoder import EMBEDDING_DIM, MAP_SHAPE, Encoded, Encoder, EncoderInfo, FaceNetEncoder
from maskcls.embedder.faceset.embed import EmbedReport, embed_folder
from maskcls.embedder.photo import read_photo

PERSON = "000001_female_White_40"
PEOPLE_IN_SCENES = ("000001", "000004", "000006")
Scene = Callable[[Sequence[tuple[Image.Image, int, tuple[int, int]]]], Image.Image]
Run = Callable[..., EmbedReport]


class _PixelEncoder:
    info = EncoderInfo("pixels", "0" * 64, {"crop_size": CROP_SIZE})

    def encode(self, crops: npt.NDArray[np.uint8]) -> Encoded:
        values = crops.reshape(len(crops), CROP_SIZE**2 * 3)[:, : EMBEDDING_DIM * 149 : 149].astype(np.float32) + 1
        maps = np.broadcast_to(values[:, :1, None, None] / 256, (len(crops), *MAP_SHAPE))
        norms = np.linalg.norm(values, axis=1)
        return Encoded(values / norms[:, None], maps.astype(np.float16), norms)


@pytest.fixture(scope="session")
def pixel_encoder() -> Encoder:
    """A quick stand-in for FaceNet where only the bookkeeping is tested."""
    return _PixelEncoder()


@pytest.fixture(scope="session")
def bare(data: Path) -> list[Image.Image]:
    """Bare faces of different people, tight crops."""
    return _photos(data, "normal.*")


@pytest.fixture(scope="session")
def masked(data: Path) -> list[Image.Image]:
    """The same people with a mask."""
    return _photos(data, "mask1.*")


def _photos(data: Path, pattern: str) -> list[Image.Image]:
    folders = (next((data / "contest" / "images").glob(f"{person}_*")) for person in PEOPLE_IN_SCENES)
    return [read_photo(next(folder.glob(pattern))).image for folder in folders]


@pytest.fixture(scope="session")
def scene() -> Scene:
    """Paste faces, each with a side in pixels and a top left corner, on 640 x 480 grey."""

    def paste(faces: Sequence[tuple[Image.Image, int, tuple[int, int]]]) -> Image.Image:
        canvas = Image.new("RGB", (640, 480), "grey")
        for face, side, corner in faces:
            canvas.paste(face.resize((side, side)), corner)
        return canvas

    return paste


@pytest.fixture(scope="session")
def cosine(encoder: FaceNetEncoder) -> Callable[[Sequence[npt.NDArray[np.uint8]]], float]:
    """Cosine of the embeddings of two crops."""

    def similarity(crops: Sequence[npt.NDArray[np.uint8]]) -> float:
        first, second = encoder.encode(np.stack(crops)).embeddings
        return float(first @ second)

    return similarity


@pytest.fixture
def photos(tmp_path: Path, data: Path) -> Path:
    """A contest folder of one person."""
    root = tmp_path / "photos"
    shutil.copytree(data / "contest" / "images" / PERSON, root / PERSON)
    return root


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where :func:`run` saves."""
    return tmp_path / "faces"


@pytest.fixture
def run(photos: Path, out: Path, finder: FaceFinder, pixel_encoder: Encoder) -> Run:
    """Embed :func:`photos`, three at a time, by default."""

    def embed(encoder: Encoder = pixel_encoder, *, labels: Path | None = None, **options: Any) -> EmbedReport:
        root = options.pop("root", photos)
        options = {"batch_size": 3} | options
        return embed_folder(read_dataset(root, "auto", labels), root, out, encoder, finder, **options)

    return embed
