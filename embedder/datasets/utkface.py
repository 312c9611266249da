"""UTKFace's layout (https://susanqq.github.io/UTKFace): ``25_1_2_20170116174525125.jpg``."""

from __future__ import annotations

import re
from pathlib import Path

from ..labels import GENDERS, LabelError, Labels, check_age

RACES = ("White", "Black", "Asian", "Indian", "Other")
OLDEST = 116
"""Years, in the set."""
_NAME = re.compile(r"(-?\d+)_(\d+)_(?:(\d+)_)?\d+\b.*")
_GUESSED = re.compile(r"(\d{1,3})_[01]_(?:[0-4]_)?20\d{12,16} ?(?:\.\w+)+")
"""The names of the set itself, which have a time stamp of 17 digits or so; a date such as 25_01_2021 is none."""


def is_utkface(path: Path) -> bool:
    """Whether a photo is called as one of the set itself, with the time stamp, and labels that are plausible."""
    name = _GUESSED.fullmatch(path.name)
    return name is not None and int(name[1]) <= OLDEST


def utkface_labels(path: Path) -> Labels:
    """Age, gender (0 male, 1 female) and race by the file's name; nobody wears a mask.

    Raises:
        LabelError: the name does not fit the layout, or a label is none.
    """
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise LabelError(f"file name {path.name!r} is not <age>_<gender>_<race>_<date>")
    low, high = check_age(float(name[1]), float(name[1]), name[1])
    if int(name[2]) >= len(GENDERS):
        raise LabelError(f"gender {name[2]!r} is neither 0 (male) nor 1 (female)")
    race = RACES[int(name[3])] if name[3] and int(name[3]) < len(RACES) else None
    return Labels(None, "normal", "female" if int(name[2]) else "male", race, low, high)
