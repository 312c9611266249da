"""Work done so far by a running ``evaluate``: the tables of every finished fold, so that a killed run goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ...embedder.storage.atomic import replacing, write_json
from ...embedder.storage.manifest import checksums, key_of

Tables = Mapping[str, pd.DataFrame]
KEY = "key.json"


class Kept:
    """A folder of finished steps; what was made from other data or settings (``key``) is dropped.

    Without a folder every step is made anew and nothing is kept.
    """

    def __init__(self, folder: Path | None, *key: object) -> None:
        self.folder = folder
        content = {"key": key_of(*key)}
        if folder is not None and _read(folder / KEY) != content:
            shutil.rmtree(folder, ignore_errors=True)
            write_json(folder / KEY, content)

    def tables(self, step: str, make: Callable[[], Tables]) -> Tables:
        """The tables of a step, read if it was finished, else made and kept."""
        if self.folder is None:
            return make()
        done = _read(self.folder / f"{step}.json")
        if done is not None:
            try:
                names = {name: f"{step}.{name}.parquet" for name in done["tables"]}
                if checksums(self.folder, list(names.values())) == done["files"]:
                    return {name: pd.read_parquet(self.folder / file) for name, file in names.items()}
            except (OSError, ValueError, KeyError, TypeError):  # a table is missing: make the step again
                pass
        tables = make()
        for name, table in tables.items():
            with replacing(self.folder / f"{step}.{name}.parquet") as temporary:
                table.to_parquet(temporary)
        files = checksums(self.folder, [f"{step}.{name}.parquet" for name in tables])
        write_json(self.folder / f"{step}.json", {"tables": list(tables), "files": files})
        return tables

    def clear(self) -> None:
        """Drop everything: the answers are safe elsewhere."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
