"""Confidence: calibration error, Brier score, log loss, and accuracy over the most confident predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bootstrap import Bootstrap, Counts, Floats, Ints, mean, number, ratio
from .confusion import accuracy, counted, macro_f1
from .scored import UNKNOWN, TaskPredictions

BINS = 15
COVERAGES = (100, 95, 90, 80, 70, 60, 50)
"""Percent of the faces that get a prediction."""
SMALLEST = 5e-5
"""Least probability the log loss takes for true: predictions carry four decimals, 0 there is anything below this."""


def calibration(task: TaskPredictions, bootstrap: Bootstrap) -> dict[str, Any]:
    """Figures and the bins of a reliability diagram, over the known faces with probabilities.

    ``ece``: Guo et al. 2017 (https://arxiv.org/abs/1706.04599), with :data:`BINS` equal bins of the
    confidence. Its resamples are biased upwards where the error is small, so the interval may lie above the value.
    ``brier``: Brier 1950, squared differences summed over the classes, 0 to 2. ``log_loss``: in nats, without interval.
    """
    bins = confidence_bins(task.confidence)
    gap = task.correct - task.confidence
    error = Counts.cells(bins, BINS, gap).hstack(Counts.cells(np.minimum(bins, 0), 1))
    return {
        "ece": bootstrap.estimate(error, _expected_error).row(),
        "brier": bootstrap.mean(brier(task)).row(),
        "log_loss": number(mean(Counts.mean(log_loss(task)).totals())),
        "bins": _reliability(task, bins),
    }


def abstention(task: TaskPredictions, quality: Floats | None = None) -> dict[str, Any]:
    """Risk and coverage (Geifman & El-Yaniv 2017, https://arxiv.org/abs/1705.08500) over faces with a confidence.

    ``points``: accuracy and macro F1 of the ceil(coverage * n) most confident predictions, and the confidence of
    the last of them. ``aurc``: mean error over all coverages 1/n, 2/n, ..., 1 (Geifman et al. 2019,
    https://arxiv.org/abs/1805.08206). Scores of equally confident faces are those expected under a random order of
    them.

    With the quality of the faces (n,), NaN where unknown, ``by_quality`` is the same for the faces of highest quality,
    over faces with both.
    """
    ranked = _ranked(task, task.confidence)
    if quality is None or np.isnan(quality).all():
        return ranked
    return ranked | {"by_quality": _ranked(task, np.where(np.isnan(task.confidence), np.nan, quality))}


def _ranked(task: TaskPredictions, ranking: Floats) -> dict[str, Any]:
    """Points and area of the predictions that rank highest; NaN takes no part."""
    scored = ~np.isnan(ranking)
    levels, level, sizes = np.unique(-ranking[scored], return_inverse=True, return_counts=True)
    faces, weights = int(scored.sum()), np.zeros(len(scored))
    points = []
    for percent in COVERAGES:
        kept = -(-faces * percent // 100)
        last = int(np.searchsorted(np.cumsum(sizes), kept))
        share = (kept - sizes[:last].sum()) / sizes[last] if faces else 0.0
        weights[scored] = np.where(level == last, share, level < last)
        counts = counted(task, weights)
        points.append(
            {
                "coverage": percent / 100,
                "threshold": -float(levels[last]) if faces else None,
                "accuracy": number(accuracy(counts)),
                "macro_f1": number(macro_f1(counts)),
            }
        )
    wrong = np.bincount(level, 1 - task.correct[scored], len(levels)) / sizes
    errors = np.cumsum(np.repeat(wrong, sizes)) / np.arange(1, faces + 1)
    return {"points": points, "aurc": float(errors.mean()) if faces else None}


def confidence_bins(confidence: Floats) -> Ints:
    """Bin 0-14 of each confidence (n,), bin b spanning (b / 15, (b + 1) / 15]; negative where it is NaN."""
    missing = np.isnan(confidence)
    bins = np.ceil(np.where(missing, 0, confidence) * BINS).astype(np.int64) - 1
    return np.where(missing, UNKNOWN, bins.clip(0, BINS - 1))


def brier(task: TaskPredictions) -> Floats:
    """(n,) squared distance of the probabilities from the truth, NaN where either is missing."""
    target = np.eye(len(task.classes))[task.truth]
    return _scored(task, ((task.probabilities - target) ** 2).sum(axis=1))


def log_loss(task: TaskPredictions) -> Floats:
    """(n,) negative natural logarithm of the true class's probability, NaN where either is missing."""
    probability = np.take_along_axis(task.probabilities, task.truth.clip(0)[:, None], 1)[:, 0]
    return _scored(task, np.log(1 / probability.clip(SMALLEST, 1)))


def _scored(task: TaskPredictions, values: Floats) -> Floats:
    return np.where(task.known, values, np.nan)


def _expected_error(totals: Floats) -> Floats:
    return ratio(np.abs(totals[:, :BINS]).sum(axis=1), totals[:, BINS])


def _reliability(task: TaskPredictions, bins: Ints) -> list[dict[str, Any]]:
    inside = bins >= 0
    faces = np.bincount(bins[inside], minlength=BINS)
    confidence, right = (
        ratio(np.bincount(bins[inside], values[inside], BINS), faces) for values in (task.confidence, task.correct)
    )
    return [
        {"confidence": number(confidence[b]), "accuracy": number(right[b]), "faces": int(faces[b])} for b in range(BINS)
    ]
