from __future__ import annotations

from typing import Any

import pytest

from maskcls.classify.answer import Answer, read_answer
from maskcls.classify.predict.notes import frequency_note, low_probabilities, missing_tasks


def answer(**changes: Any) -> Answer:
    masks = {"p_wear": 0.9, "p_incorrect": 0.06, "p_normal": 0.04, "p_male": 0.05, "p_female": 0.95}
    ages = {"p_lt30": 0.1, "p_30_59": 0.8, "p_ge60": 0.1}
    return read_answer({"mask": "wear", "gender": "female", "age_band": "30-59", **masks, **ages, **changes})


@pytest.mark.parametrize(
    ("changes", "min_confidence", "expected"),
    [
        pytest.param({}, 0.8, [], id="sure of all"),
        pytest.param({}, 0.0, [], id="no threshold"),
        pytest.param({}, 0.92, ["mask wear only 90% sure", "age 30-59 only 80% sure: its"], id="two"),
        pytest.param({"p_female": 0.6, "p_male": 0.4}, 0.7, ["gender female only 60% sure"], id="gender"),
        pytest.param(
            {"p_lt30": 0.45, "p_30_59": 0.5, "p_ge60": 0.05},
            0.7,
            ["age 30-59 only 50% sure: its neighbours straddle 30 (<30 45%)"],
            id="border at 30",
        ),
        pytest.param(
            {"age_band": ">=60", "p_lt30": 0.02, "p_30_59": 0.58, "p_ge60": 0.4},
            0.7,
            ["age >=60 only 40% sure: its neighbours straddle 60 (30-59 58%)"],
            id="border at 60, the rarer band predicted",
        ),
    ],
)
def test_low_probabilities(changes: dict[str, Any], min_confidence: float, expected: list[str]) -> None:
    found = low_probabilities(answer(**changes), min_confidence)
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))


def test_an_answer_without_predictions_has_no_low_probability() -> None:
    assert low_probabilities(Answer(), 1.0) == []
    assert missing_tasks(Answer()) == "the model does not predict mask, gender, age"
    assert missing_tasks(answer()) is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(answer(), None, id="the most probable"),
        pytest.param(Answer(), None, id="no prediction"),
        pytest.param(
            answer(age_band=">=60"),
            "age 30-59 is more probable; >=60 is predicted by the class-frequency correction",
            id="a rarer band predicted",
        ),
    ],
)
def test_frequency_note(found: Answer, expected: str | None) -> None:
    assert frequency_note(found) == expected
