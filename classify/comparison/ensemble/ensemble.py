"""The ``ensemble`` job: out-of-fold answers of several models are mixed, by weights fitted on other people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, recall_score

from ....embedder.labels import class_id
from ...metrics.bootstrap import Bootstrap, Counts, Estimate, Statistic, mean
from ...metrics.confusion import flattened, macro_f1
from ...metrics.scored import UNKNOWN, Bools, ScoredFaces, scored_faces
from ...metrics.scores import overall
from ...tasks import CLASSES, PROBABILITIES
from .members import ENSEMBLE, Members
from .weights import Floats, Ints, absolute_error_weights, log_loss_weights

AGE = "age"
QUESTIONS = (*CLASSES, AGE)
"""Predictions that are weighted separately: the classes of the three tasks by log loss, the age by absolute error."""
CORRECTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Mixing:
    """How answers are mixed.

    Attributes:
        weights: question (:data:`QUESTIONS`) -> weights (m,) that sum to 1.
        correction: exponent of the prior of the class-frequency correction of age bands, 0 to 1.
        prior: (3,) shares of the bands.
    """

    weights: Mapping[str, Floats]
    correction: float
    prior: Floats

    def content(self) -> dict[str, Any]:
        """As JSON values."""
        weights = {name: np.round(values, 6).tolist() for name, values in self.weights.items()}
        return {"weights": weights, "correction": self.correction, "prior": np.round(self.prior, 6).tolist()}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Mixing:
        """What :meth:`content` gave; raises KeyError, TypeError or ValueError where it is something else."""
        weights = {name: np.array(content["weights"][name], np.float64) for name in QUESTIONS}
        return cls(weights, float(content["correction"]), np.array(content["prior"], np.float64))


@dataclass(frozen=True)
class Mixed:
    """What came out.

    Attributes:
        answers: one row a face, columns as of out-of-fold answers.
        folds: fold -> what its answers were mixed by, fitted on the other folds.
        everywhere: the same fitted on all faces, for faces of other people than these.
        scores: name of a member, or :data:`~.members.ENSEMBLE` -> figure -> estimate.
        differences: figure -> the ensemble's less that of the best member for that figure, by name.
    """

    answers: pd.DataFrame
    folds: Mapping[int, Mixing]
    everywhere: Mixing
    scores: Mapping[str, Mapping[str, Estimate]]
    differences: Mapping[str, tuple[str, Estimate]]

    def content(self, names: Sequence[str]) -> dict[str, Any]:
        """Weights and scores as JSON values; ``names`` are the members', in the order of the weights."""
        scores = {name: {figure: one.row() for figure, one in found.items()} for name, found in self.scores.items()}
        differences = {figure: {"best": best} | one.row() for figure, (best, one) in self.differences.items()}
        return {
            "members": list(names),
            "all": self.everywhere.content(),
            "folds": {str(fold): mixing.content() for fold, mixing in self.folds.items()},
            "scores": scores,
            "differences": differences,
        }


def mix(members: Members, rounds: int = 1000, seed: int = 0) -> Mixed:
    """Mix the answers of every fold by weights fitted on the other folds, whose people are others, and score all.

    Args:
        rounds, seed: of the resamples of people for the intervals.
    """
    scored = [scored_faces(table.assign(person=members.people)) for table in members.tables]
    fold = members.fold
    folds = {int(number): fitted(members, scored, fold != number) for number in np.unique(fold)}
    parts = [mixed_answers(members.tables, scored, mixing)[fold == number] for number, mixing in folds.items()]
    answers = pd.concat([members.faces, pd.concat(parts).sort_index()], axis=1)
    everywhere = fitted(members, scored, np.ones(len(fold), bool))
    together = scored_faces(answers)
    bootstrap = Bootstrap(members.people, rounds, seed)
    scores = {name: overall(one, bootstrap) for name, one in zip(members.names, scored, strict=True)}
    return Mixed(
        answers,
        folds,
        everywhere,
        scores | {ENSEMBLE: overall(together, bootstrap)},
        _differences(members, scored, together, bootstrap),
    )


def fitted(members: Members, scored: Sequence[ScoredFaces], rows: Bools) -> Mixing:
    """Weights with the least loss on some rows (n,), and the correction with the best age bands there.

    The correction maximises macro F1 plus macro recall, as for the vote of a single model. Members that have no answer
    to a question get no weight in it; faces that one of the others does not answer are not fitted on.
    """
    weights: dict[str, Floats] = {}
    for task in CLASSES:
        truth = scored[0].tasks[task].truth
        probabilities = np.stack([one.tasks[task].probabilities for one in scored])
        answered = np.asarray(~np.isnan(probabilities).any(axis=2), bool)
        usable, here = _usable(answered, rows & (truth != UNKNOWN))
        found = log_loss_weights(probabilities[usable][:, here], truth[here])
        weights[task] = _placed(len(scored), usable, found)
    low, high = members.true_ages
    ages = np.stack([one.age for one in scored])
    answered = np.asarray(~np.isnan(ages), bool)
    usable, here = _usable(answered, rows & np.asarray(~np.isnan(low + high), bool))
    found = absolute_error_weights(ages[usable][:, here], low[here], high[here])
    weights[AGE] = _placed(len(scored), usable, found)
    truth = scored[0].age_band.truth
    known = rows & (truth != UNKNOWN)
    prior = np.bincount(truth[known], minlength=len(CLASSES["age_band"])) + 1.0
    mixing = Mixing(weights, 0.0, prior / prior.sum())
    if not known.any():
        return mixing
    kinds = {"average": "macro", "labels": np.unique(truth[known]), "zero_division": 0}

    def quality(correction: float) -> float:
        predicted = _predicted(scored, "age_band", replace(mixing, correction=correction))[0][known]
        return float(f1_score(truth[known], predicted, **kinds) + recall_score(truth[known], predicted, **kinds))

    return replace(mixing, correction=max(CORRECTIONS, key=quality))


