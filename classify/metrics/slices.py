"""Who is served worst? Scores by race, gender, age, mask, dataset, and pairs of these."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .scored import Graded, Task

MIN_FACES = 20
"""A slice, and each figure in it, rests on at least so many faces; with fewer the worst slices would be accidents."""
SLICES = (
    ("race",),
    ("gender",),
    ("age",),
    ("mask",),
    ("source",),
    ("mask", "gender"),
    ("mask", "age"),
    ("gender", "age"),
)
FIGURES = ("mask_accuracy", "gender_accuracy", "age_band_accuracy", "age_mae", "joint_accuracy")


def slices(scored: Graded) -> list[dict[str, Any]]:
    """Faces, people and :data:`FIGURES` of each slice by what is true, worst first.

    Worst: by joint accuracy (all three answers right, over faces with all three labels), where there is none by age
    band accuracy; slices with neither come last. A figure of fewer than :data:`MIN_FACES` faces is ``None``.
    """
    faces = pd.DataFrame(
        {
            "race": scored.race,
            "gender": _names(scored.gender),
            "age": _names(scored.age_band),
            "mask": _names(scored.mask),
            "source": scored.source,
            "person": scored.people,
            "mask_accuracy": scored.mask.right,
            "gender_accuracy": scored.gender.right,
            "age_band_accuracy": scored.age_band.right,
            "age_mae": scored.age_error,
            "joint_accuracy": scored.joint.right,
        }
    )
    rows = [
        {"slice": ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))}
        | {"faces": len(group), "people": int(group["person"].nunique())}
        | {figure: _mean(group[figure]) for figure in FIGURES}
        for names in SLICES
        for values, group in faces.groupby(list(names))
        if len(group) >= MIN_FACES
    ]
    return sorted(rows, key=_badness)


def _names(task: Task) -> npt.NDArray[np.object_]:
    return np.array([*task.classes, None], object)[task.truth]


def _mean(values: pd.Series) -> float | None:
    known = values.dropna()
    return float(known.mean()) if len(known) >= MIN_FACES else None


def _badness(row: dict[str, Any]) -> tuple[float, str]:
    scores = (row["joint_accuracy"], row["age_band_accuracy"])
    return next((score for score in scores if score is not None), math.inf), row["slice"]
