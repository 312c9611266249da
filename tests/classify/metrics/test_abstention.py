from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.metrics.calibration import COVERAGES, abstention
from maskcls.classify.metrics.scored import UNKNOWN, TaskPredictions

NAN = float("nan")


def task(truth: list[int], predicted: list[int], confidence: list[float]) -> TaskPredictions:
    shares = np.zeros((len(truth), 2))
    shares[np.arange(len(truth)), np.array(predicted, int).clip(0)] = confidence
    return TaskPredictions(("a", "b"), np.array(truth, int), np.array(predicted, int), shares)


def column(made: TaskPredictions, name: str) -> list[float]:
    return [point[name] for point in abstention(made)["points"]]


TEN = task([0] * 8 + [1] * 2, [0, 0, 0, 0, 0, 0, 0, 1, 1, 0], [1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55])
"""Errors at the eighth and tenth most confident."""


def test_points_by_hand() -> None:
    assert column(TEN, "coverage") == [1, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5]
    assert column(TEN, "threshold") == pytest.approx([0.55, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8])
    assert column(TEN, "accuracy") == pytest.approx([0.8, 0.8, 8 / 9, 7 / 8, 1, 1, 1])
    # a: 7 of 8, one of b is predicted as a, and the reverse. Without the tenth face b is 1 of 1, without the ninth gone
    assert column(TEN, "macro_f1") == pytest.approx(
        [(7 / 8 + 1 / 2) / 2] * 2 + [(14 / 15 + 2 / 3) / 2, 14 / 15, 1, 1, 1]
    )


def test_area_under_the_risk_coverage_curve_by_hand() -> None:
    assert abstention(TEN)["aurc"] == pytest.approx((1 / 8 + 1 / 9 + 2 / 10) / 10)


def test_equally_confident_faces_share_a_place() -> None:
    """One sure and right, three alike of which one is right: the second place is right one time in three."""
    made = task([0] * 4, [0, 0, 1, 1], [0.9, 0.5, 0.5, 0.5])
    points = {point["coverage"]: point for point in abstention(made)["points"]}
    assert points[0.5]["accuracy"] == pytest.approx((1 + 1 / 3) / 2)
    assert points[0.7]["accuracy"] == pytest.approx((1 + 2 / 3) / 3)
    assert abstention(made)["aurc"] == pytest.approx((0 + (2 / 3) / 2 + (4 / 3) / 3 + 2 / 4) / 4)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40), st.integers(0, 99))
def test_equal_to_the_plain_loop(pairs: list[tuple[bool, bool]], seed: int) -> None:
    truth, predicted = [int(t) for t, _ in pairs], [int(s) for _, s in pairs]
    confidence = np.random.default_rng(seed).permutation(len(pairs)) / len(pairs)
    ranked = sorted(range(len(pairs)), key=lambda i: -confidence[i])
    wrong = [truth[i] != predicted[i] for i in ranked]

    got = abstention(task(truth, predicted, confidence.tolist()))
    assert got["aurc"] == pytest.approx(np.mean([np.mean(wrong[: k + 1]) for k in range(len(wrong))]))
    for percent, point in zip(COVERAGES, got["points"], strict=True):
        kept = int(np.ceil(percent * len(wrong) / 100 - 1e-9))
        assert point["accuracy"] == pytest.approx(1 - np.mean(wrong[:kept]))
        assert point["threshold"] == pytest.approx(confidence[ranked[kept - 1]])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 4)), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
)
def test_order_of_the_rows_does_not_matter(faces: list[tuple[int, int, int]], random: object) -> None:
    def scores(rows: list[tuple[int, int, int]]) -> list[float]:
        got = abstention(task([t for t, _, _ in rows], [s for _, s, _ in rows], [c / 4 for _, _, c in rows]))
        return [got["aurc"], *(value for point in got["points"] for value in point.values())]

    shuffled = list(faces)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert scores(shuffled) == pytest.approx(scores(faces))


def test_all_correct() -> None:
    made = task([0, 1, 1], [0, 1, 1], [0.9, 0.8, 0.7])
    assert column(made, "accuracy") == column(made, "macro_f1") == [1] * len(COVERAGES)
    assert abstention(made)["aurc"] == 0


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(task([], [], []), id="no face"),
        pytest.param(task([UNKNOWN], [0], [0.9]), id="no label"),
        pytest.param(task([0], [UNKNOWN], [0.9]), id="no answer"),
        pytest.param(task([0], [0], [NAN]), id="no probability"),
    ],
)
def test_nothing_to_compute(made: TaskPredictions) -> None:
    got = abstention(made)
    assert got["aurc"] is None
    assert [point["coverage"] for point in got["points"]] == [percent / 100 for percent in COVERAGES]
    for name in ("threshold", "accuracy", "macro_f1"):
        assert {point[name] for point in got["points"]} == {None}


def test_faces_of_low_quality_are_left_out_first() -> None:
    quality = np.where(TEN.correct == 1, 0.9, 0.1)
    made = abstention(TEN, quality)
    wrong = int((TEN.correct == 0).sum())
    assert made["aurc"] == abstention(TEN)["aurc"]
    by_quality = {point["coverage"]: point["accuracy"] for point in made["by_quality"]["points"]}
    assert by_quality[0.5] == 1
    assert by_quality[1.0] == pytest.approx(1 - wrong / 10)
    assert made["by_quality"]["aurc"] < made["aurc"]


def test_without_any_quality_there_is_no_curve_of_it() -> None:
    assert "by_quality" not in abstention(TEN, np.full(10, np.nan))
