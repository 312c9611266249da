"""How well inferred groups of faces are the real people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True)
class Quality:
    """Shares between 0 and 1, NaN where there is nothing to take a share of.

    Attributes:
        precision: how much of what was put together belongs together.
        recall: how much of what belongs together was put together.
        f1: their harmonic mean.
        pairs: pairs of faces that were put together.
    """

    precision: float
    recall: float
    f1: float
    pairs: int


def pairwise(inferred: npt.ArrayLike, truth: npt.ArrayLike) -> Quality:
    """Precision and recall over all pairs of faces: a group weighs by its pairs, a face alone not at all.

    Args:
        inferred: (n,) group of each face, labels or numbers.
        truth: (n,) person of each face; faces of unknown people (missing) count nowhere.
    """
    cells = _contingency(inferred, truth)
    right, joined, same = _pairs(cells), _pairs(_sizes(cells, "group")), _pairs(_sizes(cells, "person"))
    return Quality(_share(right, joined), _share(right, same), _share(2 * right, joined + same), joined)


def b_cubed(inferred: npt.ArrayLike, truth: npt.ArrayLike) -> Quality:
    """Precision and recall of each face's own group, averaged over faces: every face weighs the same.

    Args:
        inferred: (n,) as for :func:`pairwise`.
        truth: (n,) as for :func:`pairwise`.

    Source:
        Bagga and Baldwin 1998, https://aclanthology.org/P98-1012.
    """
    cells = _contingency(inferred, truth)
    faces = cells.sum()
    groups, people = (cells.groupby(level=level).transform("sum") for level in ("group", "person"))
    precision, recall = (_share((cells**2 / sizes).sum(), faces) for sizes in (groups, people))
    f1 = _share(2 * precision * recall, precision + recall)
    return Quality(precision, recall, f1, _pairs(_sizes(cells, "group")))


def _contingency(inferred: npt.ArrayLike, truth: npt.ArrayLike) -> pd.Series[int]:
    """Faces of each (group, person) that occurs."""
    faces = pd.DataFrame({"group": np.asarray(inferred), "person": np.asarray(truth)})
    return faces.value_counts()


def _sizes(cells: pd.Series[int], level: str) -> pd.Series[int]:
    return cells.groupby(level=level).sum()


def _pairs(sizes: pd.Series[int]) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
