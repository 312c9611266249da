"""How wide the 80 % interval of an age has to be, from people who were not seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .vote import Floats, Ints, conformity_score

COVERAGE = 0.8
MAX_MISCOVERAGE = 0.45
MIN_EXACT = 20
"""With fewer held-out photos of exact age the interval is fitted to photos whose age is a band, and with fewer of
these, too, it keeps its default width."""
WIDEST_BAND = 10
"""Years of a band that the interval is fitted to at most."""


def fit_miscoverage(
    years: Floats,
    low: Floats,
    high: Floats,
    real: npt.NDArray[np.bool_],
    weight: npt.NDArray[np.float64],
    default: float,
) -> float:
    """The miscoverage for distributions (n, 121) over the years of held-out faces; see :func:`miscoverage_of`.

    Args:
        low, high: (n,) their ages.
        real: (n,) whether the face is a photo: masks drawn on faces are harder to answer for.
        weight: (n,) 1 / faces of the same person.
        default: what it is where there are too few photos.
    """
    faces, ages = ages_within(low, high, real)
    if not len(faces):
        return default
    return miscoverage_of(years[faces], ages, weight[faces] / np.bincount(faces)[faces])


def ages_within(low: Floats, high: Floats, real: npt.NDArray[np.bool_]) -> tuple[Ints, Floats]:
    """Faces (m,) and ages (m,) in years that the interval is fitted to: photos of exact age.

    Where there are too few, all years of the bands of photos whose age is a band; a face is named once a year.
    """
    exact = real & (low == high)
    chosen = exact if exact.sum() >= MIN_EXACT else real & (high - low < WIDEST_BAND)
    if chosen.sum() < MIN_EXACT:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    faces = np.flatnonzero(chosen)
    spans = [np.arange(first, last + 1) for first, last in zip(low[faces], high[faces], strict=True)]
    return np.repeat(faces, [len(span) for span in spans]), np.concatenate(spans).astype(np.float32)


def miscoverage_of(years: Floats, ages: Floats, weight: npt.NDArray[np.float64]) -> float:
    """Miscoverage whose intervals hold the age of :data:`COVERAGE` of the people, one held-out face of each drawn.

    Conformal prediction with the distribution function as score (Chernozhukov, Wüthrich & Zhu 2021,
    https://doi.org/10.1073/pnas.2107794118), which keeps intervals wide where the voters disagree; the person who asks
    counts as one more of those held out.

    Args:
        years: (n, 121) distributions that voters agreed on.
        ages: (n,) exact ages in years.
        weight: (n,) 1 / faces of the same person.
    """
    share = conformity_score(years, ages)
    order = np.argsort(share)
    missed = np.cumsum(weight[order])
    last = int(np.searchsorted(missed, (1 - COVERAGE) * (missed[-1] + 1), side="right")) - 1
    miscoverage = share[order[last]] if last >= 0 else 0.0
    return float(np.clip(np.floor(miscoverage * 1e4) / 1e4, 0, MAX_MISCOVERAGE))
