from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.age.vote import (
    MIN_SHARE,
    NO_CALIBRATION,
    NOBODY,
    YEARS,
    VoteSettings,
    band_prior,
    calibrated,
    conformity_score,
    from_years,
    vote,
    voter_weights,
    year_profiles,
)
from maskcls.classify.age.voters import one_vote_a_person
from maskcls.embedder.labels import OPEN_BAND_TOP
from maskcls.index.flat import Gallery

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
EVEN = np.full(3, 1 / 3, np.float32)


def floats(*values: float) -> Floats:
    return np.array(values, np.float32)


def reference(rows: list[int], people: list[int], own: int, voters: int) -> list[int]:
    """The positions whose faces vote, by a plain loop."""
    seen, chosen = set[int](), list[int]()
    for position, row in enumerate(rows):
        if row < 0 or people[row] in seen or (own != NOBODY and people[row] == own):
            continue
        seen.add(people[row])
        chosen.append(position)
    return chosen[:voters]


@st.composite
def searches(draw: st.DrawFn) -> tuple[Ints, Floats, Ints, Ints, int]:
    gallery = draw(st.integers(1, 25))
    people = draw(st.lists(st.integers(0, 6), min_size=gallery, max_size=gallery))
    k = draw(st.integers(1, 30))
    queries = draw(st.integers(1, 4))
    rows = np.full((queries, k), NOBODY, np.int64)
    similarities = np.full((queries, k), -np.inf, np.float32)
    for query in range(queries):
        order = draw(st.permutations(range(gallery)))
        found = min(k, draw(st.integers(0, gallery)))
        rows[query, :found] = order[:found]
        values = draw(st.lists(st.integers(-9, 10), min_size=found, max_size=found))
        similarities[query, :found] = np.sort(np.array(values, np.float32) / 10)[::-1]
    own = draw(st.lists(st.integers(NOBODY, 7), min_size=queries, max_size=queries))
    return rows, similarities, np.array(people), np.array(own), draw(st.integers(1, 12))


@settings(deadline=None, max_examples=300)
@given(searches())
def test_one_vote_a_person_equals_the_plain_loop(search: tuple[Ints, Floats, Ints, Ints, int]) -> None:
    rows, similarities, people, own, voters = search
    got_rows, got_similarities = one_vote_a_person(rows, similarities, people, own, voters)

    assert got_rows.shape == got_similarities.shape == (len(rows), min(voters, rows.shape[1]))
    for query in range(len(rows)):
        chosen = reference(rows[query].tolist(), people.tolist(), int(own[query]), voters)
        assert got_rows[query, : len(chosen)].tolist() == rows[query, chosen].tolist()
        assert got_similarities[query, : len(chosen)].tolist() == similarities[query, chosen].tolist()
        assert (got_rows[query, len(chosen) :] == NOBODY).all()
        assert np.isneginf(got_similarities[query, len(chosen) :]).all()


def test_own_person_and_repeats_do_not_vote() -> None:
    rows = np.array([[4, 3, 2, 1, 0]])
    people = np.array([10, 11, 10, 12, 11])
    got, similarities = one_vote_a_person(rows, floats(0.9, 0.8, 0.7, 0.6, 0.5)[None], people, np.array([12]), 4)
    assert got.tolist() == [[4, 2, NOBODY, NOBODY]]
    np.testing.assert_array_equal(similarities, floats(0.9, 0.7, -np.inf, -np.inf)[None])


@given(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 40)), min_size=1, max_size=20), st.floats(0, 15))
def test_year_profiles_are_distributions_flat_within_the_band(ages: list[tuple[int, int]], softness: float) -> None:
    low = floats(*(age for age, _ in ages))
    high = floats(*(min(120, age + width) for age, width in ages))
    profiles = year_profiles(low, high, softness)
    assert profiles.shape == (len(ages), YEARS)
    np.testing.assert_allclose(profiles.sum(axis=1), 1, rtol=1e-5)
    for row, first, last in zip(profiles, low.astype(int), high.astype(int), strict=True):
        if last != OPEN_BAND_TOP:
            assert (row[first : last + 1] == row.max()).all()
        assert (np.diff(row[: first + 1]) >= 0).all()
        assert (np.diff(row[last:]) <= 0).all()


def test_an_open_band_falls_off_like_the_old() -> None:
    profiles = year_profiles(floats(70, 60, 70, 100), floats(100, 100, 99, 100), 0.0)
    over_80 = profiles[:, 80:].sum(axis=1)
    assert over_80[0] == pytest.approx(1 / 3, abs=0.04)
    assert over_80[1] == pytest.approx(1 / 7, abs=0.06)
    assert over_80[2] == pytest.approx(2 / 3, abs=0.01)  # a band that says where it ends is flat
    assert profiles[3].argmax() == 100


