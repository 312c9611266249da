"""Teachers of pseudo-labels, and the people they have seen, who may not be scored by a model that they taught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.errors import MaskclsError
from ...embedder.faceset.provenance import SeenPeople, Teacher
from ...embedder.photo import shown

if TYPE_CHECKING:
    from .face_set import FaceSet

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
DIGITS = 12
"""Of a fingerprint, to name a teacher in messages."""


@dataclass(frozen=True)
class TeacherRecord:
    """A teacher, and the people of a face set that it was built from.

    Attributes:
        people: (k,) numbers of the pool's people that it has seen, as far as its photos are in the pool.
        unplaced: number of people it was built from that have no photo in the face set.
    """

    teacher: Teacher
    people: Ints
    unplaced: int = 0


def placed(teacher: Teacher, table: pd.DataFrame, people: Ints) -> TeacherRecord:
    """Find the people a teacher was built from among the faces of a table, whose people (n,) are numbered.

    They are found by their photos, or by masks drawn on them. Whoever is grouped with such a face, by name, by a
    near-copy or by looks (:func:`.identity.infer_identities`), is the same person.
    """
    found: set[int] = set()
    unplaced = 0
    for seen in teacher.seen:
        known: set[int] = set()
        for photos in (table["file_sha256"], table["drawn_on"]):
            there = photos.notna().to_numpy(bool)
            persons = seen.persons(photos[there])
            found |= set(people[there][persons >= 0].tolist())
            known |= set(persons[persons >= 0].tolist())
        unplaced += len(seen.people) - len(known)
    return TeacherRecord(teacher, np.array(sorted(found), np.int64), unplaced)


def seen_of(pool: FaceSet) -> tuple[SeenPeople, ...]:
    """Everybody in a pool, and everybody that the teachers of its pseudo-labels have seen."""
    photos = pd.concat([pool.table["file_sha256"], pool.table["drawn_on"]], ignore_index=True)
    there = photos.notna().to_numpy(bool)
    lists = [SeenPeople.of(np.tile(pool.people, 2)[there], photos[there].tolist())]
    for name in pool.table["teacher"].dropna().unique():
        lists += pool.teachers[name].teacher.seen
    return tuple({one.salt: one for one in lists}.values())


def barred(pool: FaceSet, people: Ints) -> Bools:
    """Rows (n,) with pseudo-labels that must not train a model which is scored on some people.

    Those that show one of them, and those whose teacher has seen one of them or may have
    (:attr:`TeacherRecord.unplaced`).
    """
    names = pool.table["teacher"]
    knowing = [
        name for name, taught in pool.teachers.items() if taught.unplaced or np.isin(taught.people, people).any()
    ]
    return np.asarray(~pool.real & (names.isin(knowing).to_numpy(bool) | np.isin(pool.people, people)), bool)


def unseen(pool: FaceSet) -> Bools:
    """Rows (n,) of people that a training may be judged on: seen by no teacher of the pool's pseudo-labels.

    All rows with labels that somebody gave where there are no others; none where the people of a teacher are unknown.
    """
    there = [pool.teachers[name] for name in pool.table["teacher"].dropna().unique()]
    if any(taught.unplaced for taught in there):
        return np.zeros(len(pool), bool)
    known = [taught.people for taught in there]
    return np.asarray(pool.real & ~np.isin(pool.people, np.concatenate([np.empty(0, np.int64), *known])), bool)


def refuse_knowing(pool: FaceSet, people: Ints, whose: str) -> None:
    """Refuse pseudo-labels whose teacher has seen people that a model is to be scored or tuned on.

    Args:
        people: numbers of the pool's people who are held out.
        whose: names them, such as ``fold 2``.

    Raises:
        MaskclsError: one line with the number of rows, the set of photos, and what to do.
    """
    for name, taught in pool.teachers.items():
        rows = pool.table[pool.table["teacher"] == name]
        if rows.empty:
            continue
        if taught.unplaced:
            raise MaskclsError(f"{set_line(rows)} {unplaced_line(taught)}")
        seen = np.isin(np.unique(people), taught.people)
        if seen.any():
            raise MaskclsError(
                f"{set_line(rows)} was built from {seen.sum()} of the {len(seen)} people of {whose}; label them with a "
                "model built without these people (`maskcls build-index --split SPLIT --without FOLD`), or leave the "
                "set out"
            )


def unplaced_line(taught: TeacherRecord) -> str:
    """Why the people of a teacher are unknown, and what to do; the end of a line about its rows."""
    return (
        f"was built from {taught.unplaced} people without a photo in these sets, so that nothing shows whether "
        "they are among those held out; name the sets it was built from with --known"
    )


def set_line(rows: pd.DataFrame) -> str:
    """Which pseudo-labels are meant; the beginning of a line about their teacher."""
    name, root = rows["teacher"].iloc[0][:DIGITS], shown(str(rows["root"].iloc[0]))
    return f"{root}: {len(rows)} faces have pseudo-labels of a model ({name}) that"
