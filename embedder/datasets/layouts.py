"""Read a dataset's layout into listed photos with labels: contest, UTKFace, FairFace, CSV, or plain folders."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from ..errors import MaskclsError
from ..labels import GENDERS, MASKS, LabelError, Labels, check_age, parse_age, parse_gender, parse_mask
from ..photo import list_photos, shown, stored

LayoutName = Literal["contest", "utkface", "fairface", "csv", "folders"]
LABELS = "labels.csv"
"""A label file of this name in the photo folder is found without being named."""
RACES_UTKFACE = ("White", "Black", "Asian", "Indian", "Other")
_CONTEST_FOLDER = re.compile(r"(?P<id>\w+?)_(?P<gender>[^_]+)_(?P<race>[^_]+)_(?P<age>[^_]+)")
_CONTEST_PHOTO = re.compile(r"mask\d|incorrect_mask|normal")
_UTKFACE_NAME = re.compile(r"(-?\d+)_(\d+)_(?:(\d+)_)?\d+\b.*")


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a label file; a column that is absent is simply not read."""

    path: str = "path"
    person: str = "person"
    mask: str = "mask"
    gender: str = "gender"
    race: str = "race"
    age: str = "age"
    drawn_on: str = "drawn_on"


@dataclass(frozen=True, slots=True)
class Listed:
    """One photo of a dataset: where it lies and what the dataset says of it, or why that is refused."""

    path: Path
    labels: Labels = field(default_factory=Labels)
    refused: str | None = None


@dataclass(frozen=True)
class Dataset:
    """Photos of a folder under one layout, in sorted order, and how many other files were passed over."""

    layout: LayoutName
    photos: list[Listed]
    other_files: int


def read_dataset(root: Path, layout: str, labels: Path | None = None, columns: Columns = Columns()) -> Dataset:
    """List the photos below ``root`` with their labels.

    Args:
        root: folder of photos; for FairFace the one that holds ``fairface_label_*.csv``.
        layout: a :data:`LayoutName` or ``auto``.
        labels: the CSV or Parquet file of layout ``csv``.
        columns: its column names.

    Raises:
        MaskclsError: no such folder, no photo in it, or a label file that cannot be read or names no photo.
    """
    if not root.is_dir():
        problem = "is a file, not a folder" if root.exists() else "no such folder"
        raise MaskclsError(f"{shown(root)}: {problem}")
    paths, other_files = list_photos(root)
    if not paths:
        raise MaskclsError(f"{shown(root)}: no photo in this folder ({other_files} other files)")
    own_labels = root / LABELS
    if layout == "auto" and labels is None and own_labels.is_file():
        labels = own_labels
    if layout == "auto":
        layout = "csv" if labels else guess_layout(root, paths)
    if (layout == "csv") != (labels is not None):
        raise MaskclsError("--layout csv and --labels FILE belong together")
    if layout == "csv" and labels is not None:
        return Dataset("csv", _table_rows(root, _read_table(labels), columns, labels), other_files)
    if layout == "fairface":
        return Dataset("fairface", _fairface_rows(root, paths), other_files)
    readers: dict[str, Callable[[Path], Labels]] = {
        "contest": contest_labels,
        "utkface": utkface_labels,
        "folders": folder_labels,
    }
    if layout not in readers:
        raise MaskclsError(f"--layout {layout}: choose auto, contest, utkface, fairface, csv or folders")
    reader = readers[layout]
    return Dataset(layout, [_read(path, path.relative_to(root), reader) for path in paths], other_files)  # type: ignore[arg-type]


def guess_layout(root: Path, paths: list[Path]) -> LayoutName:
    """The layout that fits most of the photos; ``folders`` (labels from folder names, if any) where none does."""
    if _fairface_tables(root):
        return "fairface"
    half = len(paths) / 2
    if sum(bool(_CONTEST_PHOTO.match(p.stem) and _CONTEST_FOLDER.fullmatch(p.parent.name)) for p in paths) > half:
        return "contest"
    if sum(bool(_UTKFACE_NAME.fullmatch(p.name)) for p in paths) > half:
        return "utkface"
    return "folders"


def contest_labels(path: Path) -> Labels:
    """``000001_female_Asian_45/incorrect_mask.jpg``: person, gender, race and age; mask state by file name."""
    folder = _CONTEST_FOLDER.fullmatch(stored(path.parent.name))
    if folder is None:
        raise LabelError(f"folder {path.parent.name!r} is not <id>_<gender>_<race>_<age>")
    if not _CONTEST_PHOTO.match(path.stem):
        raise LabelError(f"file name {path.name!r} is not mask1-5, incorrect_mask or normal")
    mask = "incorrect" if path.stem.startswith("incorrect") else "wear" if path.stem.startswith("mask") else "normal"
    low, high = parse_age(folder["age"])
    return Labels(folder["id"], mask, parse_gender(folder["gender"]), folder["race"], low, high)  # type: ignore[arg-type]


