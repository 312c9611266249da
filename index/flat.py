"""Vectors with stable ids in FAISS: searched exactly while they are few, in an inverted file when they are many."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import faiss
import numpy as np

from ..embedder.errors import MaskclsError
from ..embedder.photo import shown
from ..embedder.storage.atomic import replacing
from . import ivf
from .base import Ids, Neighbours, Vectors, check_new, no_neighbours, normalised, positions

__all__ = ["Gallery", "Kind", "Neighbours", "kind_for", "normalised"]

Kind = Literal["exact", "ivf"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LARGE = 50_000
"""Vectors from which an inverted file is used. Below, an exact search of 128 dimensions takes under 2 ms on one core,
a small part of encoding a face, and needs no training."""
OUTGROWN = 2
"""The lists are trained again when there should be that many times more of them."""
_EXACT_FILE = b"IxM2"
"""First bytes of the file of an ``IndexIDMap2``."""


def kind_for(count: int) -> Kind:
    """The kind of gallery for a number of vectors."""
    return "ivf" if count >= LARGE else "exact"


class Gallery:
    """A :class:`.base.VectorGallery` of FAISS.

    Two kinds. ``exact`` compares with every vector (``IndexFlatIP``). ``ivf`` compares with the vectors of the nearest
    lists, stored in half precision, see :mod:`.ivf`. Its lists are trained on the first vectors that are added, which
    should be all or most of them, and its file is memory-mapped when loaded, until it is edited. Other indexes were
    measured: docs/scale.md.
    """

    def __init__(self, dimension: int, kind: Kind = "exact") -> None:
        self.kind: Kind = kind
        self.recall = 1.0
        """Recall@100 on a sample when the lists were trained; 1 for a gallery that was loaded or is exact."""
        self._ids: Ids = np.empty(0, np.int64)
        self._mapped = False
        flat = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension)) if kind == "exact" else None
        self._index: Any = ivf.empty_lists(dimension, 1) if flat is None else flat

    @classmethod
    def of(cls, vectors: Vectors, ids: Ids, kind: Kind | Literal["auto"] = "auto") -> Gallery:
        """A gallery of vectors (n, dimension) under ids (n,), by default of the kind for their number.

        Raises:
            ValueError: see :meth:`add`.
        """
        gallery = cls(vectors.shape[1], kind_for(len(vectors)) if kind == "auto" else kind)
        gallery.add(vectors, ids)
        return gallery

    @property
    def dimension(self) -> int:
        """See :class:`.base.VectorGallery`."""
        return int(self._index.d)

    @property
    def ids(self) -> Ids:
        """See :class:`.base.VectorGallery`."""
        return self._ids.copy()

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def searched(self) -> str:
        """What a search reads, such as ``16 of 893 lists``."""
        return "every vector" if self.kind == "exact" else f"{self._index.nprobe} of {self._index.nlist} lists"

    def add(self, vectors: Vectors, ids: Ids) -> None:
        """See :class:`.base.VectorGallery`."""
        check_new(vectors, ids, self.dimension)
        if (positions(ids, self._ids) >= 0).any():
            raise ValueError("ids must be new, unique and not negative")
        units, ids = normalised(vectors), np.ascontiguousarray(ids, np.int64)
        if not len(ids):
            return
        self._own()
        untrained = not self._index.is_trained
        if untrained:
            self._index = ivf.train(units)
        self._index.add_with_ids(units, ids)
        if untrained:
            self.recall = ivf.tune(self._index, units, ids)
        self._ids = np.sort(np.concatenate([self._ids, ids]))

    def remove(self, ids: Ids) -> int:
        """See :class:`.base.VectorGallery`."""
        gone = np.unique(ids[positions(ids, self._ids) >= 0])
        if not len(gone):
            return 0
        self._own()
        if self.kind == "exact":
            self._index.remove_ids(faiss.IDSelectorBatch(gone))
        else:
            ivf.remove(self._index, gone)
        self._ids = np.setdiff1d(self._ids, gone, assume_unique=True)
        return len(gone)

    def vectors(self, ids: Ids) -> Vectors:
        """See :class:`.base.VectorGallery`; of an ``ivf`` gallery, to half precision."""
        ids = np.ascontiguousarray(ids, np.int64)
        if (positions(ids, self._ids) < 0).any():
            raise KeyError("an id is not in the gallery")
        if not len(ids):
            return np.empty((0, self.dimension), np.float32)
        if self.kind == "exact":
            return np.asarray(self._index.reconstruct_batch(ids), np.float32)
        return normalised(ivf.vectors_of(self._index, ids))

    def search(self, queries: Vectors, k: int) -> Neighbours:
        """See :class:`.base.VectorGallery`."""
        if not len(queries) or not k:
            return no_neighbours(len(queries), k)
        units = normalised(queries)
        if not len(self):
            return no_neighbours(len(queries), k)
        similarities, ids = self._index.search(units, k)
        return Neighbours(ids, np.where(ids < 0, -np.inf, similarities.clip(-1, 1)).astype(np.float32))

    def copy(self) -> Gallery:
        """See :class:`.base.VectorGallery`."""
        copy = Gallery(self.dimension, self.kind)
        copy._index = faiss.clone_index(self._index) if self.kind == "exact" else ivf.copied(self._index)
        copy._ids, copy.recall = self._ids.copy(), self.recall
        return copy

    def fitting(self, kind: Kind | Literal["auto"] = "auto") -> Gallery:
        """This gallery, or one of the same vectors if they now need another kind or many more lists."""
        wanted = kind_for(len(self)) if kind == "auto" else kind
        fits = wanted == self.kind and (wanted == "exact" or OUTGROWN * self._index.nlist >= ivf.lists_for(len(self)))
        return self if fits else Gallery.of(self.vectors(self._ids), self._ids, wanted)

    def save(self, path: Path) -> None:
        """Write the gallery to one FAISS file, atomically."""
        self._own()
        with replacing(path) as temporary, temporary.open("wb") as file:
            writer = faiss.PyCallbackIOWriter(file.write)  # type: ignore[attr-defined]
            faiss.write_index(self._index, writer)

    @classmethod
    def load(cls, path: Path) -> Gallery:
        """Read a gallery written by :meth:`save`; an ``ivf`` gallery is memory-mapped.

        Raises:
            MaskclsError: the file is missing or not such a gallery.
        """
        try:
            with path.open("rb") as file:
                exact = file.read(len(_EXACT_FILE)) == _EXACT_FILE
            mapped = not exact and str(path).isprintable()  # FAISS takes no name that is not UTF-8
            index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP) if mapped else _read(path)
        except (RuntimeError, OSError) as error:
            raise MaskclsError(f"{shown(path)}: not a FAISS gallery; build the model again") from error
        if not (_is_exact(index) if exact else _is_ivf(index)):
            raise MaskclsError(f"{shown(path)}: a FAISS index of another kind; build the model again")
        if not (_exact_fits(index) if exact else _ivf_fits(index)):
            raise MaskclsError(f"{shown(path)}: its parts do not fit each other; build the model again")
        gallery = cls(index.d, "exact" if exact else "ivf")
        gallery._index, gallery._mapped = index, mapped
        stored = faiss.vector_to_array(index.id_map) if exact else ivf.ids_of(index)
        gallery._ids = np.sort(np.asarray(stored, np.int64))
        return gallery

    def _own(self) -> None:
        """Copy the vectors of a mapped file into memory, for editing."""
        if self._mapped:
            self._index, self._mapped = ivf.copied(self._index), False


def _read(path: Path) -> Any:
    return faiss.deserialize_index(np.fromfile(path, np.uint8))


def _is_exact(index: Any) -> bool:
    return (
        isinstance(index, faiss.IndexIDMap2)
        and index.metric_type == faiss.METRIC_INNER_PRODUCT
        and isinstance(faiss.downcast_index(index.index), faiss.IndexFlat)
    )


def _is_ivf(index: Any) -> bool:
    return (
        isinstance(index, faiss.IndexIVFScalarQuantizer)
        and index.metric_type == faiss.METRIC_INNER_PRODUCT
        and index.sq.qtype == faiss.ScalarQuantizer.QT_fp16
        and not index.by_residual
        and (index.is_trained or not index.ntotal)
    )


def _exact_fits(index: Any) -> bool:
    return (index.index.d, index.index.ntotal, index.id_map.size()) == (index.d, index.ntotal, index.ntotal)


def _ivf_fits(index: Any) -> bool:
    centres = index.nlist if index.is_trained else 0
    found = (index.quantizer.d, index.quantizer.ntotal, index.invlists.nlist, index.code_size)
    return found == (index.d, centres, index.nlist, 2 * index.d) and index.invlists.compute_ntotal() == index.ntotal
