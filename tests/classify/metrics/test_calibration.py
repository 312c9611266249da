from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from maskcls.classify.metrics.bootstrap import Bootstrap, Floats
from maskcls.classify.metrics.calibration import BINS, SMALLEST, calibration, confidence_bins
from maskcls.classify.metrics.scored import UNKNOWN, TaskPredictions

NAN = float("nan")


def task(truth: list[int], probabilities: list[list[float]]) -> TaskPredictions:
    """What is most probable is predicted."""
    shares = np.array(probabilities, np.float64).reshape(len(truth), -1)
    predicted = np.where(np.isnan(shares).any(axis=1), UNKNOWN, np.nan_to_num(shares).argmax(axis=1))
    return TaskPredictions(("a", "b", "c")[: shares.shape[1]], np.array(truth), predicted, shares)


def random_task(faces: int, classes: int, seed: int) -> TaskPredictions:
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.ones(classes), faces).clip(2 * SMALLEST)
    shares /= shares.sum(axis=1, keepdims=True)
    return task(random.integers(0, classes, faces).tolist(), shares.tolist())


def plain_ece(confidence: Floats, right: Floats) -> float:
    total = 0.0
    for b in range(BINS):
        inside = (confidence > b / BINS) & (confidence <= (b + 1) / BINS)
        if inside.any():
            total += inside.sum() * abs(right[inside].mean() - confidence[inside].mean())
    return total / len(confidence)


@pytest.mark.parametrize(
    ("truth", "probabilities", "ece", "brier", "log_loss"),
    [
        pytest.param([0], [[1.0, 0.0]], 0, 0, 0, id="sure and right"),
        pytest.param([1], [[1.0, 0.0]], 1, 2, -np.log(SMALLEST), id="sure and wrong"),
        pytest.param([0, 1], [[0.9, 0.1], [0.9, 0.1]], 0.4, (0.02 + 1.62) / 2, 1.2039728, id="one bin"),
        pytest.param([0, 1], [[0.8, 0.2], [0.6, 0.4]], 0.4, (0.08 + 0.72) / 2, 0.5697171, id="two bins"),
        pytest.param([2], [[0.5, 0.25, 0.25]], 0.5, 0.25 + 0.0625 + 0.5625, -np.log(0.25), id="three classes"),
        pytest.param([0, UNKNOWN], [[1.0, 0.0], [0.9, 0.1]], 0, 0, 0, id="an unlabelled face"),
        pytest.param([0, 1], [[1.0, 0.0], [NAN, NAN]], 0, 0, 0, id="a face without answer"),
    ],
)
def test_by_hand(truth: list[int], probabilities: list[list[float]], ece: float, brier: float, log_loss: float) -> None:
    got = calibration(task(truth, probabilities), Bootstrap(range(len(truth)), 50))
    assert got["ece"]["value"] == pytest.approx(ece)
    assert got["brier"]["value"] == pytest.approx(brier)
    assert got["log_loss"] == pytest.approx(log_loss)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(2, 3), st.integers(0, 99))
def test_equal_to_scikit_learn_and_the_plain_loop(faces: int, classes: int, seed: int) -> None:
    made = random_task(faces, classes, seed)
    got = calibration(made, Bootstrap(np.arange(faces), 20))
    assert got["ece"]["value"] == pytest.approx(plain_ece(made.confidence, made.correct))
    assert got["log_loss"] == pytest.approx(sklearn_log_loss(made.truth, made.probabilities, labels=range(classes)))
    each = [brier_score_loss(made.truth == c, made.probabilities[:, c], pos_label=True) for c in range(classes)]
    assert got["brier"]["value"] == pytest.approx(sum(each))
    assert sum(row["faces"] for row in got["bins"]) == faces
    gaps = [row["faces"] * abs(row["accuracy"] - row["confidence"]) for row in got["bins"] if row["faces"]]
    assert got["ece"]["value"] == pytest.approx(sum(gaps) / faces)


@pytest.mark.parametrize(
    ("confidence", "number"),
    [
        pytest.param(0.0, 0, id="0"),
        pytest.param(0.5, 7, id="a half"),
        pytest.param(1 / 3, 4, id="a border belongs to the bin below"),
        pytest.param(0.34, 5, id="just above a border"),
        pytest.param(1.0, 14, id="1"),
        pytest.param(1.0001, 14, id="rounded to above 1"),
        pytest.param(NAN, UNKNOWN, id="none"),
    ],
)
def test_bin(confidence: float, number: int) -> None:
    assert confidence_bins(np.array([confidence])).tolist() == [number]


def test_bins_are_all_listed() -> None:
    bins = calibration(task([0, 1, 0], [[0.9, 0.1], [0.9, 0.1], [0.55, 0.45]]), Bootstrap([1, 2, 3], 20))["bins"]
    assert len(bins) == BINS
    assert bins[13] == {"confidence": pytest.approx(0.9), "accuracy": 0.5, "faces": 2}
    assert bins[8] == {"confidence": pytest.approx(0.55), "accuracy": 1, "faces": 1}
    assert bins[0] == {"confidence": None, "accuracy": None, "faces": 0}


def test_intervals_hold_the_brier_score_and_an_error_that_is_large() -> None:
    random = np.random.default_rng(0)
    right = random.random(600) < 0.6
    made = task(np.where(right, 0, 1).tolist(), [[0.9, 0.1]] * 600)
    got = calibration(made, Bootstrap(np.arange(600) // 4, 400))
    for name in ("ece", "brier"):
        assert got[name]["low"] < got[name]["value"] < got[name]["high"]
        assert (got[name]["faces"], got[name]["people"]) == (600, 150)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(task([0, 1], [[NAN, NAN]] * 2), id="no probabilities"),
        pytest.param(task([UNKNOWN] * 2, [[0.9, 0.1]] * 2), id="no labels"),
    ],
)
def test_nothing_to_compute(made: TaskPredictions) -> None:
    got = calibration(made, Bootstrap([1, 2], 20))
    assert got["ece"]["value"] is got["brier"]["value"] is got["log_loss"] is None
    assert not any(row["faces"] for row in got["bins"])
