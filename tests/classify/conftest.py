"""Embedding sets and models made of numbers alone, for what needs no photo."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from playwright.sync_api import Browser, sync_playwright

from maskcls.classify.age.space import LinearSpace
from maskcls.classify.age.vote import VoteSettings
from maskcls.classify.data.face_set import merge_sets
from maskcls.classify.labels.pseudo_labels.label_set import label_set
from maskcls.classify.model.build import build_model
from maskcls.classify.model.model import Model
from maskcls.embedder.facenet.encoder import MAP_SHAPE, EncoderInfo
from maskcls.embedder.faceset.store import LOG_COLUMNS, REJECT_COLUMNS, EmbeddingSet
from maskcls.embedder.table import face_table, gallery_ids
from maskcls.index.flat import Gallery

INFO = EncoderInfo("facenet", "0" * 64, {"crop_size": 160})
DIMENSION = 8
"""Of the age space of :func:`made_up`, which keeps the first numbers of an embedding."""


def _column(values: object, count: int) -> Sequence[object]:
    return list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values] * count


def unit_rows(count: int, seed: int = 0, dimension: int = 512) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="session")
def make_set() -> Callable[..., EmbeddingSet]:
    """``make_set(count, seed=…, person=…, mask=…, …)``: a label is one value for all faces or a list of them."""

    def make(
        count: int,
        *,
        seed: int = 0,
        root: str = "/nowhere",
        face: str = "auto",
        encoder: EncoderInfo = INFO,
        **labels: object,
    ) -> EmbeddingSet:
        columns = {name: _column(value, count) for name, value in labels.items()}
        if "age" in columns:
            columns["age_low"] = columns["age_high"] = columns.pop("age")
        rows = []
        for i in range(count):
            digest = hashlib.sha256(f"{seed} {i}".encode()).hexdigest()
            rows.append(
                {
                    "face_id": f"{int(digest[:16], 16) >> 1:016x}",
                    "path": f"{i:05}.jpg",
                    "box": [0.0, 0.0, 64.0, 64.0],
                    "landmarks": [],
                    "face": "whole",
                    "face_score": 1.0,
                    "faces_in_photo": 1,
                    "sharpness": 9.0,
                    "norm": 20.0,
                    "source": "made-up",
                    "file_sha256": digest,
                    "file_size": 1,
                    "file_mtime_ns": 1,
                }
                | {name: values[i] for name, values in columns.items()}
            )
        maps = np.random.default_rng(seed).random((count, *MAP_SHAPE), np.float32).astype(np.float16)
        rejects = pd.DataFrame([], columns=list(REJECT_COLUMNS)).astype(REJECT_COLUMNS)
        settings = {"root": root, "layout": "folders", "face": face}
        log = pd.DataFrame(columns=list(LOG_COLUMNS)).astype(LOG_COLUMNS)
        return EmbeddingSet(face_table(rows), unit_rows(count, seed), maps, rejects, encoder, settings, log)

    return make


def _made_up(count: int, seed: int, chosen: VoteSettings) -> Model:
    random = np.random.default_rng(seed)
    low = random.integers(0, 90, count).astype(np.float32)
    wide = random.integers(0, 2, count) * random.integers(1, 11, count)
    table = pd.DataFrame(
        {
            "face_id": [f"{i + 1:016x}" for i in range(count)],
            "age_low": low,
            "age_high": low + wide.astype(np.float32),
            "mask": [None, "wear", "normal"] * (count // 3) + [None] * (count % 3),
            "gender": None,
            "path": [f"{i}.jpg" for i in range(count)],
            "root": "/nowhere",
            "file_sha256": [f"{i:064x}" for i in range(count)],
            "group": random.integers(0, max(1, count // 2), count),
        }
    )
    gallery = Gallery(DIMENSION)
    gallery.add(random.standard_normal((count, DIMENSION)).astype(np.float32), gallery_ids(table["face_id"]))
    space = LinearSpace(np.zeros(512 + MAP_SHAPE[0], np.float32), np.eye(512 + MAP_SHAPE[0], DIMENSION, dtype="f4"))
    return Model(gallery, table, space, chosen, {}, EncoderInfo("facenet", "0" * 64, {}), "auto")


@pytest.fixture(scope="session")
def made_up() -> Callable[[int, int, VoteSettings], Model]:
    """``made_up(count, seed, settings)``: a model without heads whose gallery holds random vectors, two a person."""
    return _made_up


@pytest.fixture(scope="session")
def questions() -> Callable[[int, int], tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]]]:
    """``questions(count, seed)``: random embeddings and empty maps."""

    def ask(count: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]]:
        embeddings = np.random.default_rng(seed).standard_normal((count, 512)).astype(np.float32)
        return embeddings, np.zeros((count, *MAP_SHAPE), np.float16)

    return ask


CHROMIUM = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium without a window for a whole module; its camera shows a test pattern."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        message = "no chromium on PATH; install it (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        yield started
        started.close()


MakeSet = Callable[..., EmbeddingSet]
TEACHER_FACES = 24
"""Of the teacher's set: twelve people with two faces each."""


@pytest.fixture(scope="session")
def labelled(make_set: MakeSet) -> EmbeddingSet:
    """What the teacher is built from: people p0 to p11."""
    return make_set(
        TEACHER_FACES,
        seed=1,
        root="/labelled",
        person=[f"p{i // 2}" for i in range(TEACHER_FACES)],
        mask=["wear", "normal"] * (TEACHER_FACES // 2),
        gender=["male", "male", "female", "female"] * (TEACHER_FACES // 4),
        age=[20 + 5 * (i // 2) for i in range(TEACHER_FACES)],
    )


@pytest.fixture(scope="session")
def unlabelled(make_set: MakeSet) -> EmbeddingSet:
    """Other faces, which bring labels of their own."""
    return make_set(10, seed=2, root="/unlabelled", mask="incorrect", gender="female", age=3, race="Asian")


@pytest.fixture(scope="session")
def teacher_folder(labelled: EmbeddingSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The teacher, saved."""
    folder = tmp_path_factory.mktemp("teacher") / "model"
    build_model(merge_sets([labelled]))[0].save(folder)
    return folder


@pytest.fixture(scope="session")
def teacher(teacher_folder: Path) -> Model:
    """The same, loaded."""
    return Model.load(teacher_folder)


@pytest.fixture(scope="session")
def extra(teacher: Model, unlabelled: EmbeddingSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unlabelled faces with all of the teacher's labels, however sure it is."""
    out = tmp_path_factory.mktemp("extra") / "set"
    label_set(teacher, unlabelled, out, {"mask": 0.0, "gender": 0.0, "age": 0.0})
    return out