def utkface_labels(path: Path) -> Labels:
    """``25_1_2_20170116174525125.jpg``: age, gender (0 male, 1 female), race; nobody wears a mask."""
    name = _UTKFACE_NAME.fullmatch(path.name)
    if name is None:
        raise LabelError(f"file name {path.name!r} is not <age>_<gender>_<race>_<date>")
    low, high = check_age(float(name[1]), float(name[1]), name[1])
    if int(name[2]) >= len(GENDERS):
        raise LabelError(f"gender {name[2]!r} is neither 0 (male) nor 1 (female)")
    race = RACES_UTKFACE[int(name[3])] if name[3] and int(name[3]) < len(RACES_UTKFACE) else None
    return Labels(None, "normal", "female" if int(name[2]) else "male", race, low, high)


def folder_labels(path: Path) -> Labels:
    """Any folder: a parent folder called ``wear``, ``incorrect``, ``normal``, ``male`` or ``female`` is a label."""
    names = [part.lower() for part in path.parts[:-1]]
    mask = next((name for name in reversed(names) if name in MASKS), "")
    gender = next((name for name in reversed(names) if name in GENDERS), "")
    return Labels(mask=parse_mask(mask), gender=parse_gender(gender))


def _read(path: Path, relative: Path, reader: Callable[[Path], Labels]) -> Listed:
    try:
        return Listed(path, reader(relative))
    except LabelError as error:
        return Listed(path, refused=str(error))


def _fairface_tables(root: Path) -> list[Path]:
    return sorted(root.glob("fairface_label_*.csv"))


def _fairface_rows(root: Path, paths: list[Path]) -> list[Listed]:
    """FairFace: ``train/N.jpg`` in the table lies at ``train/N.jpg`` or, repacked, at ``photos/N.jpg``.

    The table says nothing of masks.
    """
    tables = _fairface_tables(root)
    if not tables:
        raise MaskclsError(f"{shown(root)}: no fairface_label_*.csv here; choose another --layout")
    rows: dict[Path, Listed] = {}
    for table in tables:
        frame = _read_table(table)
        for listed in _table_rows(root, frame, Columns(path="file"), table, repacked="photos"):
            rows[listed.path] = listed
    unlabelled = [Listed(path, refused="not in the label file") for path in paths if path not in rows]
    return sorted([*rows.values(), *unlabelled], key=lambda listed: listed.path)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path).astype("string").fillna("")
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except Exception as error:  # pandas and pyarrow raise many types on a damaged table
        reason = " ".join(str(error).split())[:150]
        raise MaskclsError(f"{shown(path)}: cannot be read as a label table ({reason})") from error


def _table_rows(
    root: Path, frame: pd.DataFrame, columns: Columns, table: Path, repacked: str | None = None
) -> list[Listed]:
    if columns.path not in frame.columns:
        have = ", ".join(map(str, frame.columns))
        raise MaskclsError(f"{shown(table)}: no column {columns.path!r} (it has {have}); see --path-column")
    if not set(frame.columns) & set(vars(replace(columns, path="")).values()):
        raise MaskclsError(f"{shown(table)}: none of its columns is a label; see --mask-column, --age-column, …")
    listed: dict[Path, Listed] = {}
    for row in frame.to_dict("records"):
        name = Path(str(row[columns.path]))
        path = root / name
        if repacked and not path.exists():
            path = root / repacked / name.name
        if path in listed:
            listed[path] = Listed(path, refused="named twice in the label file")
        elif name.is_absolute() or ".." in name.parts:
            listed[path] = Listed(path, refused="lies outside the photo folder")
        else:
            cells = {key: str(row.get(column, "")).strip() for key, column in vars(columns).items()}
            listed[path] = _read(path, name, lambda _, cells=cells: _cell_labels(cells))  # type: ignore[misc]
    return sorted(listed.values(), key=lambda item: item.path)


def _cell_labels(cells: dict[str, str]) -> Labels:
    low, high = parse_age(cells["age"])
    return Labels(
        cells["person"] or None,
        parse_mask(cells["mask"]),
        parse_gender(cells["gender"]),
        cells["race"] or None,
        low,
        high,
        cells["drawn_on"] or None,
    )
