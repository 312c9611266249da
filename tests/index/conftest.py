"""Galleries of every backend, and random vectors to fill them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from maskcls.index.base import VectorGallery, normalised
from maskcls.index.flat import Gallery
from maskcls.index.pgvector import PostgresGallery

Floats = npt.NDArray[np.float32]
Make = Callable[[int], VectorGallery]


@pytest.fixture(scope="session", params=["exact", "ivf", "postgresql"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """``make(dimension)``: an empty gallery of the backend of the test."""
    made: list[PostgresGallery] = []

    def server(dimension: int) -> VectorGallery:
        for old in made:
            old.close()
        made[:] = [PostgresGallery.create(request.getfixturevalue("postgres"), dimension)]
        return made[0]

    kind: Any = request.param
    yield server if kind == "postgresql" else lambda dimension: Gallery(dimension, kind)
    for old in made:
        old.close()


@pytest.fixture(scope="session")
def clustered() -> Floats:
    """8,000 unit vectors of 24 dimensions around 200 centres, as faces lie around their people."""
    random = np.random.default_rng(7)
    centres = np.repeat(random.standard_normal((200, 24)), 40, axis=0)
    return normalised((centres + 0.35 * random.standard_normal(centres.shape)).astype(np.float32))
