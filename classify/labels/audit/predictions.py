"""Out-of-fold predictions: those of models that were trained without the person on the face."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from ....embedder.storage.step_cache import Step, StepCache
from ....embedder.table import gallery_ids
from ...age.space import LearnedSpace, fill_gallery, fit_age_space
from ...age.tuning import can_learn, with_age
from ...age.vote import NOBODY, YEARS, VoteSettings
from ...data.face_set import FaceSet, Rows
from ...data.reduction import reduced
from ...evaluation.cross_validation import BATCH, Progress
from ...model.answers import answer_rows
from ...model.fitting import read_whole_maps, train_heads
from ...model.model import Model
from ...model.storage import GALLERY_COLUMNS
from ...tasks import ANSWER_COLUMNS

VOTE = VoteSettings(voters=50, temperature=0.1)
YEAR_COLUMNS = tuple(f"year_{year}" for year in range(YEARS))


def out_of_fold_predictions(
    pool: FaceSet,
    fold: Rows,
    asked: Rows,
    seed: int = 0,
    *,
    cache: StepCache = StepCache(None),
    progress: Progress = lambda what, done, total: None,
) -> pd.DataFrame:
    """One row for each asked face, in that order, from heads, age space and gallery made without its fold.

    Args:
        fold: (n,) fold of every face of the pool; faces of one person must share it.
        asked: rows of the pool.
        cache: of finished folds.

    Returns:
        :data:`~...tasks.ANSWER_COLUMNS` and :data:`YEAR_COLUMNS`, a distribution over the age in years: the mean of
        the neighbours' vote and the age network's own prediction, NaN where there are no ages to learn from.
    """
    parts = []
    numbers = np.unique(fold[asked]).tolist()
    for done, number in enumerate(numbers):
        progress("folds", done, len(numbers))
        rows = asked[fold[asked] == number]
        fit = np.flatnonzero(fold != number)
        step = cache.once(f"fold-{number}", partial(_predict, pool, fit, rows, seed, number, progress))
        parts.append(step.tables["predictions"].set_index(rows))
    progress("folds", len(numbers), len(numbers))
    return pd.concat(parts).loc[asked].reset_index(drop=True)


def _predict(pool: FaceSet, fit: Rows, rows: Rows, seed: int, number: int, progress: Progress) -> Step:
    def report(what: str, done: int, total: int) -> None:
        progress(f"fold {number}: {what}", done, total)

    train = pool.subset(fit)
    small, directions = reduced(train, seed)
    heads, _ = train_heads(small, seed, report)
    learn = can_learn(train)
    aged = (small if learn else train).subset(with_age(train))
    space = fit_age_space(aged, seed, partial(report, "training age"), learn=learn)
    gallery = fill_gallery(space, aged, gallery_ids(aged.table["face_id"]))
    read_whole_maps(heads, space, directions)
    table = aged.table[list(GALLERY_COLUMNS)].assign(group=aged.people)
    model = Model(gallery, table, space, VOTE, heads, pool.encoder, pool.face)
    answers, years = [], []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        embeddings, maps = pool.embeddings[part], pool.maps(part)
        ages = model.ages(embeddings, maps, np.full(len(part), NOBODY, np.int64))
        answers += answer_rows(model, ages, embeddings, maps)
        voted = model.years(ages)
        years.append((voted + space.years(embeddings, maps)) / 2 if isinstance(space, LearnedSpace) else voted)
    distribution = pd.DataFrame(np.concatenate(years), columns=list(YEAR_COLUMNS))
    predictions = pd.DataFrame(answers, columns=list(ANSWER_COLUMNS))
    return Step(tables={"predictions": pd.concat([predictions, distribution], axis=1)})
