"""Is it worth keeping silent? Scores of the most confident answers only."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bootstrap import number
from .confusion import accuracy, counted, macro_f1
from .scored import Task

COVERAGES = (100, 95, 90, 80, 70, 60, 50)
"""Per cent of the faces that are answered."""


def abstention(task: Task) -> dict[str, Any]:
    """Risk and coverage (Geifman & El-Yaniv 2017, https://arxiv.org/abs/1705.08500) over faces with a confidence.

    ``points``: accuracy and macro F1 of the ceil(coverage * n) most confident answers, and the confidence of the last
    of them. ``aurc``: mean error over all coverages 1/n, 2/n, ..., 1 (Geifman et al. 2019,
    https://arxiv.org/abs/1805.08206). Equally confident faces share a place: the scores are those expected if chance
    decided among them.
    """
    scored = ~np.isnan(task.confidence)
    levels, level, sizes = np.unique(-task.confidence[scored], return_inverse=True, return_counts=True)
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
    wrong = np.bincount(level, 1 - task.right[scored], len(levels)) / sizes
    errors = np.cumsum(np.repeat(wrong, sizes)) / np.arange(1, faces + 1)
    return {"points": points, "aurc": float(errors.mean()) if faces else None}
