from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskcls.embedder.facenet.encoder import EMBEDDING_DIM, MAP_SHAPE
from maskcls.embedder.faceset.known import OLD, Place, by_source, face_rows, known_photos, reject_rows
from maskcls.embedder.photo import FileState
from maskcls.embedder.storage.shards import Shard, ShardFolder

STATE = FileState(1, 2)
PLACES = st.builds(Place, st.integers(OLD, 3), st.integers(0, 9), st.booleans(), st.just(STATE))


@given(st.lists(PLACES))
def test_every_place_belongs_to_one_source(places: list[Place]) -> None:
    seen: dict[int, tuple[int, int]] = {}
    numbers = []
    for number, targets, positions in by_source(places):
        numbers.append(number)
        assert targets == sorted(targets)
        seen |= {target: (number, position) for target, position in zip(targets, positions, strict=True)}
    assert len(numbers) == len(set(numbers))
    assert [seen[i] for i in range(len(places))] == [(place.source, place.position) for place in places]
    assert len(seen) == len(places)


def shard(faces: dict[str, int], rejects: dict[str, int]) -> Shard:
    """Faces and rejects by path, with the size of the file."""

    def row(path: str, size: int) -> dict[str, Any]:
        return {"path": path, "file_size": size, "file_mtime_ns": 2}

    return Shard(
        [row(path, size) | {"face": "whole", "faces_in_photo": 1} for path, size in faces.items()],
        [row(path, size) | {"reason": "blurred"} for path, size in rejects.items()],
        np.zeros((len(faces), EMBEDDING_DIM), np.float32),
        np.zeros((len(faces), *MAP_SHAPE), np.float16),
    )


@pytest.fixture
def shards(tmp_path: Path) -> ShardFolder:
    """Two batches: the second one saw some photos of the first again, changed."""
    folder = ShardFolder(tmp_path, "key")
    folder.append(shard({"a": 1, "b": 1}, {"c": 1, "d": 1}))
    folder.append(shard({"c": 3, "e": 3}, {"b": 3}))
    return folder


def test_later_work_wins(shards: ShardFolder) -> None:
    assert known_photos(None, shards) == {
        "a": Place(0, 0, False, FileState(1, 2)),
        "b": Place(1, 0, True, FileState(3, 2)),
        "c": Place(1, 0, False, FileState(3, 2)),
        "d": Place(0, 1, True, FileState(1, 2)),
        "e": Place(1, 1, False, FileState(3, 2)),
    }


@pytest.mark.parametrize("names", ["ace", "eca", "a", ""])
def test_rows_come_in_the_order_asked_for(shards: ShardFolder, names: str) -> None:
    known = known_photos(None, shards)
    assert face_rows([known[name] for name in names], None, shards)["path"].tolist() == list(names)


def test_rejects_come_in_the_order_asked_for(shards: ShardFolder) -> None:
    known = known_photos(None, shards)
    assert [row["path"] for row in reject_rows([known["b"], known["d"]], None, shards)] == ["b", "d"]
