from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import EMBEDDING_DIM, MAP_SHAPE
from maskcls.embedder.faceset.finished import OLD, Finished, Position, by_step
from maskcls.embedder.photo import FileState
from maskcls.embedder.storage.step_cache import StepCache

STATE = FileState(1, 2)
POSITIONS = st.builds(Position, st.sampled_from([OLD, "0", "1", "2"]), st.integers(0, 9), st.booleans(), st.just(STATE))


@given(st.lists(POSITIONS))
def test_every_position_belongs_to_one_step(positions: list[Position]) -> None:
    seen: dict[int, tuple[str, int]] = {}
    names = []
    for name, targets, indices in by_step(positions):
        names.append(name)
        assert targets == sorted(targets)
        seen |= {target: (name, index) for target, index in zip(targets, indices, strict=True)}
    assert len(names) == len(set(names))
    assert [seen[i] for i in range(len(positions))] == [(position.step, position.row) for position in positions]
    assert len(seen) == len(positions)


def append(steps: StepCache, faces: dict[str, int], rejects: dict[str, int]) -> None:
    """A step of faces and rejects by path, with the size of the file, which is also in the vectors."""

    def row(path: str, size: int) -> dict[str, Any]:
        return {"path": path, "file_size": size, "file_mtime_ns": 2}

    values = np.array(list(faces.values()), np.float32)
    steps.append(
        {
            "embeddings": np.repeat(values[:, None], EMBEDDING_DIM, 1),
            "maps": np.zeros((len(faces), *MAP_SHAPE), np.float16),
        },
        notes={
            "faces": [row(path, size) | {"face": "whole", "faces_in_photo": 1} for path, size in faces.items()],
            "rejects": [row(path, size) | {"reason": "blurred"} for path, size in rejects.items()],
            "runtime": "torch fp32",
        },
    )


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    """Two batches: the second one saw some photos of the first again, changed."""
    steps = StepCache(tmp_path, "key")
    append(steps, {"a": 1, "b": 1}, {"c": 1, "d": 1})
    append(steps, {"c": 3, "e": 3}, {"b": 3})
    return Finished(None, steps)


def test_later_work_wins(finished: Finished) -> None:
    first, second = "00000000", "00000001"
    assert finished.positions() == {
        "a": [Position(first, 0, False, FileState(1, 2))],
        "b": [Position(second, 0, True, FileState(3, 2), "blurred")],
        "c": [Position(second, 0, False, FileState(3, 2))],
        "d": [Position(first, 1, True, FileState(1, 2), "blurred")],
        "e": [Position(second, 1, False, FileState(3, 2))],
    }
    assert finished.runtimes() == {"torch fp32"}


@pytest.mark.parametrize("names", ["ace", "eca", "a", ""])
def test_rows_and_arrays_come_in_the_order_given(finished: Finished, names: str) -> None:
    known = finished.positions()
    positions = [known[name][0] for name in names]
    assert finished.face_rows(positions)["path"].tolist() == list(names)
    embeddings = np.zeros((len(names), EMBEDDING_DIM), np.float32)
    finished.copy_arrays(positions, embeddings, np.zeros((len(names), *MAP_SHAPE), np.float16))
    assert embeddings[:, 0].tolist() == [known[name][0].state.size for name in names]


def test_rejects_come_in_the_order_given(finished: Finished) -> None:
    known = finished.positions()
    assert [row["path"] for row in finished.reject_rows([*known["b"], *known["d"]])] == ["b", "d"]


def test_a_step_that_is_damaged_in_the_meantime_is_one_line(finished: Finished, tmp_path: Path) -> None:
    positions = finished.positions()["a"]
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(MaskclsError, match="run the same command again"):
        finished.copy_arrays(positions, np.zeros((1, EMBEDDING_DIM), np.float32), np.zeros((1, *MAP_SHAPE), np.float16))
