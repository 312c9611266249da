"""Label tables: CSV or Parquet files with one row a photo."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pandas as pd

from ..errors import MaskclsError
from ..labels import NOBODY, LabelError, Labels, parse_age, parse_gender, parse_mask
from ..photo import normal_form, shown, stored
from .dataset import UNLISTED, Listed

LABELS = "labels.csv"
"""A label table of this name in the photo folder is found without being named."""

T = TypeVar("T")


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a label table; a column that is absent is not read."""

    path: str = "path"
    person: str = "person"
    mask: str = "mask"
    gender: str = "gender"
    race: str = "race"
    age: str = "age"
    drawn_on: str = "drawn_on"


@dataclass(frozen=True)
class LabelTable:
    """A label table: its file, its content as texts, and the names of its columns.

    Raises:
        MaskclsError: it has no column of paths, or none of labels.
    """

    file: Path
    frame: pd.DataFrame
    columns: Columns

    def __post_init__(self) -> None:
        have, where = list(map(str, self.frame.columns)), shown(self.file)
        if self.columns.path not in have:
            raise MaskclsError(f"{where}: no column {self.columns.path!r} (only {', '.join(have)}); see --path-column")
        if not set(have) & set(vars(replace(self.columns, path="")).values()):
            raise MaskclsError(f"{where}: none of its columns is a label; see --mask-column, --age-column, …")

    def rows(self, root: Path, photos: Sequence[Path], repacked: str | None = None) -> list[Listed]:
        """The labels that the table has for photos, each once, in the order of the table.

        A path is relative to ``root`` or absolute; spaces around it, backslashes and another Unicode form do not
        matter. Equal rows count once; rows that give a photo different labels are refused.

        Args:
            photos: the files below ``root``.
            repacked: a folder in ``root`` where photos lie by their names alone, if not at their paths.
        """
        exact = set(photos)
        by_form = {normal_form(stored(path.relative_to(root))): path for path in photos}
        rows: dict[Path, Listed] = {}
        for row in self.frame.to_dict("records"):
            cells = {key: str(row.get(column, "")) for key, column in vars(self.columns).items()}
            path = _locate(cells["path"], root, exact, by_form, repacked)
            if path is None:
                path = root / cells["path"].strip()
                item = Listed(path, refused="lies outside the photo folder")
            else:
                item = Listed(path, *_read_labels({key: cell.strip() for key, cell in cells.items()}))
            if rows.setdefault(path, item) != item:
                rows[path] = Listed(path, refused="named twice in the label file, with different labels")
        return list(rows.values())


def table_photos(table: LabelTable, root: Path, photos: Sequence[Path]) -> list[Listed]:
    """All photos of a table and of a folder, in sorted order; those that the table does not name are refused."""
    rows = table.rows(root, photos)
    named = {item.path for item in rows}
    unlisted = [Listed(path, refused=UNLISTED) for path in photos if path not in named]
    return sorted([*rows, *unlisted], key=lambda item: item.path)


def read_table(path: Path) -> pd.DataFrame:
    """A CSV (UTF-8) or Parquet file, all cells as text, empty where missing.

    Raises:
        MaskclsError: it cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path).astype("string").fillna("")
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except Exception as error:  # pandas and pyarrow raise many types on a damaged table
        reason = " ".join(str(error).split())[:150]
        raise MaskclsError(f"{shown(path)}: cannot be read as a label table ({reason})") from error


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


def _read_labels(cells: Mapping[str, str]) -> tuple[Labels, None, tuple[str, ...]]:
    """The labels of a row, with what is wrong with those that cannot be read and are unknown therefore."""
    problems: list[str] = []

    def read(parse: Callable[[str], T], cell: str, unknown: T) -> T:
        try:
            return parse(cell)
        except LabelError as error:
            problems.append(str(error))
            return unknown

    no_age: tuple[float, float] | tuple[None, None] = (None, None)
    low, high = read(parse_age, cells["age"], no_age)
    labels = Labels(
        None if cells["person"] in NOBODY else cells["person"],
        read(parse_mask, cells["mask"], None),
        read(parse_gender, cells["gender"], None),
        cells["race"] or None,
        low,
        high,
        cells["drawn_on"] or None,
    )
    return labels, None, tuple(problems)
