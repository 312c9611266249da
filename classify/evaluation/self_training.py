"""Pseudo-labels inside a fold: the teacher has seen nobody who is scored there, and labels none of their photos."""

from __future__ import annotations

import numpy as np

from ...embedder.faceset.provenance import CONFIDENCES, Teacher
from ..data.face_set import FaceSet, Rows
from ..data.provenance import TeacherRecord
from ..labels.pseudo_labels.labels import Thresholds, pseudo_labels, with_pseudo_labels
from ..model.model import Model

WITHOUT = "without pseudo-labels"
"""Name of the answers of a fold's teacher."""


def taught_by(
    teacher: Model, pool: FaceSet, fit: Rows, rows: Rows, least: Thresholds, name: str
) -> tuple[FaceSet, Rows]:
    """Let a model label faces of the pool it was built from part of.

    Args:
        fit: rows the teacher was built from.
        rows: that it labels where it is sure enough (``least``).
        name: of the teacher, in place of a fingerprint.

    Returns:
        The pool with these labels, and the rows to build the next model from: ``fit`` and those that got a label.
    """
    labels = pseudo_labels(teacher, pool.subset(rows), least)
    sure = labels[list(CONFIDENCES.values())].notna().any(axis=1).to_numpy(bool)
    taught = TeacherRecord(Teacher(name, teacher.seen), np.unique(pool.people[fit]))
    return with_pseudo_labels(pool, rows[sure], labels[sure], taught), np.concatenate([fit, rows[sure]])
