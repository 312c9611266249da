"""The contest's layout: ``000001_female_Asian_45/incorrect_mask.jpg``; the id may be anything, as ``001498-1``."""

from __future__ import annotations

import re
from pathlib import Path

from ..labels import LabelError, Labels, parse_age, parse_gender
from ..photo import stored

_FOLDER = re.compile(r"(?P<id>.+)_(?P<gender>[^_]+)_(?P<race>[^_]+)_(?P<age>[^_]+)")
_PHOTO = re.compile(r"mask\d|incorrect_mask|normal")


def is_contest(path: Path) -> bool:
    """Whether a photo is called as in this layout, with a gender and an age that can be read."""
    try:
        labels = contest_labels(path)
    except LabelError:
        return False
    return None not in (labels.gender, labels.age_low)


def contest_labels(path: Path) -> Labels:
    """Person, gender, race and age by the folder's name; mask state by the file's.

    Raises:
        LabelError: the path does not fit the layout, or a label is none.
    """
    folder = _FOLDER.fullmatch(stored(path.parent.name))
    if folder is None:
        raise LabelError(f"folder {path.parent.name!r} is not <id>_<gender>_<race>_<age>")
    if not _PHOTO.match(path.stem):
        raise LabelError(f"file name {path.name!r} is not mask1-5, incorrect_mask or normal")
    mask = "incorrect" if path.stem.startswith("incorrect") else "wear" if path.stem.startswith("mask") else "normal"
    low, high = parse_age(folder["age"])
    return Labels(folder["id"], mask, parse_gender(folder["gender"]), folder["race"], low, high)  # type: ignore[arg-type]
