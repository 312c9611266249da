"""The three tasks, their classes, and how the words and numbers of a data set become labels."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .photo import normal_form

MASKS = ("wear", "incorrect", "normal")
GENDERS = ("male", "female")
AGE_BANDS = ("<30", "30-59", ">=60")
BAND_STARTS = (0, 30, 60)
MAX_AGE = 120
OPEN_BAND_TOP = 100
"""Last year of an open band such as "more than 70"."""

UNKNOWN = frozenset({"", "-", "-1", "?", "<na>", "n/a", "na", "nan", "none", "null", "unknown"})
"""What tables have in a cell of a label that is not known, in lower case."""
NOBODY = frozenset({"", "-1", "?", "<NA>", "NaN", "None", "nan", "null", "unknown"})
"""The same for names of people, in these spellings alone: Na and Nan are names."""

Mask = Literal["wear", "incorrect", "normal"]
Gender = Literal["male", "female"]


class LabelError(ValueError):
    """A label outside its domain; the text is the reason, without the path."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels that a data set gives a photo; ``None`` is unknown.

    ``person`` is in Unicode's normal form C, whatever it was given in.
    ``age_low`` and ``age_high`` are whole years, both ends included, 0-120; an exact age has both equal.
    ``drawn_on`` is the SHA-256 of the photo that a mask was drawn on, where the photo is such a drawing.
    """

    person: str | None = None
    mask: Mask | None = None
    gender: Gender | None = None
    race: str | None = None
    age_low: float | None = None
    age_high: float | None = None
    drawn_on: str | None = None

    def __post_init__(self) -> None:
        if self.person is not None:
            object.__setattr__(self, "person", normal_form(self.person))


def class_id(mask: str, gender: str, age_band: str) -> int:
    """The contest's class 0-17: ``6 * mask + 3 * gender + age``."""
    return 6 * MASKS.index(mask) + 3 * GENDERS.index(gender) + AGE_BANDS.index(age_band)


def age_band(age: float) -> str:
    """The band of an age in years (half-open: 29.9 is ``<30``, 30 is ``30-59``)."""
    return AGE_BANDS[int(band_numbers(np.float64(age)))]


def years_outside(
    age: npt.NDArray[np.floating], low: npt.NDArray[np.floating], high: npt.NDArray[np.floating]
) -> npt.NDArray[Any]:
    """Distance in years of ages from exact ages or bands ``low`` to ``high``, 0 inside; NaN where any is."""
    return np.maximum(low - age, age - high).clip(0)


def band_numbers(ages: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Position in :data:`AGE_BANDS` of ages in years, of any shape; same borders as :func:`age_band`."""
    return np.asarray(np.digitize(np.asarray(ages, np.float64), BAND_STARTS[1:]), np.int64)


def parse_mask(text: str) -> Mask | None:
    """``wear``, ``incorrect`` or ``normal``; ``None`` for an :data:`UNKNOWN` cell."""
    word = text.strip().lower()
    for mask in MASKS:
        if word == mask:
            return mask  # type: ignore[return-value]
    if word not in UNKNOWN:
        raise LabelError(f"mask {text!r} is none of {', '.join(MASKS)}")
    return None


def parse_gender(text: str) -> Gender | None:
    """``male`` or ``female`` in any case, also ``m`` and ``f``; ``None`` for an :data:`UNKNOWN` cell."""
    word = text.strip().lower()
    if word in ("male", "m"):
        return "male"
    if word in ("female", "f"):
        return "female"
    if word not in UNKNOWN:
        raise LabelError(f"gender {text!r} is neither male nor female")
    return None


def parse_age(text: str) -> tuple[float, float] | tuple[None, None]:
    """``(low, high)`` in years of ``37``, ``30-39``, ``60+``, ``>=60`` or ``more than 70``.

    An :data:`UNKNOWN` cell gives ``(None, None)``.
    """
    word = text.strip().lower()
    if word in UNKNOWN:
        return None, None
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)", word):
        low, high = float(match[1]), float(match[2])
    elif match := re.fullmatch(r"(\d+)\s*\+|(?:more than|over|>=)\s*(\d+)", word):
        low, high = float(match[1] or match[2]), float(OPEN_BAND_TOP)
    else:
        try:
            low = high = float(word.replace("_", "?"))  # float() would read 2_5 as 25
        except ValueError:
            raise LabelError(f"age {text!r} is neither years (37) nor a band (30-39)") from None
    return check_age(low, high, text)


def age_text(low: float | None, high: float | None) -> str:
    """What :func:`parse_age` reads: ``37``, ``30-39``, or nothing where the age is unknown (None or NaN)."""
    if low is None or high is None or low != low or high != high:
        return ""
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


def check_age(low: float, high: float, text: str) -> tuple[float, float]:
    """``(low, high)`` if they are an age or a band of ages within 0-120."""
    if not (math.isfinite(low) and math.isfinite(high) and 0 <= low <= high <= MAX_AGE):
        raise LabelError(f"age {text!r} is outside 0-{MAX_AGE} years")
    return low, high
