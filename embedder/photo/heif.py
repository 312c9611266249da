"""Photos in containers of the HEIF family: HEIC, where its reader is installed, and AVIF, where Pillow has it.

Their decoders know no limit of time. A picture that is put together from others, each as large as it likes and used any
number of times, could keep them busy for hours: what is not put together plainly is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO

from PIL import ImageFile, features

from .formats import PhotoError

HEIC_HINT = "a HEIC photo, which needs an extra: pip install 'maskcls[heic]'"
_AVIF_HINT = "an AVIF photo, which this build of Pillow does not read: pip install --force-reinstall pillow"
_TOGETHER = "is put together from other pictures in an unusual way; save it as JPEG"
_ALPHA = (b":alpha\0", b"hevc:2015:auxid:1\0")


def open_heic(file: BytesIO) -> ImageFile.ImageFile:
    """A HEIC photo, opened but not decoded; pillow-heif is imported here and never registered with Pillow.

    Raises:
        PhotoError: it is not installed, or the photo is no single picture, nor a grid of tiles that just cover it.
    """
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise PhotoError(HEIC_HINT) from error
    parts = _parts(file.getvalue())
    image: ImageFile.ImageFile = HeifImageFile(file)
    grid = image.info.get("tiling") if parts else None
    if grid:
        columns, rows = grid["num_columns"], grid["num_rows"]
        width, height = grid["tile_width"], grid["tile_height"]
        covers = (columns - 1) * width < grid["image_width"] and (rows - 1) * height < grid["image_height"]
        small = columns * rows == 1 or width * height <= grid["image_width"] * grid["image_height"]
        grid = grid if covers and small and columns * rows == len(parts) else None
    if parts and not grid:
        raise PhotoError(f"a HEIC photo that {_TOGETHER}")
    return image


def check_avif(data: bytes) -> None:
    """Refuse an AVIF photo that is put together from others: Pillow does not say how large these are.

    Raises:
        PhotoError: it is, or this Pillow reads no AVIF.
    """
    if not features.check("avif"):
        raise PhotoError(_AVIF_HINT)
    if _parts(data):
        raise PhotoError(f"an AVIF photo that {_TOGETHER}")


def _parts(data: bytes) -> tuple[int, ...]:
    """Numbers of the pictures that the photo is put together from; empty where it is a picture of its own.

    Raises:
        PhotoError: these, or its transparency, are put together from others in turn.
    """
    meta = next((span for kind, *span in _boxes(data, 0, len(data)) if kind == b"meta"), None)
    if meta is None:  # a sequence of frames
        return ()
    primary, helpers = -1, list[int]()
    made_of: dict[int, tuple[int, ...]] = {}
    try:
        for kind, start, end in _boxes(data, meta[0] + 4, meta[1]):
            width, form = (4, "L") if data[start : start + 1] not in (b"", b"\0") else (2, "H")
            if kind == b"pitm":
                (primary,) = struct.unpack_from(f">{form}", data, start + 4)
            for link, at, stop in _boxes(data, start + 4, end) if kind == b"iref" else ():
                source, count = struct.unpack_from(f">{form}H", data, at)
                targets = struct.unpack_from(f">{min(count, (stop - at) // width)}{form}", data, at + width + 2)
                if link == b"dimg":
                    made_of[source] = made_of.get(source, ()) + targets
                elif link == b"auxl" and primary in targets:
                    helpers.append(source)
    except struct.error as error:
        raise PhotoError("truncated or damaged (HEIF boxes)") from error
    parts = made_of.get(primary, ())
    has_alpha = any(words in data[slice(*meta)] for words in _ALPHA)
    if any(part in made_of for part in (*parts, *(helpers if has_alpha else ()))):
        raise PhotoError(f"a photo that {_TOGETHER}")
    return parts


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box."""
    while start + 8 <= end:
        size, head = int.from_bytes(data[start : start + 4]), 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16]), 16
        size = size or end - start
        if size < head:
            return
        yield data[start + 4 : start + 8], start + head, min(start + size, end)
        start += size
