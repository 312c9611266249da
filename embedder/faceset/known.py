"""Photos that need no work: where the row and the vectors of each lie, in the old set or in a shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..photo import FileState
from ..storage.shards import ShardFolder
from ..table import COLUMNS, face_table
from .store import EmbeddingSet

OLD = -1
"""Number of the old set among the shards."""
_TOGETHER = 8192


class Place(NamedTuple):
    """Where a photo's row lies: number of the shard or :data:`OLD`, position there, among the faces or the rejects."""

    source: int
    position: int
    refused: bool
    state: FileState


def known_photos(old: EmbeddingSet | None, shards: ShardFolder) -> dict[str, Place]:
    """Every photo that was embedded or refused before, by stored path; later work wins."""
    known: dict[str, Place] = {}
    if old is not None:
        for table, refused in ((old.table, False), (old.rejects, True)):
            columns = (table[name].tolist() for name in ("path", "file_size", "file_mtime_ns"))
            for i, (path, size, mtime) in enumerate(zip(*columns, strict=True)):
                known[path] = Place(OLD, i, refused, FileState(size, mtime))
    for number in range(len(shards)):
        for rows, refused in zip(shards.done(number), (False, True), strict=True):
            for i, row in enumerate(rows):
                state = FileState(row["file_size"], row["file_mtime_ns"])
                known[row["path"]] = Place(number, i, refused, state)
    return known


def by_source(places: Sequence[Place]) -> Iterator[tuple[int, list[int], list[int]]]:
    """For each source: its number, the indices of its places, and their positions in it."""
    targets: dict[int, list[int]] = {}
    for target, place in enumerate(places):
        targets.setdefault(place.source, []).append(target)
    for number, mine in targets.items():
        yield number, mine, [places[target].position for target in mine]


def face_rows(places: Sequence[Place], old: EmbeddingSet | None, shards: ShardFolder) -> pd.DataFrame:
    """The rows (:data:`~..table.COLUMNS`) of faces, in the order of their places; labels are those of the old set."""
    parts = [face_table([])]
    order: list[int] = []
    rows: list[dict[str, Any]] = []
    for number, targets, positions in by_source(places):
        order += targets
        if number != OLD:
            done = shards.done(number)[0]
            rows += [done[position] for position in positions]
        if number == OLD or len(rows) >= _TOGETHER:
            parts.append(face_table(rows))
            rows = []
        if number == OLD:
            assert old is not None
            parts.append(old.table.iloc[positions])
    parts.append(face_table(rows))
    table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return table.iloc[np.argsort(np.array(order, np.int64))].reset_index(drop=True).astype(COLUMNS)


def reject_rows(places: Sequence[Place], old: EmbeddingSet | None, shards: ShardFolder) -> list[dict[str, Any]]:
    """The rows (:data:`~.store.REJECT_COLUMNS`) of refused photos, in the order of their places."""
    rows: list[dict[str, Any]] = [{}] * len(places)
    for number, targets, positions in by_source(places):
        if number == OLD:
            assert old is not None
            done = [{str(k): v for k, v in row.items()} for row in old.rejects.iloc[positions].to_dict("records")]
        else:
            refused = shards.done(number)[1]
            done = [refused[position] for position in positions]
        for target, row in zip(targets, done, strict=True):
            rows[target] = row
    return rows
