"""Prototypes: a gallery that holds nobody's face, only centroids of several people who are much alike.

A cell is one age (or band), gender and mask state. Within a cell people are split in two, and the halves again, where
they differ most in age space: bisecting k-means (Steinbach, Karypis & Kumar 2000), the cut moved where it would leave
too few people on a side, as microaggregation does (Domingo-Ferrer & Mateo-Sanz 2002). What is left are groups of
``least`` to about twice as many people, each with the same weight in the centroid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.table import gallery_ids
from ...index.flat import Gallery, normalised
from ..data.face_set import FaceSet
from .network import CHUNK
from .space import AgeSpace
from .vote import Floats, Ints

CELL = ("age_low", "age_high", "gender", "mask")
"""What all people of a prototype share; unknown is a value like any other."""
ROUNDS = 10
"""Of 2-means in each split."""


@dataclass(frozen=True)
class Prototypes:
    """Prototypes in age space.

    Attributes:
        vectors: (n, d) float32, means of unit vectors; shorter than 1.
        table: one row a prototype: :data:`CELL`, and ``members``, how many people it is the centroid of.
        left_out: people who are in no prototype, since there are too few like them.
    """

    vectors: Floats
    table: pd.DataFrame
    left_out: int


def make_prototypes(space: AgeSpace, faces: FaceSet, least: int) -> Prototypes:
    """The prototypes of faces that all have an age; those of the same faces are always the same.

    Args:
        space: has to have been fitted already.
        least: people a prototype stands for at least; cells of fewer are left out.
    """
    vectors = projected(space, faces)
    parts: list[Floats] = []
    rows: list[tuple[object, ...]] = []
    kept: set[int] = set()
    for cell, alike in faces.table.groupby(list(CELL), dropna=False):
        where = alike.index.to_numpy()
        people, person = np.unique(faces.people[where], return_inverse=True)
        means = _means(vectors[where], person)
        for group in _split(means, least):
            parts.append(means[group].mean(axis=0))
            rows.append((*cell, len(group)))
            kept |= set(people[group].tolist())
    table = pd.DataFrame(rows, columns=[*CELL, "members"]).astype(
        {name: faces.table[name].dtype for name in CELL} | {"members": "int64"}
    )
    stacked = np.stack(parts) if parts else np.empty((0, space.dimension))
    return Prototypes(np.asarray(stacked, np.float32), table, len(set(faces.people.tolist()) - kept))


def gallery_of(prototypes: Prototypes, columns: tuple[str, ...]) -> tuple[Gallery, pd.DataFrame]:
    """A gallery of prototypes and its table of these columns, ``group`` and ``members``.

    Each is its own group, called by its number; what would point to a photo or a person is empty.
    """
    table = prototypes.table.assign(
        face_id=[f"{number:016x}" for number in range(1, len(prototypes.table) + 1)],
        source="prototypes",
        group=np.arange(len(prototypes.table)),
    )
    gallery = Gallery(prototypes.vectors.shape[1])
    gallery.add(prototypes.vectors, gallery_ids(table["face_id"]))
    table = table.reindex(columns=[*columns, "group", "members"])
    empty = [name for name in columns if table[name].isna().all()]
    return gallery, table.astype(dict.fromkeys(empty, "str"))


def projected(space: AgeSpace, faces: FaceSet) -> Floats:
    """Unit vectors (n, d) of faces in an age space; maps are read part by part."""
    out = np.empty((len(faces), space.dimension), np.float32)
    for start in range(0, len(faces), CHUNK):
        part = np.arange(start, min(start + CHUNK, len(faces)))
        out[part] = normalised(space.project(faces.embeddings[part], faces.maps(part)))
    return out


def _means(vectors: Floats, person: Ints) -> npt.NDArray[np.float64]:
    """Mean vector of each person (p, d), persons being numbered 0 to p - 1."""
    sums = np.zeros((person.max() + 1, vectors.shape[1]))
    np.add.at(sums, person, vectors)
    return np.asarray(sums / np.bincount(person)[:, None])


def _split(points: npt.NDArray[np.float64], least: int) -> Iterator[Ints]:
    """Groups of the rows of points (p, d), each of at least ``least``; none where there are fewer in all."""
    todo = [np.arange(len(points))] if len(points) >= least else []
    while todo:
        group = todo.pop()
        if len(group) < 2 * least:
            yield group
        else:
            side = _halves(points[group], least)
            todo += [group[~side], group[side]]


def _halves(points: npt.NDArray[np.float64], least: int) -> npt.NDArray[np.bool_]:
    """2-means of points (p, d): who is nearer to the second centroid, at least ``least`` on either side.

    It starts from the two sides of the mean along the longest principal axis, so that nothing is drawn at random.
    """
    axis = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][0]
    lean = points @ (axis * np.sign(axis[np.abs(axis).argmax()]))
    side = _cut(lean - lean.mean(), least)
    for _ in range(ROUNDS):
        first, second = points[~side].mean(axis=0), points[side].mean(axis=0)
        before, side = side, _cut((points - (first + second) / 2) @ (second - first), least)
        if np.array_equal(before, side):
            break
    return side


def _cut(lean: npt.NDArray[np.float64], least: int) -> npt.NDArray[np.bool_]:
    """Which of the values (p,) are above zero, or rather among the largest, so that no side has too few."""
    above = int(np.clip((lean > 0).sum(), least, len(lean) - least))
    side = np.zeros(len(lean), bool)
    side[np.argsort(lean, kind="stable")[len(lean) - above :]] = True
    return side
