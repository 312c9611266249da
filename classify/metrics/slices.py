"""Scores of subgroups by true label, and of masked against bare faces of the same people."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.labels import AGE_BANDS
from .bootstrap import Bootstrap, Counts, Floats, Ints, mean, number
from .scored import Bools, ScoredFaces, TaskPredictions

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


def slices(scored: ScoredFaces) -> list[dict[str, Any]]:
    """Faces, people and :data:`FIGURES` of each slice by true labels, worst first.

    Worst: by joint accuracy (all three predictions correct, over faces with all three labels), where there is none by
    age band accuracy; slices with neither come last. A figure of fewer than :data:`MIN_FACES` faces is ``None``.
    """
    faces = pd.DataFrame(
        {
            "race": scored.race,
            "gender": _names(scored.gender),
            "age": _names(scored.age_band),
            "mask": _names(scored.mask),
            "source": scored.source,
            "person": scored.people,
            "mask_accuracy": scored.mask.correct,
            "gender_accuracy": scored.gender.correct,
            "age_band_accuracy": scored.age_band.correct,
            "age_mae": scored.age_error,
            "joint_accuracy": scored.joint.correct,
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
    return sorted(rows, key=_rank)


def masked_vs_bare(scored: ScoredFaces, bootstrap: Bootstrap) -> dict[str, Any]:
    """Accuracies and years of error with and without a mask, the difference (masked minus bare) and its interval.

    A figure is taken over the people who have a masked and a bare face with its label, all of their such faces
    pooled. ``people`` are those with a masked and a bare face, in a figure those it rests on.
    """
    old = scored.age_band.truth == AGE_BANDS.index(">=60")
    values = {
        "gender accuracy": scored.gender.correct,
        "age band accuracy": scored.age_band.correct,
        "age MAE": scored.age_error,
        "recall >=60": np.where(old, scored.age_band.correct, np.nan),
    }
    both = _with_both(scored, np.ones(len(scored.people), bool))
    people = {"people": len(np.unique(scored.people[both]))}
    return people | {name: _difference(scored, bootstrap, figure) for name, figure in values.items()}


def _names(task: TaskPredictions) -> npt.NDArray[np.object_]:
    return np.array([*task.classes, None], object)[task.truth]


def _mean(values: pd.Series) -> float | None:
    known = values.dropna()
    return float(known.mean()) if len(known) >= MIN_FACES else None


def _rank(row: dict[str, Any]) -> tuple[float, str]:
    scores = (row["joint_accuracy"], row["age_band_accuracy"])
    return next((score for score in scores if score is not None), math.inf), row["slice"]


def _difference(scored: ScoredFaces, bootstrap: Bootstrap, values: Floats) -> dict[str, Any]:
    paired = _with_both(scored, ~np.isnan(values))
    bare, masked = (np.where(paired & state, values, np.nan) for state in (scored.bare, scored.masked))
    estimate = bootstrap.estimate(Counts.mean(bare).hstack(Counts.mean(masked)), _bare_masked_difference)
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


def _with_both(scored: ScoredFaces, usable: Bools) -> Bools:
    """(n,) faces of the people who have a usable masked face and a usable bare one."""

    def people(state: Bools) -> Ints:
        return scored.people[usable & state]

    return np.isin(scored.people, np.intersect1d(people(scored.bare), people(scored.masked)))
