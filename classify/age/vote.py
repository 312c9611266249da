"""The age vote: from the ages of a face's voters to a distribution over years, a band, an age and an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.special import softmax

from ...embedder.labels import BAND_STARTS, MAX_AGE, OPEN_BAND_TOP, years_outside

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
YEARS = MAX_AGE + 1
NOBODY = -1
OPEN_DECAY = 9.0
"""Years over which an open band such as "70 and more" falls to 1/e: of the world's people over 70 about a third, and of
those over 60 about a seventh, are over 80 (United Nations, World Population Prospects 2022)."""


NO_CALIBRATION = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))
MAX_VOTERS = 10_000
MAX_SETTING = 1e6
"""Of any other number among the settings: with a larger one a file is damaged."""
MIN_SHARE = 1e-3
"""Added to every band's share of the votes, so that a band without votes is unlikely, not impossible."""


@dataclass(frozen=True)
class VoteSettings:
    """How voters become a prediction; chosen on held-out people by :mod:`.tuning`.

    Attributes:
        voters: people who vote (the nearest ones).
        temperature: of the softmax over cosine similarities; the smaller, the more the nearest decide.
        softness: standard deviation in years around one voter's age; softens the borders at 30 and 60.
        correction: exponent of the class-frequency correction, see :func:`prior_corrected`.
        senior_from: first year of the oldest band as the gallery counts it; 58 makes 58-year-old voters seniors.
        calibration: (3, 4) rows of weights and an offset that turn the logarithms of the bands' shares of the votes
            into logits (matrix scaling, Guo et al. 2017).
        miscoverage: share of the distribution over years left out on each side of the 80 % interval.
    """

    voters: int = 30
    temperature: float = 0.07
    softness: float = 2.0
    correction: float = 0.5
    senior_from: int = BAND_STARTS[2]
    calibration: tuple[tuple[float, ...], ...] = NO_CALIBRATION
    miscoverage: float = 0.1

    @property
    def starts(self) -> tuple[int, int, int]:
        """First year of each band."""
        return (*BAND_STARTS[:2], self.senior_from)


def read_settings(saved: Mapping[str, Any]) -> VoteSettings:
    """Settings from a model's manifest.

    Raises:
        ValueError, TypeError: they are not valid settings.
    """
    settings = VoteSettings(**{**saved, "calibration": tuple(map(tuple, saved["calibration"]))})
    numbers = (settings.temperature, settings.softness, settings.correction, settings.miscoverage)
    calibration = np.array(settings.calibration, np.float64)
    usable = (
        isinstance(settings.voters, int)
        and 1 <= settings.voters <= MAX_VOTERS
        and isinstance(settings.senior_from, int)
        and BAND_STARTS[1] < settings.senior_from <= MAX_AGE
        and bool((np.abs(np.array(numbers, np.float64)) <= MAX_SETTING).all())
        and (settings.temperature > 0 and settings.softness >= 0 and 0 <= settings.miscoverage <= 0.5)
        and calibration.shape == (3, 4)
        and bool((np.abs(calibration) <= MAX_SETTING).all())
    )
    if not usable:
        raise ValueError("invalid settings of a vote")
    return settings


@dataclass(frozen=True)
class AgeVotes:
    """Predictions for n queries; rows without any voter are NaN.

    Attributes:
        bands: (n, 3) calibrated probabilities of <30, 30-59, >=60; rows sum to 1.
        predicted: (n,) number of the predicted band, the one with the largest probability / share of the band in the
            gallery ** correction; :data:`NOBODY` without voters.
        age: (n,) years, median of the distribution over years.
        low, high: (n,) years, its ``miscoverage`` and ``1 - miscoverage`` quantiles.
    """

    bands: Floats
    predicted: Ints
    age: Floats
    low: Floats
    high: Floats


