"""The contest's answer file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ...embedder.errors import MaskclsError
from ...embedder.labels import class_id
from ...embedder.storage.atomic import replacing, write_csv
from ..model.model import Model


def write_submission(path: Path, table: pd.DataFrame, model: Model) -> int:
    """Write ``ImageID,ans`` for every photo and return how many had no answer of their own.

    The contest wants a class for every photo: those without one get the most common class of the training data.

    Raises:
        MaskclsError: the model does not answer all three questions.
    """
    if set(model.heads) != {"mask", "gender"} or not len(model.gallery):
        raise MaskclsError(
            "--submission needs a model that answers mask, gender and age; build it with all three labels"
        )
    counts = model.card["counts"]
    common = class_id(*(max(counts[name], key=counts[name].get) for name in ("mask", "gender", "age_band")))
    unanswered = table["class_id"].isna()
    submission = pd.DataFrame({"ImageID": table["path"], "ans": table["class_id"].fillna(common).astype(int)})
    with replacing(path) as temporary:
        write_csv(temporary, submission)
    return int(unanswered.sum())
