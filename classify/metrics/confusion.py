"""Scores of confusion matrices (..., k, k): rows are true classes, columns predicted ones; counts may be weighted.

Macro means are taken over the classes that occur in the truth, so that a resample without a class has a score.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...embedder.labels import AGE_BANDS
from .bootstrap import Bootstrap, Floats, Statistic, number, ratio
from .scored import UNKNOWN, ScoredFaces, TaskPredictions

DECADES = (*(f"{start}-{start + 9}" for start in range(0, 90, 10)), "90+")


def accuracy(counts: Floats) -> Floats:
    """Share of correct predictions (...,)."""
    return ratio(_correct(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def recall(counts: Floats) -> Floats:
    """Share of the faces of each class that are predicted as it (..., k); NaN for a class not in the truth."""
    return ratio(_correct(counts), counts.sum(axis=-1))


def precision(counts: Floats) -> Floats:
    """Share of the faces predicted as each class that are of it (..., k); NaN for a class never predicted."""
    return ratio(_correct(counts), counts.sum(axis=-2))


def f1(counts: Floats) -> Floats:
    """Harmonic mean of precision and recall of each class (..., k); NaN for a class not in the truth."""
    support = counts.sum(axis=-1)
    return np.where(support > 0, ratio(2 * _correct(counts), support + counts.sum(axis=-2)), np.nan)


def macro_f1(counts: Floats) -> Floats:
    """Mean F1 (...,) over the classes that occur in the truth.

    scikit-learn's ``f1_score(average="macro")`` also counts classes that occur in the predictions alone, each with an
    F1 of 0; the two agree where every class occurs in the truth.
    """
    each = f1(counts)
    return ratio(np.nansum(each, axis=-1), np.sum(~np.isnan(each), axis=-1))


def flattened(score: Callable[[Floats], Floats]) -> Statistic:
    """A score of matrices as a statistic of the totals (r, k * k) of :meth:`.scored.TaskPredictions.counts`."""

    def statistic(totals: Floats) -> Floats:
        k = round(totals.shape[-1] ** 0.5)
        return score(totals.reshape(*totals.shape[:-1], k, k))

    return statistic


def counted(task: TaskPredictions, weights: Floats | None = None) -> Floats:
    """Confusion counts (k, k) of the known faces of a task; every face counts its weight (n,), 1 unless given."""
    k, known = len(task.classes), task.known
    counts = np.bincount(task.cells[known], None if weights is None else weights[known], k * k)
    return counts.reshape(k, k).astype(np.float64)


def class_scores(task: TaskPredictions, bootstrap: Bootstrap) -> list[dict[str, Any]]:
    """Precision, recall, F1 with its interval, and support of each class; ``None`` for a class not in the truth.

    The precision of a class that is never predicted is ``None`` too.
    """
    counts = counted(task)
    support = counts.sum(axis=1)
    precisions, recalls = np.where(support > 0, precision(counts), np.nan), recall(counts)
    scores = bootstrap.estimate(task.counts(), flattened(f1))
    return [
        {
            "class": name,
            "precision": number(precisions[i]),
            "recall": number(recalls[i]),
            "f1": number(scores.value[i]),
            "support": int(support[i]),
            "low": number(scores.low[i]),
            "high": number(scores.high[i]),
        }
        for i, name in enumerate(task.classes)
    ]


def confusion(task: TaskPredictions) -> dict[str, Any]:
    """The classes and the counts (k, k) as JSON values."""
    return {"classes": list(task.classes), "counts": counted(task).astype(int).tolist()}


def by_decade(scored: ScoredFaces) -> dict[str, Any]:
    """Predicted bands (10, 3), mean absolute error and bias (predicted minus true) in years, by decade of the true age.

    Only faces whose exact age is known, and predicted, count.
    """
    faces = ~np.isnan(scored.true_age + scored.age)
    decade = (scored.true_age[faces] // 10).astype(np.int64).clip(0, len(DECADES) - 1)
    error = scored.age[faces] - scored.true_age[faces]
    number_of = np.bincount(decade, minlength=len(DECADES))
    bias, mae = (ratio(np.bincount(decade, values, len(DECADES)), number_of) for values in (error, np.abs(error)))
    band = scored.age_band.predicted[faces]
    counts = np.zeros((len(DECADES), len(AGE_BANDS)), np.int64)
    np.add.at(counts, (decade[band != UNKNOWN], band[band != UNKNOWN]), 1)
    return {
        "decades": list(DECADES),
        "bands": list(AGE_BANDS),
        "counts": counts.tolist(),
        "mae": [number(value) for value in mae],
        "bias": [number(value) for value in bias],
        "faces": number_of.tolist(),
    }


def _correct(counts: Floats) -> Floats:
    return np.asarray(np.diagonal(counts, axis1=-2, axis2=-1))
