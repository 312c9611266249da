"""Labels beside the out-of-fold predictions of the same faces.

An issue is about a unit: for gender all faces of a person that carry one label, for age the same where the person has a
name, and else, as for the mask, a single face.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ....embedder.labels import GENDERS, MASKS, years_outside
from ....index.flat import Gallery
from ...age.vote import NOBODY, voter_weights
from ...age.voters import VoterGallery
from ...data.face_set import FaceSet, Rows
from ...data.identity import person_keys, rows_by_value
from ...tasks import PROBABILITIES
from .issues import LabelIssue, clearest
from .label_noise import Floats, error_probability
from .predictions import YEAR_COLUMNS

NEIGHBOURS = 30
TEMPERATURE = 0.05
MIN_PROBABILITY = 1e-4
"""Probabilities of classes are at least this before their logarithm is taken."""
WRONG_AGE = 10
"""Years from which an age counts as wrong: a smaller error cannot be seen in a face."""
QUANTILES = (0.1, 0.5, 0.9)


def label_units(table: pd.DataFrame, labels: pd.Series[str], people: Rows, *, named_only: bool) -> list[Rows]:
    """Positions of the faces of each unit; faces whose label is unknown are in none.

    Args:
        table: of n faces.
        labels: (n,) texts.
        people: (n,) group of each face.
        named_only: faces of people without a name are units of their own.
    """
    person = person_keys(table)
    key = person.fillna("") + "\0" + labels + "\0" + people.astype("str")
    if named_only:
        key = key.where(person.notna(), table["face_id"] + "\0" + table["path"])
    return rows_by_value(key.where(labels != ""))


def mask_issues(predicted: pd.DataFrame, labels: pd.Series[str], random: np.random.Generator) -> list[LabelIssue]:
    """One issue for the mask label of each face that has one, by the mask head.

    Args:
        predicted: (n rows) of :func:`.predictions.out_of_fold_predictions`.
        labels: (n,) texts.
        random: gives faces other labels, to see how these score.
    """
    logs = _logs(predicted, "mask")
    rows = np.flatnonzero((labels != "").to_numpy() & ~np.isnan(logs).any(axis=1))
    logs = logs[rows]
    given = pd.Categorical(labels.iloc[rows], categories=list(MASKS)).codes.astype(np.int64)
    other = (given + random.integers(1, len(MASKS), len(given))) % len(MASKS)
    best, margin = _strongest_other(logs, given)
    probability = error_probability(margin, _strongest_other(logs, other)[1])
    issues = []
    for i, row in enumerate(rows.tolist()):
        label, better = MASKS[given[i]], MASKS[best[i]]
        text = f"the mask head gives {better} {_percent(logs[i, best[i]])}, {label} {_percent(logs[i, given[i]])}"
        issues.append(LabelIssue("label", (row,), "mask", label, better, float(probability[i]), text))
    return issues


def gender_issues(faces: FaceSet, predicted: pd.DataFrame, labels: pd.Series[str], near: Floats) -> list[LabelIssue]:
    """One issue for the gender of each person, by the gender head and the nearest people in FaceNet's space.

    Args:
        faces: the audited faces.
        predicted: (n rows) of :func:`.predictions.out_of_fold_predictions`.
        labels: (n,) texts.
        near: (n, 2) of :func:`gender_neighbours`.
    """
    logs = np.nan_to_num(_logs(predicted, "gender"), nan=np.log(1 / len(GENDERS)))
    logits = np.stack([logs[:, 1] - logs[:, 0], np.log(near[:, 1] / near[:, 0])], axis=1)
    mean = pd.DataFrame(logits).groupby(faces.people).transform("mean").to_numpy()
    units = label_units(faces.table, labels, faces.people, named_only=False)
    first = [int(rows[0]) for rows in units]
    sign = np.where(labels.iloc[first] == GENDERS[1], 1.0, -1.0)[:, None]
    probabilities = error_probability(-sign * mean[first], sign * mean[first])
    issues = []
    for rows, row, probability in zip(units, first, probabilities.tolist(), strict=True):
        label = labels.iloc[row]
        better = GENDERS[1 - GENDERS.index(label)]
        head, votes = 1 / (1 + np.exp(-mean[row] * (1 if better == GENDERS[1] else -1)))
        text = f"the gender head gives {better} {head:.0%}, the nearest people {votes:.0%}"
        issues.append(LabelIssue("label", tuple(rows.tolist()), "gender", label, better, probability, text))
    return issues


def gender_neighbours(pool: FaceSet, asked: Rows) -> Floats:
    """Share of the vote of the nearest people in FaceNet's own space for each gender (n, 2); rows sum to 1.

    The own person does not vote. Equal shares where nobody of known gender is near.
    """
    known = np.flatnonzero(pool.table["gender"].isin(GENDERS).to_numpy())
    if not len(known):
        return np.full((len(asked), len(GENDERS)), 1 / len(GENDERS))
    gallery = VoterGallery(Gallery.of(pool.embeddings[known], np.arange(len(known)), "exact"), pool.people[known])
    rows, near = gallery.nearest(pool.embeddings[asked], NEIGHBOURS, pool.people[asked])
    weights = voter_weights(near, TEMPERATURE)
    codes = pd.Categorical(pool.table["gender"].iloc[known], categories=list(GENDERS)).codes
    votes = [(weights * ((rows != NOBODY) & (codes[rows] == number))).sum(axis=1) for number in range(len(GENDERS))]
    shares = np.stack(votes, axis=1).astype(np.float64) + MIN_PROBABILITY
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float64)


def age_issues(
    faces: FaceSet, predicted: pd.DataFrame, labels: pd.Series[str], random: np.random.Generator
) -> list[LabelIssue]:
    """One issue for the age of each unit, by the years between label and prediction; see :func:`mask_issues`."""
    years = predicted[list(YEAR_COLUMNS)].to_numpy(np.float64)
    units = label_units(faces.table, labels.where(~np.isnan(years[:, 0]), ""), faces.people, named_only=True)
    if not units:
        return []
    low, high = (faces.table[name].to_numpy(np.float64) for name in ("age_low", "age_high"))
    median = _quantiles(years)[:, 1].astype(np.float64)
    first = np.array([rows[0] for rows in units])
    other = random.permutation(first)

    def distance(label: Rows) -> Floats:
        pairs = zip(units, label, strict=True)
        return np.array([years_outside(median[rows], low[of], high[of]).mean() for rows, of in pairs])

    wrong = np.abs((low + high)[other] - (low + high)[first]) / 2 >= WRONG_AGE
    error = distance(first)
    probabilities = error_probability(error, distance(other)[wrong])
    issues = []
    for rows, off, probability in zip(units, error.tolist(), probabilities.tolist(), strict=True):
        lowest, middle, highest = _quantiles(years[rows].mean(axis=0, keepdims=True))[0].tolist()
        label, better = labels.iloc[int(rows[0])], f"{lowest}-{highest}"
        text = f"neighbours and age network predict {middle} ({better}), {off:.0f} years from the label"
        near = str(predicted["neighbours"].iloc[clearest(faces.table, rows)] or "")
        issues.append(LabelIssue("label", tuple(rows.tolist()), "age", label, better, probability, text, near))
    return issues


def _strongest_other(logs: Floats, label: Rows) -> tuple[Rows, Floats]:
    """The likeliest class (n,) beside a label, and by how much its logarithm (n,) exceeds the label's.

    Args:
        logs: (n, classes) logarithms of probabilities.
        label: (n,) classes.
    """
    others = np.where(np.arange(logs.shape[1]) == label[:, None], -np.inf, logs)
    margin = others.max(axis=1) - logs[np.arange(len(logs)), label]
    return others.argmax(axis=1), np.asarray(margin, np.float64)


def _logs(predicted: pd.DataFrame, task: str) -> Floats:
    """Logarithms of a task's probabilities (n, classes); NaN where there is no prediction."""
    shares = predicted[list(PROBABILITIES[task].values())].to_numpy(np.float64)
    known = ~np.isnan(shares).all(axis=1, keepdims=True)
    return np.asarray(np.log(np.where(known & np.isnan(shares), 0, shares).clip(MIN_PROBABILITY, 1)), np.float64)


def _quantiles(years: Floats) -> Rows:
    """Years (n, 3) of :data:`QUANTILES` of distributions (n, 121)."""
    cumulative = np.cumsum(years, axis=1)
    return np.stack([(cumulative < quantile).sum(axis=1) for quantile in QUANTILES], axis=1).astype(np.int64)


def _percent(log: float) -> str:
    return f"{np.exp(log):.0%}"
