"""Which found face is which labelled one: boxes compared by what they share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SAME_FACE = 0.3
"""Intersection over union from which a found box is a labelled face: labels are often drawn tighter or wider."""

Boxes = npt.NDArray[np.floating[Any]]


def overlaps(boxes: Boxes, others: Boxes) -> npt.NDArray[np.float64]:
    """Intersection over union (n, m) of boxes ``x0, y0, x1, y1`` (n, 4) and (m, 4)."""
    one, other = np.asarray(boxes, np.float64), np.asarray(others, np.float64)
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas, other_areas = ((part[:, 2:] - part[:, :2]).prod(axis=1) for part in (one, other))
    result: npt.NDArray[np.float64] = shared / np.maximum(areas[:, None] + other_areas[None] - shared, 1e-9)
    return result


def match(labelled: Boxes, found: Boxes, least: float = SAME_FACE) -> npt.NDArray[np.int64]:
    """For each labelled box (n, 4) the row of the found box (m, 4) that is it, -1 where there is none: (n,).

    Pairs that share at least ``least`` are taken one to one, those that share most first; of equal ones the first.
    """
    matched = np.full(len(labelled), -1, np.int64)
    shared = overlaps(labelled, found)
    free = np.ones(len(found), bool)
    pairs = np.argwhere(shared >= least)
    for face, box in pairs[np.argsort(-shared[tuple(pairs.T)], kind="stable")].tolist():
        if matched[face] < 0 and free[box]:
            matched[face], free[box] = box, False
    return matched
