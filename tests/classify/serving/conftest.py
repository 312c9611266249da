"""A server of a made-up model: its encoder looks at colours, its finder sees a face in all but black photos."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from maskcls.classify.age.vote import VoteSettings
from maskcls.classify.heads.network import Head, TrainedHead
from maskcls.classify.model.model import Model
from maskcls.classify.serving.answerer import Answerer
from maskcls.classify.serving.engine import Engine
from maskcls.classify.serving.metrics import Metrics
from maskcls.classify.serving.server import guarded
from maskcls.classify.serving.uploads import Limits
from maskcls.embedder.detection.detector import Found
from maskcls.embedder.detection.finder import FaceFinder, FaceMode
from maskcls.embedder.facenet.encoder import MAP_SHAPE, Encoded, EncoderInfo

ADDRESS = "http://127.0.0.1:8000"
TOKEN = "a-token-of-some-length"
SMALL = Limits(
    photo_bytes=100_000, photos=3, request_bytes=200_000, memory_bytes=500_000, receive_seconds=5, answer_seconds=5
)


class Colours:
    """An encoder whose vectors follow from a crop's mean colour; it waits while ``free`` is not set."""

    def __init__(self) -> None:
        self.info = EncoderInfo("facenet", "0" * 64, {})
        self.batches: list[int] = []
        self.free = threading.Event()
        self.free.set()
        self.broken = self.hates_white = False

    def encode(self, crops: npt.NDArray[np.uint8]) -> Encoded:
        self.free.wait(30)
        if len(crops):
            self.batches.append(len(crops))
        colours = crops.mean(axis=(1, 2)) - 100
        if self.broken or (self.hates_white and (colours > 154).all(axis=1).any()):
            raise RuntimeError("the network is ill")
        vectors = np.pad(colours, ((0, 0), (0, 509))).astype(np.float32)
        norms = np.linalg.norm(vectors, axis=1)
        return Encoded(vectors / norms[:, None], np.zeros((len(crops), *MAP_SHAPE), np.float16), norms)


class Everywhere:
    """A finder of one face as large as the photo, two in a blue one, none in a black one."""

    def find_all(self, images: Sequence[Image.Image], mode: FaceMode = "auto") -> list[list[Found]]:
        found: list[list[Found]] = []
        for image in images:
            red, green, blue = cast(tuple[int, int, int], image.getpixel((0, 0)))
            box = np.array([0, 0, *image.size], np.float32)
            faces = 2 if blue > 200 > red + green else 1
            dark = red + green + blue < 30
            one = Found(box, np.empty((0, 2), np.float32), 1.0, faces, "whole")
            found.append([] if dark else [one, replace(one, box=box / np.float32(2))][:faces])
        return found


def photo(colour: str = "red", kind: str = "PNG", side: int = 40) -> bytes:
    """A photo of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def served_model(made_up: Callable[[int, int, VoteSettings], Model]) -> Model:
    """200 faces and two untrained heads."""
    torch.manual_seed(0)
    heads = {
        task: TrainedHead(Head(len(classes)).eval(), classes, 1.0)
        for task, classes in {"mask": ("wear", "incorrect", "normal"), "gender": ("male", "female")}.items()
    }
    made = made_up(200, 0, VoteSettings())
    return Model(made.gallery, made.table, made.age_space, made.settings, heads, made.encoder, "auto")


@pytest.fixture
def colours() -> Colours:
    return Colours()


@pytest.fixture
def answerer(served_model: Model, colours: Colours) -> Answerer:
    return Answerer(served_model, colours, cast(FaceFinder, Everywhere()))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def engine(answerer: Answerer, metrics: Metrics, colours: Colours) -> Iterator[Engine]:
    """Room for ten photos, passes of four."""
    started = Engine(answerer, room=10, batch=4, passed=metrics.batches.observe)
    metrics.watch(started)
    yield started
    colours.free.set()
    started.close()


@pytest.fixture
def client(engine: Engine, metrics: Metrics) -> TestClient:
    """A program on this machine; no token is needed."""
    return TestClient(guarded(engine, metrics, SMALL, None, "127.0.0.1", 8000), base_url=ADDRESS)


@pytest.fixture
def locked(engine: Engine, metrics: Metrics) -> TestClient:
    """A program that has not shown its token."""
    app = guarded(engine, metrics, SMALL, TOKEN, "127.0.0.1", 8000)
    return TestClient(app, base_url=ADDRESS, follow_redirects=False)
