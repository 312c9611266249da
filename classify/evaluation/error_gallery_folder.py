"""The folder of an error gallery: nothing but an error gallery is ever replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ...embedder.errors import MaskclsError
from ...embedder.photo import shown
from ...embedder.storage.atomic import write_json
from ...embedder.storage.atomic_folder import OWN, check_folder, replacing_folder

KIND = "maskcls-error-gallery"
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
    check_folder(folder, MANIFEST, KIND, "an error gallery")
    names = {path.name for path in folder.iterdir()} - OWN if folder.is_dir() else set()
    if others := sorted(names - {MANIFEST, FACES, *PAGES}):
        raise MaskclsError(
            f"{shown(folder)}: {shown(others[0])} is no part of an error gallery and would be lost; move it away"
        )
