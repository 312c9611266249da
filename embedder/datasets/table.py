"""Label tables: one row a photo, or a face of a photo, with the columns of its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import MaskclsError
from ..labels import NOBODY, UNKNOWN, LabelError, Labels
from ..photo import normal_form, shown, stored
from .box import BOX, Box, parse_box
from .dataset import UNLISTED, Listed, Misread
from .legend import PARSERS, Legend

LABELS = "labels.csv"
"""A label table of this name in the photo folder is found without being named."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a label table, in any case; a column that is absent is not read."""

    path: str = "path"
    person: str = "person"
    mask: str = "mask"
    gender: str = "gender"
    race: str = "race"
    age: str = "age"
    drawn_on: str = "drawn_on"


@dataclass(frozen=True)
class LabelTable:
    """A label table: its file, its content as texts, the names of its columns, and what codes in them stand for.

    Attributes:
        boxes: whether a row is a face of its photo, named by the columns :data:`~.box.BOX`.

    Raises:
        MaskclsError: it has no column of paths, or none of labels, or two of one name, or lacks one of ``boxes``.
    """

    file: Path
    frame: pd.DataFrame
    columns: Columns
    legend: Legend = field(default_factory=Legend)
    boxes: bool = False

    def __post_init__(self) -> None:
        where, found = shown(self.file), self._found()
        if "path" not in found:
            have = ", ".join(map(str, self.frame.columns))
            raise MaskclsError(f"{where}: no column {self.columns.path!r} (only {have}); see --path-column")
        if len(found) == 1:
            raise MaskclsError(f"{where}: none of its columns is a label; see --mask-column, --age-column, …")
        if self.boxes and (lacking := [name for name in BOX if name not in self._corners()]):
            raise MaskclsError(f"{where}: no column {', '.join(lacking)}; --faces all needs the box of each face")

    def _found(self, columns: Mapping[str, str] | None = None) -> dict[str, str]:
        """The table's own names of columns, spaces and all, by their keys; by default of :class:`Columns`."""
        names = [str(name) for name in self.frame.columns]
        found = {}
        for key, column in (columns or vars(self.columns)).items():
            fits = [name for name in names if _plain(name) == _plain(column)]
            if column in fits:
                found[key] = column
            elif len(fits) > 1:
                raise MaskclsError(f"{shown(self.file)}: columns {' and '.join(map(repr, fits))} are both {column!r}")
            elif fits:
                found[key] = fits[0]
        return found

    def _corners(self) -> dict[str, str]:
        return self._found(dict(zip(BOX, BOX, strict=True)))

    def rows(self, root: Path, photos: Sequence[Path], repacked: str | None = None) -> list[Listed]:
        """The labels that the table has for photos, each once, in the order of the table.

        A path is relative to ``root`` or absolute; spaces around it, backslashes and another Unicode form do not
        matter. Equal rows count once; rows that give a photo, or one box in it, different labels are refused. A box
        that cannot be read refuses its row alone.

        Args:
            photos: the files below ``root``.
            repacked: a folder in ``root`` where photos lie by their names alone, if not at their paths.
        """
        exact = set(photos)
        by_form = {normal_form(stored(path.relative_to(root))): path for path in photos}
        rows: dict[tuple[Path, Box | str | None], Listed] = {}
        found = self._found()
        corners = self._corners() if self.boxes else {}
        for row in self.frame.to_dict("records"):
            cells = {key: str(row[found[key]]) if key in found else "" for key in vars(self.columns)}
            path = _locate(cells["path"], root, exact, by_form, repacked)
            box: Box | None = None
            if path is None:
                path = root / cells["path"].strip()
                item = Listed(path, refused="lies outside the photo folder")
            else:
                try:
                    box = parse_box([str(row[name]) for name in corners.values()]) if corners else None
                    item = self._labelled(path, {key: cell.strip() for key, cell in cells.items()}, box)
                except LabelError as error:
                    item = Listed(path, refused=str(error))
            key = path, box or item.refused  # rows that are refused stay apart, but for equal ones
            if rows.setdefault(key, item) != item:
                rows[key] = Listed(path, refused="named twice in the label file, with different labels", box=box)
        return list(rows.values())

    def _labelled(self, path: Path, cells: Mapping[str, str], box: Box | None) -> Listed:
        """A photo, or its face in a box, with the labels of its row; those that cannot be read are unknown."""
        problems: list[Misread] = []

        def read(task: str, unknown: Any) -> Any:
            try:
                return PARSERS[task](self.legend.label(task, cells[task]))
            except LabelError as error:
                problems.append(Misread(task, getattr(self.columns, task), cells[task], str(error)))
                return unknown

        low, high = read("age", (None, None))
        labels = Labels(
            None if cells["person"] in NOBODY else cells["person"],
            read("mask", None),
            read("gender", None),
            None if cells["race"].lower() in UNKNOWN else cells["race"],
            low,
            high,
            None if cells["drawn_on"].lower() in UNKNOWN else cells["drawn_on"],
        )
        return Listed(path, labels, problems=tuple(problems), box=box)


def table_photos(table: LabelTable, root: Path, photos: Sequence[Path]) -> list[Listed]:
    """All rows of a table and photos of a folder, sorted by path; photos that the table does not name are refused."""
    rows = table.rows(root, photos)
    named = {item.path for item in rows}
    unlisted = [Listed(path, refused=UNLISTED) for path in photos if path not in named]
    return sorted([*rows, *unlisted], key=lambda item: item.path)


def _locate(cell: str, root: Path, exact: set[Path], by_form: Mapping[str, Path], repacked: str | None) -> Path | None:
    """The file that a cell names, one of those below ``root`` if any fits; None where it lies outside."""
    for text in (cell, cell.strip(), cell.strip().replace("\\", "/")):
        inside = _inside(text, root)
        if inside is None:
            continue
        for path in (inside, Path(repacked or "", inside.name if repacked else inside)):
            if root / path in exact:
                return root / path
            if (found := by_form.get(normal_form(stored(path)))) is not None:
                return found
    inside = _inside(cell.strip(), root)
    return None if inside is None else root / inside


def _inside(text: str, root: Path) -> Path | None:
    """A path relative to ``root``; None where it lies outside."""
    path = Path(text)
    for base in (root.absolute(), root.resolve()) if path.is_absolute() else ():
        if Path(normal_form(text)).is_relative_to(normal_form(str(base))):
            path = Path(normal_form(text)).relative_to(normal_form(str(base)))
    return None if path.is_absolute() or ".." in path.parts else path


def _plain(name: str) -> str:
    """A column's name as it is compared."""
    return normal_form(name).strip().casefold()
