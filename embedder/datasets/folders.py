"""Any folder of photos: a folder called like a mask state or a gender labels the photos below it."""

from __future__ import annotations

from pathlib import Path

from ..labels import GENDERS, MASKS, Labels, parse_gender, parse_mask


def folder_labels(path: Path) -> Labels:
    """Mask state and gender by the names of the folders above a photo, in any case; the nearest one counts."""
    names = [part.lower() for part in path.parts[:-1]]
    mask = next((name for name in reversed(names) if name in MASKS), "")
    gender = next((name for name in reversed(names) if name in GENDERS), "")
    return Labels(mask=parse_mask(mask), gender=parse_gender(gender))
