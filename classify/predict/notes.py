"""What is to be noted about an answer: a low probability, the class-frequency correction, several faces."""

from __future__ import annotations

from ...embedder.detection.quality import Quality
from ...embedder.labels import AGE_BANDS, BAND_STARTS
from ..answer import Answer

UNLIKE_A_FACE = "probably not a face, or unlike all faces of the gallery (short embedding)"
OWN_PERSON = "this photo is in the gallery; its person did not vote"


def low_probabilities(answer: Answer, min_confidence: float) -> list[str]:
    """One note for each task whose predicted class has a probability below ``min_confidence`` (0-1)."""
    notes = []
    for task, prediction in answer.tasks.items():
        if prediction is None or prediction.probability is None or prediction.probability >= min_confidence:
            continue
        label, probabilities = prediction.label, prediction.probabilities
        note = f"{task.removesuffix('_band')} {label} only {prediction.probability:.0%} sure"
        if task == "age_band":
            second = max((band for band in AGE_BANDS if band != label), key=lambda band: probabilities[band])
            border = BAND_STARTS[max(AGE_BANDS.index(label), AGE_BANDS.index(second))]
            note += f": its neighbours straddle {border} ({second} {probabilities[second]:.0%})"
        notes.append(note)
    return notes


def low_quality(quality: Quality, min_quality: float) -> list[str]:
    """A note where the quality of the face is below ``min_quality`` (0-1)."""
    if quality.value >= min_quality:
        return []
    return [f"quality only {quality.value:.2f}" + (f" ({quality.reason})" if quality.reason else "")]


def turned(degrees: int) -> str | None:
    """That the photo was turned, counter-clockwise, to see the face upright."""
    return f"predicted with the photo turned by {degrees} degrees counter-clockwise" if degrees else None


def frequency_note(answer: Answer) -> str | None:
    """That the predicted age band is not the most probable one, where the class-frequency correction changed it."""
    if answer.age is None:
        return None
    probabilities = answer.age.probabilities
    likeliest = max(AGE_BANDS, key=lambda band: probabilities[band])
    if likeliest == answer.age.band:
        return None
    return f"age {likeliest} is more probable; {answer.age.band} is predicted by the class-frequency correction"


def missing_tasks(answer: Answer) -> str | None:
    """Which tasks the model does not predict."""
    missing = [task.removesuffix("_band") for task, prediction in answer.tasks.items() if prediction is None]
    return f"the model does not predict {', '.join(missing)}" if missing else None


def several_faces(number: int, faces: int) -> str | None:
    """Which of several faces of a photo (1 is the largest) an answer is about."""
    if faces < 2:
        return None
    which = "the largest found is predicted" if number == 1 else f"this is number {number} by size"
    return f"{faces} faces found; {which}"
