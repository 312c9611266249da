"""The smallest set of voters without whom another age band would be said.

Without a voter means without that person: all their gallery faces are gone, the next nearest person votes in their
place, and the shares of the bands in the gallery are those of the people left. What is said is no linear function of
the votes (:func:`..age.vote.band_scores`), so the set is searched for, in order of size:

- a size is ruled out where no split of it over the bands could do it, even if the voters left had, band by band, the
  largest and the smallest weights that so many can have (an interval bound of the score);
- else all sets of the size are counted again where they are at most :data:`MAX_SETS`;
- else the voters that move the score most, as its slope says at the votes left, are taken out and the slope is read
  again, until the set stays the same (Frank & Wolfe 1956); then one is swapped for another as long as that helps. That
  may miss a set, and then a larger one is found: the answer says up to which size there surely is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np

from ..age.vote import MIN_SHARE, Floats, Ints, VoteSettings, band_scores, log_shares, prior_of

BANDS = 3
MARGIN = 1e-4
"""By how much the logarithm of another band's score must be larger: more than rounding."""
MAX_SETS = 20_000
"""All sets of a size are tried where there are no more: 3 of 50 voters, any of 16."""
STEPS = 6


@dataclass(frozen=True)
class Ballots:
    """The votes of one answer.

    Attributes:
        shares: (m, 3) what each person adds to the votes of the bands, nearest first: the voters, and behind them who
            would move up. On any scale, and never all zero.
        bands: (m,) band of each person as the gallery's shares count it.
        people: (3,) people of each band in the gallery.
        said: number of the band that is said.
        voters: how many of the m vote.
        most: largest set that is looked for, so small that the people who move up are known. A set of all m people
            is none: nobody would answer.
    """

    shares: Floats
    bands: Ints
    people: Ints
    said: int
    voters: int
    most: int


@dataclass(frozen=True)
class Flip:
    """What was found.

    Attributes:
        places: of the voters in the smallest set found, nearest first; none where no set was found.
        safe: no set of this many voters or fewer changes the band; the set is the smallest if it has one more.
    """

    places: tuple[int, ...]
    safe: int


def smallest_flip(votes: Ballots, settings: VoteSettings) -> Flip:
    """The smallest set of voters without whom another band would be said, of its size the one that is clearest."""
    safe = votes.most
    for size in _possible_sizes(votes, settings):
        every = comb(votes.voters, size) <= MAX_SETS
        sets = _all_sets(votes.voters, size) if every else np.array(list(_steepest(votes, settings, size)))
        best, lead = _best(votes, settings, sets)
        while not every and lead <= MARGIN:
            swapped, further = _best(votes, settings, _swaps(best, votes.voters))
            if further <= lead:
                break
            best, lead = swapped, further
        if lead > MARGIN:
            return Flip(tuple(sorted(best.tolist())), min(safe, size - 1))
        if not every:
            safe = min(safe, size - 1)
    return Flip((), safe)


def _best(votes: Ballots, settings: VoteSettings, sets: Ints) -> tuple[Ints, float]:
    """The set (size,) among sets (g, size) that puts another band furthest ahead, and by how much."""
    leads = _leads(votes, settings, sets)
    best = int(leads.argmax())
    return sets[best], float(leads[best])


def _leads(votes: Ballots, settings: VoteSettings, sets: Ints) -> Floats:
    """By how much the best other band is ahead of the one said (g,) without each set (g, size)."""
    kept = np.ones((len(sets), votes.voters), np.float32)
    np.put_along_axis(kept, sets, 0, axis=1)
    left = kept @ votes.shares[: votes.voters] + _moved_up(votes)[sets.shape[1]]
    gone = np.eye(BANDS, dtype=np.int64)[votes.bands[sets]].sum(axis=1)
    scores = band_scores(_normalised(left), prior_of(votes.people - gone), settings)
    others = np.delete(scores, votes.said, axis=1)
    return np.asarray(others.max(axis=1) - scores[:, votes.said], np.float32)


