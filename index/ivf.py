"""FAISS's inverted file (IVF): lists of vectors around k-means centroids; trained, tuned, and free of removed vectors.

Sivic & Zisserman 2003; Jégou et al. 2011, https://doi.org/10.1109/TPAMI.2010.57. The vectors themselves are stored in
half precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np

from .base import Ids, Vectors, recall

LISTS = 4.0
"""Lists per square root of the number of vectors."""
MIN_A_LIST, MAX_A_LIST = 39, 64
"""Training vectors per centroid of k-means: FAISS warns below the first, and gains nothing above the second."""
NEARLY, GAIN = 0.95, 0.002
"""From the first recall on, searching twice as many lists stops paying when it finds less than the second more: what is
missing then are ties, which half precision does not distinguish."""
ROUNDS = 10
"""Of k-means."""
SAMPLE = 256
"""Stored vectors used as queries to choose ``nprobe``, the number of lists a search reads."""
NEAREST = 100
"""Neighbours of each query in that choice: the vote searches hundreds."""
RECALL = 0.985
"""Share of the exact :data:`NEAREST` neighbours to be found on the sample; .98 of the first 20 is promised."""
_DIRECT_MAP: Any = vars(faiss)["DirectMap"]  # which FAISS's own type hints leave out


def lists_for(count: int) -> int:
    """Number of lists for a number of vectors, at least 1."""
    return max(1, min(int(LISTS * count**0.5), count // MIN_A_LIST))


def empty_lists(dimension: int, lists: int) -> Any:
    """An inverted file without vectors, to be trained."""
    return faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension),
        dimension,
        lists,
        faiss.ScalarQuantizer.QT_fp16,
        faiss.METRIC_INNER_PRODUCT,
        False,  # by_residual: what is stored does not depend on the centroids
    )


def train(vectors: Vectors, seed: int = 0) -> Any:
    """An inverted file whose centroids are learned from unit vectors (n, dimension), n > 0; it stores none yet."""
    index = empty_lists(vectors.shape[1], lists_for(len(vectors)))
    index.cp.niter, index.cp.seed, index.cp.spherical = ROUNDS, seed, True
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, MAX_A_LIST
    most = MAX_A_LIST * index.nlist
    if len(vectors) > most:
        vectors = vectors[np.random.default_rng(seed).choice(len(vectors), most, replace=False)]
    index.train(vectors)
    return index


def tune(index: Any, vectors: Vectors, ids: Ids, seed: int = 0) -> float:
    """Set ``nprobe``, the number of lists a search reads, to what it takes to find :data:`RECALL` of the neighbours.

    Args:
        index: holds the vectors.
        vectors: (n, dimension) of unit length; a sample of them are the queries.
        ids: (n,) of the vectors.

    Returns:
        The recall on the sample, 0 to 1.
    """
    sample = vectors[np.random.default_rng(seed).choice(len(vectors), min(SAMPLE, len(vectors)), replace=False)]
    exact = ids[faiss.knn(sample, vectors, min(NEAREST, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)[1]]
    probes, before = 1, 0.0
    while True:
        index.nprobe = min(probes, index.nlist)
        found = recall(index.search(sample, exact.shape[1])[1], exact)
        gains = found - before >= GAIN or found < NEARLY
        if found >= RECALL or probes >= index.nlist or not gains:
            return found
        probes, before = 2 * probes, found


def lists_of(index: Any) -> Iterator[tuple[int, Ids]]:
    """Number and ids of each list that is not empty; the ids are a view, valid until the next edit."""
    lists = index.invlists
    for number in range(index.nlist):
        if size := lists.list_size(number):
            pointer = lists.get_ids(number)
            yield number, faiss.rev_swig_ptr(pointer, size)
            lists.release_ids(number, pointer)


def ids_of(index: Any) -> Ids:
    """All ids, ascending."""
    return np.sort(np.concatenate([np.empty(0, np.int64), *(ids.copy() for _, ids in lists_of(index))]))


def vectors_of(index: Any, ids: Ids) -> Vectors:
    """Stored vectors (n, dimension) of ids (n,), all of which it holds."""
    index.set_direct_map_type(_DIRECT_MAP.Hashtable)
    try:
        return np.asarray(index.reconstruct_batch(np.ascontiguousarray(ids, np.int64)), np.float32)
    finally:
        index.set_direct_map_type(_DIRECT_MAP.NoMap)


def remove(index: Any, ids: Ids) -> int:
    """Remove ids (n,), all of which it holds; returns how many.

    A centroid near few vectors resembles them, and one of a single vector equals it. So the centroid of every list that
    loses a vector becomes the mean of those left; nothing remains of a vector that is removed.
    """
    changed = [number for number, inside in lists_of(index) if np.isin(inside, ids).any()]
    count = int(index.remove_ids(faiss.IDSelectorBatch(np.ascontiguousarray(ids, np.int64))))
    flat: Any = faiss.downcast_index(index.quantizer)
    centroids = faiss.rev_swig_ptr(flat.get_xb(), index.nlist * index.d).reshape(index.nlist, index.d)
    for number in changed:
        size = index.invlists.list_size(number)
        centroid = np.zeros(index.d, np.float32)
        if size:
            codes = faiss.rev_swig_ptr(index.invlists.get_codes(number), size * index.code_size)
            mean = codes.view(np.float16).reshape(size, index.d).astype(np.float32).mean(axis=0)
            centroid = mean / max(float(np.linalg.norm(mean)), 1e-12)
        centroids[number] = centroid
    return count


def copied(index: Any) -> Any:
    """A copy in memory, also of an index whose file is memory-mapped."""
    copy = empty_lists(index.d, index.nlist)
    if index.is_trained:
        copy.quantizer.add(index.quantizer.reconstruct_n(0, index.nlist))
    copy.is_trained, copy.nprobe = index.is_trained, index.nprobe
    for number in range(index.nlist):
        if size := index.invlists.list_size(number):
            copy.invlists.add_entries(number, size, index.invlists.get_ids(number), index.invlists.get_codes(number))
    copy.ntotal = index.ntotal
    return copy
