"""The ``evaluate`` job: out-of-fold answers, their scores, and beside them the baselines and the size of the leak."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...embedder.errors import MaskclsError
from ..data.face_set import FaceSet, Rows
from ..data.leakage_guard import fold_notes
from ..labels.pseudo_labels.labels import Thresholds
from ..metrics.scores import summarise
from ..model.build import build_model
from ..model.finetune import FineTuning
from ..tasks import ANSWER_COLUMNS
from .baselines import WITHOUT_VOTE, baseline_answers, baseline_inputs, without_vote
from .cross_validation import MASKCLS, FoldModel, answers_of, cross_validate
from .kept import Kept, Tables
from .self_training import WITHOUT
from .splits import pool_folds, read_split, scarce_classes

ROUNDS = 1000
TRAIN_ONLY = -1
"""Fold of people of whom no face is scored: they take part in every fold's building."""
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

Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Plan:
    """Who is scored, and when who is held out.

    Attributes:
        fold: (n,) fold of every face of the pool, :data:`TRAIN_ONLY` for people without a scored face.
        scored: rows that are answered for.
        folds: number of folds.
    """

    fold: Rows
    scored: Rows
    folds: int


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        answers: see :func:`.cross_validation.cross_validate`.
        summary: see :func:`..metrics.scores.summarise`; also ``data``, and if asked for ``baselines`` and ``leakage``.
        kept: the finished folds, to be cleared once the answers are safe.
        others: answers of the baselines, and of what was built without pseudo-labels, by name.
    """

    answers: pd.DataFrame
    summary: dict[str, Any]
    kept: Kept
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
        train_only: folders of photos (``root`` of the pool's table) that only take part in building.
        split: path of a split file to use instead of making one.
        score_folds: answer for this many of the folds only; the people of the others are always built from.

    Raises:
        MaskclsError: nothing to score, fewer people than folds, or a split file that is unusable or leaks.
    """
    photos = pool.table["drawn_on"].isna().to_numpy(bool) & ~pool.table["root"].isin(list(train_only)).to_numpy(bool)
    scored = np.flatnonzero(photos & pool.real)
    if not len(scored):
        raise MaskclsError("no face to score: every set is drawn, only trained on, or has pseudo-labels")
    faces = pool.subset(scored)
    part = read_split(split, faces).fold if split is not None else pool_folds(faces, folds, seed)
    fold_of = np.full(int(pool.people.max()) + 1, TRAIN_ONLY, np.int64)
    fold_of[pool.people[scored]] = part
    answered = np.unique(part)[:score_folds]
    return Plan(fold_of[pool.people], scored[np.isin(part, answered)], len(answered))


