from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskcls.embedder.align import CROP_SIZE
from maskcls.embedder.encoder import EMBEDDING_DIM, MAP_SHAPE, Encoded, Encoder, EncoderInfo, FaceNetEncoder
from maskcls.embedder.photo import read_photo

PEOPLE_IN_SCENES = 4


class _PixelEncoder:
    info = EncoderInfo("pixels", "0" * 64, {"crop_size": CROP_SIZE})

    def encode(self, crops: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Encoded:
        values = crops[:, ::5, ::5].reshape(len(crops), -1)[:, :EMBEDDING_DIM].astype(np.float32) + 1
        maps = np.broadcast_to(values[:, :1, None, None] / 256, (len(crops), *MAP_SHAPE))
        return Encoded(values / np.linalg.norm(values, axis=1, keepdims=True), maps.astype(np.float16))


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
    people = sorted((data / "contest" / "images").iterdir())[:PEOPLE_IN_SCENES]
    return [read_photo(next(person.glob(pattern))).image for person in people]


Scene = Callable[[Sequence[tuple[Image.Image, int, tuple[int, int]]]], Image.Image]


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
def cosine(encoder: FaceNetEncoder) -> Callable[[Sequence[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]], float]:
    """Cosine of the embeddings of two crops."""

    def similarity(crops: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> float:
        first, second = encoder.encode(np.stack(crops)).embeddings
        return float(first @ second)

    return similarity
