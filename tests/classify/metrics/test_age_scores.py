from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from maskcls.classify.metrics.age_scores import DECADES, by_decade, senior_from
from maskcls.classify.metrics.bootstrap import Bootstrap
from maskcls.classify.metrics.scored import COLUMNS, grade
from maskcls.embedder.labels import AGE_BANDS, age_band, class_id

NAN = float("nan")


def table(true: list[float], **columns: Any) -> pd.DataFrame:
    """Faces of these exact ages, each a person."""
    ages = {"true_age_low": true, "true_age_high": true}
    return pd.DataFrame({**dict.fromkeys(COLUMNS), **ages, **columns, "person": np.arange(len(true))})


def seniors(answers: pd.DataFrame) -> list[dict[str, Any]]:
    return senior_from(answers, grade(answers), Bootstrap(answers["person"], 200))


def test_decades_by_hand() -> None:
    answers = table([0, 9, 35, 39.5, 61, 95, 104, NAN], age=[4, 5, 40, 38, 50, 90, 90, 30])
    answers["age_band"] = ["<30", "<30", "30-59", "30-59", "30-59", ">=60", ">=60", "<30"]
    got = by_decade(grade(answers))
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
        pytest.param({"age": None}, id="no age said"),
    ],
)
def test_decades_count_faces_of_exact_age_with_an_answer(columns: dict[str, Any]) -> None:
    assert sum(by_decade(grade(table([35], age=40, age_band="30-59").assign(**columns)))["faces"]) == 0


def test_names_of_the_decades() -> None:
    assert DECADES == ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80-89", "90+")


def test_senior_from_by_hand() -> None:
    answers = table([20, 56, 57, 59, 60, 62, 63, 80], band_from_58=["<30"] + ["30-59"] * 2 + [">=60"] * 5)
    answers.loc[5, "band_from_58"] = "30-59"
    (got,) = seniors(answers)
    assert got["from"] == 58
    assert (got["recall_ge60"], got["precision_ge60"]) == (0.75, 0.75)  # 62 is missed, 59 is said to be old
    assert got["age_band_macro_f1"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert got["low"] <= got["age_band_macro_f1"] <= got["high"]
    assert (got["border_faces"], got["border_accuracy"]) == (4, 0.5)  # 57, 59, 60, 62
    assert got["joint_macro_f1"] is None


def test_senior_from_equals_scikit_learn() -> None:
    random = np.random.default_rng(0)
    ages = random.integers(0, 90, 400)
    true = {
        "true_mask": random.choice(["wear", "incorrect", "normal"], 400),
        "true_gender": random.choice(["male", "female"], 400),
    }
    said = {"mask": true["true_mask"], "gender": random.choice(["male", "female"], 400)}
    starts = {f"band_from_{start}": random.choice(AGE_BANDS, 400) for start in (56, 60, 62)}
    answers = table(ages.tolist(), **true, **said, **starts)
    bands = np.array([age_band(age) for age in ages])

    got = seniors(answers)
    assert [row["from"] for row in got] == [56, 60, 62]
    for row in got:
        column = starts[f"band_from_{row['from']}"]
        old = {"labels": [">=60"], "average": "macro"}
        assert row["recall_ge60"] == pytest.approx(recall_score(bands, column, **old))
        assert row["precision_ge60"] == pytest.approx(precision_score(bands, column, **old))
        assert row["age_band_macro_f1"] == pytest.approx(f1_score(bands, column, average="macro"))
        truth = [class_id(*names) for names in zip(true["true_mask"], true["true_gender"], bands, strict=True)]
        answer = [class_id(*names) for names in zip(said["mask"], said["gender"], column, strict=True)]
        assert row["joint_macro_f1"] == pytest.approx(f1_score(truth, answer, average="macro"))
        border = (ages >= 57) & (ages <= 62)
        assert row["border_faces"] == border.sum()
        assert row["border_accuracy"] == pytest.approx((bands == column)[border].mean())


def test_start_that_is_nowhere_answered() -> None:
    (got,) = seniors(table([20, 70], band_from_60=None))
    assert got == {**dict.fromkeys(got), "from": 60, "border_faces": 0}


def test_no_column_no_row() -> None:
    assert seniors(table([20, 70])) == []