def _possible_sizes(votes: Ballots, settings: VoteSettings) -> list[int]:
    """Sizes of sets, ascending, that the bound does not rule out."""
    voters, bands = votes.shares[: votes.voters], votes.bands[: votes.voters]
    there = np.bincount(bands, minlength=BANDS)
    gone = np.indices(tuple((there + 1).tolist())).reshape(BANDS, -1).T
    size = gone.sum(axis=1)
    looked_for = (size > 0) & (size <= votes.most) & (size < len(votes.shares))
    gone, size = gone[looked_for], size[looked_for]
    low = _moved_up(votes)[size]
    high = low.copy()
    for band in range(BANDS):
        ascending = np.sort(voters[bands == band], axis=0)
        kept = there[band] - gone[:, band]
        low += _sums(ascending)[kept]
        high += _sums(ascending[::-1])[kept]
    others = 1 - np.eye(BANDS, dtype=np.float32)
    least = np.divide(low, low + high @ others, out=np.zeros_like(low), where=low > 0)
    most = np.divide(high, high + low @ others, out=np.zeros_like(high), where=high > 0)
    slope, offset = _against_said(votes, settings)
    ends = log_shares(np.stack([least, most]))[:, :, None, :] * slope
    prior = np.log(prior_of(votes.people - gone))
    lead = ends.max(axis=0).sum(axis=2) + offset - settings.correction * (prior - prior[:, votes.said, None])
    possible: list[int] = np.unique(size[(np.delete(lead, votes.said, axis=1) > MARGIN).any(axis=1)]).tolist()
    return possible


def _steepest(votes: Ballots, settings: VoteSettings, size: int) -> Iterator[Ints]:
    """Sets of a size (size,) that put another band ahead, each better than the one before as a rule."""
    voters, bands = votes.shares[: votes.voters], votes.bands[: votes.voters]
    moved = _moved_up(votes)[size]
    for band in range(BANDS):
        if band == votes.said:
            continue
        slope = _against_said(votes, settings)[0][band]
        rarer = (bands == band) / (votes.people[band] + 1) - (bands == votes.said) / (votes.people[votes.said] + 1)
        left = moved + voters.sum(axis=0) * np.float32(1 - size / votes.voters)
        former: Ints | None = None
        for _ in range(STEPS):
            share = _normalised(left)
            steep = slope / (share + np.float32(MIN_SHARE))
            lost = voters @ (steep - steep @ share) / left.sum()
            places = np.sort(np.argsort(lost - settings.correction * rarer, kind="stable")[:size])
            yield places
            if former is not None and (places == former).all():
                break
            former = places
            left = moved + np.delete(voters, places, axis=0).sum(axis=0)


def _swaps(places: Ints, voters: int) -> Ints:
    """All sets (g, size) that differ from one (size,) in a single voter."""
    others, size = np.setdiff1d(np.arange(voters), places), np.arange(len(places))
    swapped = np.tile(places, (len(others), len(places), 1))
    swapped[:, size, size] = others[:, None]
    return swapped.reshape(-1, len(places))


def _against_said(votes: Ballots, settings: VoteSettings) -> tuple[Floats, Floats]:
    """Weights (3, 3) and offsets (3,) of each band's logit less those of the band said."""
    calibration = np.array(settings.calibration, np.float32)
    difference = calibration - calibration[votes.said]
    return difference[:, :BANDS], difference[:, BANDS]


def _moved_up(votes: Ballots) -> Floats:
    """Votes (most + 1, 3) of the people who take the places of 0, 1, … voters."""
    sums = _sums(votes.shares[votes.voters :])
    return np.asarray(sums[np.minimum(np.arange(votes.most + 1), len(sums) - 1)], np.float32)


def _sums(rows: Floats) -> Floats:
    """Sums (r + 1, 3) of the first 0, 1, … r rows (r, 3)."""
    return np.concatenate([np.zeros((1, BANDS), np.float32), rows.cumsum(axis=0, dtype=np.float32)])


def _normalised(votes: Floats) -> Floats:
    return np.asarray(votes / votes.sum(axis=-1, keepdims=True), np.float32)


@lru_cache(maxsize=32)
def _all_sets(voters: int, size: int) -> Ints:
    return np.array(list(combinations(range(voters), size)), np.int64)
