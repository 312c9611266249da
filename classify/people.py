"""Who is who where a dataset does not say: groups of faces that must stay on one side of a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..index.gallery import Gallery

BARE_SIMILARITY = 0.8
"""Two bare faces this similar are one person: 10 of 581,406 pairs of different people in the contest photos are."""
MASKED_SIMILARITY = 0.9
"""The same where one wears a mask: the mask makes strangers look alike."""
LARGEST_GROUP = 50
"""A group of inferred links larger than this is a chain, and is cut at a higher similarity."""
LINKS = 20
"""Nearest faces looked at for links."""


def people_of(
    embeddings: npt.NDArray[np.float32],
    person: pd.Series[str],
    mask: pd.Series[str],
    photo: pd.Series[str] | None = None,
) -> npt.NDArray[np.int64]:
    """Group number of each face (n,), 0, 1, …: equal numbers mean the same person as far as can be told.

    Args:
        embeddings: (n, 512) unit vectors.
        person: names unique over all faces; null where unknown. Faces of one name are always one group.
        mask: mask state, null where unknown.
        photo: what each face was photographed in; masks drawn on one photo share it, and are one person. By default
            every face has its own photo.

    Faces of unknown people, and people listed under two names, are joined by the similarity of embeddings.
    """
    codes = _named([person] if photo is None else [person, photo])
    left, right, similarity = _links(embeddings)
    masked = (mask == "wear").to_numpy(bool)
    needed = np.where(masked[left] | masked[right], MASKED_SIMILARITY, BARE_SIMILARITY)
    strong = similarity >= needed
    return _components(codes, left[strong], right[strong], similarity[strong])


def _named(keys: Sequence[pd.Series[str]]) -> npt.NDArray[np.int64]:
    """Group number (n,) of faces that share a name, a photo, or both with a third."""
    faces = np.arange(len(keys[0]))
    left, right, size = [faces], [faces], len(faces)
    for key in keys:
        values, kinds = pd.factorize(key)
        left.append(faces[values >= 0])
        right.append(size + values[values >= 0])
        size += len(kinds)
    edges = (np.concatenate(left), np.concatenate(right))
    graph = coo_array((np.ones(len(edges[0])), edges), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][: len(faces)], np.int64)


def _links(
    embeddings: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    gallery = Gallery(embeddings.shape[1])
    gallery.add(embeddings, np.arange(len(embeddings)))
    k = min(LINKS + 1, len(embeddings))
    found = gallery.search(np.asarray(embeddings), k)
    left = np.repeat(np.arange(len(embeddings)), k)
    right, similarity = found.ids.ravel(), found.similarities.ravel()
    other = (left != right) & (right >= 0)
    return left[other], right[other], similarity[other]


def _components(
    codes: npt.NDArray[np.int64],
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    similarity: npt.NDArray[np.float32],
) -> npt.NDArray[np.int64]:
    """Connected components over people and links; oversized ones lose their weakest links until they are not."""
    size = int(codes.max(initial=-1)) + 1
    a, b = codes[left], codes[right]
    while True:
        graph = coo_array((np.ones(len(a)), (a, b)), shape=(size, size))
        _, component = connected_components(graph, directed=False)
        members = np.bincount(component)
        chained = members[component[a]] > LARGEST_GROUP
        if not chained.any():
            return np.unique(component[codes], return_inverse=True)[1].astype(np.int64)
        cut = chained & (similarity <= np.quantile(similarity[chained], 0.25))
        a, b, similarity = a[~cut], b[~cut], similarity[~cut]
