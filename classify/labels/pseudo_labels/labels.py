"""Pseudo-labels: confident predictions become labels (Lee 2013, "Pseudo-Label", ICML workshop)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from ....embedder.errors import MaskclsError
from ....embedder.faceset.provenance import CONFIDENCES, Teacher
from ....embedder.labels import AGE_BANDS, BAND_STARTS, MAX_AGE
from ....embedder.table import COLUMNS
from ...age.vote import NOBODY
from ...data.face_set import FaceSet, Rows
from ...data.provenance import TeacherRecord
from ...model.answers import answer_rows
from ...model.model import Model
from ...tasks import ANSWER_COLUMNS, PROBABILITIES

TASKS = tuple(CONFIDENCES)
MIN_CONFIDENCE = 0.9
LABELS = ("mask", "gender", "age_low", "age_high")
NO_TEACHER = ""
"""Teacher's fingerprint of faces that are still to be labelled."""
BATCH = 1024

Thresholds = Mapping[str, float]
"""Task -> minimum probability (0-1) of a prediction that becomes a label; other tasks are not labelled."""


def read_thresholds(texts: Sequence[str], tasks: Sequence[str] | None = None) -> dict[str, float]:
    """Thresholds from texts: ``0.9`` is for all tasks, ``age=0.7`` for one; later texts override earlier ones.

    Args:
        tasks: to label, all of :data:`TASKS` by default.

    Raises:
        MaskclsError: no such task, or not a number from 0 to 1.
    """
    if unknown := [task for task in tasks or () if task not in TASKS]:
        raise MaskclsError(f"no such task: {unknown[0]}; choose from {', '.join(TASKS)}")
    found = {task: MIN_CONFIDENCE for task in TASKS if not tasks or task in tasks}
    for text in texts:
        task, equals, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1 or bool(equals) != bool(task):
            raise MaskclsError(f"confidence {text!r}: not a number from 0 to 1, or one for a task, such as age=0.7")
        if task and task not in found:
            raise MaskclsError(f"confidence {text!r}: the tasks to label are {', '.join(found)}")
        found |= {task: value} if task else dict.fromkeys(found, value)
    return found


def pseudo_labels(model: Model, faces: FaceSet, thresholds: Thresholds) -> pd.DataFrame:
    """Confident predictions of a model for faces encoded by the model's own encoder.

    The age is confident where the age band is; its label is the part of the 80 % interval within the band, as wide as
    the teacher is uncertain.

    Returns:
        n rows: :data:`LABELS`, null where the probability is below its threshold or the task has none, and the
        probabilities of the labels (columns of :data:`~maskcls.embedder.faceset.provenance.CONFIDENCES`).
    """
    parts = [
        _predict(model, faces, np.arange(start, min(start + BATCH, len(faces))))
        for start in range(0, len(faces), BATCH)
    ]
    answers = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(ANSWER_COLUMNS))
    labels = pd.DataFrame(index=answers.index)
    for task, column in CONFIDENCES.items():
        probability = _probability(answers, "age_band" if task == "age" else task)
        kept = (probability >= thresholds.get(task, np.inf)).to_numpy(bool)
        if task == "age":
            low, high = _years(answers)
            kept = kept & (low <= high).to_numpy(bool)
            labels = labels.assign(age_low=low.where(kept), age_high=high.where(kept))
        else:
            labels[task] = answers[task].where(kept)
        labels[column] = probability.where(kept)
    return labels.astype({name: COLUMNS[name] for name in LABELS} | dict.fromkeys(CONFIDENCES.values(), "float32"))


def with_pseudo_labels(faces: FaceSet, rows: Rows, labels: pd.DataFrame, teacher: TeacherRecord) -> FaceSet:
    """The faces with pseudo-labels of one teacher at some rows, in place of the labels they had."""
    table, name = faces.table.copy(), teacher.teacher.fingerprint
    here = np.isin(np.arange(len(table)), rows)
    for column in LABELS:
        table[column] = table[column].mask(here, labels[column].set_axis(rows).reindex(table.index))
    table["teacher"] = table["teacher"].mask(here, name)
    return replace(faces, table=table, teachers={**faces.teachers, name: teacher})


@dataclass(frozen=True)
class SelfTraining:
    """Pseudo-labels made inside a fold, see :class:`~...evaluation.cross_validation.SelfTraining`."""

    thresholds: Thresholds

    def awaiting(self, pool: FaceSet) -> npt.NDArray[np.bool_]:
        """(n,) faces whose teacher is :data:`NO_TEACHER`."""
        return (pool.table["teacher"] == NO_TEACHER).to_numpy(bool)

    def labelled(self, teacher: Model, pool: FaceSet, fit: Rows, rows: Rows, name: str) -> tuple[FaceSet, Rows]:
        """The pool with labels where the teacher is sure enough, and ``fit`` with the rows that got one."""
        labels = pseudo_labels(teacher, pool.subset(rows), self.thresholds)
        sure = labels[list(CONFIDENCES.values())].notna().any(axis=1).to_numpy(bool)
        record = TeacherRecord(Teacher(name, teacher.seen), np.unique(pool.people[fit]))
        return with_pseudo_labels(pool, rows[sure], labels[sure], record), np.concatenate([fit, rows[sure]])


def _predict(model: Model, faces: FaceSet, rows: Rows) -> pd.DataFrame:
    embeddings, maps = faces.embeddings[rows], faces.maps(rows)
    ages = model.ages(embeddings, maps, np.full(len(rows), NOBODY, np.int64))
    return pd.DataFrame(answer_rows(model, ages, embeddings, maps))


def _probability(answers: pd.DataFrame, task: str) -> pd.Series[float]:
    """Probability (n,) of the predicted class; NaN where there is no prediction."""
    columns = PROBABILITIES[task]
    found = pd.Series(np.nan, answers.index, dtype="float64")
    for name, column in columns.items():
        found = found.mask(answers[task] == name, answers[column].astype("float64"))
    return found


def _years(answers: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """First and last whole year (n,) of the part of each interval within the predicted band."""
    first = answers["age_band"].map(dict(zip(AGE_BANDS, BAND_STARTS, strict=True))).astype("float64")
    ends = (*(start - 1 for start in BAND_STARTS[1:]), MAX_AGE)
    last = answers["age_band"].map(dict(zip(AGE_BANDS, ends, strict=True))).astype("float64")
    low, high = (answers[name].astype("float64").round() for name in ("age_low", "age_high"))
    return low.clip(lower=first), high.clip(upper=last)
