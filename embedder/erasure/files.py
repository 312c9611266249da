"""Kinds of artefacts that many rooms have: tables, pages, and what killed runs leave."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from ..storage.atomic import replacing, write_csv
from ..storage.atomic_folder import NEXT
from ..storage.lock import locked
from ..storage.step_cache import SUFFIX, is_step
from .protocol import Artefact, Listing, Plain
from .search import PATH
from .traces import Traces

GENERATOR = b'<meta name="generator" content="maskcls'
"""Begins a line in the head of every page that a command writes."""
HEAD = 1024
"""Bytes of a page in which :data:`GENERATOR` is looked for."""
_FACES = ("face_id", "face_ids")
_HASHES = ("file_sha256", "drawn_on")
_PATHS = ("path", "ImageID", "original")
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp", re.DOTALL)


@dataclass(frozen=True)
class Tables:
    """CSV and Parquet tables of one command: the rows of a person go, and the person among the faces of other rows.

    Attributes:
        what: see :class:`.protocol.Artefact`.
        columns: a table with all of these is the command's.
        exact: and it has no others.
        lists: columns whose cells name other faces than the row's (``face_id:… face_id:…``), such as voters -> column
            with one value for each of these.
    """

    what: str
    columns: Collection[str]
    exact: bool = False
    lists: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, listing: Listing) -> Iterator[Artefact]:
        """See :data:`.protocol.Kind`."""
        for name in sorted(listing.files):
            if name.endswith((".csv", ".parquet")):
                found = columns_of(listing.path / name)
                if found == set(self.columns) if self.exact else found >= set(self.columns):
                    listing.claim(name)
                    yield Plain(self.what, listing.path / name, self.erase)

    def erase(self, path: Path, traces: Traces, dry_run: bool) -> int:
        """See :class:`.protocol.Artefact`; what was predicted for others stays, since it is what was predicted."""
        table = read_table(path)
        gone = rows_about(table, traces)
        left, changed = table[~gone], int(gone.sum())
        for column, other in self.lists.items():
            if column in left:
                cells = [_cells(cell) for cell in left[column]]
                kept = [[_face(one) not in traces.faces for one in cell] for cell in cells]
                hit = [row for row, keep in enumerate(kept) if not all(keep)]
                changed += len(hit)
                for name in (column, other) if other in left else (column,):
                    values = left[name].astype(object).to_list()
                    for row in hit:
                        parts = _cells(values[row])
                        if len(parts) == len(kept[row]):
                            values[row] = " ".join(p for p, keep in zip(parts, kept[row], strict=True) if keep)
                    if hit:
                        left = left.assign(**{name: pd.Series(values, left.index, left[name].dtype)})
        if changed and not dry_run:
            with replacing(path) as temporary:
                left.to_parquet(temporary, index=False) if path.suffix == ".parquet" else write_csv(temporary, left)
        return changed


def columns_of(path: Path) -> set[str]:
    """Names of the columns of a CSV or Parquet table, empty where it is none."""
    try:
        if path.suffix == ".parquet":
            return set(pq.read_schema(path).names)
        return set(pd.read_csv(path, nrows=0).columns)
    except (ValueError, OSError):  # pandas' and pyarrow's own errors are ValueErrors
        return set()


def read_table(path: Path) -> pd.DataFrame:
    """A table with its texts as they are."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, dtype="str", keep_default_na=False)


def rows_about(table: pd.DataFrame, traces: Traces) -> npt.NDArray[np.bool_]:
    """Which rows (n,) are about the person's faces or photos."""
    about = np.zeros(len(table), bool)
    for column in _FACES:
        if column in table:
            about |= np.array([not traces.faces.isdisjoint(_cells(cell)) for cell in table[column]], bool)
    for column in _HASHES:
        if column in table:
            about |= table[column].isin(traces.hashes).to_numpy(bool)
    if "root" in table and "path" in table:
        places = zip(table["root"], table["path"], strict=True)
        about |= np.array([traces.lies_at(root, path) for root, path in places], bool)
    elif "face_id" not in table:  # nothing surer than a name
        for column in _PATHS:
            if column in table:
                about |= table[column].map(traces.calls).to_numpy(bool)
    return about


def pages(listing: Listing) -> Iterator[Artefact]:
    """HTML pages of commands and JSON files with ids: they cannot be made again here, so they are removed whole."""
    for name in sorted(listing.files):
        if name.endswith((".html", ".htm", ".json", ".jsonl")):
            yield Plain("pages, removed whole", listing.path / name, _erase_page)


def _erase_page(path: Path, traces: Traces, dry_run: bool) -> int:
    found = traces.search.in_file(path)
    if not found or (found == {PATH} and not made_by_us(path)):
        return 0
    if not dry_run:
        path.unlink(missing_ok=True)
    return 1


def made_by_us(path: Path) -> bool:
    """Whether an HTML page was written by a command."""
    with path.open("rb") as file:
        return GENERATOR in file.read(HEAD)


def shows(folder: Path, traces: Traces) -> bool:
    """Whether any file of a folder that a command wrote is about the person."""
    return any(traces.search.in_file(path) for path in folder.rglob("*") if path.is_file())


def temporary_files(listing: Listing) -> Iterator[Artefact]:
    """Files that were being written when a run was killed: damaged ones cannot be searched, so they go in any case."""
    for name in sorted(filter(_TEMPORARY.fullmatch, listing.files)):
        listing.claim(name)
        yield Plain("leftovers of killed runs", listing.path / name, _unlink)


def step_caches(listing: Listing) -> Iterator[Artefact]:
    """Work that unfinished runs keep (:class:`~..storage.step_cache.StepCache`): it is made again, so it goes whole."""
    for name in sorted(listing.folders):
        folder = listing.path / name
        if any(is_step(path) for path in folder.glob(f"*{SUFFIX}")):
            listing.claim(name)
            yield Plain("kept work of unfinished runs", folder, remove_folder)


@dataclass(frozen=True)
class Staged:
    """Files that a killed run staged in a folder (:mod:`..storage.atomic_folder`) and never committed.

    Attributes:
        files: all that can be staged; a folder with anything else is not touched.
    """

    files: Collection[str]

    def __call__(self, listing: Listing) -> Iterator[Artefact]:
        """See :data:`.protocol.Kind`."""
        staging = listing.path / NEXT
        if NEXT in listing.folders:
            there = {path.name for path in staging.iterdir()}
            if {name for name in there if not _TEMPORARY.fullmatch(name)} <= set(self.files):
                listing.claim(NEXT)
                yield Plain("leftovers of killed runs", staging, _remove_staged)


def remove_folder(folder: Path, traces: Traces, dry_run: bool) -> int:
    """Remove a folder whole, if no run is writing to it.

    Raises:
        MaskclsError: one is.
    """
    if not dry_run and folder.is_dir():
        with locked(folder):
            shutil.rmtree(folder)
    return 1


def _remove_staged(staging: Path, traces: Traces, dry_run: bool) -> int:
    if not dry_run and staging.parent.is_dir():
        with locked(staging.parent):  # which a run that is staging holds
            shutil.rmtree(staging, ignore_errors=True)
    return 1


def _unlink(path: Path, traces: Traces, dry_run: bool) -> int:
    if not dry_run:
        path.unlink(missing_ok=True)
    return 1


def _cells(cell: object) -> list[str]:
    return cell.split() if isinstance(cell, str) else []


def _face(text: str) -> str:
    return text.split(":", 1)[0]
