"""Doubts about labels as given, beside what models say that have not seen the person.

A doubt is about a unit: for gender all faces of a person that carry one label, for age the same where the person has a
name, and else, as for the mask, a single face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ....embedder.labels import GENDERS, MASKS, years_outside
from ....index.flat import Gallery
from ...age.vote import NOBODY, voter_weights
from ...age.voters import RAW_PER_VOTER, one_vote_a_person
from ...data.face_set import FaceSet, Rows
from ...tasks import PROBABILITIES
from .label_noise import Floats, wrong_probability
from .opinions import YEAR_COLUMNS

NEIGHBOURS = 30
TEMPERATURE = 0.05
LEAST = 1e-4
A_WRONG_AGE = 10
"""Years from which an age is called wrong: a smaller error cannot be told from the face."""
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Doubt:
    """A label, or a photo, that may be wrong.

    Attributes:
        kind: ``label``, ``person``, ``copies``, ``swapped``, ``no_face`` or ``blurred``.
        rows: the audited faces it is about.
        field: ``mask``, ``gender`` or ``age``; empty where the photo itself is doubtful.
        label: as :func:`~maskcls.embedder.faceset.corrections.labels_of` writes it.
        proposal: a better label; empty where there is none.
        probability: that it is wrong, 0-1.
        evidence: one line.
        neighbours: who voted on the age of the face that shows most, as in ``predictions.csv``.
    """

    kind: str
    rows: tuple[int, ...]
    field: str
    label: str
    proposal: str
    probability: float
    evidence: str
    neighbours: str = ""


def units_of(table: pd.DataFrame, labels: pd.Series[str], people: Rows, *, named_only: bool) -> list[Rows]:
    """Positions of the faces of each unit; faces whose label is unknown are in none.

    Args:
        table: of n faces.
        labels: (n,) texts.
        people: (n,) group of each face.
        named_only: faces of people without a name are units of their own.
    """
    alone = table["person"].isna() if named_only else pd.Series(False, table.index)
    key = table["root"] + "\0" + table["person"].fillna("") + "\0" + labels + "\0" + people.astype("str")
    key = key.where(~alone, table["face_id"] + "\0" + table["path"])
    known = np.flatnonzero((labels != "").to_numpy())
    codes = pd.factorize(key.iloc[known])[0]
    order = np.argsort(codes, kind="stable")
    return np.split(known[order], np.flatnonzero(np.diff(codes[order])) + 1) if len(known) else []


def best_seen(table: pd.DataFrame, rows: Sequence[int] | Rows) -> int:
    """Which of some faces of a table shows most: the one with the longest embedding before it is normalised."""
    return int(rows[int(table["norm"].iloc[list(rows)].to_numpy().argmax())])


def mask_doubts(said: pd.DataFrame, labels: pd.Series[str], random: np.random.Generator) -> list[Doubt]:
    """Doubts about the mask states of n faces, by the mask head.

    Args:
        said: (n rows) of :func:`.opinions.opinions`.
        labels: (n,) texts.
        random: gives faces other labels, to see what these score.
    """
    logs = _logs(said, "mask")
    rows = np.flatnonzero((labels != "").to_numpy() & ~np.isnan(logs).any(axis=1))
    if not len(rows):
        return []
    logs, place = logs[rows], np.arange(len(rows))
    given = pd.Categorical(labels.iloc[rows], categories=list(MASKS)).codes.astype(np.int64)
    other = (given + random.integers(1, len(MASKS), len(given))) % len(MASKS)
    rest = np.where(np.arange(len(MASKS)) == given[:, None], -np.inf, logs)
    best = rest.argmax(axis=1)

    def against(label: Rows) -> Floats:
        others = np.where(np.arange(len(MASKS)) == label[:, None], -np.inf, logs)
        return np.asarray(others.max(axis=1) - logs[place, label], np.float64)

    doubt = wrong_probability(against(given), against(other))
    found = []
    for i, row in enumerate(rows.tolist()):
        label, better = MASKS[given[i]], MASKS[best[i]]
        shares = f"the mask head gives {better} {_percent(logs[i, best[i]])}, {label} {_percent(logs[i, given[i]])}"
        found.append(Doubt("label", (row,), "mask", label, better, float(doubt[i]), shares))
    return found


def gender_doubts(faces: FaceSet, said: pd.DataFrame, labels: pd.Series[str], near: Floats) -> list[Doubt]:
    """Doubts about the gender of people, by the gender head and the nearest people in FaceNet's space.

    Args:
        faces: the audited faces.
        said: (n rows) of :func:`.opinions.opinions`.
        labels: (n,) texts.
        near: (n, 2) of :func:`gender_neighbours`.
    """
    logs = np.nan_to_num(_logs(said, "gender"), nan=np.log(1 / len(GENDERS)))
    logits = np.stack([logs[:, 1] - logs[:, 0], np.log(near[:, 1] / near[:, 0])], axis=1)
    mean = pd.DataFrame(logits).groupby(faces.people).transform("mean").to_numpy()
    units = units_of(faces.table, labels, faces.people, named_only=False)
    first = [int(rows[0]) for rows in units]
    sign = np.where(labels.iloc[first] == GENDERS[1], 1.0, -1.0)[:, None]
    doubt = wrong_probability(-sign * mean[first], sign * mean[first])
    found = []
    for rows, row, probability in zip(units, first, doubt.tolist(), strict=True):
        label = labels.iloc[row]
        better = GENDERS[1 - GENDERS.index(label)]
        head, votes = 1 / (1 + np.exp(-mean[row] * (1 if better == GENDERS[1] else -1)))
        text = f"the gender head gives {better} {head:.0%}, the nearest people {votes:.0%}"
        found.append(Doubt("label", _tuple(rows), "gender", label, better, probability, text))
    return found


def gender_neighbours(pool: FaceSet, asked: Rows) -> Floats:
    """How much of the vote of the nearest people in FaceNet's own space each gender gets (n, 2); rows sum to 1.

    The own person does not vote. Equal shares where nobody of known gender is near.
    """
    known = np.flatnonzero(pool.table["gender"].isin(GENDERS).to_numpy())
    if not len(known):
        return np.full((len(asked), len(GENDERS)), 1 / len(GENDERS))
    gallery = Gallery(pool.embeddings.shape[1])
    gallery.add(pool.embeddings[known], np.arange(len(known)))
    found = gallery.search(pool.embeddings[asked], min(len(known), NEIGHBOURS * RAW_PER_VOTER))
    own = pool.people[asked]
    rows, near = one_vote_a_person(found.ids, found.similarities, pool.people[known], own, NEIGHBOURS)
    weights = voter_weights(near, TEMPERATURE)
    codes = pd.Categorical(pool.table["gender"].iloc[known], categories=list(GENDERS)).codes
    votes = [(weights * ((rows != NOBODY) & (codes[rows] == number))).sum(axis=1) for number in range(len(GENDERS))]
    shares = np.stack(votes, axis=1).astype(np.float64) + LEAST
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float64)


def age_doubts(faces: FaceSet, said: pd.DataFrame, labels: pd.Series[str], random: np.random.Generator) -> list[Doubt]:
    """Doubts about ages, by how far the voted age is from the label; arguments as of :func:`mask_doubts`."""
    years = said[list(YEAR_COLUMNS)].to_numpy(np.float64)
    told = labels.where(~np.isnan(years[:, 0]), "")
    units = units_of(faces.table, told, faces.people, named_only=True)
    if not units:
        return []
    low, high = (faces.table[name].to_numpy(np.float64) for name in ("age_low", "age_high"))
    median = _quantiles(years)[:, 1].astype(np.float64)
    first = np.array([rows[0] for rows in units])
    other = random.permutation(first)

    def distance(label: Rows) -> Floats:
        pairs = zip(units, label, strict=True)
        return np.array([years_outside(median[rows], low[of], high[of]).mean() for rows, of in pairs])

    wrong = np.abs((low + high)[other] - (low + high)[first]) / 2 >= A_WRONG_AGE
    error = distance(first)
    doubt = wrong_probability(error, distance(other)[wrong])
    found = []
    for rows, off, probability in zip(units, error.tolist(), doubt.tolist(), strict=True):
        least, middle, most = _quantiles(years[rows].mean(axis=0, keepdims=True))[0].tolist()
        text = f"neighbours and age network say {middle} ({least}-{most}), {off:.0f} years from the label"
        label = labels.iloc[int(rows[0])]
        near = str(said["neighbours"].iloc[best_seen(faces.table, rows)] or "")
        found.append(Doubt("label", _tuple(rows), "age", label, f"{least}-{most}", probability, text, near))
    return found


def _logs(said: pd.DataFrame, task: str) -> Floats:
    """Logarithms of a task's probabilities (n, classes); NaN where there is no answer."""
    shares = said[list(PROBABILITIES[task].values())].to_numpy(np.float64)
    answered = ~np.isnan(shares).all(axis=1, keepdims=True)
    return np.asarray(np.log(np.where(answered & np.isnan(shares), 0, shares).clip(LEAST, 1)), np.float64)


def _quantiles(years: Floats) -> Rows:
    """Years (n, 3) of :data:`QUANTILES` of distributions (n, 121)."""
    cumulative = np.cumsum(years, axis=1)
    return np.stack([(cumulative < quantile).sum(axis=1) for quantile in QUANTILES], axis=1).astype(np.int64)


def _tuple(rows: Rows) -> tuple[int, ...]:
    return tuple(rows.tolist())


def _percent(log: float) -> str:
    return f"{np.exp(log):.0%}"