def test_exact_age_is_a_bell_and_without_softness_a_point() -> None:
    bell, point = year_profiles(floats(45), floats(45), 2.0)[0], year_profiles(floats(45), floats(45), 0.0)[0]
    assert bell.argmax() == 45
    np.testing.assert_allclose(bell[43:48] / bell[45], np.exp(-0.5 * floats(1, 0.5, 0, 0.5, 1) ** 2), rtol=1e-5)
    np.testing.assert_allclose(point, np.eye(1, YEARS, 45)[0], atol=1e-6)


@pytest.mark.parametrize(
    ("low", "high", "people", "expected"),
    [
        pytest.param([], [], [], [1, 1, 1], id="nobody: even"),
        pytest.param([20, 20, 20, 70], [20, 20, 20, 70], [0, 0, 0, 1], [2, 1, 2], id="people, not faces"),
        pytest.param([29, 30, 59, 60], [29, 30, 59, 60], [0, 1, 2, 3], [2, 3, 2], id="borders"),
        pytest.param([20, 50, 50], [49, 59, 100], [2, 1, 0], [1, 3, 2], id="bands by their middle"),
    ],
)
def test_band_prior(low: list[float], high: list[float], people: list[int], expected: list[int]) -> None:
    prior = band_prior(floats(*low), floats(*high), np.array(people, np.int64))
    np.testing.assert_allclose(prior, np.array(expected) / sum(expected), rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.03, 0.5])
def test_voter_weights(temperature: float) -> None:
    similarities = np.array([[0.9, 0.5, -0.9], [0.4, 0.4, -np.inf], [-np.inf] * 3], np.float32)
    weights = voter_weights(similarities, temperature)
    np.testing.assert_allclose(weights.sum(axis=1), [1, 1, 0], rtol=1e-6)
    np.testing.assert_allclose(weights[1], [0.5, 0.5, 0])
    assert weights[0, 0] / weights[0, 1] == pytest.approx(np.exp(0.4 / temperature), rel=1e-3)


@settings(deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=YEARS, max_size=YEARS).filter(any), st.floats(0, 1))
def test_from_years_is_consistent(weights: list[int], correction: float) -> None:
    years = floats(*weights)[None] / np.float32(sum(weights))
    votes = from_years(years, floats(0.7, 0.2, 0.1), VoteSettings(correction=correction))
    assert votes.bands.sum() == pytest.approx(1, abs=1e-5)
    assert votes.bands.min() >= 0
    assert 0 <= votes.low[0] <= votes.age[0] <= votes.high[0] <= 120


@pytest.mark.parametrize(("age", "band"), [(0, 0), (29, 0), (30, 1), (45, 1), (59, 1), (60, 2), (120, 2)])
def test_point_mass(age: int, band: int) -> None:
    votes = from_years(np.eye(1, YEARS, age, dtype=np.float32), EVEN, VoteSettings(correction=1.0))
    assert votes.age[0] == pytest.approx(age, abs=0.5)
    assert votes.low[0] == pytest.approx(age, abs=0.5)
    assert votes.high[0] == pytest.approx(age, abs=0.5)
    np.testing.assert_allclose(votes.bands[0], np.eye(3)[band], atol=2 * MIN_SHARE)
    assert votes.predicted.tolist() == [band]


def test_median_and_interval_of_an_even_spread() -> None:
    years = np.zeros((1, YEARS), np.float32)
    years[0, 20:40] = 1 / 20  # 19.5 to 39.5
    votes = from_years(years, EVEN, VoteSettings())
    assert [votes.low[0], votes.age[0], votes.high[0]] == pytest.approx([21.5, 29.5, 37.5], abs=0.01)


def test_correction_lets_the_rare_band_win() -> None:
    years = np.zeros((1, YEARS), np.float32)
    years[0, [25, 70]] = 0.7, 0.3
    prior = floats(0.9, 0.05, 0.05)
    plain = from_years(years, prior, VoteSettings(correction=0.0))
    corrected = from_years(years, prior, VoteSettings(correction=1.0))
    assert (plain.predicted.tolist(), corrected.predicted.tolist()) == ([0], [2])
    np.testing.assert_array_equal(plain.bands, corrected.bands)  # the probabilities stay uncorrected, and so
    assert corrected.age == plain.age == pytest.approx(25, abs=0.5)  # does the age


@pytest.mark.parametrize(("senior_from", "expected"), [(60, 1), (58, 2), (59, 1)])
def test_senior_from_moves_the_border_of_the_votes(senior_from: int, expected: int) -> None:
    votes = from_years(np.eye(1, YEARS, 58, dtype=np.float32), EVEN, VoteSettings(senior_from=senior_from))
    assert votes.predicted.tolist() == [expected]
    assert votes.bands[0].argmax() == expected


