"""What does a mask cost? Masked against bare faces of the same people."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...embedder.labels import AGE_BANDS
from .bootstrap import Bootstrap, Floats, Ints, Tally, mean, number
from .graded import Bools, Graded


def masked_vs_bare(graded: Graded, bootstrap: Bootstrap) -> dict[str, Any]:
    """Accuracies and years of error with and without a mask, the difference (masked less bare) and its interval.

    A figure is taken over the people who have a masked and a bare face with its label, all of their such faces
    pooled. ``people`` are those with a masked and a bare face, in a figure those it rests on.
    """
    old = graded.age_band.truth == AGE_BANDS.index(">=60")
    values = {
        "gender accuracy": graded.gender.right,
        "age band accuracy": graded.age_band.right,
        "age MAE": graded.age_error,
        "recall >=60": np.where(old, graded.age_band.right, np.nan),
    }
    both = _with_both(graded, np.ones(len(graded.people), bool))
    people = {"people": len(np.unique(graded.people[both]))}
    return people | {name: _difference(graded, bootstrap, figure) for name, figure in values.items()}


def _difference(graded: Graded, bootstrap: Bootstrap, values: Floats) -> dict[str, Any]:
    paired = _with_both(graded, ~np.isnan(values))
    bare, masked = (np.where(paired & state, values, np.nan) for state in (graded.bare, graded.masked))
    estimate = bootstrap.estimate(Tally.mean(bare).beside(Tally.mean(masked)), _bare_masked_difference)
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


def _with_both(graded: Graded, usable: Bools) -> Bools:
    """(n,) faces of the people who have a usable masked face and a usable bare one."""

    def people(state: Bools) -> Ints:
        return graded.people[usable & state]

    return np.isin(graded.people, np.intersect1d(people(graded.bare), people(graded.masked)))
