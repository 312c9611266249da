"""The finished steps of a job that may be killed: the one way in which anything here resumes.

A step is arrays, tables and notes under a name, in one file that is written atomically. Every file names the *key* of
the job, a SHA-256 of everything that changes the result; steps of another key, and damaged ones, are dropped and made
again.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .atomic import write_bytes
from .manifest import key_of

SUFFIX = ".step"
_NAME = re.compile(r"[\w.-]+")
_TABLE = "table:"
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Step:
    """What a finished step left.

    Attributes:
        arrays: by name, of any shape and any dtype that safetensors knows.
        tables: by name.
        notes: anything that JSON can hold.
    """

    arrays: Mapping[str, Array] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    notes: Any = None


class StepCache:
    """A folder of finished steps.

    Args:
        folder: where they lie; made by the first write. None keeps nothing: every step is made, none is found.
        key: everything that changes the result, see :func:`~.manifest.key_of`.
    """

    def __init__(self, folder: Path | None, *key: object) -> None:
        self.folder = folder
        self._key = key_of(*key)
        if folder is not None and folder.is_dir():
            for path in folder.glob(f"*{SUFFIX}"):
                if self._metadata(path) is None:
                    path.unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Names of the finished steps, sorted."""
        if self.folder is None or not self.folder.is_dir():
            return []
        return sorted(path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}"))

    def read(self, name: str) -> Step | None:
        """A finished step, after checking its SHA-256; None where there is none, or a damaged one, which is dropped."""
        if self.folder is None:
            return None
        path = self._path(name)
        try:
            with safe_open(path, "np") as file:
                metadata = file.metadata() or {}
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
            if metadata["key"] != self._key or metadata["sha256"] != _digest(arrays, metadata["notes"]):
                raise ValueError("another job's, or damaged")
            tables = {
                key.removeprefix(_TABLE): pd.read_parquet(io.BytesIO(arrays.pop(key).tobytes()))
                for key in [*arrays]
                if key.startswith(_TABLE)
            }
            return Step(arrays, tables, json.loads(metadata["notes"]))
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, KeyError, ValueError):
            path.unlink(missing_ok=True)
            return None

    def notes(self, name: str) -> Any:
        """The notes of a finished step, without reading its arrays; None where there is no such step."""
        metadata = None if self.folder is None else self._metadata(self._path(name))
        return None if metadata is None else json.loads(metadata["notes"])

    def steps(self) -> Iterator[tuple[str, Step]]:
        """All finished steps that are whole, in the order of their names."""
        for name in self.names():
            step = self.read(name)
            if step is not None:
                yield name, step

    def write(
        self,
        name: str,
        arrays: Mapping[str, Array] = {},
        tables: Mapping[str, pd.DataFrame] = {},
        notes: Any = None,
    ) -> None:
        """Keep a step, in place of a former one of this name."""
        if self.folder is None:
            return
        content = {key: np.asarray(value, order="C") for key, value in arrays.items()}
        for key, table in tables.items():
            content[_TABLE + key] = np.frombuffer(table.to_parquet(), np.uint8)
        text = json.dumps(notes)
        about = {"key": self._key, "notes": text, "sha256": _digest(content, text)}
        write_bytes(self._path(name), save(content, about))

    def append(
        self,
        arrays: Mapping[str, Array] = {},
        tables: Mapping[str, pd.DataFrame] = {},
        notes: Any = None,
    ) -> str:
        """Keep a step under the next number, and return that name: eight digits."""
        numbers = [int(name) for name in self.names() if name.isdecimal()]
        name = f"{max(numbers, default=-1) + 1:08d}"
        self.write(name, arrays, tables, notes)
        return name

    def once(self, name: str, make: Callable[[], Step]) -> Step:
        """The step of this name: read if it was finished, else made and kept."""
        step = self.read(name)
        if step is None:
            step = make()
            self.write(name, step.arrays, step.tables, step.notes)
        return step

    def clear(self) -> None:
        """Drop everything: the results are safe elsewhere."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a step's name: {name!r}")
        return self.folder / f"{name}{SUFFIX}"

    def _metadata(self, path: Path) -> dict[str, str] | None:
        try:
            with safe_open(path, "np") as file:
                metadata = dict(file.metadata() or {})
        except (SafetensorError, OSError):
            return None
        return metadata if metadata.get("key") == self._key and {"notes", "sha256"} <= metadata.keys() else None


def _digest(arrays: Mapping[str, Array], notes: str) -> str:
    parts: list[object] = [notes]
    for name in sorted(arrays):
        parts += [name, arrays[name].dtype.str, arrays[name].shape, arrays[name].tobytes()]
    return key_of(*parts)


def is_step(path: Path) -> bool:
    """Whether a file is a step of any job."""
    try:
        with safe_open(path, "np") as file:
            return {"key", "notes", "sha256"} <= (file.metadata() or {}).keys()
    except (SafetensorError, OSError):
        return False
