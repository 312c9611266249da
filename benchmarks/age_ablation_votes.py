"""People held out, neighbours, votes and scores of ``age_ablation.py``; all is chosen as the product chooses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from maskcls.classify.age import tuning
from maskcls.classify.age.vote import (
    NOBODY,
    AgeVotes,
    VoteSettings,
    age_distribution,
    band_prior,
    from_years,
    vote,
    year_profiles,
)
from maskcls.classify.age.voters import RAW_PER_VOTER, one_vote_a_person
from maskcls.classify.data.face_set import FaceSet
from maskcls.classify.metrics.bootstrap import Bootstrap, Counts, Estimate, Statistic, mean
from maskcls.classify.metrics.confusion import flattened, macro_f1, recall
from maskcls.embedder.labels import BAND_STARTS, band_numbers, years_outside
from maskcls.index.flat import Gallery

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TEST_SHARES = {"contest": 0.2, "utkface": 0.15, "fairface": 0.15}
"""Source -> share of its people who are asked in the end."""
HELD_OUT = 0.1
"""Share of the other people on whom the vote is chosen."""
MOST = 120
"""People fetched; rows of the table may let more vote than the product does."""


def parted(faces: FaceSet, seed: int) -> tuple[Rows, int, int]:
    """Rows to learn from, then rows to choose the vote on, then rows to score; and where the second and third begin.

    No person is in two parts. Faces with drawn masks are never scored.
    """
    random = np.random.default_rng(seed)
    source, drawn = faces.table["source"].to_numpy(), faces.table["drawn_on"].notna().to_numpy()
    taken = np.empty(0, np.int64)
    for name, share in TEST_SHARES.items():
        people = np.setdiff1d(faces.people[(source == name) & ~drawn], taken)
        taken = np.concatenate([taken, random.permutation(people)[: round(share * len(people))]])
    rest = np.setdiff1d(faces.people, taken)
    held = np.isin(faces.people, random.permutation(rest)[: round(HELD_OUT * len(rest))])
    asked = np.isin(faces.people, taken)
    parts = (~asked & ~held, held, asked & ~drawn & np.isin(source, list(TEST_SHARES)))
    rows = [np.flatnonzero(part) for part in parts]
    return np.concatenate(rows), len(rows[0]), len(rows[0]) + len(rows[1])


@dataclass(frozen=True)
class Setting:
    """Faces in the order of :func:`parted`: years (n,), people (n,), and where the held-out and the scored begin."""

    low: Floats
    high: Floats
    people: Rows
    held: int
    test: int

    def __len__(self) -> int:
        return len(self.low)

    @property
    def prior(self) -> Floats:
        """Share of each band (3,) among all but the scored."""
        return band_prior(self.low[: self.test], self.high[: self.test], self.people[: self.test])

    def neighbours(
        self,
        vectors: Floats,
        *,
        gallery: Rows | None = None,
        groups: tuple[Rows, Rows] | None = None,
        voter: Rows | None = None,
    ) -> tuple[Rows, Floats]:
        """Nearest people of all faces behind the first ``held``: rows and similarities (n - held, 120).

        Args:
            vectors: (n, d).
            gallery: rows that may vote, the first ``held`` by default.
            groups: (n,) numbers of voters and of askers; faces vote within their group.
            voter: (n,) faces of one number have one vote together, people by default.
        """
        gallery = np.arange(self.held) if gallery is None else gallery
        of, to = (np.zeros(len(self), np.int64),) * 2 if groups is None else groups
        voter = self.people if voter is None else voter
        near = np.full((len(self), MOST), NOBODY, np.int64)
        similar = np.full((len(self), MOST), -np.inf, np.float32)
        for group in np.unique(to[self.held :]):
            rows, queries = gallery[of[gallery] == group], self.held + np.flatnonzero(to[self.held :] == group)
            index = Gallery(vectors.shape[1])
            index.add(vectors[rows], rows)
            found = index.search(vectors[queries], min(len(rows), MOST * RAW_PER_VOTER))
            nobody = np.full(len(queries), NOBODY)
            got = one_vote_a_person(found.ids, found.similarities, voter, nobody, MOST)
            near[queries, : got[0].shape[1]], similar[queries, : got[1].shape[1]] = got
        return near[self.held :], similar[self.held :]

    def vote(
        self, near: Rows, similar: Floats, choice: Mapping[str, object] | None = None, beside: Floats | None = None
    ) -> AgeVotes:
        """What :meth:`neighbours` say of the scored; voters, temperature and the rest are chosen on the held-out.

        Args:
            choice: constants of :mod:`maskcls.classify.age.tuning` to choose from instead.
            beside: distributions over years (n - held, 121) that the vote is averaged with.
        """
        known, split = slice(0, self.test), self.test - self.held
        labels = self.low[known], self.high[known]
        held_out = self._held_out(near[:split], similar[:split], tuning.VoterAges(*labels, self.people[known]))
        with ExitStack() as patches:
            for name, value in (choice or {}).items():
                patches.enter_context(patch.object(tuning, name, value))
            settings = tuning.choose_settings(held_out, VoteSettings(softness=tuning.SOFTNESS)).settings
        profiles, k = year_profiles(*labels, settings.softness), settings.voters
        years = age_distribution(near[:, :k], similar[:, :k], profiles, settings.temperature)
        if beside is not None:
            return self.alone((years + beside) / np.float32(2))
        return from_years(years[split:], self.prior, settings)

    def alone(self, years: Floats) -> AgeVotes:
        """The same of a network's own distributions (n - held, 121): bands are calibrated on the held-out."""
        split = self.test - self.held
        rows, similarities = np.empty((split, 0), np.int64), np.empty((split, 0), np.float32)
        ages = tuning.VoterAges(similarities[0], similarities[0], rows[0])
        held_out = self._held_out(rows, similarities, ages)
        settings = tuning.choose_bands(held_out, VoteSettings(), years[:split], self.prior).settings
        return from_years(years[split:], self.prior, settings)

    def _held_out(self, rows: Rows, similarities: Floats, ages: tuning.VoterAges) -> tuning.HeldOut:
        """The held-out faces with some voters; intervals are not scored here."""
        held = slice(self.held, self.test)
        weight = 1 / np.bincount(self.people[held])[self.people[held]]
        real = np.ones(self.test - self.held, bool)
        return tuning.HeldOut(self.low[held], self.high[held], real, weight, rows, similarities, ages)

    def contradicted(self, vectors: Floats, years: float) -> Bools:
        """Of the first ``held`` faces, those whose nearest people say an age that far outside their own (edited NN).

        Wilson 1972, https://doi.org/10.1109/TSMC.1972.4309137, with the median of ten people in place of a majority.
        """
        rows, people = np.arange(self.held), self.people[: self.held]
        index = Gallery(vectors.shape[1])
        index.add(vectors[: self.held], rows)
        found = index.search(vectors[: self.held], 200)
        near, similar = one_vote_a_person(found.ids, found.similarities, people, people, 10)
        low, high = self.low[: self.held], self.high[: self.held]
        predicted = vote(near, similar, year_profiles(low, high, 2.0), self.prior, VoteSettings(10, 0.1)).age
        return np.asarray(np.maximum(low - predicted, predicted - high) > years)

    def needless(self, vectors: Floats, similarity: float, years: float) -> Bools:
        """Of the first ``held`` faces, those so like one that is kept and of nearly its age, asked in turn.

        A condensed gallery after Hart 1968 (https://doi.org/10.1109/TIT.1968.1054155).
        """
        unit = vectors[: self.held] / np.linalg.norm(vectors[: self.held], axis=1, keepdims=True)
        middle, kept = (self.low + self.high)[: self.held] / 2, np.zeros(self.held, bool)
        for row in np.random.default_rng(0).permutation(self.held):
            rivals = np.flatnonzero(kept & (np.abs(middle - middle[row]) <= years))
            kept[row] = not len(rivals) or float((unit[rivals] @ unit[row]).max()) < similarity
        return ~kept


