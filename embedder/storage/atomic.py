"""Files that are either old or new, never in between."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

import pandas as pd

_TEMPORARY = re.compile(r"\.(.+)\.(\d+)\.tmp", re.DOTALL)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left_over in _left_over(path.parent.resolve()).pop(path.name, ()):
        left_over.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes atomically.

    Tensors are serialized in memory and written so: ``save_file`` of safetensors writes a temporary file of its own
    beside the file, which a kill leaves under a name that cannot be recognised, and with mode 0600 whatever the umask.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON atomically, keys in the order given."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def reserve(file: IO[bytes], size: int) -> None:
    """Allocate ``size`` zero bytes on disk; a full disk raises here, not as a signal while a memory map is written.

    Raises:
        OSError: the disk is full, or the file may not be that large.
    """
    file.truncate(size)
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet where the suffix is ``.parquet``, else as CSV, atomically."""
    with replacing(path) as temporary:
        if path.suffix.lower() == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            write_csv(temporary, table)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV that reads back the same.

    Python's csv leaves a lone carriage return, which names of files may hold, unquoted: then all texts are quoted.
    """
    odd = any("\r" in str(value) for name in table.select_dtypes(["object", "str"]) for value in table[name])
    table.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC if odd else csv.QUOTE_MINIMAL)


@cache
def _left_over(folder: Path) -> dict[str, list[Path]]:
    """What :func:`replacing` was writing in runs that were killed, by the name it was for; looked for once a run."""
    found: dict[str, list[Path]] = {}
    for path in folder.iterdir() if os.name == "posix" else ():
        if match := _TEMPORARY.fullmatch(path.name):
            try:
                os.kill(int(match[2]), 0)  # asks whether the process is there
            except (ProcessLookupError, OverflowError):
                found.setdefault(match[1], []).append(path)
            except OSError:
                pass
    return found


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
