"""Fit the age space and choose how the vote counts, always asking about people the space has not seen.

What the default optimises on held-out people, all of whom weigh the same:

- voters and temperature: the mean absolute error in years of the age said, the median of the vote;
- prior correction: macro F1 plus macro recall of the band said. Macro F1 alone gives up a band that is rare among the
  people held out, macro recall alone calls too many faces by it. The age said is not touched by it;
- calibration of the bands' probabilities: their log loss;
- tail: that 80 % of people's photos have an age inside their interval.

Softness is not chosen: 0 to 4 years differ by less than noise, and so do other kernels than the softmax
(``benchmarks/vote_settings.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.model_selection import GroupKFold

from ..embedder.labels import BAND_STARTS, years_outside
from .age_space import AgeSpace, fill_gallery, fit_age_space
from .pool import Pool, Rows
from .vote import (
    NO_CALIBRATION,
    NOBODY,
    RAW_PER_VOTER,
    Floats,
    VoteSettings,
    band_prior,
    band_shares,
    from_years,
    log_shares,
    one_vote_a_person,
    tally,
    touched,
    vote,
    year_profiles,
)

FOLDS = 5
"""Held-out people are answered by four fifths of the faces; by two thirds, intervals come out wider than needed."""
MIN_PEOPLE = 40
"""With fewer people of known age nothing can be tuned, and the default settings are kept."""
VOTERS = (10, 20, 30, 50)
"""More would be a little nearer in years and hardly could be looked at; see ``benchmarks/vote_settings.py``."""
TEMPERATURES = (0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
SOFTNESS = 2.0
CORRECTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
COVERAGE = 0.8
LARGEST_TAIL = 0.45
MIN_EXACT = 20
"""With fewer held-out photos of exact age the interval keeps its default width."""
MIN_FACES_A_BAND = 20
"""With fewer held-out faces of a band its probability is not calibrated."""
MAX_ASKED = 4000
"""Faces asked at most; more would only make the choice slower."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class VoteReport:
    """How the vote did on held-out people: faces asked, MAE in years, macro F1 and macro recall of the bands."""

    faces: int
    mae: float
    macro_f1: float
    macro_recall: float
    settings: VoteSettings


def with_age(pool: Pool) -> Rows:
    """Rows of the pool whose age is known."""
    return np.flatnonzero(pool.table["age_low"].notna().to_numpy())


@dataclass(frozen=True)
class TunedVote:
    """The age space and how its neighbours vote; ``report`` is None where there were too few people to tune.

    ``sweep`` holds the settings for other first years of the oldest band.
    """

    space: AgeSpace
    settings: VoteSettings
    report: VoteReport | None
    sweep: Mapping[int, VoteSettings] = field(default_factory=dict)


def fit_vote(
    pool: Pool,
    seed: int,
    progress: Progress = lambda done, total: None,
    *,
    senior_from: int = BAND_STARTS[2],
    sweep: Sequence[int] = (),
) -> TunedVote:
    """Fit the age space to all faces with an age, and choose the vote settings on held-out people.

    Per fold of people the space is fitted on the others, who then vote. All settings are chosen on these held-out
    votes, the width of the interval (:func:`_tail`) on those of photos alone: masks drawn on them are harder to answer
    for than what will be asked, and would widen every interval. Rows with pseudo-labels take no part: what gave them
    may have seen the people held out.

    Args:
        senior_from: first year of the oldest band as the gallery counts it.
        sweep: other such years to choose settings for as well.
    """
    faces = pool.subset(np.intersect1d(with_age(pool), np.flatnonzero(pool.real)))
    if len(np.unique(faces.people)) < MIN_PEOPLE:
        return TunedVote(fit_age_space(faces, seed), VoteSettings(senior_from=senior_from), None)
    asked = np.sort(np.random.default_rng(seed).permutation(len(faces))[:MAX_ASKED])
    voters = held_out_voters(faces, asked, seed, progress)
    progress(FOLDS, FOLDS + 1)
    space = fit_age_space(faces, seed)
    progress(FOLDS + 1, FOLDS + 1)
    return choose_vote(space, faces, asked, voters, senior_from, sweep)


def held_out_voters(faces: Pool, asked: Rows, seed: int, progress: Progress = lambda done, total: None) -> Voters:
    """Voters of the asked rows, in spaces fitted without their fold."""
    voters = Voters(len(faces))
    for fold, (fit, held_out) in enumerate(GroupKFold(FOLDS).split(faces.people, groups=faces.people)):
        progress(fold, FOLDS + 1)
        voters.ask(fit_age_space(faces.subset(fit), seed), faces, fit, np.intersect1d(held_out, asked))
    return voters


def choose_vote(
    space: AgeSpace, faces: Pool, asked: Rows, voters: Voters, senior_from: int, sweep: Sequence[int] = ()
) -> TunedVote:
    """Vote settings by the voters that the asked rows of a pool have; see :func:`fit_vote`."""
    low, high = faces.table["age_low"].to_numpy(np.float32), faces.table["age_high"].to_numpy(np.float32)
    real = faces.table["drawn_on"].isna().to_numpy(bool)

    def choose(start: int) -> tuple[VoteSettings, VoteReport]:
        found, similarities = voters.rows[asked], voters.similarities[asked]
        return _choose(faces.people, low, high, real, asked, found, similarities, start)

    settings, report = choose(senior_from)
    return TunedVote(space, settings, report, {start: choose(start)[0] for start in sweep})


