"""Work done so far by a running ``embed``: one atomic file a batch, so that a killed run loses one batch at most."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..facenet.encoder import EMBEDDING_DIM, MAP_SHAPE
from ..facenet.runtimes import REFERENCE
from .atomic import replacing
from .manifest import key_of

SHARDS = ".shards"


@dataclass(frozen=True)
class Shard:
    """Faces found in one batch (rows, vectors and maps belong together) and the photos refused in it."""

    rows: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    embeddings: npt.NDArray[np.float32]
    maps: npt.NDArray[np.float16]


class ShardFolder:
    """The shards of one embedding set; shards made with other settings (``key``) are dropped.

    Attributes:
        runtimes: what the networks of its shards were run by.
    """

    def __init__(self, folder: Path, key: str, runtime: str = str(REFERENCE)) -> None:
        self._folder = folder / SHARDS
        self._key, self._runtime = key, runtime
        self.runtimes: set[str] = set()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._paths = [path for path in sorted(self._folder.glob("*.safetensors")) if self._usable(path)]

    def append(self, shard: Shard) -> None:
        """Save one batch."""
        number = int(self._paths[-1].stem) + 1 if self._paths else 0
        path = self._folder / f"{number:08d}.safetensors"
        rows, rejects = json.dumps(shard.rows), json.dumps(shard.rejects)
        digest = key_of(self._runtime, rows, rejects, shard.embeddings.tobytes(), shard.maps.tobytes())
        metadata = {"key": self._key, "runtime": self._runtime, "sha256": digest, "rows": rows, "rejects": rejects}
        with replacing(path) as temporary:
            save_file({"embeddings": shard.embeddings, "maps": shard.maps}, temporary, metadata)
        self._paths.append(path)
        self.runtimes.add(self._runtime)

    def read(self, number: int) -> Shard:
        """One saved batch."""
        with safe_open(self._paths[number], "np") as file:
            return Shard(*self.done(number), file.get_tensor("embeddings"), file.get_tensor("maps"))

    def done(self, number: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows and rejects of one saved batch, without reading its arrays."""
        with safe_open(self._paths[number], "np") as file:
            metadata = file.metadata()
        return json.loads(metadata["rows"]), json.loads(metadata["rejects"])

    def __len__(self) -> int:
        return len(self._paths)

    def clear(self) -> None:
        """Drop all of them: their content is in the set now."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _usable(self, path: Path) -> bool:
        try:
            with safe_open(path, "np") as file:
                metadata = file.metadata() or {}
                embeddings, maps = file.get_tensor("embeddings"), file.get_tensor("maps")
                content = (
                    metadata["runtime"],
                    metadata["rows"],
                    metadata["rejects"],
                    embeddings.tobytes(),
                    maps.tobytes(),
                )
                rows = len(json.loads(metadata["rows"]))
                fits = bool(
                    metadata["key"] == self._key
                    and metadata["sha256"] == key_of(*content)
                    and embeddings.shape == (rows, EMBEDDING_DIM)
                    and maps.shape == (rows, *MAP_SHAPE)
                )
        except (SafetensorError, OSError, KeyError, ValueError):
            fits = False
        if fits:
            self.runtimes.add(metadata["runtime"])
        else:
            path.unlink(missing_ok=True)
        return fits
