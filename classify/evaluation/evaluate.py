"""The ``evaluate`` job: out-of-fold predictions and their scores, those of baselines, and the size of the leak."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...embedder.errors import MaskclsError
from ...embedder.faceset.store import EmbeddingSet
from ...embedder.photo import shown
from ...embedder.storage.step_cache import Step, StepCache
from ..data.face_set import FaceSet, Rows
from ..metrics.scores import summarise
from ..model.build import build_model
from ..tasks import ANSWER_COLUMNS
from .baselines import WITHOUT_VOTE, baseline_inputs, baseline_predictions, without_vote
from .cross_validation import (
    MASKCLS,
    WITHOUT_PSEUDO_LABELS,
    BuildSettings,
    FoldModel,
    Progress,
    Tables,
    cross_validate,
    predictions_of,
)
from .leakage_guard import fold_notes
from .splits import pool_folds, read_split, scarce_classes

ROUNDS = 1000
TRAIN_ONLY = -1
"""Fold of people without a scored face: they take part in every fold's building."""
HEADLINES = (
    "mask accuracy",
    "gender accuracy",
    "gender accuracy, masked",
    "age MAE",
    "age band macro F1",
    "recall >=60",
    "18-class macro F1",
)
HONEST = "people apart"
FORBIDDEN = "random split, own person may not vote"
ALLOWED = "random split, own person votes"


@dataclass(frozen=True)
class Plan:
    """Which faces are scored, and in which fold each person is held out.

    Attributes:
        fold: (n,) fold of every face of the pool, :data:`TRAIN_ONLY` for people without a scored face.
        scored: rows to predict.
        folds: number of folds that are scored.
        candidates: rows that would be scored if all folds were.
    """

    fold: Rows
    scored: Rows
    folds: int
    candidates: Rows


@dataclass(frozen=True)
class EvaluationSettings(BuildSettings):
    """What is evaluated.

    Attributes:
        baselines: also fit every baseline in every fold (``summary["baselines"]``).
        leakage: also score a random split, with and without votes of the own person (``summary["leakage"]``).
        rounds: resamples of people for the intervals.
    """

    baselines: bool = False
    leakage: bool = False
    rounds: int = ROUNDS


@dataclass(frozen=True)
class Evaluation:
    """The result.

    Attributes:
        predictions: see :func:`.cross_validation.cross_validate`.
        summary: see :func:`..metrics.scores.summarise`; also ``data``, and if asked for ``baselines``, ``leakage`` and
            ``pseudo_labels``.
        cache: the finished folds, to be cleared once the predictions are written.
        others: predictions of the baselines, and of what was built without pseudo-labels, by name.
    """

    predictions: pd.DataFrame
    summary: dict[str, Any]
    cache: StepCache
    others: Tables


def plan(
    pool: FaceSet,
    train_only: Sequence[str],
    split: Path | None = None,
    folds: int = 5,
    seed: int = 0,
    score_folds: int | None = None,
) -> Plan:
    """Folds of people over the real photos of the scored sets.

    Drawn masks are never scored, and are held out with the person they were drawn on; faces with pseudo-labels
    neither.

    Args:
        train_only: ids of data sets that only take part in building, see :func:`datasets_to_build_from`.
        split: path of a split file to use instead of making one.
        score_folds: predict this many of the folds only; the people of the others are always built from.

    Raises:
        MaskclsError: nothing to score, fewer people than folds, or a split file that is unusable or leaks.
    """
    photos = pool.table["drawn_on"].isna().to_numpy(bool) & ~pool.table["dataset"].isin(list(train_only)).to_numpy(bool)
    scored = np.flatnonzero(photos & pool.real)
    if not len(scored):
        raise MaskclsError("no face to score: every set is drawn, only trained on, or has pseudo-labels")
    faces = pool.subset(scored)
    part = read_split(split, faces).fold if split is not None else pool_folds(faces, folds, seed)
    fold_of = np.full(int(pool.people.max()) + 1, TRAIN_ONLY, np.int64)
    fold_of[pool.people[scored]] = part
    answered = np.unique(part)[:score_folds]
    return Plan(fold_of[pool.people], scored[np.isin(part, answered)], len(answered), scored)


def datasets_to_build_from(sets: Sequence[EmbeddingSet], scored: int) -> list[str]:
    """Ids of the data sets behind the first ``scored`` sets, which only take part in building.

    Pseudo-labelled sets keep the id of the data set that they show, and are never scored anyway: they are left out.

    Raises:
        MaskclsError: a data set is to be scored, too.
    """
    ids = {one.dataset for one in sets[:scored]}
    others = [one for one in sets[scored:] if one.pseudo is None]
    for one in others:
        if one.dataset in ids:
            raise MaskclsError(f"{shown(one.settings['root'])}: these photos are scored; name them only once")
    return [one.dataset for one in others]