class Voters:
    """The nearest people of faces of a pool, most similar first; none for faces that were not asked about.

    Attributes:
        rows: (n, k) rows of the pool, :data:`~.vote.NOBODY` where there is none.
        similarities: (n, k) cosine similarities, minus infinity where there is none.
    """

    def __init__(self, faces: int) -> None:
        self.rows = np.full((faces, max(VOTERS)), NOBODY, np.int64)
        self.similarities = np.full((faces, max(VOTERS)), -np.inf, np.float32)

    def ask(self, space: AgeSpace, faces: Pool, fit: Rows, queries: Rows) -> None:
        """Let the faces ``fit`` vote on ``queries``: other people, whom the space has not seen either."""
        most = max(VOTERS)
        gallery = fill_gallery(space, faces.subset(fit), np.arange(len(fit)))
        vectors = space.project(faces.embeddings[queries], faces.maps(queries))
        found = gallery.search(vectors, min(len(fit), most * RAW_PER_VOTER))
        nobody = np.full(len(queries), NOBODY)
        near, similar = one_vote_a_person(found.ids, found.similarities, faces.people[fit], nobody, most)
        width = near.shape[1]
        self.rows[queries, :width] = np.where(near >= 0, fit[near], NOBODY)
        self.similarities[queries, :width] = similar


def _choose(
    people: Rows,
    gallery_low: Floats,
    gallery_high: Floats,
    real: npt.NDArray[np.bool_],
    asked: Rows,
    voters: Rows,
    similarities: Floats,
    senior_from: int,
) -> tuple[VoteSettings, VoteReport]:
    low, high = gallery_low[asked], gallery_high[asked]
    weight = 1 / np.bincount(people[asked])[people[asked]]
    profiles = year_profiles(gallery_low, gallery_high, SOFTNESS)
    start = VoteSettings(softness=SOFTNESS, senior_from=senior_from)
    prior = band_prior(gallery_low, gallery_high, people, start.starts)

    def error(settings: VoteSettings) -> float:
        k = settings.voters
        got = vote(voters[:, :k], similarities[:, :k], profiles, prior, settings)
        return float(np.average(years_outside(got.age, low, high), weights=weight))

    nearest = min((replace(start, voters=k, temperature=t) for k, t in product(VOTERS, TEMPERATURES)), key=error)
    return _choose_bands(nearest, prior, profiles, low, high, real[asked], weight, voters, similarities)


def _choose_bands(
    nearest: VoteSettings,
    prior: Floats,
    profiles: Floats,
    low: Floats,
    high: Floats,
    real: npt.NDArray[np.bool_],
    weight: npt.NDArray[np.float64],
    voters: Rows,
    similarities: Floats,
) -> tuple[VoteSettings, VoteReport]:
    """Calibration, prior correction and interval for voters and a temperature that are chosen already."""
    k, borders = nearest.voters, nearest.starts[1:]
    years = tally(voters[:, :k], similarities[:, :k], profiles, nearest.temperature)
    band = np.digitize(low, borders)
    clear = band == np.digitize(high, borders)  # a band such as 25-35 says nothing of the three classes
    shares = band_shares(years, nearest.starts)
    calibration = _calibration(shares[clear], band[clear], weight[clear])
    exact = real & (low == high)
    tail = _tail(years[exact], low[exact], weight[exact]) if exact.sum() >= MIN_EXACT else nearest.tail
    nearest = replace(nearest, calibration=calibration, tail=tail)

    def report(settings: VoteSettings) -> VoteReport:
        got = from_years(years, prior, settings)
        mae = float(np.average(years_outside(got.age, low, high), weights=weight))
        if not clear.any():
            return VoteReport(len(low), mae, 0.0, 0.0, settings)
        f1 = f1_score(band[clear], got.said[clear], average="macro", sample_weight=weight[clear])
        recall = recall_score(band[clear], got.said[clear], average="macro", sample_weight=weight[clear])
        return VoteReport(len(low), mae, float(f1), float(recall), settings)

    corrected = (report(replace(nearest, correction=c)) for c in CORRECTIONS)
    best = max(corrected, key=lambda found: found.macro_f1 + found.macro_recall)
    return best.settings, best


def _tail(years: Floats, ages: Floats, weight: npt.NDArray[np.float64]) -> float:
    """The tail with which intervals hold the age of :data:`COVERAGE` of the people, one held-out face of each drawn.

    Conformal prediction with the distribution function as score (Chernozhukov, Wüthrich & Zhu 2021,
    https://doi.org/10.1073/pnas.2107794118), which keeps intervals wide where the voters disagree; the person who asks
    counts as one more of those held out.

    Args:
        years: (n, 121) distributions that voters agreed on.
        ages: (n,) exact ages in years.
        weight: (n,) 1 / faces of the same person.
    """
    share = touched(years, ages)
    order = np.argsort(share)
    missed = np.cumsum(weight[order])
    last = int(np.searchsorted(missed, (1 - COVERAGE) * (missed[-1] + 1), side="right")) - 1
    tail = share[order[last]] if last >= 0 else 0.0
    return float(np.clip(np.floor(tail * 1e4) / 1e4, 0, LARGEST_TAIL))


def _calibration(shares: Floats, band: Rows, weight: npt.NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """Matrix scaling of the bands' shares (n, 3) fitted to true bands (n,); none where a band has too few faces."""
    if np.bincount(band, minlength=3).min() < MIN_FACES_A_BAND:
        return NO_CALIBRATION
    fitted = LogisticRegression(max_iter=1000).fit(log_shares(shares), band, sample_weight=weight)
    return tuple(tuple(row) for row in np.column_stack([fitted.coef_, fitted.intercept_]).tolist())
