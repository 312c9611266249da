"""Read one photo safely: allow-listed formats, bounded bytes, pixels and time, first frame, upright RGB."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
import unicodedata
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif"})
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

_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What puts a photo upright, by its EXIF orientation."""

# Pillow warns about oddities (truncated EXIF, big images) that end in a reject or do no harm here.
warnings.filterwarnings("ignore", module=r"PIL\.")


_one_large = threading.Lock()


class PhotoError(Exception):
    """A photo that cannot be read; the text is the reason, without the path."""


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
class FileState:
    """What tells a changed file from an unchanged one."""

    size: int
    mtime_ns: int


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


NO_FILE = FileState(-1, -1)


def file_state(path: Path) -> FileState:
    """Size in bytes and modification time of a file, :data:`NO_FILE` where there is none."""
    try:
        stat = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return NO_FILE
    return FileState(stat.st_size, stat.st_mtime_ns)


def shown(path: str | Path) -> str:
    """A path as one printable line: control characters and undecodable bytes are escaped."""
    text = stored(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def stored(path: str | Path) -> str:
    r"""A path as valid Unicode for tables: bytes that are not UTF-8 become ``\udcXX`` escapes."""
    return os.fspath(path).encode("utf-8", "backslashreplace").decode()


def normal_form(text: str) -> str:
    """The Unicode form (NFC) in which names and paths are compared: file systems and keyboards differ in theirs."""
    return unicodedata.normalize("NFC", text)


def stored_below(path: Path, root: Path) -> str:
    """How a photo is called in tables: relative to its folder, whole where a label file names one outside."""
    try:
        return stored(path.relative_to(root))
    except ValueError:
        return stored(path)


def list_photos(root: Path) -> tuple[list[Path], int]:
    """Photos below a folder by file name, in sorted order, and the number of other files passed over.

    Hidden files (``._`` litter, ``.DS_Store``) and links to folders are passed over.
    """
    photos: list[Path] = []
    others = 0
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            path = Path(folder, name)
            is_photo = not name.startswith(".") and path.suffix.lower() in SUFFIXES
            if is_photo and (path.is_file() or not path.exists()):  # a broken link becomes a reject, a pipe is no photo
                photos.append(path)
            else:
                others += 1
    return sorted(photos), others


def read_photo(path: Path) -> Photo:
    """Decode the first frame of a photo as upright RGB.

    Transparency is laid on white, 16-bit greys are scaled to 8 bits, EXIF orientation is applied.

    Raises:
        PhotoError: why the photo cannot be used.
    """
    try:
        with path.open("rb") as file:
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
        rgb = _to_rgb(_upright(image))
    except PhotoError:
        raise
    except Exception as error:  # an image that was opened but not read yet is decoded here
        raise PhotoError(f"truncated or damaged ({type(error).__name__}: {error})"[:200]) from error
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
        with Image.open(_Timed(data), formats=FORMATS) as opened:
            width, height = opened.size
            _check_size(width, height)
            with _one_large if width * height > LARGE else nullcontext():
                opened.draft("RGB", _reduced(width, height))
                opened.decodermaxblock = BLOCK
                opened.load()
                image = _to_rgb(_upright(opened))
                image.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    except PhotoError:
        raise
    except UnidentifiedImageError as error:
        raise PhotoError(f"not a photo ({', '.join(FORMATS)} are read)") from error
    except Image.DecompressionBombError as error:
        raise PhotoError(f"too many pixels; the limit is {MAX_PIXELS // 10**6} megapixels") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged data
        raise PhotoError(f"truncated or damaged ({type(error).__name__}: {error})"[:200]) from error
    return image, max(width, height) / max(image.size)


def _reduced(width: int, height: int) -> tuple[int, int]:
    factor = min(1.0, WORKING_SIDE / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF block asks. Pillow's own way also writes the block anew, which fails on one bad tag in it."""
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # a damaged EXIF block does not matter for the pixels
        return image
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image, np.float32)
        top = 65535.0 if image.mode.startswith("I;16") or values.max(initial=0) > 255 else 255.0
        return Image.fromarray((values.clip(0, top) * (255 / top)).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")