def evaluate(
    pool: FaceSet,
    chosen: Plan,
    settings: EvaluationSettings = EvaluationSettings(),
    cache_folder: Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Evaluation:
    """Predict all scored faces out of fold, and score the predictions.

    Args:
        cache_folder: for finished folds; a killed run on the same data and settings goes on from there.

    Raises:
        MaskclsError: pseudo-labels may train no fold, see :func:`~.leakage_guard.fold_notes`, or cannot be
            combined with what else is asked for.
    """
    if not pool.real.all() and settings.leakage:
        raise MaskclsError("--leakage: not with pseudo-labels; the size of the leak is that of the labelled faces")
    if settings.self_training is not None and settings.finetuning:
        raise MaskclsError("--unlabelled: not with --finetune")
    notes = fold_notes(pool, chosen.fold, np.unique(chosen.fold[chosen.scored]).tolist())
    cache = StepCache(cache_folder, *_key(pool, chosen, settings))
    inputs = functools.cache(lambda: baseline_inputs(pool))

    def others(built: FoldModel) -> Tables:
        if not settings.baselines:
            return {}
        direct = without_vote(built)
        simple = baseline_predictions(pool, inputs(), built.fit, built.scored, settings.seed)
        return simple if direct is None else simple | {WITHOUT_VOTE: direct}

    tables = cross_validate(pool, chosen.fold, chosen.scored, settings, others, cache, progress)
    summaries = {name: summarise(found, settings.rounds, settings.seed) for name, found in tables.items()}
    summary = summaries[MASKCLS]
    if WITHOUT_PSEUDO_LABELS in summaries:
        both = {WITH: summary, WITHOUT_PSEUDO_LABELS: summaries.pop(WITHOUT_PSEUDO_LABELS)}
        summary["pseudo_labels"] = _comparison(both, PSEUDO_NOTE)
    if settings.baselines:
        summary["baselines"] = _comparison(summaries, BASELINE_NOTE)
    if settings.leakage:
        leaks = _leaks(pool, chosen, settings, cache, progress)
        summary["leakage"] = _comparison({HONEST: summary} | leaks, LEAK_NOTE)
    finetuning = settings.finetuning
    summary["data"] = {
        "faces": len(chosen.scored),
        "people": len(np.unique(pool.people[chosen.scored])),
        "built_from_faces": len(pool),
        "copies": pool.copies,
        "folds": chosen.folds,
        "seed": settings.seed,
        "senior_from": settings.senior_from,
        "finetuned": None if finetuning is None else f"from {finetuning.depth}, {finetuning.passes} passes",
        "encoder": f"{pool.encoder.name} ({pool.encoder.fingerprint})",
        "notes": [*notes, *scarce_classes(pool.subset(chosen.scored), chosen.folds)],
    }
    return Evaluation(tables[MASKCLS], summary, cache, {name: one for name, one in tables.items() if name != MASKCLS})


def data_key(pool: FaceSet, fold: Rows, scored: Rows) -> tuple[object, ...]:
    """Everything in the data that changes a model of a fold or its predictions: faces, labels, identities, folds."""
    return version("maskcls"), *ANSWER_COLUMNS, pool.fingerprint, fold.tobytes(), scored.tobytes()


def _key(pool: FaceSet, chosen: Plan, settings: EvaluationSettings) -> tuple[object, ...]:
    """See :class:`StepCache`; the resamples are drawn after the folds, and are no part of it."""
    finetuning = settings.finetuning
    return (
        *data_key(pool, chosen.fold, chosen.scored),
        *(settings.seed, settings.senior_from, settings.baselines, settings.self_training),
        None if finetuning is None else (finetuning.depth, finetuning.passes),
    )


BASELINE_NOTE = (
    "Every row is fitted in the same folds of people. The features are those the vote reads: embedding and pooled map."
)
WITH = "with pseudo-labels"
PSEUDO_NOTE = (
    "Unlabelled faces were labelled in every fold by a model that has not seen the people scored there, whose photos "
    "and near-copies were left out."
)
LEAK_NOTE = (
    "What a random split of photos would report of the very same method: other photos of a person, and near-copies, "
    "are then on both sides. Where only some folds are scored, so are as many folds of the random split, with other "
    "faces."
)


def _leaks(
    pool: FaceSet, chosen: Plan, settings: EvaluationSettings, cache: StepCache, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Summaries under a random split, the own person's votes forbidden and allowed."""
    seed, senior_from = settings.seed, settings.senior_from
    fold = np.full(len(pool), TRAIN_ONLY, np.int64)
    rows = chosen.candidates
    fold[rows] = np.random.default_rng(seed).permutation(len(rows)) % len(np.unique(chosen.fold[rows]))

    def predicted(number: int) -> Step:
        def step(what: str, done: int, total: int) -> None:
            progress(f"random split {number}: {what}", done, total)

        rows = np.flatnonzero(fold == number)
        model, _ = build_model(pool.subset(np.flatnonzero(fold != number)), seed, step, senior_from=senior_from)
        forbidden = predictions_of(model, pool, rows, own=pool.people[rows])
        return Step(tables={FORBIDDEN: forbidden, ALLOWED: predictions_of(model, pool, rows)})

    parts: dict[str, list[pd.DataFrame]] = {FORBIDDEN: [], ALLOWED: []}
    for number in range(chosen.folds):
        progress("random split", number, chosen.folds)
        for name, table in cache.once(f"random-{number}", partial(predicted, number)).tables.items():
            parts[name].append(table)
    progress("random split", chosen.folds, chosen.folds)
    return {
        name: summarise(pd.concat(found, ignore_index=True), settings.rounds, seed) for name, found in parts.items()
    }


def _comparison(summaries: Mapping[str, Mapping[str, Any]], note: str) -> dict[str, Any]:
    rows = [
        {"name": name} | {metric: found["overall"][metric] for metric in HEADLINES} for name, found in summaries.items()
    ]
    return {"rows": rows, "metrics": list(HEADLINES), "note": note}
