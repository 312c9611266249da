"""The box of a labelled face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..labels import LabelError

BOX = ("x0", "y0", "x1", "y1")
"""Columns of a label table that name a face by its box."""


class Box(NamedTuple):
    """Corners of a face in pixels of the upright photo, to two decimals; as a text ``42 109 66 140``."""

    x0: float
    y0: float
    x1: float
    y1: float

    def __str__(self) -> str:
        return " ".join(f"{value:.2f}".rstrip("0").rstrip(".") for value in self)


def parse_box(cells: Sequence[str]) -> Box:
    """The box that the four cells of a row name.

    Raises:
        LabelError: they are not four numbers, or no area lies between them.
    """
    text = " ".join(cell.strip() or "?" for cell in cells)
    try:
        box = Box(*(round(float(cell.replace("_", "?")), 2) + 0.0 for cell in cells))  # float() would read 2_5 as 25
    except ValueError:
        raise LabelError(f"box {text!r} is not four numbers ({', '.join(BOX)})") from None
    if not all(map(math.isfinite, box)):
        raise LabelError(f"box {text!r} is not four numbers ({', '.join(BOX)})")
    if not (box.x0 < box.x1 and box.y0 < box.y1):
        raise LabelError(f"box {text!r} has no area: x0 must be below x1, and y0 below y1")
    return box
