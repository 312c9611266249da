"""What every layout of data set is read into: photos with labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..labels import LabelError, Labels
from ..photo import PassedOver

LayoutName = Literal["contest", "utkface", "fairface", "csv", "folders"]
UNLISTED = "not in the label file"


@dataclass(frozen=True, slots=True)
class Listed:
    """One photo of a data set.

    Attributes:
        path: of the file, which may not exist.
        labels: as far as they can be read.
        refused: why none of its labels can be used, None where they can.
        problems: of single labels that cannot be read and count as unknown.
    """

    path: Path
    labels: Labels = field(default_factory=Labels)
    refused: str | None = None
    problems: tuple[str, ...] = ()

    def problem(self, *, is_used: bool) -> str | None:
        """What is wrong with the labels, for ``rejects.csv``; ``is_used``: the photo is used nevertheless."""
        text = self.refused or "; ".join(self.problems)
        return f"label {'ignored' if is_used else 'refused'}: {text}" if text else None


@dataclass(frozen=True)
class Dataset:
    """Photos of a folder under one layout, in sorted order, and what else lies there and was passed over."""

    layout: LayoutName
    photos: list[Listed]
    passed_over: PassedOver


def labelled_by_name(root: Path, photos: list[Path], reader: Callable[[Path], Labels]) -> list[Listed]:
    """Photos with the labels that ``reader`` takes from their paths relative to ``root``."""

    def read(path: Path) -> Listed:
        try:
            return Listed(path, reader(path.relative_to(root)))
        except LabelError as error:
            return Listed(path, refused=str(error))

    return [read(path) for path in photos]