def year_profiles(age_low: Floats, age_high: Floats, softness: float) -> Floats:
    """Label distribution of each gallery face over whole years 0-120, shape (m, 121); rows sum to 1.

    An exact age is a bell around it, a band such as 30-39 is flat within and falls off like the bell outside. An open
    band (up to :data:`~...embedder.labels.OPEN_BAND_TOP`) falls off within, too, by :data:`OPEN_DECAY`.
    """
    years = np.arange(YEARS, dtype=np.float32)
    outside = years_outside(years, age_low[:, None], age_high[:, None])
    profile = np.exp(-0.5 * (outside / np.float32(max(softness, 1e-3))) ** 2)
    is_open = (age_high == OPEN_BAND_TOP) & (age_low < age_high)
    profile[is_open] *= np.exp(-(years - age_low[is_open, None]).clip(0) / np.float32(OPEN_DECAY))
    return np.asarray(profile / profile.sum(axis=1, keepdims=True), np.float32)


def person_bands(
    age_low: Floats, age_high: Floats, people: Ints, starts: tuple[int, int, int] = BAND_STARTS
) -> tuple[Ints, Ints]:
    """Band (m,) of each gallery face's person, by the middle of the age of their first face; people per band (3,)."""
    _, first, which = np.unique(people, return_index=True, return_inverse=True)
    band = np.digitize((age_low + age_high)[first] / 2, starts[1:]).astype(np.int64)
    return band[which], np.bincount(band, minlength=len(BAND_STARTS)).astype(np.int64)


def prior_of(people: Ints) -> Floats:
    """Shares (..., 3) of the bands by people in each (..., 3); never zero (add-one smoothing)."""
    totals = people.astype(np.float32) + 1
    return np.asarray(totals / totals.sum(axis=-1, keepdims=True), np.float32)


def band_prior(age_low: Floats, age_high: Floats, people: Ints, starts: tuple[int, int, int] = BAND_STARTS) -> Floats:
    """Share of each age band in the gallery (3,), every person counting once; see :func:`prior_of`."""
    return prior_of(person_bands(age_low, age_high, people, starts)[1])


