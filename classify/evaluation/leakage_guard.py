"""Pools with pseudo-labels in which no teacher has seen anybody who is held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...embedder.errors import MaskclsError
from ..data.face_set import FaceSet, Rows, open_face_set
from ..data.provenance import DIGITS, barred, refuse_knowing, set_line, unplaced_line
from .splits import fold_people


def training_pool(
    faces: Sequence[Path], known: Sequence[Path] = (), split: Path | None = None, without: Sequence[str] = ()
) -> tuple[FaceSet, int]:
    """The faces to build a model from, and how many were left out.

    Args:
        faces: embedding sets, with pseudo-labels or without.
        known: sets that only show which people teachers have seen, see :func:`~..data.face_set.open_face_set`.
        split: split file, for ``without``.
        without: folds of people to be left out, with all their photos and near-copies.

    Raises:
        MaskclsError: see :func:`~..data.face_set.open_sets` and :func:`~.splits.fold_people`; also if a teacher
            has seen people of these folds.
    """
    pool = open_face_set(faces, known)
    if (split is None) == bool(without):
        raise MaskclsError("--split and --without go together: a split file and folds of it")
    if split is None:
        return pool, 0
    gone: list[Rows] = []
    for fold in without:
        gone.append(fold_people(split, pool, fold))
        refuse_knowing(pool, gone[-1], f"fold {fold}")
    rows = np.flatnonzero(~np.isin(pool.people, np.concatenate(gone)))
    if not len(rows):
        raise MaskclsError(f"--without {', '.join(without)}: nobody is left to build from")
    return pool.subset(rows), len(pool) - len(rows)


def fold_notes(pool: FaceSet, fold: Rows, folds: Sequence[int]) -> list[str]:
    """One line for each teacher whose pseudo-labels may train only some of the folds.

    Args:
        fold: (n,) fold of every face of the pool.
        folds: those that are scored.

    Raises:
        MaskclsError: they may train none.
    """
    lines = []
    unusable = {number: barred(pool, np.unique(pool.people[fold == number])) for number in folds}
    for name, taught in pool.teachers.items():
        mine = (pool.table["teacher"] == name).to_numpy(bool)
        if not mine.any():
            continue
        if taught.unplaced:
            raise MaskclsError(f"{set_line(pool.table[mine])} {unplaced_line(taught)}")
        trained = sum(bool((mine & ~unusable[number] & (fold != number)).any()) for number in folds)
        if not trained:
            raise MaskclsError(
                f"{set_line(pool.table[mine])} has seen people of every fold that is scored, so that they can train "
                "none; let --unlabelled SET be labelled anew in every fold, or leave the set out"
            )
        if trained < len(folds):
            lines.append(
                f"pseudo-labels of {name[:DIGITS]} train {trained} of {len(folds)} folds; in the others their teacher "
                "has seen people who are scored"
            )
    return lines
