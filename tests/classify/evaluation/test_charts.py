from __future__ import annotations

import math
import re
from typing import Any

import pytest

from maskcls.classify.evaluation.charts import SHARE, abstention, interval_bar, reliability, scale_of

BINS: list[dict[str, Any]] = [
    {"confidence": 0.55, "accuracy": 0.5, "faces": 4},
    {"confidence": None, "accuracy": None, "faces": 0},
    {"confidence": 0.95, "accuracy": 0.97, "faces": 90},
]
POINTS: list[dict[str, Any]] = [
    {"coverage": 1.0, "threshold": 0.2, "accuracy": 0.7, "macro_f1": 0.6},
    {"coverage": 0.5, "threshold": 0.9, "accuracy": 0.9, "macro_f1": None},
]


@pytest.mark.parametrize(
    ("values", "both_ways", "expected"),
    [
        pytest.param([6.28, 7.1], False, (0, 8), id="years"),
        pytest.param([0.04, -0.06], True, (-0.06, 0.06), id="differences"),
        pytest.param([10.0], False, (0, 10), id="a round number itself"),
        pytest.param([None, math.nan], False, SHARE, id="nothing"),
        pytest.param([0.0], True, (-1, 1), id="no difference"),
    ],
)
def test_scales(values: list[object], both_ways: bool, expected: tuple[float, float]) -> None:
    assert scale_of(values, both_ways=both_ways) == pytest.approx(expected)


def test_bar_shows_value_interval_and_zero() -> None:
    bar = interval_bar(0.5, 0.25, 0.75, SHARE, zero=0)
    assert 'cx="80.0"' in bar
    assert 'class="range" x1="42.0" x2="118.0"' in bar
    assert 'x1="4.0" x2="4.0"' in bar
    assert interval_bar(None, 0.1, 0.2, SHARE) == ""
    assert "range" not in interval_bar(0.5, None, 0.2, SHARE)
    assert 'cx="156.0"' in interval_bar(7, None, None, SHARE)


def test_plots_hold_their_points() -> None:
    plot = reliability(BINS, "Mask")
    assert plot.count("<circle") == 2
    assert 'r="9.0"><title>90 faces' in plot
    curves = abstention(POINTS, "18 classes")
    accuracy = re.search(r'class="first" points="([^"]*)"', curves)
    assert accuracy is not None
    assert accuracy[1] == "34.0,53.0 270.0,143.0"
    assert 'class="second dashed" points="270.0,188.0"' in curves


@pytest.mark.parametrize("draw", [reliability, abstention])
def test_plot_of_nothing(draw: Any) -> None:
    assert "<circle" not in draw([], "Mask")
    assert draw([{}], "a & <b>").count("<b>") == 0
