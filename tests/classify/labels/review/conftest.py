"""A small set with photos of coloured squares, and the page over it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from starlette.testclient import TestClient

from maskcls.classify.labels.review.app import Review, create_app
from maskcls.classify.labels.review.decisions import Decisions
from maskcls.classify.labels.review.faces import Faces
from maskcls.classify.labels.review.thumbs import Thumbnails
from maskcls.classify.serving.guard import Guard
from maskcls.embedder.faceset.store import EmbeddingSet, SetTables, SetWriter, open_set

FACES = 60
GONE, CHANGED = 58, 59
"""Rows whose photo is gone, or another one by now."""
TOKEN = "the-token"
ADDRESS = "http://127.0.0.1:8000"


def label(row: int, *values: str | None) -> str | None:
    return values[row % len(values)]


@pytest.fixture(scope="session")
def review_faces(make_set: Callable[..., EmbeddingSet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedding set of 60 faces of 15 people, four photos each, with labels of every kind and unknown ones."""
    root = tmp_path_factory.mktemp("photos")
    colours = np.random.default_rng(0).integers(0, 256, (FACES, 3))
    paths, hashes = [], []
    for row, colour in enumerate(colours):
        path = root / f"person {row // 4:02}" / f"{row:02} é.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), tuple(map(int, colour))).save(path)
        paths.append(str(path.relative_to(root)))
        hashes.append(hashlib.sha256(path.read_bytes()).hexdigest())
    (root / paths[GONE]).unlink()
    Image.new("RGB", (64, 64), "white").save(root / paths[CHANGED])
    ages = [[float("nan"), 20.0, 37.0, 71.0][row // 4 % 4] for row in range(FACES)]
    faces = make_set(
        FACES,
        root=str(root),
        path=paths,
        file_sha256=hashes,
        person=[f"p{row // 4:02}" if row < 56 else None for row in range(FACES)],
        mask=[label(row, "wear", "incorrect", "normal", None) for row in range(FACES)],
        gender=[label(row // 4, "male", "female", None) for row in range(FACES)],
        age=ages,
    )
    folder = tmp_path_factory.mktemp("sets") / "squares"
    writer = SetWriter(folder, FACES)
    writer.embeddings[:] = faces.embeddings
    writer.maps[:] = faces.maps
    writer.commit(SetTables(faces.table, faces.rejects, faces.encoder, faces.settings))
    return folder


@pytest.fixture(scope="session")
def faces(review_faces: Path) -> Faces:
    """:func:`review_faces`, opened."""
    return Faces([review_faces], [open_set(review_faces)])


@pytest.fixture(scope="session")
def table(faces: Faces) -> pd.DataFrame:
    """Its table."""
    return faces.table


@pytest.fixture
def patch(tmp_path: Path) -> Path:
    """Where decisions are written."""
    return tmp_path / "decisions.csv"


@pytest.fixture
def decisions(patch: Path, table: pd.DataFrame) -> Iterator[Decisions]:
    """No decisions yet."""
    opened = Decisions(patch, table)
    yield opened
    opened.close()


@pytest.fixture
def stranger(faces: Faces, decisions: Decisions) -> Iterator[TestClient]:
    """A browser that has not opened the page's address yet."""
    thumbnails = Thumbnails(faces.places())
    app = Guard(create_app(Review(faces, decisions, thumbnails, [], "maskcls relabel …")), TOKEN, "127.0.0.1", 8000)
    with_origin = {"origin": ADDRESS}
    yield TestClient(app, base_url=ADDRESS, headers=with_origin, follow_redirects=False)
    thumbnails.close()


@pytest.fixture
def client(stranger: TestClient) -> TestClient:
    """A browser that has."""
    assert stranger.get(f"/?token={TOKEN}").status_code == 303
    return stranger
