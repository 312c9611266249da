from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from maskcls.classify.metrics.bootstrap import Bootstrap, Floats
from maskcls.classify.metrics.confusion import (
    DECADES,
    accuracy,
    by_decade,
    class_scores,
    confusion,
    counted,
    f1,
    macro_f1,
    precision,
    recall,
)
from maskcls.classify.metrics.scored import COLUMNS, UNKNOWN, TaskPredictions, scored_faces
from maskcls.embedder.labels import AGE_BANDS

NAN = float("nan")
THREE = ("a", "b", "c")


def task(truth: list[int], predicted: list[int], classes: tuple[str, ...] = THREE) -> TaskPredictions:
    return TaskPredictions(
        classes, np.array(truth, int), np.array(predicted, int), np.full((len(truth), len(classes)), NAN)
    )


def matrix(*rows: list[float]) -> Floats:
    return np.array(rows, np.float64)


TWO_OF_EACH = matrix([3, 1, 0], [1, 1, 0], [0, 2, 2])
"""Ten faces; 6 right; b has 1 of 2 and is predicted 4 times."""


@pytest.mark.parametrize(
    ("score", "counts", "expected"),
    [
        pytest.param(accuracy, TWO_OF_EACH, 0.6, id="accuracy"),
        pytest.param(recall, TWO_OF_EACH, [0.75, 0.5, 0.5], id="recall"),
        pytest.param(precision, TWO_OF_EACH, [0.75, 0.25, 1], id="precision"),
        pytest.param(f1, TWO_OF_EACH, [0.75, 1 / 3, 2 / 3], id="F1"),
        pytest.param(macro_f1, TWO_OF_EACH, 7 / 12, id="macro F1"),
        pytest.param(f1, matrix([2, 2, 0], [0, 0, 0], [0, 0, 4]), [2 / 3, NAN, 1], id="F1, b only predicted"),
        pytest.param(macro_f1, matrix([2, 2, 0], [0, 0, 0], [0, 0, 4]), 5 / 6, id="macro F1, b only predicted"),
        pytest.param(f1, matrix([2, 0], [2, 0]), [2 / 3, 0], id="F1, b never predicted"),
        pytest.param(precision, matrix([2, 0], [2, 0]), [0.5, NAN], id="precision, b never predicted"),
        pytest.param(accuracy, np.zeros((3, 3)), NAN, id="accuracy of nothing"),
        pytest.param(macro_f1, np.zeros((3, 3)), NAN, id="macro F1 of nothing"),
        pytest.param(accuracy, np.stack([TWO_OF_EACH, np.eye(3)]), [0.6, 1], id="accuracy of a stack"),
        pytest.param(macro_f1, np.stack([TWO_OF_EACH, np.eye(3)]), [7 / 12, 1], id="macro F1 of a stack"),
        pytest.param(macro_f1, 0.25 * TWO_OF_EACH, 7 / 12, id="macro F1 of weights"),
    ],
)
def test_scores_by_hand(score: object, counts: Floats, expected: list[float]) -> None:
    assert callable(score)
    np.testing.assert_allclose(score(counts), expected)


@settings(deadline=None)
@given(st.integers(2, 18), st.integers(0, 200), st.integers(0, 99))
def test_scores_equal_scikit_learn(k: int, more: int, seed: int) -> None:
    """With every class in the truth at least once."""
    random = np.random.default_rng(seed)
    truth, predicted = np.concatenate([np.arange(k), random.integers(0, k, more)]), random.integers(0, k, k + more)
    counts = counted(task(truth.tolist(), predicted.tolist(), tuple(map(str, range(k)))))

    np.testing.assert_array_equal(counts, confusion_matrix(truth, predicted, labels=range(k)))
    assert accuracy(counts) == pytest.approx(accuracy_score(truth, predicted))
    assert macro_f1(counts) == pytest.approx(f1_score(truth, predicted, average="macro"))
    expected = precision_recall_fscore_support(truth, predicted, labels=range(k), zero_division=0)
    for got, want in zip((precision, recall, f1), expected[:3], strict=True):
        np.testing.assert_allclose(np.nan_to_num(got(counts)), want)


