"""Fit the age space and choose the settings of the vote, on people the space has not seen.

What is optimised on held-out people, every person counting once:

- voters and temperature: the mean absolute error in years of the predicted age, the median of the vote;
- prior correction: macro F1 plus macro recall of the predicted band. Macro F1 alone gives up a band that is rare among
  the people held out, macro recall alone predicts it too often. It does not change the predicted age;
- calibration of the bands' probabilities: their log loss;
- miscoverage: that 80 % of people's photos have an age inside their interval. Where no exact ages are known, every
  year of a photo's band is taken to be as likely.

Softness is not chosen: 0 to 4 years differ by less than noise, and so do other kernels than the softmax
(``benchmarks/vote_settings.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, product
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
from .space import MIN_FACES_TO_LEARN, AgeSpace, fill_gallery, fit_age_space
from .vote import (
    NO_CALIBRATION,
    NOBODY,
    Floats,
    VoteSettings,
    age_distribution,
    age_quantile,
    band_prior,
    band_shares,
    from_years,
    log_shares,
    year_profiles,
)
from .voters import VoterGallery

FOLDS = 5
"""Four fifths of the people vote on the others; where two thirds do, intervals come out wider than needed."""
MIN_PEOPLE = 40
"""With fewer people of known age nothing can be tuned, and the default settings are kept."""
VOTERS = (10, 20, 30, 50, 70, 100)
"""On utkface the error in years is least at 20; on the contest's photos, many of one person, it still falls at 400, by
0.15 years from 50 on. A vote of more than 100 searches more faces than pgvector's graph gives."""
TEMPERATURES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
SOFTNESS = 2.0
CORRECTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
MIN_FACES_A_BAND = 20
"""With fewer held-out faces of a band its probability is not calibrated."""
MAX_QUERIES = 3000
"""Held-out faces at most; more would only make the choice slower."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class VoteReport:
    """The vote on the held-out people that chose its settings, on which it is a little better than on others.

    Attributes:
        faces: held-out faces.
        mae: mean absolute error in years.
        macro_f1, macro_recall: of the three bands, 0 to 1.
        settings: that were chosen.
        at_grid_end: names of settings whose value is the first or the last of those tried, so that a value beyond might
            be better.
    """

    faces: int
    mae: float
    macro_f1: float
    macro_recall: float
    settings: VoteSettings
    at_grid_end: tuple[str, ...] = ()


@dataclass(frozen=True)
class TunedVote:
    """The age space and how its neighbours vote; ``report`` is None where there were too few people to tune."""

    space: AgeSpace
    settings: VoteSettings
    report: VoteReport | None


class VoterAges(NamedTuple):
    """Those who may vote: first and last year (m,) of their age, and their person (m,)."""

    low: Floats
    high: Floats
    people: Rows

    def joined(self, more: VoterAges) -> VoterAges:
        """These, and more of other people."""
        low, high = np.concatenate([self.low, more.low]), np.concatenate([self.high, more.high])
        return VoterAges(low, high, np.concatenate([self.people, more.people]))


def with_age(pool: FaceSet) -> Rows:
    """Rows of the pool whose age is known."""
    return np.flatnonzero(pool.table["age_low"].notna().to_numpy())


def real_with_age(pool: FaceSet) -> Rows:
    """Rows of the pool with a known age that is not a pseudo-label."""
    return np.intersect1d(with_age(pool), np.flatnonzero(pool.real))


def can_learn(pool: FaceSet) -> bool:
    """Whether the age space of a pool is learned, or linear, for lack of faces; see :func:`.space.fit_age_space`."""
    return len(real_with_age(pool)) >= MIN_FACES_TO_LEARN


def fit_vote(
    pool: FaceSet,
    seed: int,
    progress: Progress = lambda done, total: None,
    *,
    senior_from: int = BAND_STARTS[2],
    prototypes: int = 0,
) -> TunedVote:
    """Fit the age space to all faces with an age, and choose the vote settings on held-out people.

    Per fold of people the space is fitted on the others, who then vote, until there are votes on :data:`MAX_QUERIES`
    faces. All settings are chosen on these held-out votes, the width of the interval (:mod:`.interval`) on those of
    photos alone: drawn masks are harder than the photos that a model is used on, and would widen every interval. Rows
    with pseudo-labels take no part: the model that gave them may have seen the people held out.

    Args:
        senior_from: first year of the oldest band as the gallery counts it.
        prototypes: those who vote are prototypes of at least so many people (:mod:`.prototypes`); 0 for faces.
    """
    faces = pool.subset(real_with_age(pool))
    learn = can_learn(pool)
    if len(np.unique(faces.people)) < MIN_PEOPLE:
        return TunedVote(fit_age_space(faces, seed, progress, learn=learn), VoteSettings(senior_from=senior_from), None)
    folds = queried_folds(faces, seed)
    numbers, fits = count(), len(folds) + 1

    def fitted(part: FaceSet) -> AgeSpace:
        number = next(numbers)

        def report(done: int, total: int) -> None:
            progress(number * total + done, fits * total)

        return fit_age_space(part, seed, report, learn=learn)

    voters = held_out_voters(faces, folds, fitted, prototypes)
    queries = np.sort(np.concatenate([asked for _, asked in folds]))
    return choose_vote(fitted(faces), faces, queries, voters, senior_from)


def queried_folds(faces: FaceSet, seed: int) -> list[tuple[Rows, Rows]]:
    """Rows to fit on and query rows of other people, of as many of :data:`FOLDS` folds as give enough queries."""
    folds: list[tuple[Rows, Rows]] = []
    missing = MAX_QUERIES
    for fit, held_out in GroupKFold(FOLDS).split(faces.people, groups=faces.people):
        if missing > 0:
            queries = np.sort(np.random.default_rng((seed, len(folds))).permutation(held_out)[:missing])
            folds.append((fit, queries))
            missing -= len(queries)
    return folds


def held_out_voters(
    faces: FaceSet, folds: Sequence[tuple[Rows, Rows]], fitted: Callable[[FaceSet], AgeSpace], prototypes: int = 0
) -> Voters:
    """Voters of the query rows of all folds, each in a space fitted without the people of its fold."""
    voters = Voters(len(faces), prototypes)
    for fit, queries in folds:
        voters.find(fitted(faces.subset(fit)), faces, fit, queries)
    return voters


class Voters:
    """The nearest people of faces of a pool, most similar first; none for faces that were not queries.

    Attributes:
        rows: (n, k) rows of the pool, or of :attr:`ages`; :data:`~.vote.NOBODY` where there is none.
        similarities: (n, k) cosine similarities, minus infinity where there is none.
        ages: of the prototypes of all searches, one after the other; None where faces of the pool vote.
    """

    def __init__(self, faces: int, prototypes: int = 0) -> None:
        self.rows = np.full((faces, max(VOTERS)), NOBODY, np.int64)
        self.similarities = np.full((faces, max(VOTERS)), -np.inf, np.float32)
        self.ages: VoterAges | None = None
        self._prototypes = prototypes

    def find(self, space: AgeSpace, faces: FaceSet, fit: Rows, queries: Rows) -> None:
        """Find the voters of ``queries`` among the faces ``fit``, of other people, or among their prototypes.

        Args:
            space: fitted without the people of the queries.
        """
        if self._prototypes:
            gallery, names = self._prototype_gallery(space, faces.subset(fit))
        else:
            vectors = fill_gallery(space, faces.subset(fit), np.arange(len(fit)))
            gallery, names = VoterGallery(vectors, faces.people[fit]), fit
        near, similar = gallery.nearest(space.project(faces.embeddings[queries], faces.maps(queries)), max(VOTERS))
        width = near.shape[1]
        self.rows[queries, :width] = np.where(near >= 0, names[near], NOBODY)
        self.similarities[queries, :width] = similar

    def _prototype_gallery(self, space: AgeSpace, faces: FaceSet) -> tuple[VoterGallery, Rows]:
        """A gallery of prototypes, each a person of its own, and their rows of :attr:`ages`."""
        made = make_prototypes(space, faces, self._prototypes)
        numbers = np.arange(len(made.table))
        low, high = (made.table[name].to_numpy(np.float32) for name in ("age_low", "age_high"))
        rows = numbers if self.ages is None else len(self.ages.low) + numbers
        ages = VoterAges(low, high, rows)
        self.ages = ages if self.ages is None else self.ages.joined(ages)
        return VoterGallery(Gallery.of(made.vectors, numbers, "exact"), numbers), rows


@dataclass(frozen=True)
class HeldOut:
    """Held-out faces, and the people who vote on them.

    Attributes:
        low, high: (n,) first and last year of the age.
        real: (n,) whether the face is a photo, not a drawn mask.
        weight: (n,) 1 / faces of the same person.
        rows, similarities: (n, k) of the voters, see :class:`Voters`.
        ages: of those who may vote; ``rows`` are theirs.
    """

    low: Floats
    high: Floats
    real: npt.NDArray[np.bool_]
    weight: npt.NDArray[np.float64]
    rows: Rows
    similarities: Floats
    ages: VoterAges

    def error(self, years: Floats) -> float:
        """Mean absolute error of ages (n,) in years, every person counting once."""
        return float(np.average(years_outside(years, self.low, self.high), weights=self.weight))


def choose_vote(space: AgeSpace, faces: FaceSet, queries: Rows, voters: Voters, senior_from: int) -> TunedVote:
    """Vote settings by the voters of the query rows of a pool; see :func:`fit_vote`."""
    low, high = faces.table["age_low"].to_numpy(np.float32), faces.table["age_high"].to_numpy(np.float32)
    held_out = HeldOut(
        low[queries],
        high[queries],
        faces.table["drawn_on"].isna().to_numpy(bool)[queries],
        1 / np.bincount(faces.people[queries])[faces.people[queries]],
        voters.rows[queries],
        voters.similarities[queries],
        voters.ages or VoterAges(low, high, faces.people),
    )
    report = choose_settings(held_out, VoteSettings(softness=SOFTNESS, senior_from=senior_from))
    return TunedVote(space, report.settings, report)


def choose_settings(held_out: HeldOut, start: VoteSettings) -> VoteReport:
    """The best vote on held-out faces; softness and bands are those of ``start``."""
    profiles = year_profiles(held_out.ages.low, held_out.ages.high, start.softness)
    prior = band_prior(*held_out.ages, start.starts)

    def distributions(settings: VoteSettings) -> Floats:
        rows, similarities = held_out.rows[:, : settings.voters], held_out.similarities[:, : settings.voters]
        return age_distribution(rows, similarities, profiles, settings.temperature)

    grid = (replace(start, voters=k, temperature=t) for k, t in product(VOTERS, TEMPERATURES))
    best = min(grid, key=lambda settings: held_out.error(age_quantile(distributions(settings), 0.5)))
    return replace(choose_bands(held_out, best, distributions(best), prior), at_grid_end=at_grid_end(best))


def at_grid_end(settings: VoteSettings) -> tuple[str, ...]:
    """Names of the settings whose value is the first or the last of those tried."""
    tried: Mapping[str, Sequence[float]] = {"voters": VOTERS, "temperature": TEMPERATURES}
    return tuple(name for name, values in tried.items() if getattr(settings, name) in (values[0], values[-1]))


def choose_bands(held_out: HeldOut, settings: VoteSettings, years: Floats, prior: Floats) -> VoteReport:
    """Calibration, prior correction and interval where voters and temperature are chosen already.

    Args:
        years: (n, 121) distributions that the voters of the held-out faces give.
        prior: (3,) see :func:`.vote.band_prior`.
    """
    low, high, weight = held_out.low, held_out.high, held_out.weight
    band = np.digitize(low, settings.starts[1:])
    clear = band == np.digitize(high, settings.starts[1:])  # an age such as 25-35 is in no single class
    shares = band_shares(years, settings.starts)
    settings = replace(
        settings,
        calibration=_calibration(shares[clear], band[clear], weight[clear]),
        miscoverage=fit_miscoverage(years, low, high, held_out.real, weight, settings.miscoverage),
    )

    def report(settings: VoteSettings) -> VoteReport:
        votes = from_years(years, prior, settings)
        mae = held_out.error(votes.age)
        if not clear.any():
            return VoteReport(len(low), mae, 0.0, 0.0, settings)
        f1 = f1_score(band[clear], votes.predicted[clear], average="macro", sample_weight=weight[clear])
        recall = recall_score(band[clear], votes.predicted[clear], average="macro", sample_weight=weight[clear])
        return VoteReport(len(low), mae, float(f1), float(recall), settings)

    corrected = (report(replace(settings, correction=c)) for c in CORRECTIONS)
    return max(corrected, key=lambda found: found.macro_f1 + found.macro_recall)


def _calibration(shares: Floats, band: Rows, weight: npt.NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """Matrix scaling of the bands' shares (n, 3) fitted to true bands (n,); none where a band has too few faces."""
    if np.bincount(band, minlength=3).min() < MIN_FACES_A_BAND:
        return NO_CALIBRATION
    fitted = LogisticRegression(max_iter=1000).fit(log_shares(shares), band, sample_weight=weight)
    return tuple(tuple(row) for row in np.column_stack([fitted.coef_, fitted.intercept_]).tolist())
