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

UNKNOWN = frozenset(
    {"", "-", "-1", "-1.0", "?", "#n/a", "<na>", "n.a.", "n/a", "na", "nan", "none", "null", "unk", "unknown"}
)
"""What tables have in a cell of a label that is not known, in lower case."""
NOBODY = frozenset(
    {"", "-1", "?", "#N/A", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "nan", "null", "unknown", "Unknown"}
)
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


_MASKS: dict[str, Mask] = {
    "wear": "wear",
    "withmask": "wear",
    **dict.fromkeys(("incorrect", "incorrectly", "improper", "improperly"), "incorrect"),
    **dict.fromkeys(("normal", "bare", "unmasked", "nomask", "withoutmask"), "normal"),
}
_MASK = {"mask", "masked", "facemask"}
_WORN = {"wear", "wears", "wearing", "wore", "worn", "weared"}
_NO_MATTER = {"a", "the", "face", "faces"}
_HOW: dict[str, Mask] = {
    **dict.fromkeys(("", "with", "on", "correct", "correctly", "proper", "properly"), "wear"),
    **dict.fromkeys(("incorrect", "incorrectly", "improper", "improperly", "wrong", "wrongly"), "incorrect"),
    **dict.fromkeys(("not correctly", "not properly"), "incorrect"),
    **dict.fromkeys(("no", "not", "without", "off"), "normal"),
}
"""What is left of a text without the words for a mask and for wearing it."""
_GENDERS: dict[str, Gender] = {
    **dict.fromkeys(("male", "males", "m", "man", "men", "boy", "boys", "남", "남자", "남성"), "male"),
    **dict.fromkeys(("female", "females", "f", "woman", "women", "girl", "girls", "여", "여자", "여성"), "female"),
}


def parse_mask(text: str) -> Mask | None:
    """``wear``, ``incorrect`` or ``normal`` of such a word, or of others that say so; ``None`` if :data:`UNKNOWN`.

    Read are ``with_mask``, ``WithoutMask``, ``no mask``, ``unmasked``, ``mask_weared_incorrect``, ``worn improperly``
    and the like, in any case.

    Raises:
        LabelError: it says nothing of the kind.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text.strip()).lower()
    words = [word for word in re.split(r"[\s_-]+", spaced) if word not in _NO_MATTER]
    if (state := _MASKS.get(" ".join(words))) or text.strip().lower() in UNKNOWN:
        return state
    how = " ".join(word for word in words if word not in _MASK | _WORN)
    is_about_masks = not _MASK.isdisjoint(words) or (how and not _WORN.isdisjoint(words))
    if not is_about_masks or how not in _HOW:
        raise LabelError(f"mask {text!r} is none of {', '.join(MASKS)}")
    return _HOW[how]


def parse_gender(text: str) -> Gender | None:
    """``male`` or ``female`` of such a word, in any case: also man, women, boy, f, 여자; ``None`` if :data:`UNKNOWN`.

    Raises:
        LabelError: it is none.
    """
    word = normal_form(text.strip().lower())
    if word not in _GENDERS and word not in UNKNOWN:
        raise LabelError(f"gender {text!r} is neither male nor female")
    return _GENDERS.get(word)


_YEARS = r"(\d+(?:\.\d+)?) ?(?:years?(?: old)?|yrs?|y|세|살)?"
_BAND = re.compile(rf"{_YEARS} ?(?:[-\u2010-\u2015\u2212~\u301c\uff5e]|to) ?{_YEARS}")
_PAIR = re.compile(rf"\( ?{_YEARS} ?, ?{_YEARS} ?\)|\[ ?{_YEARS} ?, ?{_YEARS} ?\]")
_DECADE = re.compile(r"(\d*0) ?(?:'?s|대)")
_FROM = re.compile(
    rf"{_YEARS} ?(?:\+|(?:and|or) (?:over|older|above|more))|(?:(?:more|older) than|over|above|at least|>=|≥) ?{_YEARS}"
)
_ABOVE = re.compile(rf"> ?{_YEARS}")
_BELOW = re.compile(rf"(?:(?:less|younger) than|under|below|<) ?{_YEARS}")
_UP_TO = re.compile(rf"{_YEARS} ?(?:and|or) (?:under|younger)|(?:up to|at most|<=|≤) ?{_YEARS}")


def parse_age(text: str) -> tuple[float, float] | tuple[None, None]:
    """``(low, high)`` in years, both ends included, of an age or a band of ages, however it is written.

    Read are ``37``, ``33 years``, ``30-39`` with any dash, ``25 to 32``, ``(25, 32)``, ``20s``, ``60+``, ``>=60``,
    ``more than 70`` (from 70 on), ``>60`` (from 61 on), ``<30``, ``under 30`` (up to 29) and ``<=29``. An
    :data:`UNKNOWN` cell gives ``(None, None)``.

    Raises:
        LabelError: it is none, or is outside 0-120 years.
    """
    word = " ".join(text.lower().split())
    if word in UNKNOWN:
        return None, None
    return check_age(*_years(word, text), text)


def _years(word: str, text: str) -> tuple[float, float]:
    """An age or a band of ages in lower case and single spaces; ``text`` is how it is written."""
    if match := _BAND.fullmatch(word) or _PAIR.fullmatch(word):
        low, high = (float(part) for part in match.groups() if part)
    elif match := _DECADE.fullmatch(word):
        low, high = float(match[1]), float(match[1]) + 9
    elif match := _FROM.fullmatch(word):
        low, high = float(match[1] or match[2]), float(OPEN_BAND_TOP)
    elif match := _ABOVE.fullmatch(word):
        low, high = float(np.floor(float(match[1]))) + 1, float(OPEN_BAND_TOP)
    elif match := _BELOW.fullmatch(word):
        low, high = 0.0, float(np.ceil(float(match[1]))) - 1
    elif match := _UP_TO.fullmatch(word):
        low, high = 0.0, float(match[1] or match[2])
    elif match := re.fullmatch(_YEARS, word):
        low = high = float(match[1])
    else:
        try:
            low = high = float(word.replace("_", "?"))  # float() would read 2_5 as 25
        except ValueError:
            raise LabelError(f"age {text!r} is neither years (37) nor a band (30-39)") from None
    return low, high


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
