"""Output files, checked before the work begins: no file of the user's is replaced unasked, no finished work is lost."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from ..embedder.errors import MaskclsError

TABLES = (".csv", ".parquet")
_HEAD = 4096
"""Bytes of a page in which its generator is named."""


@dataclass(frozen=True)
class Kind:
    """A kind of file that a command writes.

    Attributes:
        name: for messages, such as ``predictions``.
        suffixes: that the file may have, in lower case.
        wrote: whether a file's content is of this kind; its name does not matter.
    """

    name: str
    suffixes: tuple[str, ...]
    wrote: Callable[[Path], bool]


def table(name: str, columns: Collection[str], *, exact: bool = False, suffixes: tuple[str, ...] = TABLES) -> Kind:
    """A CSV or Parquet file that has some columns; with ``exact`` these alone."""

    def wrote(path: Path) -> bool:
        found = _columns(path)
        return found == list(columns) if exact else set(columns) <= set(found)

    return Kind(name, suffixes, wrote)


def page(name: str, command: str) -> Kind:
    """An HTML page whose generator is ``command``."""
    generator = f'<meta name="generator" content="{command}">'.encode()
    return Kind(name, (".html", ".htm"), lambda path: generator in _head(path))


def json_object(name: str, kind: str) -> Kind:
    """A JSON file with this ``kind``."""

    def wrote(path: Path) -> bool:
        content = json.loads(path.read_bytes())
        return isinstance(content, dict) and content.get("kind") == kind

    return Kind(name, (".json",), wrote)


def json_lines(name: str, keys: Collection[str]) -> Kind:
    """A file of JSON objects, one a line, with these keys."""

    def wrote(path: Path) -> bool:
        with path.open("rb") as file:
            content = json.loads(file.readline())
        return isinstance(content, dict) and set(keys) <= content.keys()

    return Kind(name, (".jsonl",), wrote)


def check_outputs(overwrite: bool, *outputs: tuple[Path | None, Kind], inputs: Collection[Path] = ()) -> None:
    """Make sure that every output can be written, and replaces nothing but an earlier output of its kind.

    Args:
        overwrite: other files may be replaced, too.
        outputs: files and what is to be written there; None for an output that is not wanted.
        inputs: files that are read, and never replaced.

    Raises:
        MaskclsError: a folder, an unknown suffix, a foreign file, an input, one file named twice, a place that cannot
            be written.
    """
    from ..embedder.photo import shown

    seen = {path.resolve() for path in inputs}
    for path, kind in outputs:
        if path is None:
            continue
        where = shown(path)
        if path.is_dir():
            raise MaskclsError(f"{where}: is a folder; name a file, such as {shown(path / f'out{kind.suffixes[0]}')}")
        if path.suffix.lower() not in kind.suffixes:
            raise MaskclsError(f"{where}: {kind.name} are written as {' or '.join(kind.suffixes)}")
        if path.resolve() in seen:
            raise MaskclsError(f"{where}: named twice; an output needs a file of its own")
        seen.add(path.resolve())
        parent = next(folder for folder in path.absolute().parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise MaskclsError(f"{where}: cannot be written ({shown(parent)} is not a writable folder)")
        if not overwrite and path.exists() and not _replaceable(path, kind):
            raise MaskclsError(
                f"{where}: exists, and is no file of {kind.name} by this command; name another file, or replace it "
                "with --overwrite"
            )


def _replaceable(path: Path, kind: Kind) -> bool:
    try:
        return path.stat().st_size == 0 or kind.wrote(path)
    except (OSError, ValueError, RecursionError):
        return False


def _columns(path: Path) -> list[str]:
    if _head(path).startswith(b"PAR1"):
        from pyarrow import ArrowException
        from pyarrow.parquet import read_schema

        try:
            return [str(name) for name in read_schema(path).names]
        except ArrowException:
            return []
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)