def voter_weights(similarities: Floats, temperature: float) -> Floats:
    """Softmax of similarity / temperature over the voters of each query (n, k); 0 for missing voters."""
    top = similarities.max(axis=1, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    weights = np.exp((similarities - top) / temperature)
    total = weights.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return shares


def vote(rows: Ints, similarities: Floats, profiles: Floats, prior: Floats, settings: VoteSettings) -> AgeVotes:
    """The predictions of voters.

    Args:
        rows: (n, k) gallery rows from :func:`.voters.one_vote_a_person`.
        similarities: (n, k) of the same.
        profiles: (m, 121) from :func:`year_profiles`.
        prior: (3,) from :func:`band_prior`, or (n, 3) where every query has its own.
    """
    return from_years(age_distribution(rows, similarities, profiles, settings.temperature), prior, settings)


def age_distribution(rows: Ints, similarities: Floats, profiles: Floats, temperature: float) -> Floats:
    """Weighted mean of the voters' profiles (n, 121); NaN without voters. See :func:`vote`."""
    weights = voter_weights(similarities, temperature)
    query, place = np.nonzero(rows >= 0)
    votes = coo_array((weights[query, place], (query, rows[query, place])), shape=(len(rows), len(profiles)))
    years = np.asarray(votes.tocsr() @ profiles, np.float32)
    years[(rows < 0).all(axis=1)] = np.nan
    return years


def from_years(years: Floats, prior: Floats, settings: VoteSettings) -> AgeVotes:
    """Bands, median and interval of distributions over years (n, 121)."""
    shares = band_shares(years, settings.starts)
    bands = calibrated(shares, settings.calibration)
    predicted = np.where(np.isnan(years[:, 0]), NOBODY, band_scores(shares, prior, settings).argmax(axis=1))
    quantiles = (age_quantile(years, q) for q in (0.5, settings.miscoverage, 1 - settings.miscoverage))
    return AgeVotes(bands, predicted, *quantiles)


def conformity_score(years: Floats, ages: Floats) -> Floats:
    """Largest ``miscoverage`` (n,) whose interval still holds ages (n,), by distributions over years (n, 121)."""
    year = ages.astype(np.int64)[:, None]
    inside = np.take_along_axis(years, year, 1)[:, 0]
    total = years.sum(axis=1)
    below = np.take_along_axis(np.cumsum(years, axis=1), year, 1)[:, 0] - inside
    share = (below + inside * (ages - year[:, 0] + np.float32(0.5))) / total
    return np.asarray(np.minimum(share, 1 - share), np.float32)


def band_shares(years: Floats, starts: tuple[int, int, int]) -> Floats:
    """Share of the votes that each band gets (n, 3), from distributions over years (n, 121)."""
    return np.asarray(np.add.reduceat(years, starts, axis=1), np.float32)


def band_scores(shares: Floats, prior: Floats, settings: VoteSettings) -> Floats:
    """Logarithms of probability / prior ** correction, up to a constant a row (n, 3): the largest is predicted."""
    return np.asarray(prior_corrected(_logits(shares, settings.calibration), prior, settings.correction), np.float32)


def prior_corrected(logits: npt.NDArray[Any], prior: npt.NDArray[Any], correction: float) -> npt.NDArray[Any]:
    """Logits (n, c) minus ``correction`` times log ``prior``: 0 leaves them, 1 makes all classes equally common.

    Saerens, Latinne & Decaestecker 2002, https://doi.org/10.1162/089976602753284446.
    """
    return np.asarray(logits - correction * np.log(prior))


def calibrated(shares: Floats, calibration: tuple[tuple[float, ...], ...]) -> Floats:
    """Probabilities (n, 3) of shares (n, 3); see :attr:`VoteSettings.calibration`."""
    return np.asarray(softmax(_logits(shares, calibration), axis=1), np.float32)


def _logits(shares: Floats, calibration: tuple[tuple[float, ...], ...]) -> Floats:
    weights = np.array(calibration, np.float32)
    return np.asarray(log_shares(shares) @ weights[:, :3].T + weights[:, 3], np.float32)


def log_shares(shares: Floats) -> Floats:
    """Input of the calibration: logarithms of shares (n, 3), never minus infinity."""
    return np.asarray(np.log(shares + np.float32(MIN_SHARE)), np.float32)


def age_quantile(years: Floats, q: float) -> Floats:
    """Age (n,) in years below which a share ``q`` of distributions over years (n, 121) lies; NaN where they are."""
    return np.asarray(quantile(np.arange(YEARS), years, q, 1.0).clip(0, MAX_AGE), np.float32)


def quantile(values: npt.NDArray[Any], shares: npt.NDArray[Any], q: float, width: float = 0.0) -> npt.NDArray[Any]:
    """Value (n,) below which a share ``q`` of distributions lies; NaN where the shares are.

    Args:
        values: (k,) or (n, k), ascending along the last axis.
        shares: (n, k) of each value, not necessarily normalised.
        width: what a value stands for, [value - width / 2, value + width / 2), within which it is linear.
    """
    cumulative = np.cumsum(shares, axis=1)
    target = shares.dtype.type(q) * cumulative[:, -1:]
    index = np.minimum((cumulative < target).sum(axis=1), shares.shape[1] - 1)[:, None]
    inside = np.take_along_axis(shares, index, 1)
    before = np.take_along_axis(cumulative, index, 1) - inside
    position = np.divide(target - before, inside, out=np.full_like(inside, 0.5), where=inside > 0).astype(np.float64)
    value = np.take_along_axis(np.broadcast_to(values, shares.shape), index, 1) + width * (position - 0.5)
    return np.where(np.isnan(cumulative[:, -1]), np.nan, value[:, 0])
