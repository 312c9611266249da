"""Search files for a person's ids, hashes, paths and vectors, whatever their format."""

from __future__ import annotations

import html
import json
import mmap
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from .traces import Traces

FACE, PHOTO, VECTOR, PATH = "face id", "photo hash", "vector", "path"
CHUNK = 2**24
KEY = 4
"""Bytes at the beginning of a pattern by which it is looked up."""
WINDOW = 16
"""Numbers of a vector that are looked for: a file without these has no such row."""
MIN_VARIETY = 8
"""Different bytes a window must have; the rows of a constant are found in any file."""
_WORD = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-/")

Bytes = npt.NDArray[np.uint8]


class Search:
    """Finds which kinds of a person's :class:`.traces.Traces` a file holds.

    Vectors are looked for as float32 and as float16 rows. The columns of Parquet files, which are compressed, are
    looked through as well as their bytes; archives are not opened.
    """

    def __init__(self, traces: Traces) -> None:
        self._patterns = dict(_patterns(traces))
        self._by_key: dict[int, dict[int, set[bytes]]] = {}
        for pattern in self._patterns:
            key = int.from_bytes(pattern[:KEY], "little")
            self._by_key.setdefault(key, {}).setdefault(len(pattern), set()).add(pattern)
        keys = np.array(sorted(self._by_key), np.uint32)
        self._keys = keys
        self._begins = np.zeros(2**16, bool)
        self._begins[keys & 0xFFFF] = True

    @property
    def patterns(self) -> dict[str, int]:
        """How many patterns of each kind are looked for."""
        return {kind: list(self._patterns.values()).count(kind) for kind in (FACE, PHOTO, VECTOR, PATH)}

    def in_file(self, path: Path) -> set[str]:
        """Kinds that a file holds, in its name too.

        Raises:
            OSError: the file cannot be read.
        """
        found = self.in_bytes(path.name.encode(errors="surrogateescape"))
        with path.open("rb") as file:
            try:
                data: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:  # an empty file
                data = b""
            found |= self.in_bytes(data)
        if path.suffix == ".parquet":
            found |= self._in_columns(path)
        return found

    def in_bytes(self, data: bytes | mmap.mmap | memoryview) -> set[str]:
        """Kinds that some bytes hold."""
        view = np.frombuffer(data, np.uint8) if len(data) else np.empty(0, np.uint8)
        found: set[str] = set()
        for start in range(0, len(view), CHUNK):
            found |= set(self._in_chunk(view, start, min(start + CHUNK, len(view))))
        return found

    def _in_chunk(self, view: Bytes, start: int, stop: int) -> Iterator[str]:
        part = view[start : min(stop + KEY - 1, len(view))]
        if len(part) < KEY or not len(self._keys):
            return
        pairs = part[:-1].astype(np.uint16) | part[1:].astype(np.uint16) << 8
        places = np.flatnonzero(self._begins[pairs[: len(part) - KEY + 1]])
        keys = pairs[places].astype(np.uint32) | pairs[places + 2].astype(np.uint32) << 16
        known = self._keys[np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)] == keys
        for place, key in zip(places[known].tolist(), keys[known].tolist(), strict=True):
            at = start + place
            for length, patterns in self._by_key[key].items():
                piece = view[at : at + length].tobytes()
                if piece in patterns and (kind := self._patterns[piece]) and _whole(view, at, length, kind):
                    yield kind

    def _in_columns(self, path: Path) -> set[str]:
        """Columns hold texts without separators, so that paths cannot be delimited and are not searched for."""
        found: set[str] = set()
        try:
            for batch in pq.ParquetFile(path).iter_batches():
                for column in batch.columns:
                    for buffer in column.buffers():
                        if buffer is not None:
                            found |= self.in_bytes(memoryview(buffer))
        except (pa.ArrowException, OSError):
            pass  # no Parquet, whatever its name
        return found - {PATH}


def _whole(view: Bytes, at: int, length: int, kind: str) -> bool:
    """Whether a path is not merely a part of another one."""
    if kind != PATH:
        return True
    before = int(view[at - 1]) if at else 0
    after = int(view[at + length]) if at + length < len(view) else 0
    return before not in _WORD and after not in _WORD


def _patterns(traces: Traces) -> Iterator[tuple[bytes, str]]:
    for path in {unicodedata.normalize(form, path) for path in traces.called for form in ("NFC", "NFD")}:
        page = html.escape(path)
        quoted = page.replace("&quot;", "&#34;").replace("&#x27;", "&#39;")  # as Jinja writes them
        for text in {path, json.dumps(path)[1:-1], page, quoted, path.replace('"', '""')}:
            yield text.encode(), PATH
    for face in traces.faces:
        yield face.encode(), FACE
    for photo in traces.hashes:
        yield photo.encode(), PHOTO
    for rows in traces.vectors.values():
        for window in _windows(rows):
            for kind in (np.float32, np.float16):
                yield window.astype(kind).tobytes(), VECTOR


def _windows(rows: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """The part of each row that tells it best from others: the one with the fewest zeros."""
    for row in rows.reshape(len(rows), -1):
        parts = row[: len(row) // WINDOW * WINDOW].reshape(-1, WINDOW)
        if not len(parts):
            parts = row[None]
        best = parts[int((parts == 0).sum(axis=1).argmin())]
        if len(set(best.tobytes())) >= MIN_VARIETY:
            yield best
