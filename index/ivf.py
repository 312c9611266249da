"""Vectors in cells around k-means centroids: FAISS's inverted file, made, tuned, read and kept free of what is gone.

Sivic & Zisserman 2003; Jégou et al. 2011, https://doi.org/10.1109/TPAMI.2010.57. The vectors themselves are stored in
half precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np

from .base import Ids, Vectors, recall

CELLS = 4.0
"""Cells a square root of the number of vectors."""
MIN_A_CELL, MAX_A_CELL = 39, 64
"""Vectors that k-means learns a cell from: FAISS warns below the first, and gains nothing above the second."""
NEARLY, GAIN = 0.95, 0.002
"""From this recall on, more cells that find less more are not worth it: what is missing are ties, which half precision
does not tell apart."""
ROUNDS = 10
"""Of k-means."""
SAMPLE = 256
"""Stored vectors that are searched for to choose how many cells a search visits."""
NEAREST = 100
"""Neighbours that the choice is made for: the vote looks through hundreds."""
RECALL = 0.985
"""Share of the true :data:`NEAREST` neighbours to be found on the sample; .98 of the first 20 is promised."""
_DIRECT_MAP: Any = vars(faiss)["DirectMap"]  # which FAISS's own type hints leave out


def cells_for(count: int) -> int:
    """How many cells a number of vectors takes, at least 1."""
    return max(1, min(int(CELLS * count**0.5), count // MIN_A_CELL))


def empty_cells(dimension: int, cells: int) -> Any:
    """An inverted file without vectors, to be trained."""
    return faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension),
        dimension,
        cells,
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        False,  # by_residual: what is stored does not depend on the centroids
    )


def train(vectors: Vectors, seed: int = 0) -> Any:
    """Cells learned from unit vectors (n, dimension), n > 0; nothing is stored yet."""
    index = empty_cells(vectors.shape[1], cells_for(len(vectors)))
    index.cp.niter, index.cp.seed, index.cp.spherical = ROUNDS, seed, True
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, MAX_A_CELL
    most = MAX_A_CELL * index.nlist
    if len(vectors) > most:
        vectors = vectors[np.random.default_rng(seed).choice(len(vectors), most, replace=False)]
    index.train(vectors)
    return index


def tune(index: Any, vectors: Vectors, ids: Ids, seed: int = 0) -> float:
    """Make a search visit as many cells as it takes to find :data:`RECALL` of the nearest neighbours.

    Args:
        index: holds the vectors; its ``nprobe`` is set.
        vectors: (n, dimension) of unit length; a sample of them is searched for, beside an exact search.
        ids: (n,) of the vectors.

    Returns:
        The recall on the sample, 0 to 1.
    """
    asked = vectors[np.random.default_rng(seed).choice(len(vectors), min(SAMPLE, len(vectors)), replace=False)]
    exact = ids[faiss.knn(asked, vectors, min(NEAREST, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)[1]]
    probes, before = 1, 0.0
    while True:
        index.nprobe = min(probes, index.nlist)
        found = recall(index.search(asked, exact.shape[1])[1], exact)
        told_apart = found - before >= GAIN or found < NEARLY
        if found >= RECALL or probes >= index.nlist or not told_apart:
            return found
        probes, before = 2 * probes, found


def cells(index: Any) -> Iterator[tuple[int, Ids]]:
    """Number and ids of each cell that is not empty; the ids are a view, valid until the next edit."""
    lists = index.invlists
    for number in range(index.nlist):
        if size := lists.list_size(number):
            pointer = lists.get_ids(number)
            yield number, faiss.rev_swig_ptr(pointer, size)
            lists.release_ids(number, pointer)


def ids_of(index: Any) -> Ids:
    """All ids, ascending."""
    return np.sort(np.concatenate([np.empty(0, np.int64), *(ids.copy() for _, ids in cells(index))]))


def vectors_of(index: Any, ids: Ids) -> Vectors:
    """Stored vectors (n, dimension) of ids (n,) that are all there."""
    index.set_direct_map_type(_DIRECT_MAP.Hashtable)
    try:
        return np.asarray(index.reconstruct_batch(np.ascontiguousarray(ids, np.int64)), np.float32)
    finally:
        index.set_direct_map_type(_DIRECT_MAP.NoMap)


def remove(index: Any, ids: Ids) -> int:
    """Remove ids (n,) that are all there; returns how many.

    A centroid near few vectors resembles them, and one of a single vector equals it. So every cell that loses a
    vector gets the mean of those that it still holds; nothing of a vector is left when it is gone.
    """
    conformity_score = [number for number, inside in cells(index) if np.isin(inside, ids).any()]
    count = int(index.remove_ids(faiss.IDSelectorBatch(np.ascontiguousarray(ids, np.int64))))
    flat: Any = faiss.downcast_index(index.quantizer)
    centroids = faiss.rev_swig_ptr(flat.get_xb(), index.nlist * index.d).reshape(index.nlist, index.d)
    for number in conformity_score:
        size = index.invlists.list_size(number)
        centroid = np.zeros(index.d, np.float32)
        if size:
            codes = faiss.rev_swig_ptr(index.invlists.get_codes(number), size * index.code_size)
            mean = codes.view(np.float16).reshape(size, index.d).astype(np.float32).mean(axis=0)
            centroid = mean / max(float(np.linalg.norm(mean)), 1e-12)
        centroids[number] = centroid
    return count


def copied(index: Any) -> Any:
    """The same in memory, also of one whose vectors lie in a mapped file."""
    copy = empty_cells(index.d, index.nlist)
    if index.is_trained:
        copy.quantizer.add(index.quantizer.reconstruct_n(0, index.nlist))
    copy.is_trained, copy.nprobe = index.is_trained, index.nprobe
    for number in range(index.nlist):
        if size := index.invlists.list_size(number):
            copy.invlists.add_entries(number, size, index.invlists.get_ids(number), index.invlists.get_codes(number))
    copy.ntotal = index.ntotal
    return copy
