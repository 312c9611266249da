"""Photos' files: their paths as they are stored, shown and compared, and opening them without ever waiting."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_SPECIAL = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class FileState:
    """What tells a changed file from an unchanged one."""

    size: int
    mtime_ns: int


NO_FILE = FileState(-1, -1)


def file_state(path: Path) -> FileState:
    """Size in bytes and modification time of a file, :data:`NO_FILE` where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return NO_FILE
    return FileState(found.st_size, found.st_mtime_ns)


def special(mode: int) -> str | None:
    """What a file is by its ``st_mode`` that can be opened but has no end: a pipe, socket or device; else None."""
    return _SPECIAL.get(stat.S_IFMT(mode))


def open_file(path: str | Path) -> BinaryIO:
    """A regular file, opened for reading; a pipe, which would keep its reader waiting, is not opened at all.

    Raises:
        OSError: it cannot be opened, or is no regular file.
        ValueError: a NUL in the path.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if what := special(mode):
        raise OSError(errno.EINVAL, f"is a {what}, not a file", str(path))
    return open(path, "rb", opener=lambda name, _: os.open(name, _FLAGS))


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
