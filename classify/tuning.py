"""Fit the age space and choose how the vote counts, always asking about people the space has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from sklearn.metrics import f1_score, recall_score
from sklearn.model_selection import GroupKFold

from ..embedder.labels import band_numbers
from ..index.gallery import Gallery
from .age_space import AgeSpace, age_features, fit_age_space
from .pool import Pool, Rows
from .vote import (
    NOBODY,
    RAW_PER_VOTER,
    Floats,
    VoteSettings,
    band_prior,
    one_vote_a_person,
    vote,
    year_profiles,
)

FOLDS = 4
MIN_PEOPLE = 40
"""With fewer people of known age nothing can be tuned, and the default settings are kept."""
VOTERS = (10, 20, 30, 50, 80, 120)
TEMPERATURES = (0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
SOFTNESS = 2.0
CORRECTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
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


def fit_vote(
    pool: Pool, seed: int, progress: Progress = lambda done, total: None
) -> tuple[AgeSpace, VoteSettings, VoteReport | None]:
    """The age space of all faces with an age, and the vote settings chosen on held-out people.

    Per fold of people the space is fitted on the others, who then vote; voters and temperature minimise the mean
    absolute error in years, the prior correction maximises the macro recall of the bands, every person weighing the
    same. Recall, unlike F1, does not depend on how common a band happens to be among the people held out.
    """
    rows = with_age(pool)
    faces = pool.subset(rows)
    features = age_features(faces.embeddings, faces.maps(np.arange(len(faces))))
    low, high = faces.table["age_low"].to_numpy(np.float32), faces.table["age_high"].to_numpy(np.float32)
    middle = np.asarray((low + high) / 2, np.float32)
    if len(np.unique(faces.people)) < MIN_PEOPLE:
        return fit_age_space(features, middle), VoteSettings(), None
    asked = np.sort(np.random.default_rng(seed).permutation(len(faces))[:MAX_ASKED])
    voters, similarities = _held_out_voters(faces, features, middle, asked, progress)
    space = fit_age_space(features, middle)
    progress(FOLDS + 1, FOLDS + 1)
    settings, report = _choose(faces.people, low, high, asked, voters, similarities)
    return space, settings, report


def _held_out_voters(
    faces: Pool, features: Floats, middle: Floats, asked: Rows, progress: Progress
) -> tuple[Rows, Floats]:
    """Gallery rows and similarities of the nearest people of the asked faces, in spaces fitted without their fold."""
    most = max(VOTERS)
    voters = np.full((len(faces), most), NOBODY, np.int64)
    similarities = np.full((len(faces), most), -np.inf, np.float32)
    for fold, (fit, held_out) in enumerate(GroupKFold(FOLDS).split(features, groups=faces.people)):
        progress(fold, FOLDS + 1)
        space = fit_age_space(features[fit], middle[fit])
        gallery = Gallery(space.dimension)
        gallery.add(space.project(features[fit]), np.arange(len(fit)))
        queries = np.intersect1d(held_out, asked)
        found = gallery.search(space.project(features[queries]), min(len(fit), most * RAW_PER_VOTER))
        nobody = np.full(len(queries), NOBODY)
        near, similar = one_vote_a_person(found.ids, found.similarities, faces.people[fit], nobody, most)
        width = near.shape[1]
        voters[queries, :width] = np.where(near >= 0, fit[near], NOBODY)
        similarities[queries, :width] = similar
    return voters[asked], similarities[asked]


def _choose(
    people: Rows, gallery_low: Floats, gallery_high: Floats, asked: Rows, voters: Rows, similarities: Floats
) -> tuple[VoteSettings, VoteReport]:
    low, high = gallery_low[asked], gallery_high[asked]
    truth = (low + high) / 2
    band = band_numbers(truth)
    clear = band_numbers(low) == band_numbers(high)
    weight = 1 / np.bincount(people[asked])[people[asked]]
    profiles = year_profiles(gallery_low, gallery_high, SOFTNESS)
    prior = band_prior(gallery_low, gallery_high, people)

    def report(settings: VoteSettings) -> VoteReport:
        k = settings.voters
        got = vote(voters[:, :k], similarities[:, :k], profiles, prior, settings)
        error = np.maximum(np.maximum(low - got.age, got.age - high), 0)
        mae = float(np.average(error, weights=weight))
        if not clear.any():  # bands such as 25-35 only say nothing of the three classes
            return VoteReport(len(truth), mae, 0.0, 0.0, settings)
        said, true = got.bands.argmax(axis=1)[clear], band[clear]
        f1 = f1_score(true, said, average="macro", sample_weight=weight[clear])
        recall = recall_score(true, said, average="macro", sample_weight=weight[clear])
        return VoteReport(len(truth), mae, float(f1), float(recall), settings)

    pairs = (report(VoteSettings(k, t, SOFTNESS, 0.5)) for k, t in product(VOTERS, TEMPERATURES))
    nearest = min(pairs, key=lambda candidate: candidate.mae).settings
    corrected = (report(replace(nearest, correction=c)) for c in CORRECTIONS)
    best = max(corrected, key=lambda candidate: candidate.macro_recall)
    return best.settings, best
