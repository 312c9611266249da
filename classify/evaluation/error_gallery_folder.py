"""The folder of an error gallery: nothing but an error gallery is ever replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...embedder.errors import MaskclsError
from ...embedder.photo import shown
from ...embedder.storage.atomic import write_json
from ...embedder.storage.atomic_folder import OWN, replacing_folder

KIND = "maskcls-error_gallery"
MANIFEST = "error_gallery.json"
FACES = "faces"
PAGES = ("index.html", "border.html")


@contextmanager
def replacing_error_gallery(folder: Path) -> Iterator[Path]:
    """A staging folder whose content replaces that of ``folder`` when the block ends without an error.

    Raises:
        MaskclsError: ``folder`` holds something else than an error gallery, or cannot be written.
    """
    check_error_gallery_folder(folder)
    try:
        with replacing_folder(folder) as staging:
            (staging / FACES).mkdir()
            yield staging
    except OSError as error:
        raise MaskclsError(f"{shown(folder)}: cannot be written ({error.strerror or error})") from error


def write_manifest(folder: Path, counts: Mapping[str, int]) -> None:
    """Mark a folder as an error gallery."""
    write_json(folder / MANIFEST, {"format": 1, "kind": KIND, **counts})


def check_error_gallery_folder(folder: Path) -> None:
    """Refuse a place where no error gallery may be written, so that long work before the writing is not lost.

    Raises:
        MaskclsError: ``folder`` holds something else than an error gallery.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise MaskclsError(f"{shown(folder)}: not a folder; name another place for the error gallery")
    names = {path.name for path in folder.iterdir()} - OWN
    if not names:
        return
    if _kind(folder / MANIFEST) != KIND:
        raise MaskclsError(f"{shown(folder)}: not an error gallery, so not replaced; name a new or an empty folder")
    if others := sorted(names - {MANIFEST, FACES, *PAGES}):
        raise MaskclsError(
            f"{shown(folder)}: {shown(others[0])} is no part of an error gallery and would be lost; move it away"
        )


def _kind(manifest: Path) -> Any:
    try:
        return json.loads(manifest.read_text(encoding="utf-8")).get("kind")
    except (OSError, ValueError, AttributeError):
        return None
