"""The built-in model beside the user's own: does building one pay?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.errors import MaskclsError
from ..data.face_set import FaceSet, Rows
from ..data.identity import original_photos
from ..metrics.scores import summarise
from ..model.loading import BUILTIN, load_model
from ..model.model import Model
from .cross_validation import MASKCLS, predictions_of
from .evaluate import BASELINE_NOTE, HEADLINES, ROUNDS

NAME = "built-in model"
NOTE = "The built-in model was built from other photos; both models are scored on the same faces."


def beside_builtin(
    summary: Mapping[str, Any], predictions: pd.DataFrame, pool: FaceSet, scored: Rows, seed: int = 0
) -> dict[str, Any]:
    """A summary in whose ``baselines`` the built-in model stands, too.

    Faces of people that the built-in model was built from, as far as their photos or identities tell, are scored for
    neither of the two; the other baselines keep all faces.

    Args:
        summary: of :func:`.evaluate.evaluate`.
        predictions: (len(scored) rows) the own model's, see :attr:`.evaluate.Evaluation.predictions`.
        scored: rows of the pool that were predicted.
        seed: of the resamples.

    Raises:
        MaskclsError: the built-in model is damaged, was built with other weights than the pool's, or from all faces.
    """
    model = load_model(None)
    model.check_encoder(pool.encoder, BUILTIN)
    unseen = ~_seen(model, pool)[scored]
    if not unseen.any():
        raise MaskclsError("--builtin: the built-in model was built from all faces that are scored")
    own = summary if unseen.all() else summarise(predictions[unseen].reset_index(drop=True), ROUNDS, seed)
    builtin = summarise(predictions_of(model, pool, scored[unseen]), ROUNDS, seed)
    rows = [
        {"name": name} | {metric: found["overall"][metric] for metric in HEADLINES}
        for name, found in ((MASKCLS, own), (NAME, builtin))
    ]
    others = summary["baselines"]["rows"][1:] if "baselines" in summary else []
    left_out = int((~unseen).sum())
    notes = [BASELINE_NOTE] * bool(others) + [NOTE]
    if left_out:
        notes.append(f"{left_out} faces are left out of these two rows, since the built-in model knows their people.")
    baselines = {"rows": [*rows, *others], "metrics": list(HEADLINES), "note": " ".join(notes)}
    return {**summary, "baselines": baselines}


def _seen(model: Model, pool: FaceSet) -> npt.NDArray[np.bool_]:
    """Faces (n,) of people that a model was built from."""
    photos = original_photos(pool.table).tolist()
    found = np.zeros(len(pool), bool)
    for people in model.seen:
        found |= people.persons(photos) >= 0
    return np.isin(pool.people, pool.people[found])
