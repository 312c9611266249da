"""The three tasks, their classes, and the columns of their answers in ``predictions.csv`` and everywhere else."""

from __future__ import annotations

from ..embedder.labels import AGE_BANDS, GENDERS, MASKS

BAND_COLUMNS = ("p_lt30", "p_30_59", "p_ge60")
PROBABILITIES: dict[str, dict[str, str]] = {
    "mask": {name: f"p_{name}" for name in MASKS},
    "gender": {name: f"p_{name}" for name in GENDERS},
    "age_band": dict(zip(AGE_BANDS, BAND_COLUMNS, strict=True)),
}
"""Task -> class -> column of its probability."""
CLASSES = {task: tuple(columns) for task, columns in PROBABILITIES.items()}
ANSWER_COLUMNS = (
    *PROBABILITIES,
    "class_id",
    *(column for columns in PROBABILITIES.values() for column in columns.values()),
    "age",
    "age_low",
    "age_high",
    "neighbours",
    "weights",
    "voters",
)
"""What is predicted for a face: classes, their probabilities (0-1), years, the nearest voters as ``id:age:similarity``,
their shares of the vote (0-1) in the same order, and the number of all voters."""
PREDICTION_COLUMNS = ("path", "face", "status", "reason", *ANSWER_COLUMNS, "box", "quality", "quality_reason")
"""Columns of ``predictions.csv``. ``face`` is the number of the face in the photo, 1 the largest; ``status`` is ``ok``,
``unsure``, ``no_face`` or ``unreadable``; ``reason`` is why a photo has no answer, or what is to be noted about it;
``box`` is ``x0 y0 x1 y1`` in pixels of the upright photo; ``quality`` (0-1) is how well the face can be judged, and
``quality_reason`` what lowers it."""
