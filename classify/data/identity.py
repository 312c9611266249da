"""Identities: who is the same person, by name, by photo and, where names are missing or shared, by looks.

Faces that share a photo are different people, and stay together nevertheless wherever people are kept apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ...index.flat import Gallery

BARE_SIMILARITY = 0.75
"""Mean similarity of two groups of faces from which they are one person, where both faces of a pair are bare."""
MIXED_SIMILARITY = 0.65
"""The same where one of the two wears a mask."""
MASKED_SIMILARITY = 0.8
"""The same where both do: masks make strangers look alike."""
COPY_SIMILARITY = 0.8
"""Two people with bare faces this similar are one, whatever their other photos look like."""
MIN_NORM = 18.0
"""Labelled faces of photos of several people are matched by name and photo alone, not by embedding, where their
embedding is shorter than this before it is normalised: in street photos these are small, blurred and masked, and so
alike that they joined three quarters of 1,259 faces in 288 photos by way of each other; without them the largest group
has 70."""
MAX_CANDIDATE = 2000
"""Faces that are compared with each other at once; larger candidates lose their weakest links first."""
LINKS = 20
"""Nearest faces looked at for links."""

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def person_keys(table: pd.DataFrame) -> pd.Series[str]:
    """Who is on each face, as far as names tell: ``<dataset id>:<name in NFC>``; null where no name is given.

    The one definition of a named person: a name means one person within one data set, and nothing outside it.

    Args:
        table: with columns ``dataset`` (id of the data set) and ``person`` (name, in any Unicode form).
    """
    dataset, person = (table[name].astype("str") for name in ("dataset", "person"))
    return dataset + ":" + person.str.normalize("NFC")


def original_photos(table: pd.DataFrame) -> pd.Series[str]:
    """SHA-256 of the photo that shows each face; of a mask drawn on a photo, that of the photo beneath.

    Args:
        table: with columns ``drawn_on`` and ``file_sha256``.
    """
    return table["drawn_on"].fillna(table["file_sha256"])


def photos_of_one(table: pd.DataFrame) -> pd.Series[str]:
    """:func:`original_photos` as far as a photo shows one person: null for the labelled faces of a photo of several.

    Args:
        table: with column ``label_box`` too.
    """
    return original_photos(table).where(table["label_box"].isna())


def hardly_seen(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Faces (n,) that are too unclear to be matched by embedding: labelled ones below :data:`MIN_NORM`.

    Args:
        table: with columns ``label_box`` and ``norm``.
    """
    return (table["label_box"].notna() & (table["norm"] < MIN_NORM)).to_numpy(bool)


