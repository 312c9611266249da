"""The formats that are read, each known by the first bytes of its files; names decide nothing."""

from __future__ import annotations

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIC")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}
    | {".heic", ".heif", ".hif"}
)
"""Of files that are meant to be photos: where their content is no photo's, somebody wants to know."""
CAMERA_RAW = frozenset(
    {".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mef", ".mos", ".nef"}
    | {".nrw", ".pef", ".rwl", ".sr2", ".srf", ".srw"}
)
"""Of files that begin like a TIFF, but whose first page is a thumbnail."""
HEAD = 64
"""Bytes from which a format is known."""

_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
"""Bytes of the second header of a BMP; ``BM`` alone begins many a text."""
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})


class PhotoError(Exception):
    """A photo that cannot be read; the text is the reason, without the path."""


def format_of(head: bytes) -> str | None:
    """The one of :data:`FORMATS` that a file is of, by its first :data:`HEAD` bytes; None where it is of none."""
    for start, name in _STARTS.items():
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM":
        return "BMP" if int.from_bytes(head[14:18], "little") in _BMP_HEADERS else None
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4]), HEAD)
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}
        return "AVIF" if brands & _AVIF_BRANDS else "HEIC" if brands & _HEIC_BRANDS else None
    return None
