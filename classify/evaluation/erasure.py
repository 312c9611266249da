"""Erase a person from what ``evaluate`` and ``split`` write: out-of-fold predictions, splits and error galleries."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from ...embedder.erasure.files import Tables, shows
from ...embedder.erasure.protocol import Artefact, Listing, Plain
from ...embedder.erasure.traces import Traces
from ...embedder.photo.formats import SUFFIXES
from ...embedder.storage.manifest import kind_of
from ..predict.erasure import VOTERS
from .error_gallery_folder import KIND, MANIFEST

splits = Tables("rows of splits", ("face_id", "fold"), lists=VOTERS)
predictions = Tables("rows of out-of-fold predictions", ("face_id",), lists=VOTERS)


def error_galleries(listing: Listing) -> Iterator[Artefact]:
    """Error galleries; they cannot be made again here, so that one that shows the person is removed whole."""
    if MANIFEST in listing.files and kind_of(listing.path / MANIFEST) == KIND:
        listing.claim(*listing.files, *listing.folders)
        yield Plain("error galleries, removed whole", listing.path, _erase_gallery)


def face_thumbnails(listing: Listing) -> Iterator[Artefact]:
    """Pictures that are named by the face they show, as in an error gallery."""
    for name in sorted(listing.files):
        if Path(name).suffix.lower() in SUFFIXES:
            yield Plain("thumbnails", listing.path / name, _erase_thumbnail)


def _erase_gallery(folder: Path, traces: Traces, dry_run: bool) -> int:
    if not shows(folder, traces):
        return 0
    if not dry_run:  # the manifest goes last, so that what a killed run leaves is recognised as a gallery
        for path in sorted(folder.iterdir(), key=lambda path: path.name == MANIFEST):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        folder.rmdir()
    return 1


def _erase_thumbnail(path: Path, traces: Traces, dry_run: bool) -> int:
    if path.stem not in traces.faces:
        return 0
    if not dry_run:
        path.unlink(missing_ok=True)
    return 1
