"""All scores of predictions for people the model has not seen, as one JSON-serialisable report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ...embedder.labels import AGE_BANDS
from ..tasks import CLASSES
from .bootstrap import Bootstrap, Estimate, Floats
from .calibration import abstention, calibration
from .confusion import by_decade, class_scores, confusion, flattened, macro_f1
from .scored import Bools, ScoredFaces, TaskPredictions, scored_faces
from .slices import masked_vs_bare, slices


def summarise(predictions: pd.DataFrame, rounds: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Score predictions, one row a face; a figure is computed over the faces that have its label and its prediction.

    Args:
        predictions: see :func:`.scored.scored_faces`.
        rounds: resamples of people for the 95 % intervals, shared by all figures.
        seed: of the resamples.

    Returns:
        JSON values, ``None`` where nothing can be computed. ``overall``: :func:`overall`. ``classes`` and
        ``confusion``: by task (``mask``, ``gender``, ``age_band``, ``joint``), :func:`.confusion.class_scores` and
        :func:`.confusion.confusion`, also ``confusion["age_by_decade"]`` (:func:`.confusion.by_decade`).
        ``calibration`` (:func:`.calibration.calibration`) and ``abstention`` (:func:`.calibration.abstention`): by
        task, the latter also ``joint``. ``slices``, ``masked_vs_bare``: the functions of these names.
    """
    scored = scored_faces(predictions)
    bootstrap = Bootstrap(scored.people, rounds, seed)
    tasks = scored.tasks
    return {
        "overall": {name: estimate.row() for name, estimate in overall(scored, bootstrap).items()},
        "classes": {name: class_scores(task, bootstrap) for name, task in tasks.items()},
        "confusion": {name: confusion(task) for name, task in tasks.items()} | {"age_by_decade": by_decade(scored)},
        "calibration": {name: calibration(tasks[name], bootstrap) for name in CLASSES},
        "abstention": {name: abstention(task, scored.quality) for name, task in tasks.items()},
        "slices": slices(scored),
        "masked_vs_bare": masked_vs_bare(scored, bootstrap),
    }


def overall(scored: ScoredFaces, bootstrap: Bootstrap) -> dict[str, Estimate]:
    """The headline figures. Bare are faces truly without a mask, masked those that truly wear one properly.

    ``age MAE``: years to the nearest end of the true age or band, 0 within it. ``80% interval coverage``: share of
    exact true ages within the interval. ``18-class``: the class number of :func:`~maskcls.embedder.labels.class_id`,
    over faces with all three labels; its macro F1, like the others, is taken over the classes that occur in the truth.
    """
    mask, gender, band, joint = scored.mask, scored.gender, scored.age_band, scored.joint
    bare, masked = scored.bare, scored.masked

    def mean(values: Floats, among: Bools | None = None) -> Estimate:
        return bootstrap.mean(values if among is None else np.where(among, values, np.nan))

    def macro(task: TaskPredictions, among: Bools | None = None) -> Estimate:
        return bootstrap.estimate(task.counts(among), flattened(macro_f1))

    true = {name: band.truth == number for number, name in enumerate(AGE_BANDS)}
    return {
        "mask accuracy": mean(mask.correct),
        "mask macro F1": macro(mask),
        "gender accuracy": mean(gender.correct),
        "gender macro F1": macro(gender),
        "gender accuracy, bare": mean(gender.correct, bare),
        "gender accuracy, masked": mean(gender.correct, masked),
        "age band accuracy": mean(band.correct),
        "age band macro F1": macro(band),
        **{f"recall {name}": mean(band.correct, faces) for name, faces in true.items()},
        "age MAE": mean(scored.age_error),
        "age MAE, bare": mean(scored.age_error, bare),
        "age MAE, masked": mean(scored.age_error, masked),
        "recall >=60, bare": mean(band.correct, true[">=60"] & bare),
        "recall >=60, masked": mean(band.correct, true[">=60"] & masked),
        "age band macro F1, bare": macro(band, bare),
        "age band macro F1, masked": macro(band, masked),
        "80% interval coverage": mean(scored.covered),
        "18-class accuracy": mean(joint.correct),
        "18-class macro F1": macro(joint),
    }
