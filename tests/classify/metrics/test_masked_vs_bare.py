from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.metrics.bootstrap import Bootstrap
from maskcls.classify.metrics.scored import COLUMNS, scored_faces
from maskcls.classify.metrics.slices import masked_vs_bare

FACE = {**dict.fromkeys(COLUMNS), "true_gender": "male", "true_age_low": 65, "true_age_high": 65}
RIGHT = {"gender": "male", "age_band": ">=60", "age": 65}
WRONG = {"gender": "female", "age_band": "<30", "age": 25}


def compared(*faces: tuple[int, str | None, dict[str, Any]], rounds: int = 300) -> dict[str, Any]:
    """Of faces (person, true mask, answer)."""
    scored = scored_faces(
        pd.DataFrame([{**FACE, "person": p, "true_mask": mask, **predicted} for p, mask, predicted in faces])
    )
    return masked_vs_bare(scored, Bootstrap(scored.people, rounds))


def test_by_hand() -> None:
    got = compared(
        (1, "normal", RIGHT),
        (1, "wear", RIGHT),
        (1, "wear", WRONG),
        (1, "incorrect", WRONG),  # neither bare nor masked
        (2, "normal", RIGHT),
        (2, "wear", WRONG),
        (2, "wear", WRONG),
        (3, "normal", WRONG),  # never masked
        (4, "wear", WRONG),  # never bare
        (5, None, WRONG),
    )
    assert got["people"] == 2
    for name in ("gender accuracy", "age band accuracy", "recall >=60"):
        assert got[name]["people"] == 2
        assert (got[name]["bare"], got[name]["masked"], got[name]["difference"]) == (1, 0.25, -0.75)
        assert (got[name]["low"], got[name]["high"]) == (-1, -0.5)  # either person twice
    assert (got["age MAE"]["bare"], got["age MAE"]["masked"], got["age MAE"]["difference"]) == (0, 30, 30)


@pytest.mark.parametrize(
    ("unlabelled", "without"),
    [
        pytest.param({"true_gender": None}, {"gender accuracy"}, id="gender"),
        pytest.param({"gender": None}, {"gender accuracy"}, id="gender not answered"),
        pytest.param(
            {"true_age_low": 40, "true_age_high": 70}, {"age band accuracy", "recall >=60"}, id="band across a border"
        ),
        pytest.param({"true_age_low": 40, "true_age_high": 40}, {"recall >=60"}, id="not old"),
        pytest.param(
            {"true_age_low": None}, {"age band accuracy", "age MAE", "recall >=60"}, id="age of the bare face"
        ),
    ],
)
def test_figure_needs_its_label_on_both_faces(unlabelled: dict[str, Any], without: set[str]) -> None:
    got = compared((1, "normal", RIGHT | unlabelled), (1, "wear", RIGHT))
    assert got["people"] == 1
    assert {name for name, row in got.items() if name != "people" and row["people"] == 0} == without
    for name in without:
        assert got[name] == dict.fromkeys(("bare", "masked", "difference", "low", "high")) | {"people": 0}


def test_one_person_has_no_interval() -> None:
    got = compared((1, "normal", RIGHT), (1, "wear", WRONG))["gender accuracy"]
    assert got == {"bare": 1, "masked": 0, "difference": -1, "low": None, "high": None, "people": 1}


def test_pairing_narrows_the_interval_of_people_who_differ() -> None:
    """Every person is either always right or always wrong, so the mask makes no difference for any of them."""
    right = np.random.default_rng(0).random(60) < 0.5
    faces = [(p, mask, RIGHT if right[p] else WRONG) for p in range(60) for mask in ("normal", "wear")]
    got = compared(*faces)["gender accuracy"]
    assert (got["low"], got["difference"], got["high"]) == (0, 0, 0)


def test_nobody_is_both() -> None:
    got = compared((1, "normal", RIGHT), (2, "wear", RIGHT))
    assert got["people"] == 0
    assert got["gender accuracy"]["difference"] is None
