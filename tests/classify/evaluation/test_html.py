from __future__ import annotations

import math

import pytest

from maskcls.classify.evaluation.html import count, figure, in_years, label, slice_name, span


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(figure(0.12345), "0.123", id="share"),
        pytest.param(figure(-0.5, "bias"), "−0.50", id="negative years"),
        pytest.param(figure(0.5, signed=True), "+0.500", id="signed"),
        pytest.param(figure(None), "n/a", id="None"),
        pytest.param(figure(math.nan), "n/a", id="NaN"),
        pytest.param(figure(math.inf), "n/a", id="infinite"),
        pytest.param(figure("0.5"), "n/a", id="text"),
        pytest.param(figure(True), "n/a", id="truth value"),
        pytest.param(span(0.1, None), "n/a", id="half an interval"),
        pytest.param(count(1234567), "1,234,567", id="count"),
        pytest.param(label("age_band_macro_f1"), "age band macro F1", id="F1"),
        pytest.param(label("joint_accuracy"), "18-class accuracy", id="joint"),
        pytest.param(label("recall_ge60"), "recall >=60", id=">=60"),
        pytest.param(label("age MAE, bare"), "age MAE, bare", id="name that is spelt out"),
        pytest.param(slice_name("mask=wear, age=>=60"), "mask wear, age >=60", id="slice"),
    ],
)
def test_numbers_and_names(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    ("metric", "years"),
    [("age MAE, bare", True), ("age_mae", True), ("bias", True), ("image accuracy", False), ("age band F1", False)],
)
def test_metrics_in_years(metric: str, years: bool) -> None:
    assert in_years(metric) is years