@dataclass(frozen=True)
class Truth:
    """Scored faces: years and people (n,), and which of them a column counts (n,), by the column's first words."""

    low: Floats
    high: Floats
    people: Rows
    kinds: Mapping[str, Bools]


COLUMNS = (
    ("utkface", "MAE"),
    ("utkface", "F1"),
    ("contest bare", "MAE"),
    ("contest bare", "F1"),
    ("contest bare", "60+"),
    ("contest masked", "MAE"),
    ("contest masked", "F1"),
    ("contest masked", "60+"),
    ("fairface", "MAE"),
    ("fairface", "F1"),
)
"""Faces and score. MAE is the distance in years to the age or to its band; F1 is of the bands, macro; 60+ is recall."""


def joined(truths: Sequence[Truth]) -> Truth:
    """Several splits as one; people keep their numbers, so that a person is resampled with all answers."""
    low, high, people = (np.concatenate([getattr(t, name) for t in truths]) for name in ("low", "high", "people"))
    kinds = {name: np.concatenate([truth.kinds[name] for truth in truths]) for name in truths[0].kinds}
    return Truth(low, high, people, kinds)


def scored(truth: Truth, age: Floats, predicted: Rows) -> list[tuple[Counts, Statistic]]:
    """Totals and their statistic for each of :data:`COLUMNS`."""
    error = years_outside(age, truth.low, truth.high).astype(np.float64)
    band = band_numbers(truth.low)
    clear = band == band_numbers(truth.high)
    out: list[tuple[Counts, Statistic]] = []
    for kind, score in COLUMNS:
        faces = truth.kinds[kind]
        if score == "MAE":
            out.append((Counts.mean(np.where(faces, error, np.nan)), mean))
        else:
            cells = Counts.cells(
                np.where(faces & clear, len(BAND_STARTS) * band + predicted, -1), len(BAND_STARTS) ** 2
            )
            statistic = flattened(macro_f1 if score == "F1" else lambda counts: recall(counts)[..., -1])
            out.append((cells, statistic))
    return out


def difference(bootstrap: Bootstrap, first: tuple[Counts, Statistic], second: tuple[Counts, Statistic]) -> Estimate:
    """First less second, on the same resamples of people."""
    width = first[0].width
    return bootstrap.estimate(
        first[0].hstack(second[0]), lambda totals: first[1](totals[..., :width]) - second[1](totals[..., width:])
    )
