"""The age vote: whose faces look like this one, and how old are they?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from ..embedder.labels import BAND_STARTS, MAX_AGE, band_numbers

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
YEARS = MAX_AGE + 1
NOBODY = -1
RAW_PER_VOTER = 10
"""Neighbours fetched per voter wanted, since several photos of one person give one vote."""


@dataclass(frozen=True)
class VoteSettings:
    """How neighbours become an answer; chosen on held-out people by :mod:`.tuning`.

    Attributes:
        voters: people who vote (the nearest ones).
        temperature: of the softmax over cosine similarities; small: the nearest decide.
        softness: standard deviation in years of what one voter's age says; softens the borders at 30 and 60.
        correction: exponent of the class-prior correction, 0 (none) to 1 (as if bands were equally common).
    """

    voters: int = 30
    temperature: float = 0.07
    softness: float = 2.0
    correction: float = 0.5


@dataclass(frozen=True)
class AgeVotes:
    """Answers to n queries; rows without any voter are NaN.

    Attributes:
        bands: (n, 3) probabilities of <30, 30-59, >=60, prior-corrected; rows sum to 1.
        age: (n,) years, median of the uncorrected distribution over years.
        low, high: (n,) years, its 10 % and 90 % quantiles.
    """

    bands: Floats
    age: Floats
    low: Floats
    high: Floats


def one_vote_a_person(rows: Ints, similarities: Floats, people: Ints, own: Ints, voters: int) -> tuple[Ints, Floats]:
    """Keep each person's most similar face, leave out the query's own person, and cut to the nearest people.

    Args:
        rows: (n, k) gallery rows, most similar first, negative where there is none.
        similarities: (n, k) cosine similarities.
        people: (m,) person of each gallery row.
        own: (n,) person of each query, :data:`NOBODY` where unknown.
        voters: people to keep.

    Returns:
        Gallery rows (n, min(k, voters)), :data:`NOBODY` where there are fewer people, and similarities (-inf there).
    """
    missing = rows < 0
    person = np.where(missing, NOBODY, people[rows])
    allowed = ~missing & ((person != own[:, None]) | (own[:, None] == NOBODY))
    order = np.argsort(person, axis=1, kind="stable")
    ordered = np.take_along_axis(person, order, 1)
    repeated = np.zeros_like(allowed)
    np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    keep = allowed & ~repeated
    first = np.argsort(~keep, axis=1, kind="stable")[:, :voters]
    kept = np.take_along_axis(keep, first, 1)
    voter_rows = np.where(kept, np.take_along_axis(rows, first, 1), NOBODY)
    voter_similarities = np.where(kept, np.take_along_axis(similarities, first, 1), -np.inf)
    return voter_rows.astype(np.int64), voter_similarities.astype(np.float32)


def year_profiles(age_low: Floats, age_high: Floats, softness: float) -> Floats:
    """What each gallery face says of age: a distribution over whole years 0-120, shape (m, 121), rows sum to 1.

    An exact age is a bell around it, a band such as 30-39 is flat within and falls off like the bell outside.
    """
    years = np.arange(YEARS, dtype=np.float32)
    outside = np.maximum(age_low[:, None] - years, years - age_high[:, None]).clip(0)
    profile = np.exp(-0.5 * (outside / np.float32(max(softness, 1e-3))) ** 2)
    return np.asarray(profile / profile.sum(axis=1, keepdims=True), np.float32)


def band_prior(age_low: Floats, age_high: Floats, people: Ints) -> Floats:
    """Share of each age band in the gallery (3,), every person counting once; never zero (add-one smoothing)."""
    _, first = np.unique(people, return_index=True)
    middle = (age_low + age_high)[first] / 2
    band = band_numbers(middle)
    totals = np.bincount(band, minlength=len(BAND_STARTS)).astype(np.float32) + 1
    return np.asarray(totals / totals.sum(), np.float32)


def voter_weights(similarities: Floats, temperature: float) -> Floats:
    """Softmax of similarity / temperature over the voters of each query (n, k); 0 for missing voters."""
    top = similarities.max(axis=1, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    weights = np.exp((similarities - top) / temperature)
    total = weights.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return shares


def vote(rows: Ints, similarities: Floats, profiles: Floats, prior: Floats, settings: VoteSettings) -> AgeVotes:
    """Turn voters into answers.

    Args:
        rows: (n, k) gallery rows from :func:`one_vote_a_person`.
        similarities: (n, k) of the same.
        profiles: (m, 121) from :func:`year_profiles`.
        prior: (3,) from :func:`band_prior`.
    """
    weights = voter_weights(similarities, settings.temperature)
    query, place = np.nonzero(rows >= 0)
    ballots = coo_array((weights[query, place], (query, rows[query, place])), shape=(len(rows), len(profiles)))
    years = np.asarray(ballots.tocsr() @ profiles, np.float32)
    years[(rows < 0).all(axis=1)] = np.nan
    return from_years(years, prior, settings.correction)


def from_years(years: Floats, prior: Floats, correction: float) -> AgeVotes:
    """Bands, median and interval of distributions over years (n, 121)."""
    bands = np.add.reduceat(years, BAND_STARTS, axis=1) / prior**correction
    bands = bands / bands.sum(axis=1, keepdims=True)
    cumulative = np.cumsum(years, axis=1)
    return AgeVotes(bands.astype(np.float32), *(_quantile(years, cumulative, q) for q in (0.5, 0.1, 0.9)))


def _quantile(years: Floats, cumulative: Floats, q: float) -> Floats:
    """The age below which a share ``q`` lies, linear within a year, year y spanning [y - 0.5, y + 0.5)."""
    target = np.float32(q) * cumulative[:, -1:]
    index = np.minimum((cumulative < target).sum(axis=1), YEARS - 1)[:, None]
    inside = np.take_along_axis(years, index, 1)
    before = np.take_along_axis(cumulative, index, 1) - inside
    position = np.divide(target - before, inside, out=np.full_like(inside, 0.5), where=inside > 0)
    age = (index + position - 0.5)[:, 0]
    return np.where(np.isnan(cumulative[:, -1]), np.nan, age).clip(0, MAX_AGE).astype(np.float32)
