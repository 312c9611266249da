"""Read one photo safely: allow-listed formats, bounded bytes and pixels, first frame, upright RGB."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif"})
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000
MIN_SIDE = 16
WORKING_SIDE = 1024
"""Longest side, in pixels, that is kept in memory; larger photos are reduced while decoding."""

# Pillow warns about oddities (truncated EXIF, big images) that end in a reject or do no harm here.
warnings.filterwarnings("ignore", module=r"PIL\.")


class PhotoError(Exception):
    """A photo that cannot be read; the text is the reason, without the path."""


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
    if not data:
        raise PhotoError("empty file (0 bytes)")
    if len(data) > MAX_BYTES:
        raise PhotoError(f"file larger than {MAX_BYTES // 2**20} MiB")
    image, scale = _decode(data)
    return Photo(image, scale, hashlib.sha256(data).hexdigest(), FileState(stat.st_size, stat.st_mtime_ns))


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


def _decode(data: bytes) -> tuple[Image.Image, float]:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            width, height = opened.size
            _check_size(width, height)
            opened.draft("RGB", _reduced(width, height))
            opened.load()
            image = _to_rgb(_upright(opened))
    except PhotoError:
        raise
    except UnidentifiedImageError as error:
        raise PhotoError(f"not a photo ({', '.join(FORMATS)} are read)") from error
    except Image.DecompressionBombError as error:
        raise PhotoError(f"too many pixels; the limit is {MAX_PIXELS // 10**6} megapixels") from error
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged data
        raise PhotoError(f"truncated or damaged ({type(error).__name__}: {error})"[:200]) from error
    image.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    return image, max(width, height) / max(image.size)


def _reduced(width: int, height: int) -> tuple[int, int]:
    factor = min(1.0, WORKING_SIDE / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image, np.float32)
        top = 65535.0 if image.mode.startswith("I;16") or values.max(initial=0) > 255 else 255.0
        return Image.fromarray((values.clip(0, top) * (255 / top)).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")
