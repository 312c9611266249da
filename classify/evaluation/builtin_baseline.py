"""The built-in model beside the user's own: does building one pay?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.face_set import FaceSet, Rows
from ..metrics.scores import summarise
from ..model.loading import BUILTIN, load_model
from .cross_validation import MASKCLS, predictions_of
from .evaluate import BASELINE_NOTE, HEADLINES, ROUNDS

NAME = "built-in model"
NOTE = "The built-in model was built from other photos and answers for the same faces."


def beside_builtin(summary: Mapping[str, Any], pool: FaceSet, scored: Rows, seed: int = 0) -> dict[str, Any]:
    """A summary in whose ``baselines`` the built-in model stands, too.

    Args:
        summary: of :func:`.evaluate.evaluate`.
        scored: rows of the pool that were answered for.
        seed: of the resamples.

    Raises:
        MaskclsError: the built-in model is damaged, or was built with other weights than the pool's.
    """
    model = load_model(None)
    model.check_encoder(pool.encoder, BUILTIN)
    answered = summarise(predictions_of(model, pool, scored), ROUNDS, seed)
    own, builtin = (
        {"name": name} | {metric: found["overall"][metric] for metric in HEADLINES}
        for name, found in ((MASKCLS, summary), (NAME, answered))
    )
    others = summary["baselines"]["rows"][1:] if "baselines" in summary else []
    note = " ".join([BASELINE_NOTE, NOTE] if others else [NOTE])
    return {**summary, "baselines": {"rows": [own, builtin, *others], "metrics": list(HEADLINES), "note": note}}
