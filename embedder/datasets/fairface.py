"""FairFace's layout (https://github.com/joojs/fairface): ``fairface_label_train.csv`` beside the photos' folders."""

from __future__ import annotations

from pathlib import Path

from ..errors import MaskclsError
from ..photo import shown
from .dataset import UNLISTED, Listed
from .table import Columns, LabelTable
from .table_file import read_table

REPACKED = "photos"
"""A folder that holds the photos of all tables, as some copies of the data set have it."""


def fairface_tables(root: Path) -> list[Path]:
    """The label files of a folder."""
    return sorted(root.glob("fairface_label_*.csv"))


def fairface_photos(root: Path, photos: list[Path]) -> list[Listed]:
    """Photos with age, gender and race; the tables do not tell mask states.

    Raises:
        MaskclsError: there is no table, or one cannot be read.
    """
    tables = fairface_tables(root)
    if not tables:
        raise MaskclsError(f"{shown(root)}: no fairface_label_*.csv here; choose another --layout")
    rows: dict[Path, Listed] = {}
    for path in tables:
        table = LabelTable(path, read_table(path), Columns(path="file"))
        rows |= {item.path: item for item in table.rows(root, photos, REPACKED)}
    unlisted = [Listed(path, refused=UNLISTED) for path in photos if path not in rows]
    return sorted([*rows.values(), *unlisted], key=lambda item: item.path)
