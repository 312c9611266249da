"""Folders whose files are replaced together: what is read is old or new, at whatever moment a run is killed.

New files are staged in a folder inside. The commit first writes a note of what is to be done, from which moment the new
files count, and then moves them over the old ones; a commit that was cut short is finished by the next reader or
writer. Files that are not staged stay as they are: a large array is not copied where only a table changes, and nothing
of anybody else's is touched.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import MaskclsError
from ..photo import shown
from .atomic import write_json
from .lock import LOCK, locked
from .manifest import is_plain, kind_of

NEXT = ".next"
"""The folder of staged files."""
COMMIT = "commit.json"
"""The note among the staged files, written when all of them are there."""
OWN = frozenset({NEXT, LOCK})
"""Names that this way of writing brings into a folder."""
PATIENCE = 5.0
"""Seconds that a reader waits for another process that is in the middle of a commit."""


@contextmanager
def replacing_folder(folder: Path, obsolete: Iterable[str] = ()) -> Iterator[Path]:
    """A staging folder whose content takes its place in ``folder`` when the block ends without an error.

    Args:
        obsolete: names of files and folders that go then, where they are not among the new ones.

    Raises:
        MaskclsError: another run is writing there, or the folder cannot be written.
    """
    with locked(folder):
        recover(folder)
        staging = stage(folder)
        try:
            yield staging
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        commit(folder, obsolete)


def check_folder(folder: Path, manifest: str, kind: str | None, what: str, also: Collection[str] = ()) -> None:
    """Make sure that a folder may be written to: a new one, an empty one, or an earlier output of this kind.

    Args:
        manifest: the file by which an earlier output is known.
        kind: that the manifest must name; None where its file name suffices, so that a damaged output can be replaced.
        what: an earlier output, as the message calls it, such as ``a model``.
        also: names of other files that may be there.

    Raises:
        MaskclsError: it holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise MaskclsError(f"{shown(folder)}: a file, not a folder; choose another folder")
    manifests = (folder / manifest, folder / NEXT / manifest)
    is_known = any(path.exists() if kind is None else kind_of(path) == kind for path in manifests)
    if not is_known and folder.is_dir() and {path.name for path in folder.iterdir()} - OWN - set(also):
        raise MaskclsError(f"{shown(folder)}: not empty and not {what}; choose another folder")


def stage(folder: Path) -> Path:
    """A new and empty staging folder; for a caller that holds the lock of ``folder``, as the functions below are."""
    staging = folder / NEXT
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    return staging


def commit(folder: Path, obsolete: Iterable[str] = ()) -> None:
    """Put the staged files in their places; ``obsolete`` as in :func:`replacing_folder`."""
    staged = {path.name for path in (folder / NEXT).iterdir()}
    write_json(folder / NEXT / COMMIT, {"remove": sorted(set(obsolete) - staged)})
    recover(folder)


def recover(folder: Path) -> None:
    """Finish a commit that was cut short, or drop files that were staged for one that never came."""
    staging = folder / NEXT
    if is_interrupted(folder):
        for name in _obsolete(staging / COMMIT):
            _remove(folder / name)
        for path in sorted(staging.iterdir()):
            if path.name != COMMIT:
                _remove(folder / path.name, only_folders=True)
                path.replace(folder / path.name)
    shutil.rmtree(staging, ignore_errors=True)


def is_interrupted(folder: Path) -> bool:
    """Whether a commit was cut short, so that the files of a folder are partly old and partly new."""
    return (folder / NEXT / COMMIT).exists()


def ensure_whole(folder: Path) -> None:
    """Finish a commit that was cut short, before the folder is read; otherwise nothing is written.

    Raises:
        MaskclsError: another run is writing there, or the folder cannot be written.
    """
    if is_interrupted(folder):
        with locked(folder, PATIENCE):
            recover(folder)


def _obsolete(note: Path) -> list[str]:
    try:
        names = json.loads(note.read_text(encoding="utf-8"))["remove"]
        if all(isinstance(name, str) and is_plain(name) for name in names):
            return list(names)
    except (ValueError, KeyError, TypeError):
        pass
    raise MaskclsError(f"{shown(note)}: damaged; remove {shown(note.parent)} and make the folder again")


def _remove(path: Path, *, only_folders: bool = False) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif not only_folders:
        path.unlink(missing_ok=True)
