"""How well a face can be judged: from its size, sharpness and brightness, and the length of its embedding.

The value is an estimate of how probable a right answer is, over the probability for the best photos. It is a logistic
regression of the errors that the built-in model makes on people it has never seen, their photos partly made smaller,
blurred, darker: ``benchmarks/quality.py`` fits it, ``docs/detection.md`` has the figures. How far a head is turned away
made no difference beyond these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FACTORS = ("small", "blurred", "dark", "unlike a face")
"""What lowers the quality, one word for each column of :func:`factors`."""
INTERCEPT = 0.795
WEIGHTS = (-0.108, -0.125, -0.141, -0.396)
"""Of the columns of :func:`factors`."""
REASON_BELOW = 0.9
"""Quality below which the reason is given."""
REASON_SHARE = 0.25
"""Share of the loss (in log-odds) from which a factor is named."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Quality of a face (0-1), and what lowers it, None for a good one."""

    value: float
    reason: str | None


@dataclass(frozen=True)
class Measures:
    """What is measured of n faces.

    Attributes:
        side: (n,) shorter side of the box, in pixels of the photo.
        sharpness: (n,) see :func:`.align.sharpness`.
        norm: (n,) length of the embedding before it was normalised.
        brightness: (n,) mean grey of the face in the photo, 0-255; NaN where unknown.
    """

    side: Floats
    sharpness: Floats
    norm: Floats
    brightness: Floats


def factors(measures: Measures) -> Floats:
    """What lowers the quality (n, 4), 0 for a good face: see :data:`FACTORS`."""

    def below(values: Floats, good: float) -> Floats:
        """Halvings below what is good."""
        return np.log2(good / np.clip(values, 1e-3, good))

    columns = [
        below(measures.side, 96),
        below(measures.sharpness, 100),
        below(np.nan_to_num(measures.brightness, nan=255.0), 80),
        np.clip(20 - measures.norm, 0, None) / 5,
    ]
    return np.stack(columns, axis=1)


def judge(measures: Measures) -> list[Quality]:
    """The quality of each face."""
    losses = factors(measures) * np.array(WEIGHTS)
    best, odds = _share(np.array(INTERCEPT)), INTERCEPT + losses.sum(axis=1)
    judged = []
    for value, loss in zip((_share(odds) / best).tolist(), losses, strict=True):
        reason = None
        if value < REASON_BELOW and loss.sum() < 0:
            shares = loss / loss.sum()
            named = [FACTORS[i] for i in np.argsort(-shares, kind="stable") if shares[i] >= REASON_SHARE]
            reason = ", ".join(named) or None
        judged.append(Quality(round(float(np.clip(value, 0, 1)), 3), reason))
    return judged


def _share(odds: Floats) -> Floats:
    share: Floats = 1 / (1 + np.exp(-odds))
    return share
