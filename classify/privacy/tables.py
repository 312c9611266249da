"""Take a person out of tables of answers and their like."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.masks import render as rendering
from ...embedder.photo import stored
from ...embedder.storage import atomic
from .traces import Traces

_PATHS = ("path", "ImageID", "original")
_HASHES = ("file_sha256", "drawn_on")
_OURS: tuple[set[str], ...] = (
    *({"face_id"}, {"neighbours"}, {"ImageID", "ans"}, {"path", "status", "reason"}),
    set(rendering.COLUMNS),
)
"""A table that has all columns of one of these was written by a command; any other is the user's."""
_ANSWER = {"neighbours", "voters"}
"""What tells a row of answers from any other one with a path."""
_CARD = re.compile(r"<article data-.*?<h2>(.*?)</h2>", re.DOTALL)


def read_table(path: Path) -> pd.DataFrame | None:
    """A table that a command wrote, texts as they are; None for any other file."""
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        elif path.suffix == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        else:
            return None
    except (ValueError, OSError):  # pandas' and pyarrow's own errors are ValueErrors
        return None
    columns = set(map(str, table.columns))
    ours = any(wanted <= columns for wanted in _OURS) or columns == set(rendering.REJECT_COLUMNS)
    return table if ours else None


def without_person(table: pd.DataFrame, traces: Traces) -> tuple[pd.DataFrame, int]:
    """A table without the person's rows, and without the person among the voters of others; how many rows changed.

    A voter goes with its share of the vote; what was answered stays, since it is what was answered.
    """
    gone = rows_about(table, traces)
    left = table[~gone]
    if "neighbours" not in left:
        return left, int(gone.sum())
    told = left["neighbours"].map(lambda cell: any(_voter(one) in traces.faces for one in _cells(cell)))
    changed = left[told.astype(bool)].to_dict("records")
    for column in ("neighbours", "weights"):
        if column in left and changed:
            left = left.astype({column: object})
            left.loc[told.astype(bool), column] = [_without_voters(row, column, traces) for row in changed]
    return left, int(gone.sum()) + len(changed)


def rows_about(table: pd.DataFrame, traces: Traces) -> npt.NDArray[np.bool_]:
    """Which rows (n,) are about the person's faces or photos."""
    about = np.zeros(len(table), bool)
    if "face_id" in table:
        about |= table["face_id"].isin(traces.faces).to_numpy(bool)
    for column in _HASHES:
        if column in table:
            about |= table[column].isin(traces.hashes).to_numpy(bool)
    if "root" in table and "path" in table:
        places = [stored(Path(str(root), str(path))) for root, path in zip(table["root"], table["path"], strict=True)]
        return np.asarray(about | np.isin(np.array(places, object), list(traces.places)))
    if "face_id" not in table:  # nothing surer than a name
        for column in _PATHS:
            if column in table:
                about |= table[column].map(traces.calls).to_numpy(bool)
    return about


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table in place of the one that was read, atomically."""
    atomic.write_table(path, table)


def names_photo(path: Path, traces: Traces) -> bool:
    """Whether a journal, a file of JSON lines or a page is about one of the person's photos by name."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix in (".html", ".htm"):
        return any(traces.calls(html.unescape(name)) for name in _CARD.findall(text))
    return any(traces.calls(_path(line)) for line in text.splitlines())


def _path(line: str) -> object:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row.get("path") if isinstance(row, dict) and _ANSWER & row.keys() else None


def _without_voters(row: Mapping[Hashable, Any], column: str, traces: Traces) -> str:
    """A cell of voters or of their weights, those of the person left out."""
    voters, cells = _cells(row["neighbours"]), _cells(row[column])
    if len(cells) != len(voters):
        return str(row[column])
    return " ".join(cell for voter, cell in zip(voters, cells, strict=True) if _voter(voter) not in traces.faces)


def _cells(cell: object) -> list[str]:
    return cell.split() if isinstance(cell, str) else []


def _voter(text: str) -> str:
    return text.split(":", 1)[0]
