"""Exported networks in the user's cache: written whole or not at all, checked by SHA-256, made again if they differ."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from ..errors import MaskclsError
from ..storage.atomic import write_json
from ..storage.manifest import checksums, key_of, read_manifest

FORMAT = 1
KIND = "maskcls-exported-net"
MANIFEST = "net.json"
KEPT = 12
"""Networks that are kept; of more, those that were not used for the longest time go."""


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/maskcls``, by default ``~/.cache/maskcls``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "maskcls"


def cached(name: str, parts: tuple[object, ...], export: Callable[[Path], None]) -> Path:
    """A folder that holds an exported network.

    Args:
        name: of the network, for people.
        parts: everything the export depends on: equal parts mean the same network.
        export: called with an empty folder to fill where there is no such network yet, or a damaged one.

    Raises:
        OSError: the cache cannot be written.
    """
    folder = cache_folder() / f"{name}-{key_of(FORMAT, *parts)[:16]}"
    if not _sound(folder):
        _fill(folder, export)
        _drop_old(folder.parent)
    with suppress(OSError):  # a cache that can only be read will do
        os.utime(folder)
    return folder


def _sound(folder: Path) -> bool:
    try:
        read_manifest(folder, MANIFEST, KIND, FORMAT, "maskcls embed")
    except MaskclsError:
        return False
    return True


def _fill(folder: Path, export: Callable[[Path], None]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        export(staging)
        names = sorted(path.name for path in staging.iterdir())
        write_json(staging / MANIFEST, {"format": FORMAT, "kind": KIND, "files": checksums(staging, names)})
        shutil.rmtree(folder, ignore_errors=True)
        try:
            staging.rename(folder)
        except OSError:
            if not _sound(folder):  # else another run was faster
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _drop_old(cache: Path) -> None:
    entries = sorted((path for path in cache.iterdir() if (path / MANIFEST).is_file()), key=_used, reverse=True)
    for path in entries[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # gone meanwhile
        return 0.0
