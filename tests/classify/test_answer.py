from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maskcls.classify.age.vote import NOBODY
from maskcls.classify.answer import answer_faces, doubts, weighed_up
from maskcls.classify.data.face_set import FaceSet
from maskcls.classify.model.model import Model
from maskcls.classify.tasks import ANSWER_COLUMNS, CLASSES, PROBABILITIES


def row(**changes: Any) -> dict[str, Any]:
    sure = {"p_wear": 0.9, "p_incorrect": 0.06, "p_normal": 0.04, "p_male": 0.05, "p_female": 0.95}
    ages = {"p_lt30": 0.1, "p_30_59": 0.8, "p_ge60": 0.1}
    return {"mask": "wear", "gender": "female", "age_band": "30-59", **sure, **ages, **changes}


@pytest.mark.parametrize(
    ("changes", "least", "expected"),
    [
        pytest.param({}, 0.8, [], id="sure of all"),
        pytest.param({}, 0.0, [], id="nothing asked"),
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
            id="border at 60, the rarer said",
        ),
        pytest.param({"mask": None, "gender": None, "age_band": None}, 1.0, [], id="no answers, no doubts"),
    ],
)
def test_doubts(changes: dict[str, Any], least: float, expected: list[str]) -> None:
    found = doubts(row(**changes), least)
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, None, id="the likeliest"),
        pytest.param({"age_band": None}, None, id="no answer"),
        pytest.param(
            {"age_band": ">=60"}, "age 30-59 is likelier, but >=60 is rarer and weighed up", id="a rarer band said"
        ),
    ],
)
def test_weighed_up(changes: dict[str, Any], expected: str | None) -> None:
    assert weighed_up(row(**changes)) == expected


def test_rows_of_real_faces(model: Model, pool: FaceSet) -> None:
    rows = np.arange(0, len(pool), 40)
    maps, embeddings = pool.maps(rows), pool.embeddings[rows]
    own = pool.people[rows]
    found = answer_faces(model, model.ages(embeddings, maps, own), embeddings, maps)
    group = model.table.set_index("face_id")["group"]
    for answer, person in zip(found, own, strict=True):
        assert tuple(answer) == ANSWER_COLUMNS
        for task, columns in PROBABILITIES.items():
            assert answer[task] in CLASSES[task]
            assert sum(answer[column] for column in columns.values()) == pytest.approx(1, abs=2e-4)
        voters = [group[one.split(":")[0]] for one in answer["neighbours"].split()]
        assert person not in voters


def test_a_gallery_of_nobody_else_gives_no_age(model: Model, pool: FaceSet) -> None:
    rows = np.arange(3)
    maps, embeddings = pool.maps(rows), pool.embeddings[rows]
    ages = model.ages(embeddings, maps, np.full(3, NOBODY))
    nobody = model.count(np.full_like(ages.voters, NOBODY), np.full_like(ages.similarities, -np.inf))
    for answer in answer_faces(model, nobody, embeddings, maps):
        names = ("age_band", "class_id", "age", "p_ge60", "neighbours", "weights", "voters")
        assert [answer[name] for name in names] == [None] * 7
        assert answer["mask"] is not None
