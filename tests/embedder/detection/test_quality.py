from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskcls.embedder.detection.quality import FACTORS, Measures, factors, judge

GOOD = {"side": 200.0, "sharpness": 300.0, "norm": 22.0, "brightness": 120.0}
AMOUNTS = st.floats(0, 1000, allow_nan=False)


def measured(**changed: float) -> Measures:
    return Measures(**{name: np.array([value]) for name, value in {**GOOD, **changed}.items()})


def test_a_good_face_has_quality_one() -> None:
    (good,) = judge(measured())
    assert (good.value, good.reason) == (1.0, None)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"side": 6.0}, "small", id="small"),
        pytest.param({"sharpness": 0.5}, "blurred", id="blurred"),
        pytest.param({"brightness": 0.5}, "dark", id="dark"),
        pytest.param({"norm": 7.0}, "unlike a face", id="short embedding"),
        pytest.param({"norm": 13.0, "sharpness": 4.0}, "blurred, unlike a face", id="two reasons"),
    ],
)
def test_what_lowers_the_quality_is_named(changed: dict[str, float], reason: str) -> None:
    (bad,) = judge(measured(**changed))
    assert bad.value < 0.9
    assert bad.reason == reason


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.floats(1, 3))
def test_a_worse_face_never_has_a_better_quality(
    side: float, sharpness: float, norm: float, brightness: float, times: float
) -> None:
    one = measured(side=side, sharpness=sharpness, norm=norm, brightness=brightness)
    better = measured(side=side * times, sharpness=sharpness * times, norm=norm * times, brightness=brightness * times)
    (worse_one,), (better_one,) = judge(one), judge(better)
    assert 0 <= worse_one.value <= better_one.value <= 1


def test_unknown_brightness_counts_as_good() -> None:
    assert judge(measured(brightness=float("nan"))) == judge(measured())


def test_a_column_for_each_factor() -> None:
    assert factors(measured()).shape == (1, len(FACTORS))
