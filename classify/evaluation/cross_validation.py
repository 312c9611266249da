"""Out-of-fold predictions: every face gets its prediction from a model that has seen no photo of its person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.facenet.encoder import FaceNetEncoder
from ...embedder.faceset.crops import check_photos
from ...embedder.storage.step_cache import Step, StepCache
from ..age.vote import NOBODY, Ints
from ..data.face_set import FaceSet, Rows
from ..data.provenance import barred
from ..model.answers import answer_rows
from ..model.build import build_model
from ..model.fitting import FineTuning
from ..model.model import Model

MASKCLS = "maskcls"
WITHOUT_PSEUDO_LABELS = "without pseudo-labels"
"""Name of the predictions of a fold's teacher."""
TRUTH = ("mask", "gender", "race", "age_low", "age_high")
FACE_COLUMNS = ("face_id", "path", "root", "source", "box", "file_sha256", "norm", "sharpness")
BATCH = 1024

Progress = Callable[[str, int, int], None]
Tables = Mapping[str, pd.DataFrame]


class SelfTraining(Protocol):
    """Pseudo-labels made inside a fold, by a model that has seen nobody who is scored there."""

    def awaiting(self, pool: FaceSet) -> npt.NDArray[np.bool_]:
        """(n,) faces that the model of a fold is to label."""

    def labelled(self, teacher: Model, pool: FaceSet, fit: Rows, rows: Rows, name: str) -> tuple[FaceSet, Rows]:
        """The pool with the teacher's labels, and the rows to build the next model from.

        Args:
            fit: rows the teacher was built from.
            rows: rows to label where the teacher is sure enough.
            name: of the teacher, in place of a fingerprint.
        """


@dataclass(frozen=True)
class BuildSettings:
    """How the models of all folds are built.

    Attributes:
        seed: of training.
        senior_from: first year of the oldest band as the gallery counts it; the true band always begins at 60.
        finetuning: also train FaceNet's last blocks, in every fold anew.
        self_training: lets the model of a fold label faces; another one is then built from these too, and the first
            one's predictions are called :data:`WITHOUT_PSEUDO_LABELS`.
    """

    seed: int = 0
    senior_from: int = 60
    finetuning: FineTuning | None = None
    self_training: SelfTraining | None = None


@dataclass(frozen=True)
class FoldModel:
    """The model of one fold.

    Attributes:
        fit: rows it was built from.
        scored: rows it predicts.
        faces: the scored faces, in that order, as its encoder sees them.
        predictions: see :func:`predictions_of`.
    """

    fold: int
    model: Model
    fit: Rows
    scored: Rows
    faces: FaceSet
    predictions: pd.DataFrame


def cross_validate(
    pool: FaceSet,
    fold: Ints,
    scored: Rows,
    settings: BuildSettings = BuildSettings(),
    each: Callable[[FoldModel], Tables] = lambda built: {},
    cache: StepCache = StepCache(None),
    progress: Progress = lambda what, done, total: None,
) -> Tables:
    """Predictions for the scored faces, each from a model built without its fold.

    Everything is fitted inside the fold: age space, vote settings, calibration and heads. Pseudo-labels take no part
    in a fold if they are of people scored there, or if their teacher was built from such people.

    Args:
        fold: (n,) fold of every face of the pool; faces of one person must share it.
        scored: rows to predict. Others only take part in the building: drawn masks, for instance.
        each: called with every fold's model; returns predictions of other models for the same faces, by name.
        cache: of finished folds.

    Returns:
        :data:`MASKCLS` and the names that ``each`` gave -> one row a scored face, in the order of ``scored``:
        :data:`FACE_COLUMNS`, ``person``, ``fold``, ``true_*`` labels, the columns of :data:`~..tasks.ANSWER_COLUMNS`.
    """
    folds = np.unique(fold[scored])
    seed, senior_from, finetuning = settings.seed, settings.senior_from, settings.finetuning
    self_training = settings.self_training
    if finetuning:
        check_photos(pool.table)
    awaiting = np.zeros(len(pool), bool) if self_training is None else self_training.awaiting(pool)

    def predicted(held_out: int) -> Step:
        def step(what: str, done: int, total: int) -> None:
            progress(f"fold {held_out}: {what}", done, total)

        usable = (fold != held_out) & ~barred(pool, np.unique(pool.people[fold == held_out]))
        fit, tables, taught, first = np.flatnonzero(usable & ~awaiting), {}, pool, None
        mine = scored[fold[scored] == held_out]
        if self_training is not None and awaiting.any():
            first = build_model(pool.subset(fit), seed, step, senior_from=senior_from)
            tables[WITHOUT_PSEUDO_LABELS] = predictions_of(first[0], pool, mine)
            rows = np.flatnonzero(usable & awaiting)
            taught, fit = self_training.labelled(first[0], pool, fit, rows, f"fold {held_out}")
        wanted = finetuning and replace(finetuning, folder=cache.folder and cache.folder / f"finetune-{held_out}")
        model, _ = build_model(
            taught.subset(fit),
            seed,
            step,
            senior_from=senior_from,
            finetuning=wanted,
            first=first,
        )
        faces = pool.subset(mine)
        if wanted:
            faces = faces.encoded_by(FaceNetEncoder(wanted.weights, wanted.device, model.tuned, wanted.runtime))
        predictions = predictions_of(model, faces, np.arange(len(faces)))
        tables = {MASKCLS: predictions, **tables, **each(FoldModel(held_out, model, fit, mine, faces, predictions))}
        return Step(tables={name: table.assign(fold=held_out).set_index(mine) for name, table in tables.items()})

    parts: dict[str, list[pd.DataFrame]] = {}
    for number, held_out in enumerate(folds.tolist()):
        progress("folds", number, len(folds))
        for name, table in cache.once(f"fold-{held_out}", partial(predicted, held_out)).tables.items():
            parts.setdefault(name, []).append(table)
    progress("folds", len(folds), len(folds))
    return {name: pd.concat(tables).loc[scored].reset_index(drop=True) for name, tables in parts.items()}


def predictions_of(model: Model, pool: FaceSet, rows: Rows, own: Ints | None = None) -> pd.DataFrame:
    """True labels and predictions of rows of a pool, in that order; see :func:`cross_validate`.

    Args:
        own: (n,) the model's groups that must not vote; by default everybody may.
    """
    nobody = np.full(len(rows), NOBODY, np.int64) if own is None else own
    found: list[dict[str, Any]] = []
    for start in range(0, len(rows), BATCH):
        part = slice(start, start + BATCH)
        embeddings, maps = pool.embeddings[rows[part]], pool.maps(rows[part])
        found += answer_rows(model, model.ages(embeddings, maps, nobody[part]), embeddings, maps)
    return pd.concat([truth_of(pool, rows), pd.DataFrame(found)], axis=1)


def truth_of(pool: FaceSet, rows: Rows) -> pd.DataFrame:
    """Where rows of a pool are from (:data:`FACE_COLUMNS`), their ``true_*`` labels and ``person``."""
    table = pool.table.iloc[rows].reset_index(drop=True)
    truth = table[list(TRUTH)].add_prefix("true_")
    return pd.concat([table[list(FACE_COLUMNS)], truth], axis=1).assign(person=pool.people[rows])