def test_macro_f1_of_classes_in_the_truth() -> None:
    truth, predicted = [0, 0, 0, 2, 2], [0, 1, 0, 2, 0]
    counts = counted(task(truth, predicted))
    assert macro_f1(counts) == pytest.approx(f1_score(truth, predicted, labels=[0, 2], average="macro"))


def test_unlabelled_and_unanswered_faces_are_not_counted() -> None:
    faces = task([0, UNKNOWN, 1, 2], [0, 1, UNKNOWN, 0])
    assert counted(faces).tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert counted(faces, np.array([0.5, 9, 9, 2])).tolist() == [[0.5, 0, 0], [0, 0, 0], [2, 0, 0]]


def test_class_scores() -> None:
    """a: right but once, when b was predicted; b: not in the truth; c: right once, predicted a once."""
    rows = class_scores(task([0, 0, 0, 2, 2], [0, 0, 1, 0, 2]), Bootstrap(range(5), 200))
    assert [row["class"] for row in rows] == ["a", "b", "c"]
    assert [row["support"] for row in rows] == [3, 0, 2]
    assert [row["precision"] for row in rows] == pytest.approx([2 / 3, None, 1])
    assert [row["recall"] for row in rows] == pytest.approx([2 / 3, None, 1 / 2])
    assert [row["f1"] for row in rows] == pytest.approx([2 / 3, None, 2 / 3])
    assert rows[0]["low"] < 2 / 3 < rows[0]["high"]
    assert rows[1]["low"] is rows[1]["high"] is None
    assert (rows[2]["low"], rows[2]["high"]) == (0, 1)


def test_class_that_is_never_said_has_no_precision() -> None:
    row = class_scores(task([0, 1], [0, 0]), Bootstrap([1, 2], 50))[1]
    assert (row["precision"], row["recall"], row["f1"], row["support"]) == (None, 0, 0, 1)


def test_confusion_is_plain_numbers() -> None:
    assert confusion(task([0, 1, 1], [0, 0, 1], ("a", "b"))) == {"classes": ["a", "b"], "counts": [[1, 0], [1, 1]]}


def table(true: list[float], **columns: Any) -> pd.DataFrame:
    """Faces of these exact ages, each a person."""
    ages = {"true_age_low": true, "true_age_high": true}
    return pd.DataFrame({**dict.fromkeys(COLUMNS), **ages, **columns, "person": np.arange(len(true))})


def test_decades_by_hand() -> None:
    answers = table([0, 9, 35, 39.5, 61, 95, 104, NAN], age=[4, 5, 40, 38, 50, 90, 90, 30])
    answers["age_band"] = ["<30", "<30", "30-59", "30-59", "30-59", ">=60", ">=60", "<30"]
    got = by_decade(scored_faces(answers))
    assert got["decades"] == list(DECADES)
    assert got["bands"] == list(AGE_BANDS)
    assert got["faces"] == [2, 0, 0, 2, 0, 0, 1, 0, 0, 2]
    assert got["mae"] == [4, None, None, 3.25, None, None, 11, None, None, 9.5]
    assert got["bias"] == [0, None, None, 1.75, None, None, -11, None, None, -9.5]
    assert [got["counts"][d] for d in (0, 3, 6, 9)] == [[2, 0, 0], [0, 2, 0], [0, 1, 0], [0, 0, 2]]


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"true_age_low": 30}, id="a band"),
        pytest.param({"age": None}, id="no age predicted"),
    ],
)
def test_decades_count_faces_of_exact_age_with_an_answer(columns: dict[str, Any]) -> None:
    assert sum(by_decade(scored_faces(table([35], age=40, age_band="30-59").assign(**columns)))["faces"]) == 0


def test_names_of_the_decades() -> None:
    assert DECADES == ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80-89", "90+")
