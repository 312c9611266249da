"""What is in a model's gallery: counts, and the rows of people, faces and photos."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...embedder.errors import MaskclsError
from ...embedder.labels import AGE_BANDS, band_numbers
from ...embedder.photo import normal_form, shown, stored
from ..age.vote import Ints

LISTED = ("face_id", "path", "person", "group", "age_low", "age_high", "mask", "gender", "source", "dataset")
"""Columns of a listed face; ``group`` is the number of the person."""


def counts_of(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Faces of a gallery's table by ``source``, ``age_band`` (of the middle of the years), ``mask`` and ``gender``.

    Only values that occur are there; missing ones are ``unknown``.
    """
    middle = (table["age_low"] + table["age_high"]) / 2
    bands = pd.Series(np.array(AGE_BANDS, object)[band_numbers(middle)], table.index)
    columns = {"source": table["source"], "age_band": bands, "mask": table["mask"], "gender": table["gender"]}
    return {
        name: {str(value): int(faces) for value, faces in column.fillna("unknown").value_counts().items()}
        for name, column in columns.items()
    }


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """``faces``, ``people``, ``photo_folders`` and the counts of :func:`counts_of`."""
    roots = {str(root): int(faces) for root, faces in table["root"].value_counts().items()}
    return {
        "faces": len(table),
        "people": int(table["group"].nunique()),
        **counts_of(table),
        "photo_folders": roots,
    }


def of_dataset(table: pd.DataFrame, dataset: str) -> Ints:
    """Rows of a data set, given by its id or by its folder of photos."""
    folder = normal_form(stored(Path(dataset).absolute()))
    roots = table["root"].map(normal_form, na_action="ignore")
    return np.flatnonzero((table["dataset"] == dataset) | (roots == folder))


def of_person(table: pd.DataFrame, name: str, dataset: str | None = None) -> Ints:
    """Rows of the person of a name, in any Unicode form.

    Args:
        dataset: see :func:`of_dataset`; needed where several data sets have the name.

    Raises:
        MaskclsError: the name is of different people in several data sets; the line lists these.
    """
    rows = np.arange(len(table)) if dataset is None else of_dataset(table, dataset)
    names = table["person"].iloc[rows].map(normal_form, na_action="ignore")
    rows = rows[(names == normal_form(name)).to_numpy(bool)]
    mine = table.iloc[rows]
    if mine["dataset"].nunique() > 1 and mine["group"].nunique() > 1:
        sets = mine[["dataset", "root"]].drop_duplicates("dataset").to_dict("records")
        where = ", ".join(f"{one['dataset']} ({shown(one['root'])})" for one in sets)
        raise MaskclsError(f"person {shown(name)}: a name in several data sets: {where}; choose one")
    return rows


def of_faces(table: pd.DataFrame, faces: Collection[str]) -> Ints:
    """Rows of some ``face_id``."""
    return np.flatnonzero(table["face_id"].isin(list(faces)))


def of_photos(table: pd.DataFrame, photos: Collection[str]) -> Ints:
    """Rows of photos, given by absolute path or as the gallery lists them (relative to their folder)."""
    absolute = {normal_form(stored(Path(photo).absolute())) for photo in photos}
    listed = set(map(normal_form, photos))
    paths = table["path"].map(normal_form, na_action="ignore")
    places = table["root"].map(normal_form, na_action="ignore") + "/" + paths
    return np.flatnonzero(places.isin(absolute) | paths.isin(listed))


def of_file(table: pd.DataFrame, path: Path) -> tuple[Ints, int]:
    """Rows that a CSV names by ``face_id``, or else by ``path``, and how many it names.

    Raises:
        MaskclsError: it cannot be read or has neither column.
    """
    try:
        wanted = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        reason = getattr(error, "strerror", None) or "not a CSV table"
        raise MaskclsError(f"{shown(path)}: cannot be read ({reason})") from error
    choices: Mapping[str, Any] = {"face_id": of_faces, "path": of_photos}
    for column, rows_of in choices.items():
        if column in wanted:
            values = {value for value in wanted[column] if value}
            return rows_of(table, values), len(values)
    raise MaskclsError(f"{shown(path)}: no column face_id or path; its first line must name one of them")
