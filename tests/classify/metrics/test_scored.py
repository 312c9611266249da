from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.metrics.scored import COLUMNS, JOINT_CLASSES, UNKNOWN, ScoredFaces, scored_faces
from maskcls.embedder.labels import AGE_BANDS, GENDERS, MASKS, class_id

NAN = float("nan")


def scored(**columns: Any) -> ScoredFaces:
    """One face with these columns and nothing else."""
    return scored_faces(pd.DataFrame([{**dict.fromkeys(COLUMNS), "person": 1, **columns}]))


@pytest.mark.parametrize(
    ("low", "high", "band"),
    [
        pytest.param(29, 29, "<30", id="29"),
        pytest.param(29.9, 29.9, "<30", id="29.9"),
        pytest.param(30, 30, "30-59", id="30"),
        pytest.param(60, 60, ">=60", id="60"),
        pytest.param(30, 39, "30-59", id="30-39"),
        pytest.param(70, 100, ">=60", id="more than 70"),
        pytest.param(25, 35, None, id="25-35 crosses a border"),
        pytest.param(50, 60, None, id="50-60 crosses a border"),
        pytest.param(None, None, None, id="unknown"),
        pytest.param(30, None, None, id="half known"),
    ],
)
def test_true_band(low: float | None, high: float | None, band: str | None) -> None:
    (number,) = scored(true_age_low=low, true_age_high=high).age_band.truth
    assert number == (UNKNOWN if band is None else AGE_BANDS.index(band))


@pytest.mark.parametrize(
    ("low", "high", "predicted", "error"),
    [
        pytest.param(40, 40, 47.5, 7.5, id="above an exact age"),
        pytest.param(40, 40, 33, 7, id="below an exact age"),
        pytest.param(30, 39, 35, 0, id="within a band"),
        pytest.param(30, 39, 39, 0, id="at its end"),
        pytest.param(30, 39, 41, 2, id="above a band"),
        pytest.param(30, 39, 26, 4, id="below a band"),
        pytest.param(25, 35, 40, 5, id="a band across a border"),
        pytest.param(None, None, 40, NAN, id="unknown"),
        pytest.param(40, 40, None, NAN, id="not answered"),
    ],
)
def test_age_error(low: float | None, high: float | None, predicted: float | None, error: float) -> None:
    got = scored(true_age_low=low, true_age_high=high, age=predicted)
    np.testing.assert_array_equal(got.age_error, [error])


@pytest.mark.parametrize(
    ("true", "interval", "covered"),
    [
        pytest.param((40, 40), (30, 50), 1, id="within"),
        pytest.param((40, 40), (40, 50), 1, id="at the low end"),
        pytest.param((40, 40), (30, 40), 1, id="at the high end"),
        pytest.param((40, 40), (41, 50), 0, id="below"),
        pytest.param((40, 40), (20, 39.9), 0, id="above"),
        pytest.param((30, 39), (20, 50), NAN, id="a band does not count"),
        pytest.param((None, None), (20, 50), NAN, id="unknown"),
        pytest.param((40, 40), (None, None), NAN, id="no interval"),
    ],
)
def test_covered(true: tuple[float, float], interval: tuple[float, float], covered: float) -> None:
    ends = dict(zip(("true_age_low", "true_age_high", "age_low", "age_high"), (*true, *interval), strict=True))
    np.testing.assert_array_equal(scored(**ends).covered, [covered])


@pytest.mark.parametrize(
    ("truth", "predicted", "right"),
    [
        pytest.param("wear", "wear", 1, id="right"),
        pytest.param("wear", "normal", 0, id="wrong"),
        pytest.param(None, "wear", NAN, id="not labelled"),
        pytest.param("wear", None, NAN, id="not answered"),
        pytest.param(NAN, "wear", NAN, id="NaN for null"),
    ],
)
def test_correct(truth: str | None, predicted: str | None, right: float) -> None:
    np.testing.assert_array_equal(scored(true_mask=truth, mask=predicted).mask.correct, [right])


@pytest.mark.parametrize("column", ["true_gender", "gender"])
def test_word_that_is_no_class_is_refused(column: str) -> None:
    with pytest.raises(ValueError, match=rf"{column} 'man' is not one of male, female"):
        scored(**{column: "man"})


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        pytest.param({"p_wear": 0.7, "p_incorrect": 0.2, "p_normal": 0.1}, [0.7, 0.2, 0.1], id="three classes"),
        pytest.param({"p_wear": 0.7, "p_normal": 0.3}, [0.7, 0, 0.3], id="a head of two classes"),
        pytest.param({}, [NAN, NAN, NAN], id="no head"),
    ],
)
def test_probabilities(probabilities: dict[str, float], expected: list[float]) -> None:
    mask = scored(true_mask="wear", mask="wear", **probabilities).mask
    np.testing.assert_array_equal(mask.probabilities, [expected])
    np.testing.assert_array_equal(mask.confidence, expected[:1])


def test_confidence_is_that_of_what_was_said() -> None:
    assert scored(true_gender="male", gender="female", p_male=0.4, p_female=0.6).gender.confidence == [0.6]


PROBABILITIES = {"p_wear": 0.5, "p_incorrect": 0.3, "p_normal": 0.2, "p_male": 0.9, "p_female": 0.1} | {
    "p_lt30": 0.6,
    "p_30_59": 0.3,
    "p_ge60": 0.1,
}
SAID = {"mask": "wear", "gender": "male", "age_band": "<30"}
TRUE = {"true_mask": "normal", "true_gender": "female", "true_age_low": 60, "true_age_high": 60}


def test_joint_class() -> None:
    joint = scored(**SAID, **TRUE, **PROBABILITIES).joint
    assert joint.truth == [class_id("normal", "female", ">=60")] == [17]
    assert joint.predicted == [class_id("wear", "male", "<30")] == [0]
    assert joint.confidence == pytest.approx([0.5 * 0.9 * 0.6])
    assert joint.probabilities.sum() == pytest.approx(1)
    assert joint.probabilities[0, class_id("incorrect", "female", "30-59")] == pytest.approx(0.3 * 0.1 * 0.3)


def test_joint_classes_are_in_the_order_of_the_class_number() -> None:
    names = {class_id(m, g, a): f"{m} {g} {a}" for m in MASKS for g in GENDERS for a in AGE_BANDS}
    assert dict(enumerate(JOINT_CLASSES)) == names


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param({"mask": None}, id="no mask answer"),
        pytest.param({"true_gender": None}, id="gender not labelled"),
        pytest.param({"true_age_low": 50}, id="true band across a border"),
    ],
)
def test_joint_needs_all_three(missing: dict[str, Any]) -> None:
    assert not scored(**SAID | TRUE | PROBABILITIES | missing).joint.known.any()


def test_nullable_columns() -> None:
    columns = {**dict.fromkeys(COLUMNS), "person": 1, **SAID, **TRUE, **PROBABILITIES, "age": 30.0}
    table = pd.DataFrame([columns, {**dict.fromkeys(COLUMNS), "person": 2}])
    plain, nullable = scored_faces(table), scored_faces(table.convert_dtypes())
    for name, task in plain.tasks.items():
        np.testing.assert_array_equal(task.cells, nullable.tasks[name].cells)
        np.testing.assert_array_equal(task.probabilities, nullable.tasks[name].probabilities)
    np.testing.assert_array_equal(plain.age_error, nullable.age_error)
