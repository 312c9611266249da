"""Mask, gender and age of a face by one FaceNet pass, small heads and a vote of nearest neighbours.

``from maskcls import Classifier`` predicts photos, ``AgeVoteClassifier`` and ``AgeVoteRegressor`` are the vote
alone, for scikit-learn. Nothing heavy is imported before one of them is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classify.age.estimators import AgeVoteClassifier, AgeVoteRegressor
    from .classify.answer import Answer, Voter
    from .classify.api import Classifier, Predictions
    from .embedder.errors import MaskclsError

_HOMES = {
    "AgeVoteClassifier": ".classify.age.estimators",
    "AgeVoteRegressor": ".classify.age.estimators",
    "Answer": ".classify.answer",
    "Classifier": ".classify.api",
    "MaskclsError": ".embedder.errors",
    "Predictions": ".classify.api",
    "Voter": ".classify.answer",
}
__all__ = ["AgeVoteClassifier", "AgeVoteRegressor", "Answer", "Classifier", "MaskclsError", "Predictions", "Voter"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    """The public names too, whether they were imported yet or not."""
    return sorted({*globals(), *__all__})
