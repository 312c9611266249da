"""Read a data set: photos of a folder, with the labels that its layout gives them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast, get_args

from ..errors import MaskclsError
from ..labels import Labels
from ..photo import list_photos, shown
from .box import BOX
from .contest import contest_labels, is_contest
from .dataset import Dataset, LayoutName, WhichFaces, labelled_by_name
from .fairface import fairface_photos, fairface_tables
from .folders import folder_labels, siblings_of
from .legend import Legend
from .table import LABELS, Columns, LabelTable, table_photos
from .table_file import read_table
from .utkface import is_utkface, utkface_labels

_READERS: dict[str, Callable[[Path], Labels]] = {
    "contest": contest_labels,
    "utkface": utkface_labels,
}
NEARLY_ALL = 0.9
"""Share of the photos that must be called as UTKFace's are before that layout is guessed: any number in a name would be
taken for an age."""


def read_dataset(
    root: Path,
    layout: str,
    labels: Path | None = None,
    columns: Columns = Columns(),
    legend: Legend = Legend(),
    faces: WhichFaces = "largest",
) -> Dataset:
    """List the photos below ``root`` with their labels.

    Args:
        root: folder of photos; for FairFace the one that holds ``fairface_label_*.csv``.
        layout: a :data:`LayoutName` or ``auto``.
        labels: the table of layout ``csv``, see :func:`~.table_file.read_table`.
        columns: its column names.
        legend: what codes in its cells, or as names of folders, stand for.
        faces: ``all`` for one entry a labelled face, which only a table with boxes gives.

    Raises:
        MaskclsError: no such folder, no photo in it, or a label file that cannot be read, names no photo, or lacks
            the boxes that are asked for.
    """
    if not root.is_dir():
        problem = "is a file, not a folder" if root.exists() else "no such folder"
        raise MaskclsError(f"{shown(root)}: {problem}")
    paths, passed_over = list_photos(root)
    if not paths:
        raise MaskclsError(f"{shown(root)}: no photo in this folder{passed_over.why_empty()}")
    guessed = layout == "auto" and labels is None
    if guessed:
        labels = own if (own := root / LABELS).is_file() else None
    if layout == "auto":
        layout = "csv" if labels else guess_layout(root, paths)
    if (layout == "csv") != (labels is not None):
        raise MaskclsError("--layout csv and --labels FILE belong together")
    every = faces == "all"
    if every and layout != "csv":
        raise MaskclsError(f"--faces all needs a label table with the columns path, {', '.join(BOX)} (--labels FILE)")
    if layout == "csv" and labels is not None:
        listed = table_photos(LabelTable(labels, read_table(labels), columns, legend, every), root, paths)
    elif layout == "fairface":
        listed = fairface_photos(root, paths)
    elif layout == "folders":
        siblings = siblings_of(path.relative_to(root) for path in paths)
        listed = labelled_by_name(root, paths, partial(folder_labels, legend=legend, siblings=siblings))
    elif layout in _READERS:
        listed = labelled_by_name(root, paths, _READERS[layout])
    else:
        raise MaskclsError(f"--layout {layout}: choose auto, {', '.join(get_args(LayoutName))}")
    return Dataset(cast(LayoutName, layout), listed, passed_over, guessed, faces)


def guess_layout(root: Path, paths: list[Path]) -> LayoutName:
    """The layout that fits the photos; ``folders`` (labels from folder names, if any) where none does."""
    if fairface_tables(root):
        return "fairface"
    if sum(map(is_contest, paths)) > len(paths) / 2:
        return "contest"
    return "utkface" if sum(map(is_utkface, paths)) >= NEARLY_ALL * len(paths) else "folders"
