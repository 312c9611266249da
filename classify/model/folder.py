"""Where a model lies: a folder that is the old or the new model at any moment, however often it is replaced."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from ...embedder.errors import MaskclsError
from ...embedder.photo import shown
from ...embedder.storage.lock import locked

MANIFEST = "model.json"


def check_target(folder: Path) -> None:
    """Make sure that a model may be saved to a folder: a new one, an empty one, or one that holds a model.

    Raises:
        MaskclsError: it is something else.
    """
    if folder.is_file():
        raise MaskclsError(f"{shown(folder)}: a file, not a folder; choose another --out")
    if folder.exists() and any(p.name != ".lock" for p in folder.iterdir()) and not (folder / MANIFEST).exists():
        raise MaskclsError(f"{shown(folder)}: not empty and not a model; choose another --out")


def replace_model(folder: Path, staging: Path) -> None:
    """Put a complete model in its place; a kill at any moment leaves the old or the new one to be loaded."""
    _put_right(folder)
    if folder.exists():
        folder.rename(backup_of(folder))
    staging.rename(folder)
    shutil.rmtree(backup_of(folder), ignore_errors=True)


def recover(folder: Path) -> None:
    """Finish a replacement that was cut: bring back the old model, or drop it where the new one is in its place."""
    if not backup_of(folder).exists():
        return
    staging = staging_of(folder)
    with suppress(MaskclsError), locked(staging):  # refused where another run is in the middle of it
        _put_right(folder)
        (staging / ".lock").unlink(missing_ok=True)
    with suppress(OSError):
        staging.rmdir()


def _put_right(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(backup_of(folder), ignore_errors=True)
    elif backup_of(folder).exists():
        backup_of(folder).rename(folder)


def backup_of(folder: Path) -> Path:
    """Where a model stands while another one takes its place."""
    return folder.with_name(f".{folder.name}.old")


def staging_of(folder: Path) -> Path:
    """Where a model is written before it takes its place."""
    return folder.with_name(f".{folder.name}.next")