def kept_together(persons: npt.NDArray[np.int64], table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Group number of each face (n,): people who are in one photo, if only by way of others, are one group.

    A photo that is on one side of a split takes all people on it, with all their photos, to that side. Where no photo
    has several labelled faces, the groups are the persons.

    Args:
        persons: (n,) of :func:`infer_identities`.
        table: see :func:`photos_of_one`.
    """
    if table["label_box"].isna().all():
        return persons
    return sharing([pd.Series(persons).astype("str"), original_photos(table).reset_index(drop=True)])


def infer_identities(
    embeddings: npt.NDArray[np.float32],
    person: pd.Series[str],
    mask: pd.Series[str],
    photo: pd.Series[str] | None = None,
    vague: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.int64]:
    """Group number of each face (n,), 0, 1, …: equal numbers mean the same person as far as names and looks show.

    Args:
        embeddings: (n, 512) unit vectors.
        person: names unique over all faces; null where unknown. Faces of one name are always one group.
        mask: mask state, null where unknown.
        photo: what each face was photographed in; masks drawn on one photo share it, and are one person. By default
            every face has its own photo.
        vague: (n,) faces that are joined by name and photo alone, none by default, see :func:`hardly_seen`.

    Faces of unknown people, and people listed under two names, are joined where they look alike: links between near
    faces make candidates, and within each the closest groups are joined as long as the mean of the similarities
    between them allows (average linkage, Sokal & Michener 1958), so that a chain of look-alikes is no person.
    """
    codes = sharing([person] if photo is None else [person, photo])
    masked = (mask == "wear").to_numpy(bool)
    left, right, similarity = nearest_pairs(embeddings)
    margin = similarity - _needed(masked[left], masked[right])
    near = margin >= 0
    if vague is not None:
        near &= ~(vague[left] | vague[right])
    candidates = _candidates(codes, left[near], right[near], margin[near])
    groups = codes.copy()
    for faces in rows_by_value(candidates):
        if len(np.unique(codes[faces])) > 1:
            groups[faces] = _joined(embeddings[faces], masked[faces], codes[faces])
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _needed(left_masked: npt.NDArray[np.bool_], right_masked: npt.NDArray[np.bool_]) -> Floats:
    """Similarity at which pairs of faces are one person."""
    kinds = np.array([BARE_SIMILARITY, MIXED_SIMILARITY, MASKED_SIMILARITY], np.float32)
    return np.asarray(kinds[left_masked.astype(np.int8) + right_masked], np.float32)


def _joined(embeddings: Floats, masked: npt.NDArray[np.bool_], codes: Ints) -> Ints:
    """Codes (n,) of faces, those of people found to be one made equal."""
    known, local = np.unique(codes, return_inverse=True)
    a, b = np.triu_indices(len(codes), 1)
    similarity = (embeddings @ embeddings.T)[a, b]
    same = np.eye(len(known), dtype=bool)
    copies = (similarity >= COPY_SIMILARITY) & ~masked[a] & ~masked[b]
    same[local[a[copies]], local[b[copies]]] = same[local[b[copies]], local[a[copies]]] = True
    distance = (1 + _needed(masked[a], masked[b]) - similarity).clip(0)
    distance[same[local[a], local[b]]] = 0
    cluster = fcluster(linkage(distance, "average"), 1, "distance")
    component = connected(local, len(known) + cluster, len(known) + int(cluster.max()) + 1)[local]
    _, first, which = np.unique(component, return_index=True, return_inverse=True)
    return np.asarray(codes[first][which], np.int64)


def sharing(keys: Sequence[pd.Series[str]]) -> npt.NDArray[np.int64]:
    """Group number (n,) of faces that share a value of any of the keys (a name, a photo, …), if only by way of others.

    Args:
        keys: one or more columns over the same n faces; null where unknown, which is shared with nobody.
    """
    faces = np.arange(len(keys[0]))
    left, right, size = [faces], [faces], len(faces)
    for key in keys:
        values, kinds = pd.factorize(key)
        left.append(faces[values >= 0])
        right.append(size + values[values >= 0])
        size += len(kinds)
    return connected(np.concatenate(left), np.concatenate(right), size)[: len(faces)]


def connected(left: Ints, right: Ints, count: int) -> Ints:
    """Component number (count,) of each node of a graph whose edges join ``left[i]`` and ``right[i]`` in both ways."""
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def rows_by_value(values: npt.ArrayLike | pd.Series[Any]) -> list[Ints]:
    """Rows, ascending, of each value of a column (n,), in the order in which the values first occur; null is none."""
    codes = pd.factorize(np.asarray(values))[0]
    order = np.argsort(codes, kind="stable")[np.count_nonzero(codes < 0) :]
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []


def nearest_pairs(embeddings: Floats) -> tuple[Ints, Ints, Floats]:
    """Each of n faces with its :data:`LINKS` nearest others: rows (m,), rows of the others (m,), similarities (m,).

    A pair may be there once or twice: a face is not always among the nearest of its own nearest.
    """
    gallery = Gallery(embeddings.shape[1])
    gallery.add(embeddings, np.arange(len(embeddings)))
    k = min(LINKS + 1, len(embeddings))
    found = gallery.search(np.asarray(embeddings), k)
    left = np.repeat(np.arange(len(embeddings)), k)
    right, similarity = found.ids.ravel(), found.similarities.ravel()
    other = (left != right) & (right >= 0)
    return left[other], right[other], similarity[other]


def _candidates(codes: Ints, left: Ints, right: Ints, margin: Floats) -> Ints:
    """Connected components (n,) over people and links; oversized ones lose their weakest links until they are not."""
    size = int(codes.max(initial=-1)) + 1
    a, b = codes[left], codes[right]
    while True:
        component = connected(a, b, size)
        faces = np.bincount(component[codes], minlength=component.max(initial=-1) + 1)
        oversized = faces[component[a]] > MAX_CANDIDATE
        oversized &= a != b
        if not oversized.any():
            return component[codes]
        cut = oversized & (margin <= np.quantile(margin[oversized], 0.25))
        a, b, margin = a[~cut], b[~cut], margin[~cut]
