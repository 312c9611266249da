"""Files that are either old or new, never in between, and checksums that notice when they are neither."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

import pandas as pd
from filelock import FileLock, Timeout
from safetensors import SafetensorError

from ..errors import MaskclsError
from ..photo import shown

SEAL = "sha256"
"""Key of a manifest's checksum of itself."""
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
    except SafetensorError as error:  # all it raises while writing: the disk is full or broken
        raise OSError(errno.EIO, str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON atomically, keys in the order given."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    """Write the JSON manifest of a folder atomically, with a SHA-256 of its own content for :func:`read_manifest`."""
    write_json(path, {**content, SEAL: _seal(content)})


def reserve(file: IO[bytes], size: int) -> None:
    """Give a file ``size`` bytes of disk, zeros; a full disk says so here, and not by killing who writes a mapping.

    Raises:
        OSError: the disk is full, or the file may not be that large.
    """
    file.truncate(size)
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV that reads back the same.

    Python's csv leaves a lone carriage return, which names of files may hold, unquoted: then all texts are quoted.
    """
    odd = any("\r" in str(value) for name in table.select_dtypes(["object", "str"]) for value in table[name])
    table.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC if odd else csv.QUOTE_MINIMAL)


def key_of(*parts: object) -> str:
    """SHA-256 over parts (bytes as they are, others as text): equal keys mean equal parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def checksums(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Name -> SHA-256 of files in a folder."""
    return {name: _sha256(folder / name) for name in names}


def read_manifest(
    folder: Path, name: str, kind: str, version: int, make: str, files: Sequence[str] = ()
) -> dict[str, Any]:
    """The JSON manifest of a folder, after checking its kind, its format version, and its own and its files' checksums.

    Args:
        make: the command that makes such a folder, for the error messages.
        files: that must be among those with a checksum.

    Raises:
        MaskclsError: no such folder, another kind or version, a missing, damaged or foreign file.
    """
    where = shown(folder)
    foreign = f"{where}/{name}: not a {kind} manifest; make it again with `{make}`"
    try:
        manifest = json.loads((folder / name).read_text(encoding="utf-8"))
        if manifest.get("kind") != kind:
            raise ValueError
    except FileNotFoundError:
        problem = f"no {name} in this folder" if folder.is_dir() else "no such folder"
        raise MaskclsError(f"{where}: {problem}; make it with `{make}`") from None
    except (OSError, ValueError, AttributeError, RecursionError):
        raise MaskclsError(foreign) from None
    if manifest.get("format") != version:
        found = shown(str(manifest.get("format"))[:40])
        raise MaskclsError(f"{where}: format {found}, this maskcls reads {version}; make it again with `{make}`")
    if SEAL in manifest and manifest[SEAL] != _seal(manifest):  # those of older versions have none
        raise MaskclsError(f"{where}: {name} is damaged (SHA-256 differs); make it again with `{make}`")
    sums = manifest.get("files")
    if not isinstance(sums, dict) or not set(files) <= sums.keys() or not all(map(_is_plain, sums)):
        raise MaskclsError(foreign)
    for file, expected in sums.items():
        if not (folder / file).is_file():
            raise MaskclsError(f"{where}: {file} is missing; make it again with `{make}`")
        if _sha256(folder / file) != expected:
            raise MaskclsError(f"{where}: {file} is damaged (SHA-256 differs); make it again with `{make}`")
    return dict(manifest)


@contextmanager
def parsing(folder: Path, make: str) -> Iterator[None]:
    """Say in one line that files are not what they should be although their checksums are right.

    Raises:
        MaskclsError: in place of any error of the parsers.
    """
    try:
        yield
    except MaskclsError:
        raise
    except Exception as error:  # pandas, pyarrow, numpy, safetensors and FAISS each raise their own
        reason = shown(" ".join(f"{type(error).__name__}: {error}".split())[:150])
        raise MaskclsError(f"{shown(folder)}: not what `{make}` writes ({reason}); make it again") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against a second writer.

    Raises:
        MaskclsError: another run is writing there, or the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise MaskclsError(f"{shown(folder)}: another maskcls run is writing here; wait for it to end") from None
    except OSError as error:
        raise MaskclsError(f"{shown(folder)}: cannot be written ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()


def _seal(content: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's content as JSON, but for the checksum itself; the order of keys does not matter."""
    plain = json.loads(json.dumps({key: value for key, value in content.items() if key != SEAL}))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _is_plain(name: str) -> bool:
    """Whether a name stays inside its folder."""
    return name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}


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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
