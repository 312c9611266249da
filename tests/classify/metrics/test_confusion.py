from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from maskcls.classify.metrics.bootstrap import Bootstrap, Floats
from maskcls.classify.metrics.confusion import (
    accuracy,
    class_scores,
    confusion,
    counted,
    f1,
    macro_f1,
    precision,
    recall,
)
from maskcls.classify.metrics.scored import UNKNOWN, Task

NAN = float("nan")
THREE = ("a", "b", "c")


def task(truth: list[int], said: list[int], classes: tuple[str, ...] = THREE) -> Task:
    return Task(classes, np.array(truth, int), np.array(said, int), np.full((len(truth), len(classes)), NAN))


def matrix(*rows: list[float]) -> Floats:
    return np.array(rows, np.float64)


TWO_OF_EACH = matrix([3, 1, 0], [1, 1, 0], [0, 2, 2])
"""Ten faces; 6 right; b has 1 of 2 and is said 4 times."""


@pytest.mark.parametrize(
    ("score", "counts", "expected"),
    [
        pytest.param(accuracy, TWO_OF_EACH, 0.6, id="accuracy"),
        pytest.param(recall, TWO_OF_EACH, [0.75, 0.5, 0.5], id="recall"),
        pytest.param(precision, TWO_OF_EACH, [0.75, 0.25, 1], id="precision"),
        pytest.param(f1, TWO_OF_EACH, [0.75, 1 / 3, 2 / 3], id="F1"),
        pytest.param(macro_f1, TWO_OF_EACH, 7 / 12, id="macro F1"),
        pytest.param(f1, matrix([2, 2, 0], [0, 0, 0], [0, 0, 4]), [2 / 3, NAN, 1], id="F1, b only said"),
        pytest.param(macro_f1, matrix([2, 2, 0], [0, 0, 0], [0, 0, 4]), 5 / 6, id="macro F1, b only said"),
        pytest.param(f1, matrix([2, 0], [2, 0]), [2 / 3, 0], id="F1, b never said"),
        pytest.param(precision, matrix([2, 0], [2, 0]), [0.5, NAN], id="precision, b never said"),
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
    truth, said = np.concatenate([np.arange(k), random.integers(0, k, more)]), random.integers(0, k, k + more)
    counts = counted(task(truth.tolist(), said.tolist(), tuple(map(str, range(k)))))

    np.testing.assert_array_equal(counts, confusion_matrix(truth, said, labels=range(k)))
    assert accuracy(counts) == pytest.approx(accuracy_score(truth, said))
    assert macro_f1(counts) == pytest.approx(f1_score(truth, said, average="macro"))
    expected = precision_recall_fscore_support(truth, said, labels=range(k), zero_division=0)
    for got, want in zip((precision, recall, f1), expected[:3], strict=True):
        np.testing.assert_allclose(np.nan_to_num(got(counts)), want)


def test_macro_f1_of_classes_in_the_truth() -> None:
    truth, said = [0, 0, 0, 2, 2], [0, 1, 0, 2, 0]
    counts = counted(task(truth, said))
    assert macro_f1(counts) == pytest.approx(f1_score(truth, said, labels=[0, 2], average="macro"))


def test_unlabelled_and_unanswered_faces_are_not_counted() -> None:
    faces = task([0, UNKNOWN, 1, 2], [0, 1, UNKNOWN, 0])
    assert counted(faces).tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert counted(faces, np.array([0.5, 9, 9, 2])).tolist() == [[0.5, 0, 0], [0, 0, 0], [2, 0, 0]]


def test_class_scores() -> None:
    """a: right but once, when b was said; b: not in the truth; c: right once, said a once."""
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