def evaluate(
    pool: FaceSet,
    chosen: Plan,
    seed: int = 0,
    *,
    senior_from: int = 60,
    baselines: bool = False,
    leakage: bool = False,
    rounds: int = ROUNDS,
    keep: Path | None = None,
    step: Step = lambda what, done, total: None,
    finetuning: FineTuning | None = None,
    least: Thresholds | None = None,
) -> Evaluation:
    """Answer for all scored faces out of fold, and score the answers.

    Args:
        senior_from: first year of the oldest band as the gallery counts it; truth always begins at 60.
        baselines: also fit every baseline in every fold (``summary["baselines"]``).
        leakage: also score a random split, with and without votes of the own person (``summary["leakage"]``).
        rounds: resamples of people for the intervals.
        keep: folder for finished folds; a killed run on the same data and settings goes on from there.
        finetuning: also train FaceNet's last blocks, in every fold anew.
        least: see :func:`.cross_validation.cross_validate` (``summary["pseudo_labels"]`` is with and without them).

    Raises:
        MaskclsError: pseudo-labels may train no fold, see :func:`~..data.leakage_guard.fold_notes`, or are not to be
            had together with what else is asked for.
    """
    if not pool.real.all() and leakage:
        raise MaskclsError("--leakage: not with pseudo-labels; the size of the leak is that of the labelled faces")
    if least is not None and finetuning:
        raise MaskclsError("--unlabelled: not with --finetune")
    notes = fold_notes(pool, chosen.fold, np.unique(chosen.fold[chosen.scored]).tolist())
    table, labels = pool.table, ["face_id", "mask", "gender", "race", "age_low", "age_high", "drawn_on", "teacher"]
    data = pd.util.hash_pandas_object(table[labels]).to_numpy().tobytes()
    settings: tuple[object, ...] = (version("maskcls"), *ANSWER_COLUMNS, pool.encoder.fingerprint)
    settings = (*settings, seed, senior_from, baselines, len(pool.augmentations))
    if finetuning is not None:
        settings = (*settings, finetuning.depth, finetuning.passes)
    settings = (
        *settings,
        *sorted((least or {}).items()),
        *(taught.people.tobytes() for taught in pool.teachers.values()),
    )
    kept = Kept(keep, data, chosen.fold.tobytes(), chosen.scored.tobytes(), *settings)

    inputs = cache(lambda: baseline_inputs(pool))

    def others(built: FoldModel) -> Tables:
        if not baselines:
            return {}
        direct = without_vote(built)
        simple = baseline_answers(pool, inputs(), built.fit, built.asked, seed)
        return simple if direct is None else simple | {WITHOUT_VOTE: direct}

    tables = cross_validate(
        pool,
        chosen.fold,
        chosen.scored,
        seed,
        senior_from=senior_from,
        each=others,
        kept=kept,
        step=step,
        finetuning=finetuning,
        least=least,
    )
    summaries = {name: summarise(answers, rounds, seed) for name, answers in tables.items()}
    summary = summaries[MASKCLS]
    if WITHOUT in summaries:
        both = {WITH: summary, WITHOUT: summaries.pop(WITHOUT)}
        summary["pseudo_labels"] = _comparison("name", both, PSEUDO_NOTE)
    if baselines:
        summary["baselines"] = _comparison("name", summaries, BASELINE_NOTE)
    if leakage:
        summary["leakage"] = _comparison(
            "how", {HONEST: summary} | _leaks(pool, chosen, seed, senior_from, rounds, kept, step), LEAK_NOTE
        )
    summary["data"] = {
        "faces": len(chosen.scored),
        "people": len(np.unique(pool.people[chosen.scored])),
        "built_from_faces": len(pool),
        "copies": pool.copies,
        "folds": chosen.folds,
        "seed": seed,
        "senior_from": senior_from,
        "views": len(pool.augmentations),
        "finetuned": None if finetuning is None else f"from {finetuning.depth}, {finetuning.passes} passes",
        "encoder": f"{pool.encoder.name} ({pool.encoder.fingerprint})",
        "notes": [*notes, *scarce_classes(pool.subset(chosen.scored), chosen.folds)],
    }
    others_answers = {name: table for name, table in tables.items() if name != MASKCLS}
    return Evaluation(tables[MASKCLS], summary, kept, others_answers)


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
    "are then on both sides."
)


def _leaks(
    pool: FaceSet, chosen: Plan, seed: int, senior_from: int, rounds: int, kept: Kept, step: Step
) -> dict[str, dict[str, Any]]:
    """Summaries under a random split, the own person's votes forbidden and allowed."""
    fold = np.full(len(pool), TRAIN_ONLY, np.int64)
    fold[chosen.scored] = np.random.default_rng(seed).permutation(len(chosen.scored)) % chosen.folds

    def answered(number: int) -> Tables:
        asked = np.flatnonzero(fold == number)
        model, _ = build_model(pool.subset(np.flatnonzero(fold != number)), seed, senior_from=senior_from)
        own = pool.people[asked]
        return {FORBIDDEN: answers_of(model, pool, asked, own=own), ALLOWED: answers_of(model, pool, asked)}

    parts: dict[str, list[pd.DataFrame]] = {FORBIDDEN: [], ALLOWED: []}
    for number in range(chosen.folds):
        step("random split", number, chosen.folds)
        for name, table in kept.tables(f"random-{number}", partial(answered, number)).items():
            parts[name].append(table)
    step("random split", chosen.folds, chosen.folds)
    return {name: summarise(pd.concat(tables, ignore_index=True), rounds, seed) for name, tables in parts.items()}


def _comparison(head: str, summaries: Mapping[str, Mapping[str, Any]], note: str) -> dict[str, Any]:
    rows = [
        {head: name} | {metric: found["overall"][metric] for metric in HEADLINES} for name, found in summaries.items()
    ]
    return {"rows": rows, "metrics": list(HEADLINES), "note": note}
