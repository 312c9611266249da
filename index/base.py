"""The interface of every gallery, wherever its vectors are stored."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


class Neighbours(NamedTuple):
    """Neighbours of n queries, most similar first: ids (n, k) int64, -1 where there are fewer than k, and cosine
    similarities (n, k) float32 in [-1, 1], -inf where the id is -1."""

    ids: Ids
    similarities: Vectors


class VectorGallery(Protocol):
    """A set of unit vectors under unique ids from 0 to 2**63 - 1, searched by cosine.

    :class:`.flat.Gallery` keeps them in a FAISS file, :class:`.pgvector.PostgresGallery` in a database.
    """

    @property
    def kind(self) -> str:
        """How it is searched: ``exact``, ``ivf`` or ``postgresql``."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    @property
    def ids(self) -> Ids:
        """All ids (n,), ascending."""

    def __len__(self) -> int: ...

    def add(self, vectors: Vectors, ids: Ids) -> None:
        """Add vectors (n, dimension), of any length but zero, under new ids (n,).

        Raises:
            ValueError: wrong shapes, a zero or non-finite vector, a negative, repeated or already used id; nothing
                is added then.
        """

    def remove(self, ids: Ids) -> int:
        """Remove vectors by id; ids that are not there are ignored. Returns how many were removed."""

    def vectors(self, ids: Ids) -> Vectors:
        """The stored unit vectors (n, dimension) of ids (n,), in their order.

        Raises:
            KeyError: an id is not in the gallery.
        """

    def search(self, queries: Vectors, k: int) -> Neighbours:
        """The ``k`` most similar vectors of each query (n, dimension); queries need not be normalised.

        Raises:
            ValueError: a query is zero or not finite.
        """

    def copy(self) -> VectorGallery:
        """A copy in memory that is edited independently."""


def check_new(vectors: Vectors, ids: Ids, dimension: int) -> None:
    """Check vectors (n, dimension) and ids (n,) that are to be added.

    Raises:
        ValueError: wrong shapes, a negative or repeated id.
    """
    if vectors.ndim != 2 or vectors.shape[1] != dimension or ids.shape != vectors.shape[:1]:
        raise ValueError(f"vectors {vectors.shape} and ids {ids.shape} do not fit dimension {dimension}")
    if len(np.unique(ids)) != len(ids) or (ids < 0).any():
        raise ValueError("ids must be new, unique and not negative")


def positions(ids: Ids, among: Ids) -> Ids:
    """Position of each id (n,) in ascending ids (m,), -1 where it is not among them."""
    if not len(among):
        return np.full(len(ids), -1, np.int64)
    position = np.searchsorted(among, ids).clip(max=len(among) - 1)
    return np.where(among[position] == ids, position, -1)


def no_neighbours(queries: int, k: int) -> Neighbours:
    """The result of a search in an empty gallery."""
    return Neighbours(np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32))


def recall(found: Ids, exact: Ids) -> float:
    """Share of the exact neighbours (n, k) among those found (n, k or more), 0 to 1; an id of -1 is no neighbour."""
    hits = sum(len(np.intersect1d(a, b[b >= 0])) for a, b in zip(found, exact, strict=True))
    return hits / max(1, int((exact >= 0).sum()))


def normalised(vectors: Vectors) -> Vectors:
    """Rows scaled to unit length, contiguous float32.

    Raises:
        ValueError: a row is zero or not finite.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ValueError("a vector is zero or not finite")
    return np.asarray(vectors / lengths, np.float32)
