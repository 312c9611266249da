"""Read one photo safely: allow-listed formats, bounded bytes, pixels and time, first frame, upright RGB."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFile

from .formats import FORMATS, HEAD, PhotoError, format_of
from .heif import check_avif, open_heic
from .paths import NO_FILE, FileState, open_file
from .pixels import is_shallow, joined, low_bytes, to_rgb, upright
from .tiff import first_page

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000
MAX_SECONDS = 20.0
"""Of processor time a photo may take to decode: a progressive JPEG of a few megabytes can ask for hours."""
BLOCK = 4096
"""Bytes that are decoded between two looks at the clock."""
LARGE = 16_000_000
"""Photos of more pixels are decoded one at a time, so that many threads need no more memory than one."""
MIN_SIDE = 16
WORKING_SIDE = 1024
"""Longest side, in pixels, that is kept in memory; larger photos are reduced while decoding."""

# Pillow warns about oddities (truncated EXIF, big images) that end in a reject or do no harm here.
warnings.filterwarnings("ignore", module=r"PIL\.")


_one_large = threading.Lock()


class _Timed(io.BytesIO):
    """The bytes of a photo, until its decoder has had its time: all decoders ask for them in small parts."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._end = time.thread_time() + MAX_SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._end:
            raise PhotoError(f"takes more than {MAX_SECONDS:g} s to decode")
        return super().read(size)


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
        image: RGB, upright, longest side at most :data:`WORKING_SIDE`.
        scale: photo pixels per pixel of ``image`` (>= 1).
        sha256: of the file's bytes, 64 hexadecimal digits.
        state: size and time of the file that was read.
    """

    image: Image.Image
    scale: float
    sha256: str
    state: FileState


def read_photo(path: Path) -> Photo:
    """Decode the first frame or page of a photo as upright RGB.

    Transparency is laid on white, 16-bit pictures are scaled to 8 bits by what they hold, EXIF orientation is applied.

    Raises:
        PhotoError: why the photo cannot be used.
    """
    try:
        with open_file(path) as file:
            stat = os.fstat(file.fileno())
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise PhotoError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return _photo(data, FileState(stat.st_size, stat.st_mtime_ns))


def read_photo_bytes(data: bytes) -> Photo:
    """Decode a photo that is no file, such as an upload; see :func:`read_photo`.

    Raises:
        PhotoError: why the photo cannot be used.
    """
    return _photo(data, NO_FILE)


def _photo(data: bytes, state: FileState) -> Photo:
    if not data:
        raise PhotoError("empty file (0 bytes)")
    if len(data) > MAX_BYTES:
        raise PhotoError(f"file larger than {MAX_BYTES // 2**20} MiB")
    image, scale = _decode(data)
    return Photo(image, scale, hashlib.sha256(data).hexdigest(), state)


def photo_of(image: Image.Image) -> Photo:
    """A photo that is in memory already, read like a file's: upright RGB of bounded size; ``sha256`` is of its pixels.

    Raises:
        PhotoError: why it cannot be used.
    """
    try:
        _check_size(*image.size)
        rgb = to_rgb(upright(image))
    except PhotoError:
        raise
    except Exception as error:  # an image that was opened but not read yet is decoded here
        raise PhotoError(_damage(error)) from error
    digest = hashlib.sha256(f"{rgb.size}".encode() + rgb.tobytes()).hexdigest()
    small = rgb.copy()
    small.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    return Photo(small, max(rgb.size) / max(small.size), digest, NO_FILE)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PhotoError(f"{width} x {height} pixels; the limit is {MAX_PIXELS // 10**6} megapixels")
    if min(width, height) < MIN_SIDE:
        raise PhotoError(f"{width} x {height} pixels; a face needs at least {MIN_SIDE} x {MIN_SIDE}")
    if min(_reduced(width, height)) < MIN_SIDE:
        raise PhotoError(f"{width} x {height} pixels; too narrow for a face")


def _decode(data: bytes) -> tuple[Image.Image, float]:
    try:
        with _opened(data) as opened:
            width, height = opened.size
            _check_size(width, height)
            with _one_large if width * height > LARGE else nullcontext():
                image = _pixels(opened, data)
                image.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise PhotoError(f"too many pixels; the limit is {MAX_PIXELS // 10**6} megapixels") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged data
        raise PhotoError(_damage(error)) from error
    return image, max(width, height) / max(image.size)


def _opened(data: bytes) -> ImageFile.ImageFile:
    """Opened by its content, in its own format alone; nothing is decoded yet."""
    name = format_of(data[:HEAD])
    if name is None:
        raise PhotoError(f"not a photo ({', '.join(FORMATS)} are read)")
    if name == "HEIC":
        return open_heic(_Timed(data))
    if name == "AVIF":
        check_avif(data)
    return Image.open(_Timed(first_page(data, MAX_PIXELS) if name == "TIFF" else data), formats=(name,))


def _pixels(opened: ImageFile.ImageFile, data: bytes) -> Image.Image:
    """Decoded, upright, RGB; colours of 16 bits are read twice where their high bytes hold less than eight."""
    low = low_bytes(_rawmode(opened.tile[0])) if opened.tile else None
    image = upright(_loaded(opened))
    if low and is_shallow(image):
        with _opened(data) as again:
            again.tile = [tile._replace(args=_with_rawmode(tile, low)) for tile in again.tile]
            image = joined(image, upright(_loaded(again)))
    return to_rgb(image)


def _loaded(opened: ImageFile.ImageFile) -> Image.Image:
    if opened.format in ("JPEG", "MPO"):
        opened.draft("RGB", _reduced(*opened.size))
    opened.decodermaxblock = BLOCK
    opened.load()
    return opened


def _rawmode(tile: ImageFile._Tile) -> str:
    return str(tile.args[0] if isinstance(tile.args, tuple) else tile.args)


def _with_rawmode(tile: ImageFile._Tile, rawmode: str) -> tuple[object, ...] | str:
    return (rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode


def _damage(error: Exception) -> str:
    return f"truncated or damaged ({type(error).__name__}: {' '.join(str(error).split())})"[:200]


def _reduced(width: int, height: int) -> tuple[int, int]:
    factor = min(1.0, WORKING_SIDE / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))
