"""What does a mask cost? Masked against bare faces of the same people."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...embedder.labels import AGE_BANDS
from .bootstrap import Bootstrap, Counts, Floats, Ints, mean, number
from .scored import Bools, Graded


def masked_vs_bare(scored: Graded, bootstrap: Bootstrap) -> dict[str, Any]:
    """Accuracies and years of error with and without a mask, the difference (masked less bare) and its interval.

    A figure is taken over the people who have a masked and a bare face with its label, all of their such faces
    pooled. ``people`` are those with a masked and a bare face, in a figure those it rests on.
    """
    old = scored.age_band.truth == AGE_BANDS.index(">=60")
    values = {
        "gender accuracy": scored.gender.right,
        "age band accuracy": scored.age_band.right,
        "age MAE": scored.age_error,
        "recall >=60": np.where(old, scored.age_band.right, np.nan),
    }
    both = _with_both(scored, np.ones(len(scored.people), bool))
    people = {"people": len(np.unique(scored.people[both]))}
    return people | {name: _difference(scored, bootstrap, figure) for name, figure in values.items()}


def _difference(scored: Graded, bootstrap: Bootstrap, values: Floats) -> dict[str, Any]:
    paired = _with_both(scored, ~np.isnan(values))
    bare, masked = (np.where(paired & state, values, np.nan) for state in (scored.bare, scored.masked))
    estimate = bootstrap.estimate(Counts.mean(bare).beside(Counts.mean(masked)), _bare_masked_difference)
    bare_value, masked_value, difference = (number(value) for value in estimate.value)
    return {
        "bare": bare_value,
        "masked": masked_value,
        "difference": difference,
        "low": number(estimate.low[2]),
        "high": number(estimate.high[2]),
        "people": estimate.people,
    }


def _bare_masked_difference(totals: Floats) -> Floats:
    bare, masked = mean(totals[:, :2]), mean(totals[:, 2:])
    return np.stack([bare, masked, masked - bare], axis=1)


def _with_both(scored: Graded, usable: Bools) -> Bools:
    """(n,) faces of the people who have a usable masked face and a usable bare one."""

    def people(state: Bools) -> Ints:
        return scored.people[usable & state]

    return np.isin(scored.people, np.intersect1d(people(scored.bare), people(scored.masked)))
