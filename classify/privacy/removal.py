"""Remove a person's traces from all places where they lie; doing it again does nothing more."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from ...embedder.datasets.layouts import LABELS
from ...embedder.errors import MaskclsError
from ...embedder.faceset.removal import forget_in_set
from ...embedder.faceset.store import MANIFEST, open_set
from ...embedder.photo import SUFFIXES, shown
from ...embedder.storage.lock import locked
from ...embedder.storage.shards import SHARDS
from ...embedder.storage.step_cache import SUFFIX
from ..evaluation import error_gallery_folder
from ..model.checkpoint import FILE
from ..model.gallery_edit import drop_faces, edit_model
from ..model.gallery_list import of_faces
from ..model.model import Model
from .places import Places
from .scanner import PATH, Scanner
from .tables import names_photo, read_table, rows_about, without_person, write_table
from .traces import Traces

PAGES = (".html", ".htm", ".json", ".jsonl")
"""Files that are removed whole where they show the person: the command that wrote them writes them again."""


@dataclass(frozen=True)
class Task:
    """One thing to do at one place.

    Attributes:
        what: kind of thing that is removed.
        where: file or folder.
        count: how many of these are there.
        do: does it.
    """

    what: str
    where: Path
    count: int
    do: Callable[[], object]


def tasks(places: Places, traces: Traces) -> Iterator[Task]:
    """Everything to be done about a person; each task can be done again, and leaves a set or a model whole.

    Garbage is first, since saving a model uses the same name.

    Work that a running command keeps goes as a whole where it is about the person, or where it cannot tell: it is made
    again. Pages and error gallerys go as a whole.

    Raises:
        MaskclsError: a set or a model is damaged.
    """
    scanner = Scanner(traces)
    for folder in places.garbage:
        yield Task("leftovers of killed runs", folder, 1, partial(_remove_garbage, folder))
    for folder in places.sets:
        yield _in_set(folder, traces)
    for folder in places.models:
        model = Model.load(folder)
        rows = of_faces(model.table, traces.faces)
        listed = sum(int((one.persons(sorted(traces.hashes)) >= 0).sum()) for one in model.seen)
        if len(rows) or listed:
            what = "faces of a gallery" if len(rows) else "photos a model was built from"
            yield Task(what, folder, len(rows) or listed, partial(_forget_in_model, folder, traces))
    for folder in places.drawings:
        if (count := len(_drawn(folder, traces))) or not _labels_clean(folder, traces):
            yield Task("drawn masks", folder, count, partial(_forget_drawings, folder, traces))
    for folder in places.error_galleries:
        if _shows(folder, scanner, traces):
            yield Task("error gallerys", folder, 1, partial(_remove_error_gallery, folder))
    for folder in places.kept:
        nameless = (folder / SHARDS).exists() or any(folder.rglob(FILE))  # work that does not say whose faces it is of
        if nameless or _shows(folder, scanner, traces):
            yield Task("kept work of unfinished runs", folder, 1, partial(_remove_work, folder))
    for path in places.unfinished:
        if _mentions(path, scanner, traces):
            yield Task("kept work of unfinished runs", path, 1, partial(path.unlink, missing_ok=True))
    drawn = {folder / LABELS for folder in places.drawings}
    for path in places.files:
        if path not in drawn and (task := _in_file(path, scanner, traces)):
            yield task


def photos_left(places: Places, traces: Traces) -> list[Path]:
    """The person's photos that still lie where they were embedded, or anywhere in the given folders."""
    likely = {Path(place) for place in traces.places} | {p for p in places.files if p.suffix.lower() in SUFFIXES}
    return sorted(path for path in likely if _is_photo(path, traces))


def _in_set(folder: Path, traces: Traces) -> Task:
    """Every set gets the list of photos that must not come back, whether or not it holds the person."""
    count, paths = 0, set(traces.places)
    if (folder / MANIFEST).exists():
        one = open_set(folder)
        count = int(one.table["face_id"].isin(traces.faces).sum())
        paths = traces.paths_below(one.settings["root"])
    return Task(
        "faces of an embedding set", folder, count, partial(forget_in_set, folder, traces.faces, traces.hashes, paths)
    )


def _forget_in_model(folder: Path, traces: Traces) -> None:
    def edit(model: Model) -> tuple[Model, None]:
        rows = of_faces(model.table, traces.faces)
        left = drop_faces(model, rows, "forgotten") if len(rows) else model
        return replace(left, seen=tuple(one.without(traces.hashes) for one in model.seen)), None

    edit_model(folder, edit)


def _labels(folder: Path) -> pd.DataFrame:
    table = read_table(folder / LABELS)
    if table is None:
        raise MaskclsError(f"{shown(folder / LABELS)}: damaged; draw the masks again")
    return table


def _drawn(folder: Path, traces: Traces) -> Sequence[Path]:
    table = _labels(folder)
    paths = table["path"][rows_about(table, traces)]
    return [path for name in paths if (path := folder / name).is_file()]


def _labels_clean(folder: Path, traces: Traces) -> bool:
    return not rows_about(_labels(folder), traces).any()


def _forget_drawings(folder: Path, traces: Traces) -> None:
    """Drawings first, so that a killed run still finds them by their rows."""
    with locked(folder):
        for path in _drawn(folder, traces):
            path.unlink(missing_ok=True)
        write_table(folder / LABELS, without_person(_labels(folder), traces)[0])


def _in_file(path: Path, scanner: Scanner, traces: Traces) -> Task | None:
    if path.suffix in (".csv", ".parquet"):
        table = read_table(path)
        left, changed = (None, 0) if table is None else without_person(table, traces)
        if left is None or not changed:
            return None
        return Task("rows of tables", path, changed, partial(write_table, path, left))
    if path.suffix in PAGES and _mentions(path, scanner, traces):
        return Task("pages", path, 1, partial(path.unlink, missing_ok=True))
    if path.suffix.lower() in SUFFIXES and path.stem in traces.faces:
        return Task("thumbnails", path, 1, partial(path.unlink, missing_ok=True))
    return None


def _shows(folder: Path, scanner: Scanner, traces: Traces) -> bool:
    return any(_mentions(path, scanner, traces) for path in folder.rglob("*") if path.is_file())


def _mentions(path: Path, scanner: Scanner, traces: Traces) -> bool:
    """Whether a file that a command wrote is about the person, if only as a voter."""
    if scanner.in_file(path) - {PATH}:
        return True
    table = read_table(path)
    if table is not None:
        return bool(without_person(table, traces)[1])
    return path.suffix in (".partial", *PAGES) and names_photo(path, traces)


def _remove_garbage(folder: Path) -> None:
    with locked(folder.parent):  # unless it is no garbage but is being written
        shutil.rmtree(folder)


def _remove_error_gallery(folder: Path) -> None:
    """What tells that it is one goes last, so that a killed run still knows it."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == error_gallery_folder.MANIFEST):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    folder.rmdir()


def _remove_work(folder: Path) -> None:
    """What tells whose work it is goes last, so that a killed run still knows it."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == FILE or path.suffix == SUFFIX):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    folder.rmdir()


def _is_photo(path: Path, traces: Traces) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() in traces.hashes
    except (OSError, ValueError):
        return False
