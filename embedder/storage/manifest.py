"""Manifests: the JSON file that names the kind and format of a folder, with SHA-256 checksums of all its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import MaskclsError
from ..photo import shown
from .atomic import write_json

SEAL = "sha256"
"""Key of a manifest's checksum of itself."""


def write_manifest(path: Path, content: Mapping[str, Any]) -> None:
    """Write the JSON manifest of a folder atomically, with a SHA-256 of its own content for :func:`read_manifest`."""
    write_json(path, {**content, SEAL: _seal(content)})


def kind_of(manifest: Path) -> Any:
    """The ``kind`` that a JSON manifest names; None where there is none."""
    try:
        return json.loads(manifest.read_text(encoding="utf-8")).get("kind")
    except (OSError, ValueError, AttributeError):
        return None


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
    if not isinstance(sums, dict) or not set(files) <= sums.keys() or not all(map(is_plain, sums)):
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


def _seal(content: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's content as JSON, but for the checksum itself; the order of keys does not matter."""
    plain = json.loads(json.dumps({key: value for key, value in content.items() if key != SEAL}))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def is_plain(name: str) -> bool:
    """Whether a name stays inside its folder."""
    return name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
