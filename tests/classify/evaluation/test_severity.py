from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maskcls.classify.evaluation.severity import outcomes

from .rows import OLD, RIGHT, TRUTH, WRONG_GENDER, WRONG_MASK


@pytest.mark.parametrize(
    ("change", "severity", "wrong"),
    [
        pytest.param({}, 0, [], id="right"),
        pytest.param(WRONG_MASK, 0.55, ["mask"], id="mask"),
        pytest.param(WRONG_GENDER, 0.99, ["gender"], id="gender"),
        pytest.param({"gender": "female", "p_female": None}, 1, ["gender"], id="no confidence counts as certain"),
        pytest.param({"true_age_low": 60, "true_age_high": 60}, 1.0, ["age_band"], id="60 as 30-59"),
        pytest.param({"true_age_low": 75, "true_age_high": 75}, 2.5, ["age_band"], id="75 as 30-59"),
        pytest.param({"true_age_low": 29, "true_age_high": 29}, 1.1, ["age_band"], id="29 as 30-59"),
        pytest.param({"age_band": ">=60"}, 3.0, ["age_band"], id="40 as >=60"),
        pytest.param({**OLD, "age_band": "<30"}, 5.2, ["age_band"], id="62 as <30"),
        pytest.param({"true_age_low": 20, "true_age_high": 20, "age_band": ">=60"}, 6.0, ["age_band"], id="20 as >=60"),
        pytest.param({"true_age_low": 65, "true_age_high": 100}, 1.5, ["age_band"], id="band by its nearer end"),
        pytest.param({"true_age_low": 25, "true_age_high": 35}, 0, [], id="band over a border"),
        pytest.param({**WRONG_MASK, **WRONG_GENDER, **OLD}, 2.74, ["mask", "gender", "age_band"], id="sum"),
        pytest.param({"true_mask": None, **WRONG_MASK}, 0, [], id="mask unlabelled"),
        pytest.param({"true_gender": np.nan, **WRONG_GENDER}, 0, [], id="gender unlabelled"),
        pytest.param({"true_age_low": np.nan, "true_age_high": np.nan}, 0, [], id="age unlabelled"),
        pytest.param({"mask": None, "gender": None, "age_band": None}, 0, [], id="no prediction"),
    ],
)
def test_severity(change: dict[str, Any], severity: float, wrong: list[str]) -> None:
    found = outcomes({**TRUTH, **RIGHT, **change})
    assert sum(one.severity for one in found) == pytest.approx(severity)
    assert [one.task for one in found if one.wrong] == wrong
