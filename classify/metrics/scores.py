"""All scores of answers to people the model has not seen, as one JSON-serialisable report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ...embedder.labels import AGE_BANDS
from ..tasks import CLASSES
from .abstention import abstention
from .age_scores import by_decade, senior_from
from .bootstrap import Bootstrap, Estimate, Floats
from .calibration import calibration
from .confusion import class_scores, confusion, flattened, macro_f1
from .paired import masked_vs_bare
from .scored import Bools, Graded, Task, grade
from .slices import slices


def summarise(answers: pd.DataFrame, rounds: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Score answers, one row a face; faces without the label or without an answer take no part in a figure.

    Args:
        answers: columns as :func:`.scored.grade` and :func:`.age_scores.senior_from` name them.
        rounds: resamples of people for the 95 % intervals, shared by all figures.
        seed: of the resamples.

    Returns:
        JSON values, ``None`` where nothing can be computed. ``overall``: :func:`overall`. ``classes`` and
        ``confusion``: by task (``mask``, ``gender``, ``age_band``, ``joint``), :func:`.confusion.class_scores` and
        :func:`.confusion.confusion`, also ``confusion["age_by_decade"]`` (:func:`.age_scores.by_decade`).
        ``calibration`` (:func:`.calibration.calibration`) and ``abstention`` (:func:`.abstention.abstention`): by
        task, the latter also ``joint``. ``slices``, ``masked_vs_bare``, ``senior_from``: the functions of these names.
    """
    scored = grade(answers)
    bootstrap = Bootstrap(scored.people, rounds, seed)
    tasks = scored.tasks
    return {
        "overall": {name: estimate.row() for name, estimate in overall(scored, bootstrap).items()},
        "classes": {name: class_scores(task, bootstrap) for name, task in tasks.items()},
        "confusion": {name: confusion(task) for name, task in tasks.items()} | {"age_by_decade": by_decade(scored)},
        "calibration": {name: calibration(tasks[name], bootstrap) for name in CLASSES},
        "abstention": {name: abstention(task) for name, task in tasks.items()},
        "slices": slices(scored),
        "masked_vs_bare": masked_vs_bare(scored, bootstrap),
        "senior_from": senior_from(answers, scored, bootstrap),
    }


def overall(scored: Graded, bootstrap: Bootstrap) -> dict[str, Estimate]:
    """The headline figures. Bare are faces truly without a mask, masked those that truly wear one properly.

    ``age MAE``: years to the nearest end of the true age or band, 0 within it. ``80% interval coverage``: share of
    exact true ages within the interval. ``18-class``: the class number of :func:`~maskcls.embedder.labels.class_id`,
    over faces with all three labels; its macro F1, like the others, is taken over the classes that occur in the truth.
    """
    mask, gender, band, joint = scored.mask, scored.gender, scored.age_band, scored.joint
    bare, masked = scored.bare, scored.masked

    def mean(values: Floats, among: Bools | None = None) -> Estimate:
        return bootstrap.mean(values if among is None else np.where(among, values, np.nan))

    def macro(task: Task, among: Bools | None = None) -> Estimate:
        return bootstrap.estimate(task.counts(among), flattened(macro_f1))

    true = {name: band.truth == number for number, name in enumerate(AGE_BANDS)}
    return {
        "mask accuracy": mean(mask.right),
        "mask macro F1": macro(mask),
        "gender accuracy": mean(gender.right),
        "gender macro F1": macro(gender),
        "gender accuracy, bare": mean(gender.right, bare),
        "gender accuracy, masked": mean(gender.right, masked),
        "age band accuracy": mean(band.right),
        "age band macro F1": macro(band),
        **{f"recall {name}": mean(band.right, faces) for name, faces in true.items()},
        "age MAE": mean(scored.age_error),
        "age MAE, bare": mean(scored.age_error, bare),
        "age MAE, masked": mean(scored.age_error, masked),
        "recall >=60, bare": mean(band.right, true[">=60"] & bare),
        "recall >=60, masked": mean(band.right, true[">=60"] & masked),
        "age band macro F1, bare": macro(band, bare),
        "age band macro F1, masked": macro(band, masked),
        "80% interval coverage": mean(scored.covered),
        "18-class accuracy": mean(joint.right),
        "18-class macro F1": macro(joint),
    }