def mixed_answers(tables: Sequence[pd.DataFrame], scored: Sequence[ScoredFaces], mixing: Mixing) -> pd.DataFrame:
    """The mixture's predictions for n faces: classes, ``class_id``, probabilities, years and their intervals.

    Probabilities and years are weighted means, as are the ends of the intervals. Predicted is the most probable of the
    classes that a member with a weight predicts, after the class-frequency correction (:attr:`Mixing.correction`): what
    all members predict, the ensemble predicts. An interval needs all members with a weight to have one (quantiles are
    averaged: Vincent averaging, Ratcliff 1979).

    Args:
        tables: answers of the members, row i of all about the same face.
        scored: the same as arrays.
    """
    answers = pd.DataFrame(index=tables[0].index)
    for task, columns in PROBABILITIES.items():
        predicted, probabilities = _predicted(scored, task, mixing)
        answers[task] = pd.Series(np.array([*CLASSES[task], None], object)[predicted], answers.index, "str")
        answers[list(columns.values())] = probabilities
    for name in (AGE, "age_low", "age_high"):
        years = np.stack([table[name].to_numpy(np.float64, na_value=np.nan) for table in tables])
        answers[name] = _mean(mixing.weights[AGE], years[..., None], strict=name != AGE)[:, 0]
    triples = answers[list(CLASSES)].dropna().itertuples()
    ids = {row: class_id(*names) for row, *names in triples}
    return answers.assign(class_id=pd.Series(ids, dtype="Int64").reindex(answers.index))


def _predicted(scored: Sequence[ScoredFaces], task: str, mixing: Mixing) -> tuple[Ints, Floats]:
    """Class numbers (n,), -1 where no member answers, and mixed probabilities (n, k)."""
    tasks = [one.tasks[task] for one in scored]
    weights = mixing.weights[task]
    probabilities = _mean(weights, np.stack([one.probabilities for one in tasks]), strict=False)
    proposed = np.zeros(probabilities.shape, bool)
    for weight, one in zip(weights, tasks, strict=True):
        answered = np.flatnonzero(one.predicted != UNKNOWN)
        if weight > 0:
            proposed[answered, one.predicted[answered]] = True
    score = np.log(np.nan_to_num(probabilities) + 1e-9)
    if task == "age_band":
        score = score - mixing.correction * np.log(mixing.prior)
    predicted = np.where(proposed, score, -np.inf).argmax(axis=1)
    return np.where(proposed.any(axis=1), predicted, UNKNOWN), probabilities


def _mean(weights: Floats, values: Floats, strict: bool) -> Floats:
    """Weighted mean (n, k) of values (m, n, k) over the members with a weight that have some.

    NaN where none has, and with ``strict`` where one of them has not.
    """
    chosen = np.flatnonzero(weights > 0)
    there = ~np.isnan(values[chosen]).any(axis=2)
    shares = weights[chosen][:, None] * there
    total = shares.sum(axis=0)
    mean = (shares[..., None] * np.nan_to_num(values[chosen])).sum(axis=0) / np.where(total > 0, total, 1)[:, None]
    unknown = ~there.all(axis=0) if strict else total == 0
    mean[unknown] = np.nan
    return np.asarray(mean, np.float64)


def _usable(answered: Bools, rows: Bools) -> tuple[Ints, Bools]:
    """Members that answer any of the rows (n,), and the rows that all of these answer; ``answered`` is (m, n)."""
    usable = np.flatnonzero(answered[:, rows].any(axis=1))
    usable = usable if len(usable) else np.flatnonzero(answered.any(axis=1))
    usable = usable if len(usable) else np.arange(len(answered))
    return usable, np.asarray(rows & answered[usable].all(axis=0), bool)


def _placed(members: int, usable: Ints, weights: Floats) -> Floats:
    """Weights of the usable ones among all members."""
    placed = np.zeros(members)
    placed[usable] = weights
    return placed


def _differences(
    members: Members, scored: Sequence[ScoredFaces], together: ScoredFaces, bootstrap: Bootstrap
) -> dict[str, tuple[str, Estimate]]:
    """See :attr:`Mixed.differences`."""
    found = {}
    for name, (counts, statistic, smaller) in FIGURES.items():
        values = [float(bootstrap.estimate(counts(one), statistic).value) for one in scored]
        if np.isnan(values).all():
            continue
        best = int(np.nanargmin(values) if smaller else np.nanargmax(values))
        found[name] = members.names[best], bootstrap.difference(counts(together), counts(scored[best]), statistic)
    return found


FIGURES: Mapping[str, tuple[Callable[[ScoredFaces], Counts], Statistic, bool]] = {
    "mask accuracy": (lambda scored: Counts.mean(scored.mask.correct), mean, False),
    "gender accuracy": (lambda scored: Counts.mean(scored.gender.correct), mean, False),
    "age MAE": (lambda scored: Counts.mean(scored.age_error), mean, True),
    "age band macro F1": (lambda scored: scored.age_band.counts(), flattened(macro_f1), False),
    "18-class macro F1": (lambda scored: scored.joint.counts(), flattened(macro_f1), False),
}
"""Figure -> what it is made of, how, and whether less is better."""
