"""Vectors with stable ids: an exact cosine search over FAISS that can be edited and saved."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from ..embedder.errors import MaskclsError
from ..embedder.files import replacing
from ..embedder.photo import shown

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


class Neighbours(NamedTuple):
    """Neighbours of n queries, most similar first: ids (n, k) int64, -1 where there are fewer than k, and cosine
    similarities (n, k) float32 in [-1, 1], -inf where the id is -1."""

    ids: Ids
    similarities: Vectors


class Gallery:
    """An editable set of vectors under unique ids.

    Vectors are L2-normalised when they come in, so that inner product is cosine similarity. The search is exact
    (``IndexFlatIP``): 20,000 vectors of 512 dimensions take about 0.2 ms a query on two cores.
    """

    def __init__(self, dimension: int) -> None:
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    @property
    def ids(self) -> Ids:
        """All ids (n,), in the order in which they were added."""
        return np.asarray(faiss.vector_to_array(self._index.id_map), np.int64)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, vectors: Vectors, ids: Ids) -> None:
        """Add vectors (n, dimension) under new ids (n,).

        Raises:
            ValueError: wrong shapes, a zero or non-finite vector, a negative, repeated or already used id.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension or ids.shape != vectors.shape[:1]:
            raise ValueError(f"vectors {vectors.shape} and ids {ids.shape} do not fit dimension {self.dimension}")
        if len(np.unique(ids)) != len(ids) or np.isin(ids, self.ids).any() or (ids < 0).any():
            raise ValueError("ids must be new, unique and not negative")
        self._index.add_with_ids(normalised(vectors), np.ascontiguousarray(ids, np.int64))

    def remove(self, ids: Ids) -> int:
        """Remove vectors by id; ids that are not there are ignored. Returns how many were removed."""
        return int(self._index.remove_ids(faiss.IDSelectorBatch(np.ascontiguousarray(ids, np.int64))))

    def vectors(self, ids: Ids) -> Vectors:
        """The stored unit vectors (n, dimension) of some ids.

        Raises:
            KeyError: an id is not in the gallery.
        """
        if not np.isin(ids, self.ids).all():
            raise KeyError("an id is not in the gallery")
        return np.asarray(self._index.reconstruct_batch(np.ascontiguousarray(ids, np.int64)), np.float32)

    def search(self, queries: Vectors, k: int) -> Neighbours:
        """The ``k`` most similar vectors of each query (n, dimension); queries need not be normalised."""
        if not len(queries) or not k:
            shape = (len(queries), k)
            return Neighbours(np.empty(shape, np.int64), np.empty(shape, np.float32))
        similarities, ids = self._index.search(normalised(queries), k)
        return Neighbours(ids, np.where(ids < 0, -np.inf, similarities.clip(-1, 1)).astype(np.float32))

    def save(self, path: Path) -> None:
        """Write the gallery to one FAISS file, atomically."""
        with replacing(path) as temporary:
            temporary.write_bytes(faiss.serialize_index(self._index).tobytes())

    @classmethod
    def load(cls, path: Path) -> Gallery:
        """Read a gallery written by :meth:`save`.

        Raises:
            MaskclsError: the file is missing or is no such gallery.
        """
        try:
            index = faiss.deserialize_index(np.fromfile(path, np.uint8))
        except (RuntimeError, OSError) as error:
            raise MaskclsError(f"{shown(path)}: not a FAISS gallery; build the model again") from error
        if not isinstance(index, faiss.IndexIDMap2) or index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise MaskclsError(f"{shown(path)}: a FAISS index of another kind; build the model again")
        if (index.index.d, index.index.ntotal, index.id_map.size()) != (index.d, index.ntotal, index.ntotal):
            raise MaskclsError(f"{shown(path)}: its parts do not fit each other; build the model again")
        gallery = cls(index.d)
        gallery._index = index
        return gallery


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
