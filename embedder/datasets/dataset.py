"""What every layout of data set is read into: photos with labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..labels import LabelError, Labels
from ..photo import PassedOver
from .box import Box

LayoutName = Literal["contest", "utkface", "fairface", "csv", "folders"]
WhichFaces = Literal["largest", "all"]
"""Of a photo: its largest face, or every face that a label table names by a box."""
UNLISTED = "not in the label file"


@dataclass(frozen=True, slots=True)
class Misread:
    """A cell of a label table that is not understood: its task, the name of its column, its text, and why."""

    task: str
    column: str
    cell: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One photo of a data set, or one labelled face of a photo.

    Attributes:
        path: of the file, which may not exist.
        labels: as far as they can be read.
        refused: why none of its labels can be used, None where they can.
        problems: single labels that cannot be read and count as unknown.
        box: of the labelled face; None where the photo's largest face is meant.
    """

    path: Path
    labels: Labels = field(default_factory=Labels)
    refused: str | None = None
    problems: tuple[Misread, ...] = ()
    box: Box | None = None

    def problem(self, *, is_used: bool) -> str | None:
        """What is wrong with the labels, for ``rejects.csv``; ``is_used``: the photo is used nevertheless."""
        text = self.refused or "; ".join(problem.reason for problem in self.problems)
        return f"label {'ignored' if is_used else 'refused'}: {text}" if text else None


@dataclass(frozen=True)
class Dataset:
    """Photos of a folder under one layout, in sorted order.

    Attributes:
        layout: that the labels were read by.
        photos: with their labels; one entry a labelled face where ``faces`` is ``all``.
        passed_over: what else lies there.
        guessed: whether nobody named the layout, so that it was taken from the folder's files and their names.
        faces: which faces of the photos are in it.
    """

    layout: LayoutName
    photos: list[Listed]
    passed_over: PassedOver
    guessed: bool = False
    faces: WhichFaces = "largest"

    def photo_count(self) -> int:
        """How many photos it has."""
        return len({item.path for item in self.photos}) if self.faces == "all" else len(self.photos)

    def label_counts(self) -> dict[str, int]:
        """How many photos (or labelled faces) have a label of each task: age, gender, mask."""
        labels = [item.labels for item in self.photos if item.refused is None]
        return {
            "age": sum(one.age_low is not None for one in labels),
            "gender": sum(one.gender is not None for one in labels),
            "mask": sum(one.mask is not None for one in labels),
        }

    def misread(self) -> dict[tuple[str, str], Counter[str]]:
        """The cells that are not understood: task and column -> text -> how many."""
        found: dict[tuple[str, str], Counter[str]] = {}
        for item in self.photos:
            for problem in item.problems:
                found.setdefault((problem.task, problem.column), Counter())[problem.cell] += 1
        return found


def labelled_by_name(root: Path, photos: list[Path], reader: Callable[[Path], Labels]) -> list[Listed]:
    """Photos with the labels that ``reader`` takes from their paths relative to ``root``."""

    def read(path: Path) -> Listed:
        try:
            return Listed(path, reader(path.relative_to(root)))
        except LabelError as error:
            return Listed(path, refused=str(error))

    return [read(path) for path in photos]
