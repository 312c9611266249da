from __future__ import annotations

import numpy as np
import pytest

from maskcls.classify.age.interval import COVERAGE, MIN_EXACT, ages_within, fit_miscoverage
from maskcls.classify.age.vote import VoteSettings, from_years, year_profiles

ANY = np.ones(60, bool)


def test_photos_of_exact_age_are_enough() -> None:
    low = np.arange(60, dtype=np.float32)
    high = low + (low >= 30)
    faces, ages = ages_within(low, high, ANY)
    assert faces.tolist() == list(range(30))
    assert ages.tolist() == list(range(30))


def test_bands_stand_for_each_of_their_years() -> None:
    low = np.full(60, 20, np.float32)
    faces, ages = ages_within(low, low + 9, ANY)
    assert faces.tolist() == [number for number in range(60) for _ in range(10)]
    assert ages[:10].tolist() == list(range(20, 30))


@pytest.mark.parametrize(
    ("low", "high", "real"),
    [
        pytest.param(70, 100, ANY, id="open bands"),
        pytest.param(20, 29, ~ANY, id="drawings"),
        pytest.param(20, 29, np.arange(60) < MIN_EXACT - 1, id="too few"),
    ],
)
def test_what_says_too_little_keeps_the_default(low: float, high: float, real: np.ndarray) -> None:
    ends = np.full(60, low, np.float32), np.full(60, high, np.float32)
    years = np.full((60, 121), 1 / 121, np.float32)
    assert fit_miscoverage(years, *ends, real, np.ones(60), 0.123) == 0.123


def test_intervals_fitted_to_bands_hold_ages_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    ages = random.integers(20, 60, 4000).astype(np.float32)
    predicted = (ages + random.normal(0, 6, 4000)).clip(0, 120).astype(np.float32)
    years = year_profiles(predicted, predicted, 4.0)  # surer than it should be
    low = ages // 10 * 10
    miscoverage = fit_miscoverage(years[:2000], low[:2000], low[:2000] + 9, np.ones(2000, bool), np.ones(2000), 0.1)
    got = from_years(years[2000:], np.full(3, 1 / 3, np.float32), VoteSettings(miscoverage=miscoverage))
    held = np.mean((got.low <= ages[2000:]) & (ages[2000:] <= got.high))
    assert COVERAGE - 0.02 < held < COVERAGE + 0.12  # wider than needed: within a band ages are not told apart
