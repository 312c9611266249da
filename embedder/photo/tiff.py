"""The first page of a TIFF as a file of its own, that holds nothing but what its pixels need.

A TIFF is a web of directories: tags of any length, further pages, EXIF blocks and thumbnails. Decoders follow all of it
and unpack what they find. Here the first directory alone is read, checked, and written anew with the tags below.
"""

from __future__ import annotations

import math
import struct

from .formats import PhotoError

_WIDTH, _LENGTH, _COMPRESSION, _SUBFILE = 256, 257, 259, 254
_TILE_WIDTH, _TILE_LENGTH, _DNG_VERSION = 322, 323, 50706
_TILE_TAGS = frozenset({_TILE_WIDTH, _TILE_LENGTH, 324, 325})
_NUMBERS = frozenset({_SUBFILE, _WIDTH, _LENGTH, _COMPRESSION, _TILE_WIDTH, _TILE_LENGTH})
_KEPT = (
    frozenset({_WIDTH, _LENGTH, 258, _COMPRESSION, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 338, 339})
    | frozenset(range(529, 533))
    | _TILE_TAGS
)
"""Tags of size, samples, compression, colours, orientation, and where the pixels lie."""
_COMPRESSIONS = {1: "none", 5: "LZW", 8: "Deflate", 32773: "PackBits", 32946: "Deflate"}
"""Those that take time in proportion to the pixels; others hold whole files of their own, such as endless JPEGs."""
MAX_TAGS = 4096
MAX_VALUES = 2**18
"""Of a tag; of the tallest photo with one row a strip and four planes there are fewer strips."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_Entry = tuple[int, int, bytes]
"""Kind of its values, how many they are, and the four bytes that hold them or say where they lie."""
_SAVE_AGAIN = "save it as TIFF with LZW, or as PNG"


def first_page(data: bytes, max_pixels: int) -> bytes:
    """A TIFF of the first page of ``data`` that holds nothing else.

    Args:
        data: a whole TIFF file.
        max_pixels: of the tiles of the page together, which may be much larger than the page.

    Raises:
        PhotoError: it is damaged, compressed in a way that is not read, too large, or a camera raw file.
    """
    order = "<" if data[:2] == b"II" else ">"
    try:
        entries = _entries(data, order)
        values = {tag: _number(entry, order) for tag, entry in entries.items() if tag in _NUMBERS}
    except (struct.error, KeyError) as error:
        raise PhotoError("truncated or damaged (TIFF directory)") from error
    if _DNG_VERSION in entries or values.get(_SUBFILE, 0) & 1 or data[8:12] == b"CR\2\0":
        raise PhotoError("a camera raw file, whose first page is a thumbnail; export it as JPEG or TIFF")
    if values.get(_COMPRESSION, 1) not in _COMPRESSIONS:
        known = ", ".join(dict.fromkeys(_COMPRESSIONS.values()))
        raise PhotoError(f"a TIFF compressed in another way than {known}; {_SAVE_AGAIN}")
    kept = {tag: entry for tag, entry in entries.items() if tag in _KEPT}
    if any(count > MAX_VALUES for _, count, _ in kept.values()):
        raise PhotoError(f"a TIFF in too many parts; {_SAVE_AGAIN}")
    if kept.keys() & _TILE_TAGS:
        width, length = values.get(_WIDTH, 0), values.get(_LENGTH, 0)
        tile = values.get(_TILE_WIDTH, 0), values.get(_TILE_LENGTH, 0)
        if min(tile) < 1 or _padded(width, tile[0]) * _padded(length, tile[1]) > max_pixels:
            raise PhotoError(f"a TIFF with tiles of {tile[0]} x {tile[1]} pixels; {_SAVE_AGAIN}")
    directory = struct.pack(f"{order}H", len(kept))
    for tag, (kind, count, value) in sorted(kept.items()):
        directory += struct.pack(f"{order}HHL", tag, kind, count) + value
    head = data[:4] + struct.pack(f"{order}L", len(data) + len(data) % 2)
    return head + data[8:] + bytes(len(data) % 2) + directory + bytes(4)


def _entries(data: bytes, order: str) -> dict[int, _Entry]:
    (offset,) = struct.unpack_from(f"{order}L", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    if count > MAX_TAGS:
        raise PhotoError(f"truncated or damaged ({count} tags in a TIFF)")
    entries: dict[int, _Entry] = {}
    for number in range(count):
        tag, kind, values, value = struct.unpack_from(f"{order}HHL4s", data, offset + 2 + 12 * number)
        if tag in _KEPT and kind not in _SIZES:
            raise KeyError(kind)
        entries.setdefault(tag, (kind, values, value))
    return entries


def _number(entry: _Entry, order: str) -> int:
    """The one number of a tag; KeyError where it holds something else."""
    kind, count, value = entry
    if count != 1:
        raise KeyError(kind)
    return int(struct.unpack_from(order + {3: "H", 4: "L"}[kind], value)[0])


def _padded(side: int, tile: int) -> int:
    return math.ceil(side / tile) * tile
