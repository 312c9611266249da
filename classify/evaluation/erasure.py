"""Erase a person from what ``evaluate`` and ``split`` write: out-of-fold predictions, splits and error galleries."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ...embedder.erasure.files import Leftovers, Tables, shows
from ...embedder.erasure.protocol import Artefact, Listing, Plain, kind_of
from ...embedder.erasure.traces import Traces
from ...embedder.photo import SUFFIXES
from ..predict.erasure import VOTERS
from .error_gallery_folder import FACES, KIND, MANIFEST, PAGES

splits = Tables("rows of splits", ("face_id", "fold"), lists=VOTERS)
predictions = Tables("rows of out-of-fold predictions", ("face_id",), lists=VOTERS)
gallery_leftovers = Leftovers((MANIFEST, FACES, *PAGES))


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
    if not dry_run:  # renamed first, so that what a killed run leaves is recognised as a leftover
        former = folder.with_name(f".{folder.name}.former")
        shutil.rmtree(former, ignore_errors=True)
        os.replace(folder, former)
        shutil.rmtree(former)
    return 1


def _erase_thumbnail(path: Path, traces: Traces, dry_run: bool) -> int:
    if path.stem not in traces.faces:
        return 0
    if not dry_run:
        path.unlink(missing_ok=True)
    return 1