def test_calibration_scales_logarithms_of_the_shares() -> None:
    shares = floats(0.6, 0.3, 0.1)[None]
    np.testing.assert_allclose(calibrated(shares, NO_CALIBRATION), (shares + MIN_SHARE) / (1 + 3 * MIN_SHARE))
    halved = calibrated(shares, ((0.5, 0, 0, 0), (0, 0.5, 0, 0), (0, 0, 0.5, np.log(2))))
    roots = np.sqrt(shares + MIN_SHARE) * (1, 1, 2)
    np.testing.assert_allclose(halved, roots / roots.sum(), rtol=1e-5)


@pytest.mark.parametrize("miscoverage", [0.05, 0.1, 0.25])
def test_miscoverage_is_what_the_interval_leaves_out(miscoverage: float) -> None:
    years = np.zeros((1, YEARS), np.float32)
    years[0, 20:40] = 1 / 20
    votes = from_years(years, EVEN, VoteSettings(miscoverage=miscoverage))
    assert [votes.low[0], votes.high[0]] == pytest.approx([19.5 + 20 * miscoverage, 39.5 - 20 * miscoverage], abs=0.01)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 1000), min_size=YEARS, max_size=YEARS).filter(any),
    st.integers(0, YEARS - 1),
    st.floats(0.01, 0.45),
)
def test_interval_covers_an_age_up_to_its_conformity_score(weights: list[int], age: int, miscoverage: float) -> None:
    years = floats(*weights)[None] / np.float32(sum(weights))
    share = float(conformity_score(years, floats(age))[0])
    assert -1e-6 <= share <= 0.5
    for side, held in ((-1e-4, True), (1e-4, False)):
        votes = from_years(years, EVEN, VoteSettings(miscoverage=min(max(share + side, 1e-5), 0.5)))
        if years[0, age] > 0 and 1e-3 < share < 0.499:
            assert (votes.low[0] <= age <= votes.high[0]) == held


def test_vote_is_the_weighted_mean_of_the_voters() -> None:
    profiles = year_profiles(floats(20, 70), floats(20, 70), 0.0)
    similarities = floats(0.6, 0.6 - 0.1 * np.log(3))[None]  # weights 3 : 1
    votes = vote(np.array([[1, 0]]), similarities, profiles, EVEN, VoteSettings(2, 0.1, 0.0, 0.0))
    np.testing.assert_allclose(votes.bands, [[0.25, 0, 0.75]], atol=2 * MIN_SHARE)
    assert votes.age[0] == pytest.approx(70, abs=0.5)
    assert votes.low[0] == pytest.approx(20, abs=0.5)


def test_row_without_voters_is_nan_and_leaves_others_alone() -> None:
    rows = np.array([[0, NOBODY], [NOBODY, NOBODY]])
    similarities = np.array([[0.5, -np.inf], [-np.inf, -np.inf]], np.float32)
    votes = vote(rows, similarities, year_profiles(floats(40), floats(40), 1.0), EVEN, VoteSettings())
    for values in (votes.age, votes.low, votes.high, votes.bands[:, 0], votes.bands[:, 1], votes.bands[:, 2]):
        assert np.isnan(values).tolist() == [False, True]
    assert votes.predicted.tolist() == [1, NOBODY]


def test_more_queries_than_one_block_agree_with_each_alone() -> None:
    rows = np.arange(2500)[:, None] % 7
    profiles = year_profiles(np.arange(7, dtype=np.float32) * 10, np.arange(7, dtype=np.float32) * 10, 1.0)
    votes = vote(rows, np.ones((2500, 1), np.float32), profiles, EVEN, VoteSettings())
    np.testing.assert_allclose(votes.age, from_years(profiles, EVEN, VoteSettings()).age[rows[:, 0]], atol=1e-3)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**16))
def test_order_of_the_gallery_does_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    count, settings_ = 60, VoteSettings(voters=8)
    vectors = random.standard_normal((count, 12)).astype(np.float32)
    people = random.integers(0, 25, count)
    ages = random.integers(0, 100, 25).astype(np.float32)[people]
    queries, own = random.standard_normal((10, 12)).astype(np.float32), random.integers(NOBODY, 25, 10)

    def answer(order: Ints) -> tuple[Floats, Floats]:
        gallery = Gallery(12)
        gallery.add(vectors[order], np.arange(count))
        found = gallery.search(queries, 40)
        near, similar = one_vote_a_person(found.ids, found.similarities, people[order], own, settings_.voters)
        profiles = year_profiles(ages[order], ages[order], settings_.softness)
        prior = band_prior(ages[order], ages[order], people[order])
        votes = vote(near, similar, profiles, prior, settings_)
        return votes.age, votes.bands

    first, second = answer(np.arange(count)), answer(random.permutation(count))
    np.testing.assert_allclose(first[0], second[0], atol=1e-2)
    np.testing.assert_allclose(first[1], second[1], atol=1e-4)
