from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.metrics import bootstrap
from maskcls.classify.metrics.bootstrap import Bootstrap, Counts, Estimate, Floats, mean, number, ratio

NAN = float("nan")


def floats(*values: float) -> Floats:
    return np.array(values, np.float64)


def width(estimate: Estimate) -> float:
    return float(estimate.high - estimate.low)


def same(first: Estimate, second: Estimate) -> None:
    for name in ("value", "low", "high"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize(
    ("counts", "totals"),
    [
        pytest.param(Counts.cells(np.array([0, 2, 2, -1]), 4), [1, 0, 2, 0], id="cells"),
        pytest.param(Counts.cells(np.array([1, 1, -1]), 2, floats(0.5, 2, 9)), [0, 2.5], id="cells with amounts"),
        pytest.param(Counts.mean(floats(3, NAN, 5)), [8, 2], id="mean"),
        pytest.param(Counts.mean(floats(NAN)), [0, 0], id="mean of nothing"),
        pytest.param(
            Counts.mean(floats(1, 1)).hstack(Counts.cells(np.array([1, 0]), 2)), [2, 2, 1, 1], id="mean beside cells"
        ),
    ],
)
def test_totals(counts: Counts, totals: list[float]) -> None:
    assert counts.totals().tolist() == totals


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(-3, 6), st.integers(0, 9)), min_size=1, max_size=30), st.integers(0, 5))
def test_interval_equals_the_plain_loop(faces: list[tuple[int, int]], seed: int) -> None:
    people, values = np.array([p for p, _ in faces]), np.array([v for _, v in faces], np.float64)
    names = np.unique(people)
    random = np.random.default_rng(seed)
    samples = []
    for _ in range(40):
        drawn = names[random.integers(len(names), size=len(names))]
        samples.append(np.concatenate([values[people == person] for person in drawn]).mean())

    got = Bootstrap(people, 40, seed).mean(values)
    assert got.value == pytest.approx(values.mean())
    assert (got.faces, got.people) == (len(values), len(names))
    if len(names) > 1:
        assert [got.low, got.high] == pytest.approx(np.quantile(samples, [0.025, 0.975]))
    else:
        assert np.isnan([got.low, got.high]).all()


def test_interval_of_independent_faces_is_the_normal_one() -> None:
    faces = 2000
    right = np.repeat([0.0, 1.0], faces // 2)
    got = Bootstrap(np.arange(faces), 2000).mean(right)
    assert width(got) == pytest.approx(2 * 1.96 * (0.25 / faces) ** 0.5, rel=0.1)
    assert (got.low + got.high) / 2 == pytest.approx(0.5, abs=2e-3)


def test_clustered_faces_widen_the_interval() -> None:
    """16 faces a person, all right or all wrong, say no more than one face would."""
    people = np.repeat(np.arange(200), 16)
    right = np.random.default_rng(0).integers(0, 2, 200).astype(np.float64)[people]
    by_face = Bootstrap(np.arange(len(people))).mean(right)
    by_person = Bootstrap(people).mean(right)
    assert by_person.value == by_face.value
    assert width(by_person) == pytest.approx(4 * width(by_face), rel=0.15)


@pytest.mark.parametrize(
    ("people", "values", "expected"),
    [
        pytest.param([], [], (None, None, None, 0, 0), id="no face"),
        pytest.param([4, 4], [0, 1], (0.5, None, None, 2, 1), id="one person"),
        pytest.param([1, 2, 3], [NAN, NAN, NAN], (None, None, None, 0, 0), id="no value"),
        pytest.param([1, 2, 3], [NAN, 7, NAN], (7, None, None, 1, 1), id="one person has values"),
        pytest.param([1, 2, 2], [3, 3, 3], (3, 3, 3, 3, 2), id="all alike"),
    ],
)
def test_few_faces(people: list[int], values: list[float], expected: tuple[float | None, ...]) -> None:
    assert tuple(Bootstrap(people, 50).mean(floats(*values)).row().values()) == expected


def test_no_rounds_give_no_interval() -> None:
    assert Bootstrap([1, 2], 0).mean(floats(0, 1)).row() == {
        "value": 0.5,
        "low": None,
        "high": None,
        "faces": 2,
        "people": 2,
    }


def test_resamples_without_the_figure_are_left_out() -> None:
    """One resample in 27 draws only the person without a value; the rest say 5."""
    values = np.full(3, NAN)
    values[:2] = 5
    got = Bootstrap(np.arange(3), 400).mean(values)
    assert [got.low, got.value, got.high] == [5, 5, 5]


def test_all_estimates_share_the_resamples() -> None:
    random = np.random.default_rng(1)
    people, values = random.integers(0, 20, 100), random.random(100)

    def difference(totals: Floats) -> Floats:
        return mean(totals[:, :2]) - mean(totals[:, 2:])

    shared = Bootstrap(people, 200)
    paired = shared.estimate(Counts.mean(values).hstack(Counts.mean(values + 1)), difference)
    assert [paired.low, paired.high] == pytest.approx([-1, -1])
    same(shared.mean(values), shared.mean(values))


def test_vector_statistics_keep_their_shape() -> None:
    random = np.random.default_rng(2)
    counts = Counts.cells(random.integers(0, 6, 60), 6)
    got = Bootstrap(random.integers(0, 9, 60), 100).estimate(counts, lambda totals: totals.reshape(-1, 2, 3))
    assert got.value.shape == got.low.shape == got.high.shape == (2, 3)
    assert got.value.ravel().tolist() == counts.totals().tolist()
    assert (got.low <= got.value).all()
    assert (got.value <= got.high).all()


def test_seed_decides_and_chunks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    people, values = random.integers(0, 40, 90), random.random(90)
    first, other = Bootstrap(people, 300, 5).mean(values), Bootstrap(people, 300, 6).mean(values)
    monkeypatch.setattr(bootstrap, "CHUNK", 7)
    same(first, Bootstrap(people, 300, 5).mean(values))
    assert first.low != other.low


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        pytest.param([1, 0], [4, 2], [0.25, 0], id="defined"),
        pytest.param([0, 3], [0, 0], [NAN, NAN], id="nothing to share"),
    ],
)
def test_ratio(part: npt.ArrayLike, whole: npt.ArrayLike, expected: list[float]) -> None:
    np.testing.assert_array_equal(ratio(part, whole), expected)


def test_number() -> None:
    assert number(np.float32(0.5)) == 0.5
    assert number(np.array(3)) == 3
    assert number(np.nan) is None
