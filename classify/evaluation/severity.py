"""What an answer got wrong, and what each mistake costs, so that the worst can be looked at first.

A wrong mask or gender costs the confidence in the wrong answer, 0 to 1. A wrong age band costs how many bands truth and
answer are apart, and 0.1 for every year that the true age lies beyond the border of the band that was said: 60 called
30-59 costs 1.0, 75 called 30-59 costs 2.5, 75 called <30 costs 6.5. The cost of a face is the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...embedder.labels import AGE_BANDS, BAND_STARTS, band_numbers
from ..tasks import PROBABILITIES
from .html import number

COST_OF_A_YEAR = 0.1


@dataclass(frozen=True)
class Verdict:
    """One task of one face. What is not known is ``None``, and a task of which either side is unknown is not wrong.

    Attributes:
        confidence: probability of the answer.
        for_truth: probability of the true class.
        cost: 0 unless wrong.
    """

    task: str
    truth: str | None
    said: str | None
    confidence: float | None
    for_truth: float | None
    cost: float

    @property
    def wrong(self) -> bool:
        """Whether truth and answer are both known and differ."""
        return self.truth is not None and self.said is not None and self.truth != self.said


def verdicts(row: Mapping[str, Any]) -> list[Verdict]:
    """Mask, gender and age band of one row of answers with their truth (``true_mask``, ``mask``, ``p_wear``, ...)."""
    band = _band(number(row.get("true_age_low")), number(row.get("true_age_high")))
    truths = {"mask": row.get("true_mask"), "gender": row.get("true_gender"), "age_band": band}
    return [_verdict(task, truths[task], row) for task in PROBABILITIES]


def _band(low: float | None, high: float | None) -> str | None:
    """The band of a true age; ``None`` where it is not known or spans a border."""
    if low is None or high is None:
        return None
    first, last = band_numbers([low, high])
    return AGE_BANDS[first] if first == last else None


def _verdict(task: str, truth: object, row: Mapping[str, Any]) -> Verdict:
    columns = PROBABILITIES[task]
    true, said = (str(name) if name in columns else None for name in (truth, row.get(task)))
    confidence, for_truth = (None if name is None else number(row.get(columns[name])) for name in (said, true))
    cost = 0.0
    if true is not None and said is not None and true != said:
        if task == "age_band":
            cost = _age_cost(true, said, row["true_age_low"], row["true_age_high"])
        else:
            cost = 1.0 if confidence is None else confidence
    return Verdict(task, true, said, confidence, for_truth, cost)


def _age_cost(true: str, said: str, low: float, high: float) -> float:
    apart = AGE_BANDS.index(true) - AGE_BANDS.index(said)
    border = AGE_BANDS.index(said) + (1 if apart > 0 else 0)
    beyond = low - BAND_STARTS[border] if apart > 0 else BAND_STARTS[border] - high
    return abs(apart) + COST_OF_A_YEAR * beyond
