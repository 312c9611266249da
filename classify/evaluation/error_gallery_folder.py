"""A error_gallery's folder: old or new, never in between, and nothing but an error gallery is ever replaced."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...embedder.errors import MaskclsError
from ...embedder.photo import shown
from ...embedder.storage.atomic import write_json

KIND = "maskcls-error_gallery"
MANIFEST = "error_gallery.json"
FACES = "faces"
PAGES = ("index.html", "border.html")


@contextmanager
def replacing_error_gallery(folder: Path) -> Iterator[Path]:
    """A new folder beside ``folder`` that takes its place when the block ends without an error.

    Raises:
        MaskclsError: ``folder`` holds something else than an error gallery, or cannot be written.
    """
    folder = folder.resolve()
    temporary, former = (folder.with_name(f".{folder.name}.{word}") for word in ("next", "former"))
    try:
        check_error_gallery_folder(folder)
        _remove(temporary, former)  # left by a run that was killed
        (temporary / FACES).mkdir(parents=True)
        yield temporary
        if folder.exists():
            os.replace(folder, former)
        try:
            os.replace(temporary, folder)
        except OSError:
            if former.exists():
                os.replace(former, folder)
            raise
    except OSError as error:
        raise MaskclsError(f"{shown(folder)}: cannot be written ({error.strerror or error})") from error
    finally:
        _remove(temporary, former)


def write_manifest(folder: Path, counts: Mapping[str, int]) -> None:
    """Mark a folder as an error gallery."""
    write_json(folder / MANIFEST, {"format": 1, "kind": KIND, **counts})


def check_error_gallery_folder(folder: Path) -> None:
    """Refuse a place where no error_gallery may be written, so that long work before the writing is not lost.

    Raises:
        MaskclsError: ``folder`` holds something else than an error gallery.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise MaskclsError(f"{shown(folder)}: not a folder; name another place for the error_gallery")
    names = {path.name for path in folder.iterdir()}
    if not names:
        return
    if _kind(folder / MANIFEST) != KIND:
        raise MaskclsError(f"{shown(folder)}: not an error gallery, so not replaced; name a new or an empty folder")
    if others := sorted(names - {MANIFEST, FACES, *PAGES}):
        raise MaskclsError(
            f"{shown(folder)}: {shown(others[0])} is no part of an error gallery and would be lost; move it away"
        )


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _kind(manifest: Path) -> Any:
    try:
        return json.loads(manifest.read_text(encoding="utf-8")).get("kind")
    except (OSError, ValueError, AttributeError):
        return None
