"""What is in a model's gallery: counts, rows, and the rows that somebody means."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...embedder.errors import MaskclsError
from ...embedder.labels import AGE_BANDS, band_numbers
from ...embedder.photo import shown, stored
from ..age.vote import Ints

LISTED = ("face_id", "path", "person", "group", "age_low", "age_high", "mask", "gender", "source")
"""Columns of a listed face; ``group`` is the number of the person as far as can be told."""


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


def named(table: pd.DataFrame, person: str | None, source: str | None) -> Ints:
    """Rows of a person and a source, as far as they are given."""
    chosen = np.ones(len(table), bool)
    for column, wanted in (("person", person), ("source", source)):
        if wanted is not None:
            chosen &= (table[column] == wanted).to_numpy(bool)
    return np.flatnonzero(chosen)


def of_faces(table: pd.DataFrame, faces: Collection[str]) -> Ints:
    """Rows of some ``face_id``."""
    return np.flatnonzero(table["face_id"].isin(list(faces)))


def of_photos(table: pd.DataFrame, photos: Collection[str]) -> Ints:
    """Rows of photos, given by where they lie or as the gallery calls them (relative to their folder)."""
    whole = {stored(Path(photo).absolute()) for photo in photos}
    lies = pd.Series([stored(Path(*place)) for place in zip(table["root"], table["path"], strict=True)], table.index)
    return np.flatnonzero(lies.isin(whole) | table["path"].isin(list(photos)))


def of_file(table: pd.DataFrame, path: Path) -> tuple[Ints, int]:
    """Rows that a CSV names by ``face_id``, or else by ``path``, and how many things it names.

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
