"""Severity of errors, so that the worst are looked at first.

The severity of a wrong mask or gender is the probability of the predicted class, 0 to 1. That of a wrong age band is
the number of bands between the true and the predicted one, plus 0.1 for every year between the true age and the
predicted band: 60 predicted as 30-59 has 1.0, 75 as 30-59 has 2.5, 75 as <30 has 6.5. The severity of a face is the
sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...embedder.labels import AGE_BANDS, BAND_STARTS, band_numbers
from ..tasks import PROBABILITIES
from .html import number

SEVERITY_OF_A_YEAR = 0.1


@dataclass(frozen=True)
class Outcome:
    """True and predicted class of one task for one face; ``None`` is unknown.

    Attributes:
        p_predicted: probability of the predicted class.
        p_truth: probability of the true class.
        severity: 0 unless wrong.
    """

    task: str
    truth: str | None
    predicted: str | None
    p_predicted: float | None
    p_truth: float | None
    severity: float

    @property
    def wrong(self) -> bool:
        """Whether true and predicted class are known and differ."""
        return self.truth is not None and self.predicted is not None and self.truth != self.predicted


def outcomes(row: Mapping[str, Any]) -> list[Outcome]:
    """Mask, gender and age band of a row of out-of-fold predictions (``true_mask``, ``mask``, ``p_wear``, ...)."""
    band = _band(number(row.get("true_age_low")), number(row.get("true_age_high")))
    truths = {"mask": row.get("true_mask"), "gender": row.get("true_gender"), "age_band": band}
    return [_outcome(task, truths[task], row) for task in PROBABILITIES]


def _band(low: float | None, high: float | None) -> str | None:
    """The band of a true age; ``None`` where it is not known or spans a border."""
    if low is None or high is None:
        return None
    first, last = band_numbers([low, high])
    return AGE_BANDS[first] if first == last else None


def _outcome(task: str, truth: object, row: Mapping[str, Any]) -> Outcome:
    columns = PROBABILITIES[task]
    true, predicted = (str(name) if name in columns else None for name in (truth, row.get(task)))
    p_predicted, p_truth = (None if name is None else number(row.get(columns[name])) for name in (predicted, true))
    severity = 0.0
    if true is not None and predicted is not None and true != predicted:
        if task == "age_band":
            severity = _age_severity(true, predicted, row["true_age_low"], row["true_age_high"])
        else:
            severity = 1.0 if p_predicted is None else p_predicted
    return Outcome(task, true, predicted, p_predicted, p_truth, severity)


def _age_severity(true: str, predicted: str, low: float, high: float) -> float:
    apart = AGE_BANDS.index(true) - AGE_BANDS.index(predicted)
    border = AGE_BANDS.index(predicted) + (1 if apart > 0 else 0)
    beyond = low - BAND_STARTS[border] if apart > 0 else BAND_STARTS[border] - high
    return abs(apart) + SEVERITY_OF_A_YEAR * beyond
