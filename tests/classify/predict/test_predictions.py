from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from maskcls.classify.predict.job import COLUMNS, table_of
from maskcls.classify.predict.predictions import Predictions

GOOD: dict[str, Any] = dict.fromkeys(COLUMNS) | {
    "path": "a.jpg",
    "status": "ok",
    "mask": "wear",
    "gender": "male",
    "age_band": "30-59",
    "class_id": 1,
    "p_wear": 0.9,
    "p_incorrect": 0.06,
    "p_normal": 0.04,
    "p_male": 0.7,
    "p_female": 0.3,
    "p_lt30": 0.2,
    "p_30_59": 0.7,
    "p_ge60": 0.1,
    "age": 40.0,
    "age_low": 30.0,
    "age_high": 50.0,
    "neighbours": "0000000000000001:30-39:0.900",
    "weights": "1.000",
    "voters": 1,
}
NO_FACE = dict.fromkeys(COLUMNS) | {"path": "b.jpg", "status": "no_face", "reason": "no face found"}


def of(*rows: dict[str, Any]) -> Predictions:
    return Predictions(table_of(rows))


def test_rows_come_back_as_plain_values() -> None:
    answers = of(GOOD, NO_FACE)
    assert len(answers) == 2
    assert list(answers) == [GOOD, NO_FACE]
    assert answers[0] == GOOD
    assert repr(answers) == "Predictions(1 ok, 1 no_face)"
    assert json.loads(json.dumps(answers.to_dict()))["class_id"] == [1, None]
    assert list(answers.to_dict()) == list(COLUMNS)


def test_a_frame_is_a_copy() -> None:
    answers = of(GOOD)
    frame = answers.to_frame()
    frame["mask"] = "normal"
    assert answers[0]["mask"] == "wear"


def test_no_photos_no_answers() -> None:
    assert list(of()) == []
    assert repr(of()) == "Predictions(none)"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"status": "done"}, "status 'done'", id="unknown status"),
        pytest.param({"mask": "half"}, "mask 'half'", id="unknown class"),
        pytest.param({"p_wear": 0.5}, "do not add up", id="probabilities that miss"),
        pytest.param({"p_wear": 1.9, "p_incorrect": -0.94}, "do not add up", id="a negative probability"),
        pytest.param({"gender": None}, "probabilities of gender without", id="probabilities without an answer"),
        pytest.param({"p_male": None}, "gender 'male' without", id="an answer without its probability"),
        pytest.param({"class_id": 2}, "class 2", id="another class number"),
        pytest.param({"age": 60.0}, "age 60.0 with the interval", id="age outside its interval"),
        pytest.param({"age": None}, "age None", id="a band without years"),
        pytest.param({"status": "no_face"}, "mask is answered", id="answered without a face"),
    ],
)
def test_what_no_answer_can_say_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        of(GOOD, GOOD | change)


def test_other_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="columns"):
        Predictions(pd.DataFrame({"path": ["a.jpg"]}))
