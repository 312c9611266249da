"""The contest's answer file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...embedder.errors import MaskclsError
from ...embedder.labels import AGE_BANDS, band_numbers, class_id
from ...embedder.storage.atomic import write_table
from ..answer import Answer
from ..model.model import Model
from ..tasks import PROBABILITIES


def write_submission(path: Path, answers: Sequence[Answer], model: Model, ids: Sequence[str] | None = None) -> int:
    """Write ``ImageID,ans`` for every photo and return how many had no answer of their own.

    The contest wants a class for every photo: those without one get :func:`common_class`.

    Args:
        ids: of the photos; by default what they are called in the answers.

    Raises:
        MaskclsError: the model does not predict all three tasks.
    """
    if set(model.heads) != {"mask", "gender"} or not len(model.gallery):
        raise MaskclsError("a submission needs a model of mask, gender and age; build it with all three labels")
    common = common_class(model)
    classes = [answer.class_id for answer in answers]
    filled = [common if one is None else one for one in classes]
    image_ids = [answer.path for answer in answers] if ids is None else list(ids)
    write_table(path, pd.DataFrame({"ImageID": image_ids, "ans": filled}))
    return classes.count(None)


def common_class(model: Model) -> int:
    """The most common class 0-17 among the faces of the gallery; a prototype counts as the people it stands for.

    Where no face has all three labels, the class of the most common label of each task in the training data.
    """
    table = model.table[model.table["mask"].notna() & model.table["gender"].notna()]
    if not len(table):
        counts = model.card["counts"]
        return class_id(*(max(counts[task], key=counts[task].get) for task in PROBABILITIES))
    bands = np.array(AGE_BANDS, object)[band_numbers((table["age_low"] + table["age_high"]) / 2)]
    classes = [class_id(*labels) for labels in zip(table["mask"], table["gender"], bands, strict=True)]
    people = table["members"].fillna(1) if "members" in table else np.ones(len(table))
    return int(np.bincount(classes, weights=people, minlength=18).argmax())
