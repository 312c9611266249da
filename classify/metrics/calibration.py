"""Do probabilities mean what they say? Expected calibration error, Brier score and log loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bootstrap import Bootstrap, Counts, Floats, Ints, mean, number, ratio
from .scored import UNKNOWN, Task

BINS = 15
SMALLEST = 5e-5
"""Least probability the log loss takes for true: answers carry four decimals, 0 there is anything below this."""


def calibration(task: Task, bootstrap: Bootstrap) -> dict[str, Any]:
    """Figures and the bins of a reliability diagram, over the known faces with probabilities.

    ``ece``: Guo et al. 2017 (https://arxiv.org/abs/1706.04599), with :data:`BINS` equal bins of the confidence in what
    was said. Its resamples are biased upwards where the error is small, so the interval may lie above the value.
    ``brier``: Brier 1950, squared differences summed over the classes, 0 to 2. ``log_loss``: in nats, without interval.
    """
    bins = confidence_bins(task.confidence)
    gap = task.right - task.confidence
    error = Counts.cells(bins, BINS, gap).beside(Counts.cells(np.minimum(bins, 0), 1))
    return {
        "ece": bootstrap.estimate(error, _expected_error).row(),
        "brier": bootstrap.mean(brier(task)).row(),
        "log_loss": number(mean(Counts.mean(log_loss(task)).totals())),
        "bins": _reliability(task, bins),
    }


def confidence_bins(confidence: Floats) -> Ints:
    """Bin 0-14 of each confidence (n,), bin b spanning (b / 15, (b + 1) / 15]; negative where it is NaN."""
    missing = np.isnan(confidence)
    bins = np.ceil(np.where(missing, 0, confidence) * BINS).astype(np.int64) - 1
    return np.where(missing, UNKNOWN, bins.clip(0, BINS - 1))


def brier(task: Task) -> Floats:
    """(n,) squared distance of the probabilities from the truth, NaN where either is missing."""
    target = np.eye(len(task.classes))[task.truth]
    return _scored(task, ((task.probabilities - target) ** 2).sum(axis=1))


def log_loss(task: Task) -> Floats:
    """(n,) negative natural logarithm of the true class's probability, NaN where either is missing."""
    probability = np.take_along_axis(task.probabilities, task.truth.clip(0)[:, None], 1)[:, 0]
    return _scored(task, np.log(1 / probability.clip(SMALLEST, 1)))


def _scored(task: Task, values: Floats) -> Floats:
    return np.where(task.known, values, np.nan)


def _expected_error(totals: Floats) -> Floats:
    return ratio(np.abs(totals[:, :BINS]).sum(axis=1), totals[:, BINS])


def _reliability(task: Task, bins: Ints) -> list[dict[str, Any]]:
    inside = bins >= 0
    faces = np.bincount(bins[inside], minlength=BINS)
    confidence, right = (
        ratio(np.bincount(bins[inside], values[inside], BINS), faces) for values in (task.confidence, task.right)
    )
    return [
        {"confidence": number(confidence[b]), "accuracy": number(right[b]), "faces": int(faces[b])} for b in range(BINS)
    ]
