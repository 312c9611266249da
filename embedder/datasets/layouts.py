"""Read a data set: photos of a folder, with the labels that its layout gives them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast, get_args

from ..errors import MaskclsError
from ..labels import Labels
from ..photo import list_photos, shown
from .contest import contest_labels, is_contest
from .dataset import Dataset, LayoutName, labelled_by_name
from .fairface import fairface_photos, fairface_tables
from .folders import folder_labels
from .table import LABELS, Columns, LabelTable, read_table, table_photos
from .utkface import is_utkface, utkface_labels

_READERS: dict[str, Callable[[Path], Labels]] = {
    "contest": contest_labels,
    "utkface": utkface_labels,
    "folders": folder_labels,
}


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
    paths, passed_over = list_photos(root)
    if not paths:
        raise MaskclsError(f"{shown(root)}: no photo in this folder{passed_over.why_empty()}")
    own_labels = root / LABELS
    if layout == "auto" and labels is None and own_labels.is_file():
        labels = own_labels
    if layout == "auto":
        layout = "csv" if labels else guess_layout(root, paths)
    if (layout == "csv") != (labels is not None):
        raise MaskclsError("--layout csv and --labels FILE belong together")
    if layout == "csv" and labels is not None:
        listed = table_photos(LabelTable(labels, read_table(labels), columns), root, paths)
    elif layout == "fairface":
        listed = fairface_photos(root, paths)
    elif layout in _READERS:
        listed = labelled_by_name(root, paths, _READERS[layout])
    else:
        raise MaskclsError(f"--layout {layout}: choose auto, {', '.join(get_args(LayoutName))}")
    return Dataset(cast(LayoutName, layout), listed, passed_over)


def guess_layout(root: Path, paths: list[Path]) -> LayoutName:
    """The layout that fits most of the photos; ``folders`` (labels from folder names, if any) where none does."""
    if fairface_tables(root):
        return "fairface"
    half = len(paths) / 2
    if sum(map(is_contest, paths)) > half:
        return "contest"
    return "utkface" if sum(map(is_utkface, paths)) > half else "folders"
