"""Photos in containers of the HEIF family: HEIC, where its reader is installed, and AVIF, where Pillow has it."""

from __future__ import annotations

from typing import BinaryIO

from PIL import ImageFile, features

from .formats import PhotoError

HEIC_HINT = "a HEIC photo, which needs an extra: pip install 'maskcls[heic]'"
_AVIF_HINT = "an AVIF photo, which this build of Pillow does not read: pip install --force-reinstall pillow"


def open_heic(file: BinaryIO) -> ImageFile.ImageFile:
    """A HEIC photo, opened but not decoded; pillow-heif is imported here and never registered with Pillow.

    Raises:
        PhotoError: it is not installed.
    """
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise PhotoError(HEIC_HINT) from error
    image: ImageFile.ImageFile = HeifImageFile(file)
    return image


def check_avif(data: bytes) -> None:
    """Refuse what costs more than its size in pixels: each cell of a grid may hold a picture of any size.

    Raises:
        PhotoError: it is a grid, or this Pillow reads no AVIF.
    """
    if not features.check("avif"):
        raise PhotoError(_AVIF_HINT)
    meta = data.find(b"meta")
    if meta >= 4 and b"grid" in data[meta : meta + int.from_bytes(data[meta - 4 : meta])]:
        raise PhotoError("an AVIF photo in several tiles; save it as one picture, or as JPEG")
