"""Out-of-fold answers: every face is answered for by a model that has seen no photo of its person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ...embedder.facenet.encoder import FaceNetEncoder
from ...embedder.faceset.crops import check_photos
from ...embedder.labels import AGE_BANDS
from ..age.vote import NOBODY, Ints
from ..data.face_set import FaceSet, Rows
from ..data.provenance import barred
from ..labels.pseudo_labels.labels import UNTAUGHT, Thresholds
from ..model.answers import answer_rows
from ..model.build import build_model
from ..model.finetune import FineTuning
from ..model.model import Model
from .kept import Kept, Tables
from .self_training import WITHOUT, taught_by

MASKCLS = "maskcls"
SENIOR_SWEEP = (56, 57, 58, 59, 60, 61, 62)
TRUTH = ("mask", "gender", "race", "age_low", "age_high")
KEPT = ("face_id", "path", "root", "source", "box", "file_sha256", "norm", "sharpness")
BATCH = 1024

Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FoldModel:
    """The model of one fold, the rows it was built from, the rows it answers for, and its answers.

    ``seen`` are the faces it answers for, in that order, as its encoder sees them.
    """

    fold: int
    model: Model
    fit: Rows
    asked: Rows
    seen: FaceSet
    answers: pd.DataFrame


def cross_validate(
    pool: FaceSet,
    fold: Ints,
    scored: Rows,
    seed: int = 0,
    *,
    senior_from: int = 60,
    each: Callable[[FoldModel], Tables] = lambda built: {},
    kept: Kept | None = None,
    step: Step = lambda what, done, total: None,
    finetuning: FineTuning | None = None,
    least: Thresholds | None = None,
) -> Tables:
    """Answers to the scored faces, each from a model built without its fold.

    Everything is fitted inside the fold: age space, vote settings, calibration and heads. Pseudo-labels take no part
    in a fold if they are of people answered for there, or if what gave them was built from such people.

    Args:
        fold: (n,) fold of every face of the pool; faces of one person must share it.
        scored: rows that are answered for. Others only take part in the building: drawn masks, for instance.
        senior_from: first year of the oldest band as the gallery counts it.
        each: is shown every fold's model, and gives answers of others to the same faces, by name.
        kept: where finished folds are kept.
        finetuning: also train FaceNet's last blocks, in every fold anew.
        least: how sure the model of a fold must be to label faces that await it
            (:data:`~..labels.pseudo_labels.labels.UNTAUGHT`); another one is then built from these too, and the first
            one's answers are called :data:`~.self_training.WITHOUT`.

    Returns:
        :data:`MASKCLS` and the names that ``each`` gave -> one row a scored face, in the order of ``scored``:
        :data:`KEPT`, ``person``, ``fold``, ``true_*`` labels, the columns of :data:`~..tasks.ANSWER_COLUMNS`; of
        maskcls also ``band_from_56`` … ``band_from_62`` (what would be said if the oldest band began there).
    """
    folds = np.unique(fold[scored])
    kept = kept or Kept(None)
    if finetuning:
        check_photos(pool.table)
    waiting = (pool.table["teacher"] == UNTAUGHT).to_numpy(bool)

    def answered(held_out: int) -> Tables:
        usable = (fold != held_out) & ~barred(pool, np.unique(pool.people[fold == held_out]))
        fit, tables, taught, first = np.flatnonzero(usable & ~waiting), {}, pool, None
        asked = scored[fold[scored] == held_out]
        if waiting.any() and least is not None:
            first = build_model(pool.subset(fit), seed, senior_from=senior_from, sweep=SENIOR_SWEEP)
            tables[WITHOUT] = answers_of(first[0], pool, asked)
            rows = np.flatnonzero(usable & waiting)
            taught, fit = taught_by(first[0], pool, fit, rows, least, f"fold {held_out}")
        wanted = finetuning and replace(finetuning, folder=kept.folder and kept.folder / f"finetune-{held_out}")
        model, report = build_model(
            taught.subset(fit),
            seed,
            step if wanted else lambda what, done, total: None,
            senior_from=senior_from,
            sweep=SENIOR_SWEEP,
            finetuning=wanted,
            first=first,
        )
        sweep = {year: replace(model, settings=settings) for year, settings in report.sweep.items()}
        seen = pool.subset(asked)
        if wanted:
            seen = seen.encoded_by(FaceNetEncoder(wanted.weights, wanted.device, model.tuned, wanted.runtime))
        answers = answers_of(model, seen, np.arange(len(seen)), sweep=sweep)
        tables = {MASKCLS: answers, **tables, **each(FoldModel(held_out, model, fit, asked, seen, answers))}
        return {name: table.assign(fold=held_out).set_index(asked) for name, table in tables.items()}

    parts: dict[str, list[pd.DataFrame]] = {}
    for number, held_out in enumerate(folds.tolist()):
        step("folds", number, len(folds))
        for name, table in kept.tables(f"fold-{held_out}", partial(answered, held_out)).items():
            parts.setdefault(name, []).append(table)
    step("folds", len(folds), len(folds))
    return {name: pd.concat(tables).loc[scored].reset_index(drop=True) for name, tables in parts.items()}


def answers_of(
    model: Model, pool: FaceSet, asked: Rows, own: Ints | None = None, sweep: Mapping[int, Model] | None = None
) -> pd.DataFrame:
    """Truth and answers for rows of a pool, in the order asked; see :func:`cross_validate`.

    Args:
        own: (n,) the model's groups that must not vote; by default everybody may.
        sweep: the model with other first years of the oldest band, by that year.
    """
    nobody = np.full(len(asked), NOBODY, np.int64) if own is None else own
    rows: list[dict[str, Any]] = []
    for start in range(0, len(asked), BATCH):
        part = slice(start, start + BATCH)
        embeddings, maps = pool.embeddings[asked[part]], pool.maps(asked[part])
        ages = model.ages(embeddings, maps, nobody[part])
        answers = answer_rows(model, ages, embeddings, maps)
        for year, other in (sweep or {}).items():
            said = other.count(ages.voters, ages.similarities).votes.said.tolist()
            for answer, band in zip(answers, said, strict=True):
                answer[f"band_from_{year}"] = None if band == NOBODY else AGE_BANDS[band]
        rows += answers
    return pd.concat([truth_of(pool, asked), pd.DataFrame(rows)], axis=1)


def truth_of(pool: FaceSet, asked: Rows) -> pd.DataFrame:
    """What is known of rows of a pool: :data:`KEPT`, ``true_*`` labels and ``person``."""
    table = pool.table.iloc[asked].reset_index(drop=True)
    truth = table[list(TRUTH)].add_prefix("true_")
    return pd.concat([table[list(KEPT)], truth], axis=1).assign(person=pool.people[asked])


def scored_rows(pool: FaceSet, sources: Sequence[str] | None = None) -> Rows:
    """Rows that may be scored: real photos, not drawings (and, if named, only of these folders of photos)."""
    real = pool.table["drawn_on"].isna().to_numpy(bool)
    if sources is not None:
        real = real & pool.table["root"].isin(list(sources)).to_numpy(bool)
    return np.flatnonzero(real)
