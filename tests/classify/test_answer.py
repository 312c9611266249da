from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskcls.classify.answer import (
    STATUSES,
    VOTERS_LISTED,
    AgePrediction,
    Answer,
    ClassPrediction,
    Face,
    Voter,
    answer_table,
    from_json,
    read_answer,
    read_voters,
    to_json,
    vote_share,
    voter_cells,
)
from maskcls.classify.tasks import ANSWER_COLUMNS, PREDICTION_COLUMNS

ROW: dict[str, Any] = {
    "path": "a.jpg",
    "status": "unsure",
    "face": 1,
    "reason": "gender male only 70% sure; 2 faces found; the largest found is predicted",
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
    "age_high": 50.5,
    "neighbours": "0000000000000001:30-39:0.900 00000000000000ff:41:-0.120",
    "weights": "0.600 0.100",
    "voters": 9,
    "box": "0.0 1.5 9.0 9.0",
    "quality": 0.5,
    "quality_reason": "small",
}
WITHOUT_FACE = ROW | dict.fromkeys(("face", "box", "quality", "quality_reason"))
VOTERS = (
    Voter("0000000000000001", 30.0, 39.0, 0.9, 0.6, 3, None, "wear", "male", "a/1.jpg", "/photos"),
    Voter("00000000000000ff", 41.0, 41.0, -0.12, 0.1, members=5),
)
ANSWER = Answer(
    path="a.jpg",
    status="unsure",
    face=Face("0" * 16, (0.0, 1.5, 9.0, 9.0), 0.99, "detect", 2, 1, 0.5, "small"),
    mask=ClassPrediction("wear", {"wear": 0.9, "incorrect": 0.06, "normal": 0.04}),
    gender=ClassPrediction("male", {"male": 0.7, "female": 0.3}),
    age=AgePrediction("30-59", {"<30": 0.2, "30-59": 0.7, ">=60": 0.1}, 40.0, 30.0, 50.5),
    voters=VOTERS,
    voter_count=9,
    notes=("gender male only 70% sure", "2 faces found; the largest found is predicted"),
)
NO_FACE = Answer("b.jpg", "no_face", notes=("no face found",))


def test_an_answer_is_a_row_of_predictions_csv() -> None:
    assert ANSWER.row() == ROW
    assert tuple(ANSWER.row()) == PREDICTION_COLUMNS
    assert ANSWER["age"] == 40.0
    empty = dict.fromkeys(PREDICTION_COLUMNS) | {"path": "b.jpg", "status": "no_face", "reason": "no face found"}
    assert NO_FACE.row() == empty


def test_a_row_is_read_back_as_the_answer_it_was_written_from() -> None:
    answer = read_answer(ROW)
    assert answer.row() == WITHOUT_FACE
    assert [(one.face_id, one.age, one.similarity, one.weight) for one in answer.voters] == [
        ("0000000000000001", "30-39", 0.9, 0.6),
        ("00000000000000ff", "41", -0.12, 0.1),
    ]
    assert answer.age == ANSWER.age
    assert answer.mask == ANSWER.mask


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_of_answers_is_read_back(suffix: str, tmp_path: Any) -> None:
    table = answer_table([ANSWER, NO_FACE], PREDICTION_COLUMNS)
    path = tmp_path / f"answers.{suffix}"
    if suffix == "csv":
        table.to_csv(path, index=False)
        table = pd.read_csv(path)
    else:
        table.to_parquet(path)
        table = pd.read_parquet(path)
    read = [read_answer(row) for row in table.to_dict("records")]
    assert [answer.row() for answer in read] == [WITHOUT_FACE, NO_FACE.row()]


def test_answers_of_a_model_without_years_or_probabilities_are_read() -> None:
    row = {"mask": "wear", "age_band": ">=60", "p_lt30": 0.1, "p_30_59": 0.1, "p_ge60": 0.8, "neighbours": float("nan")}
    answer = read_answer(row)
    assert answer.age is not None
    assert (answer.age.band, answer.age.years, answer.voters) == (">=60", None, ())
    assert answer.mask == ClassPrediction("wear", {})
    assert (answer.gender, answer.class_id, answer.status) == (None, None, "ok")


def test_an_answer_goes_through_json_unchanged() -> None:
    for answer in (ANSWER, NO_FACE):
        assert from_json(json.loads(json.dumps(to_json(answer)))) == answer


@given(st.floats(-1, 1), st.floats(0, 1), st.integers(0, 120))
def test_floats_go_through_json_unrounded(similarity: float, weight: float, age: int) -> None:
    answer = replace(ANSWER, voters=(Voter("1" * 16, float(age), float(age), similarity, weight),))
    assert from_json(json.loads(json.dumps(to_json(answer)))) == answer


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"status": "done"}, "status 'done'", id="unknown status"),
        pytest.param({"mask": "half"}, "mask 'half'", id="unknown class"),
        pytest.param({"p_wear": 0.5}, "do not add up", id="probabilities that miss"),
        pytest.param({"p_wear": 1.9, "p_incorrect": -0.94}, "do not add up", id="a negative probability"),
        pytest.param({"gender": None}, "probabilities of gender without", id="probabilities without a class"),
        pytest.param({"p_male": None}, "'male' without its probability", id="a class without its probability"),
        pytest.param({"age": 60.0}, "age 60.0 with the interval", id="age outside its interval"),
        pytest.param({"age": None}, "age None", id="an interval without its age"),
        pytest.param({"status": "no_face"}, "a prediction, but the status", id="predicted without a face"),
        pytest.param({"neighbours": "1:20"}, "values to unpack", id="a voter cut short"),
    ],
)
def test_a_row_that_no_answer_has_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_answer(ROW | change)


def test_a_table_has_the_columns_in_order() -> None:
    table = answer_table([ANSWER, NO_FACE])
    assert tuple(table) == ANSWER_COLUMNS
    assert table["class_id"].dtype == table["voters"].dtype == "Int64"
    assert answer_table([]).empty
    assert len(STATUSES) == 5


def test_the_nearest_voters_are_listed() -> None:
    many = tuple(Voter(f"{i:016x}", 20.0, 20.0, 1 - i / 100, 0.02) for i in range(50))
    cells = voter_cells(many, 50)
    assert len(cells["neighbours"].split()) == len(cells["weights"].split()) == VOTERS_LISTED
    assert cells["voters"] == 50
    assert set(voter_cells((), 0).values()) == {None}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, "2 of 3 voters, 80 % of the vote", id="whole"),
        pytest.param({"weights": "0.500"}, "", id="fewer weights than voters"),
        pytest.param({"weights": None}, "", id="no weights"),
        pytest.param({"neighbours": float("nan"), "weights": float("nan")}, "", id="no voters"),
    ],
)
def test_vote_share(change: dict[str, object], expected: str) -> None:
    row = {"neighbours": "a:20:0.9 b:30:0.8 c:40:0.7", "weights": "0.500 0.300 0.200"} | change
    assert vote_share(read_voters(row)[:2], 3) == expected
