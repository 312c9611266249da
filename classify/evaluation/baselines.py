"""Baselines on the same faces: majority class, linear models, a small MLP and plain kNN."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ...embedder.labels import AGE_BANDS, band_numbers
from ..age.space import LearnedSpace, age_features
from ..age.vote import NO_CALIBRATION, YEARS, from_years
from ..data.face_set import FaceSet, Rows
from ..tasks import BAND_COLUMNS, PROBABILITIES
from .cross_validation import BATCH, FoldModel, truth_of

WITHOUT_VOTE = "the age network itself, no vote"
NEIGHBOURS = 20
HIDDEN = 128
EPOCHS = 40

Floats = npt.NDArray[np.float32]
Make = Callable[[int], Any]


def _linear_classifier(seed: int) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=200))


def _linear_regressor(seed: int) -> Any:
    return make_pipeline(StandardScaler(), Ridge(1000))


def _mlp_classifier(seed: int) -> Any:
    return make_pipeline(
        StandardScaler(),
        MLPClassifier(
            hidden_layer_sizes=(HIDDEN,), alpha=1e-2, early_stopping=True, max_iter=EPOCHS, random_state=seed
        ),
    )


def _mlp_regressor(seed: int) -> Any:
    return make_pipeline(
        StandardScaler(),
        MLPRegressor(hidden_layer_sizes=(HIDDEN,), alpha=1e-2, early_stopping=True, max_iter=EPOCHS, random_state=seed),
    )


BASELINES: Mapping[str, tuple[str, Make, Make]] = {
    "majority class": (
        "embedding",
        lambda seed: DummyClassifier(strategy="prior"),
        lambda seed: DummyRegressor(strategy="median"),
    ),
    "kNN on the embedding": (
        "embedding",
        lambda seed: KNeighborsClassifier(NEIGHBOURS, weights="distance"),
        lambda seed: KNeighborsRegressor(NEIGHBOURS, weights="distance"),
    ),
    "linear on the embedding": ("embedding", _linear_classifier, _linear_regressor),
    "linear on the same features": ("features", _linear_classifier, _linear_regressor),
    "MLP on the same features": ("features", _mlp_classifier, _mlp_regressor),
}
"""Name -> its inputs, its classifier and its regressor.

``features`` are those of the age space: the embedding beside the pooled feature map. Linear is logistic regression with
balanced classes, and ridge for the years.
"""


def baseline_inputs(pool: FaceSet) -> dict[str, Floats]:
    """Inputs of the baselines (n, features) for all faces of a pool, the same in every fold."""
    features = age_features(pool.embeddings, pool.maps(np.arange(len(pool))))
    return {"features": features, "embedding": features[:, : pool.embeddings.shape[1]]}


def baseline_predictions(
    pool: FaceSet, inputs: Mapping[str, Floats], fit: Rows, rows: Rows, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Predictions of every baseline for ``rows``, fitted on ``fit``, in the columns of :mod:`.cross_validation`."""
    return {
        name: _predictions(pool, inputs[reads], fit, rows, make, regressor, seed)
        for name, (reads, make, regressor) in BASELINES.items()
    }


def _predictions(
    pool: FaceSet, inputs: Floats, fit: Rows, rows: Rows, classifier: Make, regressor: Make, seed: int
) -> pd.DataFrame:
    answers = truth_of(pool, rows)
    low, high = (pool.table[column].to_numpy(np.float32)[fit] for column in ("age_low", "age_high"))
    middle = (low + high) / 2
    known = ~np.isnan(middle)
    band = pd.Series(np.array(AGE_BANDS)[band_numbers(np.nan_to_num(middle))]).where(known)
    labels = {task: pool.table[task].iloc[fit] for task in ("mask", "gender")} | {"age_band": band}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for task, columns in PROBABILITIES.items():
            usable = labels[task].notna().to_numpy(bool)
            kinds = labels[task].to_numpy()[usable].astype(str)
            if len(set(kinds)) < 2:
                answers[task] = None
                answers[list(columns.values())] = np.nan
                continue
            fitted = classifier(seed).fit(inputs[fit[usable]], kinds)
            probabilities = pd.DataFrame(fitted.predict_proba(inputs[rows]), columns=fitted.classes_)
            answers[task] = probabilities.idxmax(axis=1).to_numpy()
            for name, column in columns.items():
                answers[column] = probabilities[name].to_numpy() if name in probabilities else 0.0
        answers["age"] = np.nan
        if known.any():
            answers["age"] = regressor(seed).fit(inputs[fit[known]], middle[known]).predict(inputs[rows])
    return answers.assign(age_low=np.nan, age_high=np.nan)


def without_vote(built: FoldModel) -> pd.DataFrame | None:
    """The fold's predictions with the age network's own years in place of the vote; None where the space is linear."""
    space, settings = built.model.age_space, replace(built.model.settings, calibration=NO_CALIBRATION, miscoverage=0.1)
    if not isinstance(space, LearnedSpace):
        return None
    years = np.empty((len(built.scored), YEARS), np.float32)
    for start in range(0, len(built.faces), BATCH):
        rows = np.arange(start, min(start + BATCH, len(built.faces)))
        years[rows] = space.years(built.faces.embeddings[rows], built.faces.maps(rows))
    votes = from_years(years, built.model.prior, settings)
    return built.predictions.assign(
        age_band=np.array(AGE_BANDS)[votes.predicted],
        age=votes.age,
        age_low=votes.low,
        age_high=votes.high,
        **dict(zip(BAND_COLUMNS, votes.bands.T, strict=True)),
    )
