from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.age.vote import MIN_SHARE, NO_CALIBRATION, VoteSettings
from maskcls.classify.predict import flips
from maskcls.classify.predict.flips import MARGIN, Ballots, Flip, smallest_flip

FITTED = ((0.61, -0.30, -0.16, 0.53), (-0.16, 0.51, -0.12, 0.76), (-0.45, -0.21, 0.28, -1.29))
ODD = ((0.2, 0.5, -0.4, 0.1), (0.6, -0.1, 0.3, 0.0), (-0.5, 0.4, 0.9, -0.2))
ROUNDING = 2e-5
pytestmark = pytest.mark.filterwarnings("error")


def lead(votes: Ballots, chosen: VoteSettings, gone: tuple[int, ...]) -> float:
    """How far the best other band is ahead without some voters, in plain double precision."""
    kept = [i for i in range(votes.voters) if i not in gone]
    kept += list(range(votes.voters, min(votes.voters + len(gone), len(votes.shares))))
    left = votes.shares[kept].astype(np.float64).sum(axis=0)
    calibration = np.array(chosen.calibration)
    people = votes.people + 1 - np.bincount(votes.bands[list(gone)], minlength=3)
    score = calibration[:, :3] @ np.log(left / left.sum() + MIN_SHARE) + calibration[:, 3]
    score -= chosen.correction * np.log(people / people.sum())
    return float(np.delete(score, votes.said).max() - score[votes.said])


def fewest(votes: Ballots, chosen: VoteSettings, margin: float) -> int:
    """Size of the smallest set that puts another band ahead, by trying all; more than there are if none does."""
    for size in range(1, min(votes.most, len(votes.shares) - 1) + 1):
        if any(lead(votes, chosen, gone) > margin for gone in combinations(range(votes.voters), size)):
            return size
    return votes.most + 1


@st.composite
def questions(draw: st.DrawFn) -> tuple[Ballots, VoteSettings]:
    """Votes of up to 9 people with a clear majority or none, mixed or not."""
    voters = draw(st.integers(1, 9))
    later = draw(st.integers(0, voters))
    random = np.random.default_rng(draw(st.integers(0, 2**20)))
    concentration = draw(st.sampled_from([0.02, 0.3, 2.0]))
    profile = random.dirichlet(np.full(3, concentration), voters + later) + 1e-9
    weight = np.exp(-np.sort(random.random(voters + later)) * draw(st.sampled_from([0.0, 1.0, 4.0])))
    bands = np.where(random.random(voters + later) < 0.9, profile.argmax(axis=1), random.integers(0, 3, voters + later))
    people = np.bincount(bands, minlength=3) + random.integers(0, 40, 3)
    calibration = draw(st.sampled_from([NO_CALIBRATION, FITTED, ODD]))
    chosen = VoteSettings(voters, correction=draw(st.sampled_from([0.0, 0.5, 1.0])), calibration=calibration)
    shares = (weight[:, None] * profile).astype(np.float32)
    leads = [lead(Ballots(shares, bands, people, band, voters, 0), chosen, ()) for band in range(3)]
    most = draw(st.sampled_from([voters, later or voters]))
    return Ballots(shares, bands, people, int(np.argmin(leads)), voters, most), chosen


@settings(deadline=None, max_examples=250)
@given(question=questions(), most_sets=st.sampled_from([flips.MAX_SETS, 12, 0]))
def test_no_smaller_set_flips_and_none_is_claimed(question: tuple[Ballots, VoteSettings], most_sets: int) -> None:
    votes, chosen = question
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flips, "MAX_SETS", most_sets)
        found = smallest_flip(votes, chosen)
    clear, at_best = (fewest(votes, chosen, MARGIN + off) for off in (ROUNDING, -ROUNDING))
    assert found.safe < clear
    if found.places:
        assert lead(votes, chosen, found.places) > MARGIN - ROUNDING
        assert len(found.places) >= at_best
        assert found.places == tuple(sorted(set(found.places)))
        assert max(found.places) < votes.voters
    if most_sets == flips.MAX_SETS:
        assert found.safe == (len(found.places) - 1 if found.places else votes.most)
        assert (len(found.places) or votes.most + 1) in (clear, at_best)


@settings(deadline=None, max_examples=250)
@given(question=questions())
def test_a_search_that_misses_claims_nothing_false(question: tuple[Ballots, VoteSettings]) -> None:
    votes, chosen = question
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flips, "MAX_SETS", 0)
        patch.setattr(flips, "_steepest", lambda votes, settings, size: iter([np.arange(size)]))
        patch.setattr(flips, "_swaps", lambda places, voters: places[None])
        found = smallest_flip(votes, chosen)
    assert found.safe < fewest(votes, chosen, MARGIN + ROUNDING)
    assert found.safe < len(found.places) or not found.places


def one_hot(bands: list[int], weights: list[float] | None = None) -> tuple[npt.NDArray[np.float32], list[int]]:
    scale = np.ones(len(bands)) if weights is None else np.array(weights)
    return (np.eye(3)[bands] * scale[:, None]).astype(np.float32), bands


@pytest.mark.parametrize(
    ("bands", "weights", "voters", "most", "expected"),
    [
        pytest.param([0, 0, 1], None, 3, 3, Flip((0, 1), 1), id="a tie is no flip"),
        pytest.param([0, 1, 1], [1.5, 1, 0.9], 3, 3, Flip((1,), 0), id="the heavier goes"),
        pytest.param([0, 1, 1, 0], [1.5, 1, 0.9, 0.1], 3, 3, Flip((1,), 0), id="somebody moves up"),
        pytest.param([0, 1, 1, 1, 1], [1.5, 1, 0.9, 0.9, 0.9], 3, 2, Flip((), 2), id="others like them move up"),
        pytest.param([2], None, 1, 1, Flip((), 1), id="without anybody there is no answer"),
        pytest.param([2, 2], None, 2, 2, Flip((), 2), id="all agree"),
        pytest.param([1, 1, 0], [0.4, 0.4, 0.2], 2, 1, Flip((), 1), id="one is not enough"),
    ],
)
def test_cases(bands: list[int], weights: list[float] | None, voters: int, most: int, expected: Flip) -> None:
    shares, numbers = one_hot(bands, weights)
    said = int(shares[:voters].sum(axis=0).argmax())
    votes = Ballots(shares, np.array(numbers), np.full(3, 50), said, voters, most)
    assert smallest_flip(votes, VoteSettings(voters, correction=0.0)) == expected


def test_of_one_size_the_clearest_is_said() -> None:
    shares, numbers = one_hot([0, 0, 0, 1], [1.1, 1.0, 0.9, 2.5])
    votes = Ballots(shares, np.array(numbers), np.full(3, 50), 0, 4, 4)
    assert smallest_flip(votes, VoteSettings(4, correction=0.0)).places == (0,)


def test_people_who_leave_make_their_band_rarer() -> None:
    shares, numbers = one_hot([0, 0, 1], [1.0, 1.0, 1.0])
    votes = Ballots(shares, np.array(numbers), np.array([2, 1, 0]), 0, 3, 1)
    chosen = VoteSettings(3, correction=0.5)
    assert lead(votes, chosen, (0,)) == pytest.approx(0, abs=1e-6)  # one vote each, and then one person each
    assert smallest_flip(votes, chosen).places == ()
    assert smallest_flip(votes, VoteSettings(3, correction=0.0)).places == ()
    more = Ballots(shares, np.array(numbers), np.array([9, 1, 0]), 0, 3, 1)
    assert smallest_flip(more, chosen).places in ((0,), (1,))
