"""Age in detail: errors along the years of life, and where the band of the old should start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ...embedder.labels import AGE_BANDS
from .bootstrap import Bootstrap, number, ratio
from .confusion import counted, flattened, macro_f1, precision, recall
from .scored import UNKNOWN, Graded, class_numbers, joined

DECADES = (*(f"{start}-{start + 9}" for start in range(0, 90, 10)), "90+")
STARTS = range(56, 63)
BORDER = (57, 62)
"""Years around the border at 60, both included."""


def by_decade(scored: Graded) -> dict[str, Any]:
    """Bands said (10, 3), mean absolute error and bias (said less true) in years, by decade of the exact true age."""
    faces = ~np.isnan(scored.true_age + scored.age)
    decade = (scored.true_age[faces] // 10).astype(np.int64).clip(0, len(DECADES) - 1)
    error = scored.age[faces] - scored.true_age[faces]
    number_of = np.bincount(decade, minlength=len(DECADES))
    bias, mae = (ratio(np.bincount(decade, values, len(DECADES)), number_of) for values in (error, np.abs(error)))
    band = scored.age_band.said[faces]
    counts = np.zeros((len(DECADES), len(AGE_BANDS)), np.int64)
    np.add.at(counts, (decade[band != UNKNOWN], band[band != UNKNOWN]), 1)
    return {
        "decades": list(DECADES),
        "bands": list(AGE_BANDS),
        "counts": counts.tolist(),
        "mae": [number(value) for value in mae],
        "bias": [number(value) for value in bias],
        "faces": number_of.tolist(),
    }


def senior_from(answers: pd.DataFrame, scored: Graded, bootstrap: Bootstrap) -> list[dict[str, Any]]:
    """Scores if what is said were taken from ``band_from_56`` ... ``band_from_62``, for those columns that are there.

    The truth stays as it is, >=60. ``low`` and ``high`` are the interval of ``age_band_macro_f1``; border faces are
    those of exact true age 57-62 (:data:`BORDER`).
    """
    border = (scored.true_age >= BORDER[0]) & (scored.true_age < BORDER[1] + 1)
    old = AGE_BANDS.index(">=60")
    rows = []
    for start in STARTS:
        if (column := f"band_from_{start}") not in answers:
            continue
        said = replace(scored.age_band, said=class_numbers(answers[column], AGE_BANDS))
        counts = counted(said)
        score = bootstrap.estimate(said.counts(), flattened(macro_f1))
        right = said.right[border & said.known]
        rows.append(
            {
                "from": start,
                "age_band_macro_f1": number(score.value),
                "recall_ge60": number(recall(counts)[old]),
                "precision_ge60": number(precision(counts)[old]),
                "joint_macro_f1": number(macro_f1(counted(joined(scored.mask, scored.gender, said)))),
                "low": number(score.low),
                "high": number(score.high),
                "border_faces": len(right),
                "border_accuracy": float(right.mean()) if len(right) else None,
            }
        )
    return rows
