"""Fit the age space and choose how the vote counts, always asking about people the space has not seen.

What the default optimises on held-out people, all of whom weigh the same:

- voters and temperature: the mean absolute error in years of the age said, the median of the vote;
- prior correction: macro F1 plus macro recall of the band said. Macro F1 alone gives up a band that is rare among the
  people held out, macro recall alone calls too many faces by it. The age said is not touched by it;
- calibration of the bands' probabilities: their log loss;
- miscoverage: that 80 % of people's photos have an age inside their interval. Where no exact ages are known, every
  year of a photo's band is taken to be as likely.

Softness is not chosen: 0 to 4 years differ by less than noise, and so do other kernels than the softmax
(``benchmarks/vote_settings.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.model_selection import GroupKFold

from ...embedder.labels import BAND_STARTS, years_outside
from ...index.flat import Gallery
from ..data.face_set import FaceSet, Rows
from .interval import fit_miscoverage
from .prototypes import make_prototypes
from .space import AgeSpace, fill_gallery, fit_age_space
from .vote import (
    NO_CALIBRATION,
    NOBODY,
    RAW_PER_VOTER,
    Floats,
    VoteSettings,
    age_distribution,
    band_prior,
    band_shares,
    from_years,
    log_shares,
    one_vote_a_person,
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


def with_age(pool: FaceSet) -> Rows:
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
    pool: FaceSet,
    seed: int,
    progress: Progress = lambda done, total: None,
    *,
    senior_from: int = BAND_STARTS[2],
    sweep: Sequence[int] = (),
    prototypes: int = 0,
) -> TunedVote:
    """Fit the age space to all faces with an age, and choose the vote settings on held-out people.

    Per fold of people the space is fitted on the others, who then vote. All settings are chosen on these held-out
    votes, the width of the interval (:mod:`.interval`) on those of photos alone: masks drawn on them are harder to
    answer for than what will be asked, and would widen every interval. Rows with pseudo-labels take no part: what gave
    them may have seen the people held out.

    Args:
        senior_from: first year of the oldest band as the gallery counts it.
        sweep: other such years to choose settings for as well.
        prototypes: those who vote are prototypes of so many people at least (:mod:`.prototypes`); 0 for faces.
    """
    faces = pool.subset(np.intersect1d(with_age(pool), np.flatnonzero(pool.real)))
    if len(np.unique(faces.people)) < MIN_PEOPLE:
        return TunedVote(fit_age_space(faces, seed), VoteSettings(senior_from=senior_from), None)
    asked = np.sort(np.random.default_rng(seed).permutation(len(faces))[:MAX_ASKED])
    voters = held_out_voters(faces, asked, seed, progress, prototypes)
    progress(FOLDS, FOLDS + 1)
    space = fit_age_space(faces, seed)
    progress(FOLDS + 1, FOLDS + 1)
    return choose_vote(space, faces, asked, voters, senior_from, sweep)


def held_out_voters(
    faces: FaceSet,
    asked: Rows,
    seed: int,
    progress: Progress = lambda done, total: None,
    prototypes: int = 0,
) -> Voters:
    """Voters of the asked rows, in spaces fitted without their fold; see :func:`fit_vote`."""
    voters = Voters(len(faces), prototypes)
    for fold, (fit, held_out) in enumerate(GroupKFold(FOLDS).split(faces.people, groups=faces.people)):
        progress(fold, FOLDS + 1)
        voters.ask(fit_age_space(faces.subset(fit), seed), faces, fit, np.intersect1d(held_out, asked))
    return voters


def choose_vote(
    space: AgeSpace, faces: FaceSet, asked: Rows, voters: Voters, senior_from: int, sweep: Sequence[int] = ()
) -> TunedVote:
    """Vote settings by the voters that the asked rows of a pool have; see :func:`fit_vote`."""
    low, high = faces.table["age_low"].to_numpy(np.float32), faces.table["age_high"].to_numpy(np.float32)
    real = faces.table["drawn_on"].isna().to_numpy(bool)
    ballots = voters.ballots or Ballots(low, high, faces.people)
    weight = 1 / np.bincount(faces.people[asked])[faces.people[asked]]

    def choose(start: int) -> tuple[VoteSettings, VoteReport]:
        found, similarities = voters.rows[asked], voters.similarities[asked]
        return _choose(ballots, low[asked], high[asked], real[asked], weight, found, similarities, start)

    settings, report = choose(senior_from)
    return TunedVote(space, settings, report, {start: choose(start)[0] for start in sweep})


class Ballots(NamedTuple):
    """What those who may vote say: first and last year (m,), and who they are (m,)."""

    low: Floats
    high: Floats
    people: Rows

    def joined(self, more: Ballots) -> Ballots:
        """These, and more of other people."""
        return Ballots(
            np.concatenate([self.low, more.low]),
            np.concatenate([self.high, more.high]),
            np.concatenate([self.people, more.people]),
        )


class Voters:
    """The nearest people of faces of a pool, most similar first; none for faces that were not asked about.

    Attributes:
        rows: (n, k) rows of the pool, or of :attr:`ballots`; :data:`~.vote.NOBODY` where there is none.
        similarities: (n, k) cosine similarities, minus infinity where there is none.
        ballots: of the prototypes of all who were asked, one after the other; None where faces of the pool vote.
    """

    def __init__(self, faces: int, prototypes: int = 0) -> None:
        self.rows = np.full((faces, max(VOTERS)), NOBODY, np.int64)
        self.similarities = np.full((faces, max(VOTERS)), -np.inf, np.float32)
        self.ballots: Ballots | None = None
        self._least = prototypes

    def ask(self, space: AgeSpace, faces: FaceSet, fit: Rows, queries: Rows) -> None:
        """Let the faces ``fit`` or their prototypes vote on ``queries``: other people, whom the space has not seen."""
        if self._least:
            gallery, people, names = self._prototypes(space, faces.subset(fit))
        else:
            gallery = fill_gallery(space, faces.subset(fit), np.arange(len(fit)))
            people, names = faces.people[fit], fit
        most = max(VOTERS)
        vectors = space.project(faces.embeddings[queries], faces.maps(queries))
        found = gallery.search(vectors, min(len(gallery), most * RAW_PER_VOTER))
        nobody = np.full(len(queries), NOBODY)
        near, similar = one_vote_a_person(found.ids, found.similarities, people, nobody, most)
        width = near.shape[1]
        self.rows[queries, :width] = np.where(near >= 0, names[near], NOBODY)
        self.similarities[queries, :width] = similar

    def _prototypes(self, space: AgeSpace, faces: FaceSet) -> tuple[Gallery, Rows, Rows]:
        """A gallery of prototypes under the numbers 0, 1, …, who they are, and their rows of :attr:`ballots`."""
        made = make_prototypes(space, faces, self._least)
        gallery, numbers = Gallery(space.dimension), np.arange(len(made.table))
        gallery.add(made.vectors, numbers)
        low, high = (made.table[name].to_numpy(np.float32) for name in ("age_low", "age_high"))
        rows = numbers if self.ballots is None else len(self.ballots.low) + numbers
        mine = Ballots(low, high, rows)
        self.ballots = mine if self.ballots is None else self.ballots.joined(mine)
        return gallery, numbers, rows


def _choose(
    ballots: Ballots,
    low: Floats,
    high: Floats,
    real: npt.NDArray[np.bool_],
    weight: npt.NDArray[np.float64],
    voters: Rows,
    similarities: Floats,
    senior_from: int,
) -> tuple[VoteSettings, VoteReport]:
    profiles = year_profiles(ballots.low, ballots.high, SOFTNESS)
    start = VoteSettings(softness=SOFTNESS, senior_from=senior_from)
    prior = band_prior(*ballots, start.starts)

    def error(settings: VoteSettings) -> float:
        k = settings.voters
        got = vote(voters[:, :k], similarities[:, :k], profiles, prior, settings)
        return float(np.average(years_outside(got.age, low, high), weights=weight))

    nearest = min((replace(start, voters=k, temperature=t) for k, t in product(VOTERS, TEMPERATURES)), key=error)
    return _choose_bands(nearest, prior, profiles, low, high, real, weight, voters, similarities)


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
    years = age_distribution(voters[:, :k], similarities[:, :k], profiles, nearest.temperature)
    band = np.digitize(low, borders)
    clear = band == np.digitize(high, borders)  # a band such as 25-35 says nothing of the three classes
    shares = band_shares(years, nearest.starts)
    calibration = _calibration(shares[clear], band[clear], weight[clear])
    nearest = replace(
        nearest,
        calibration=calibration,
        miscoverage=fit_miscoverage(years, low, high, real, weight, nearest.miscoverage),
    )

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


def _calibration(shares: Floats, band: Rows, weight: npt.NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """Matrix scaling of the bands' shares (n, 3) fitted to true bands (n,); none where a band has too few faces."""
    if np.bincount(band, minlength=3).min() < MIN_FACES_A_BAND:
        return NO_CALIBRATION
    fitted = LogisticRegression(max_iter=1000).fit(log_shares(shares), band, sample_weight=weight)
    return tuple(tuple(row) for row in np.column_stack([fitted.coef_, fitted.intercept_]).tolist())
