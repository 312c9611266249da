"""Finished steps are found again, and only whole ones of the same job."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskcls.embedder.storage.step_cache import Step, StepCache

TABLE = pd.DataFrame({"path": ["a.jpg", None], "age": [1.5, None]})


def kept(folder: Path, *key: object) -> StepCache:
    return StepCache(folder / "steps", *(key or ("job", 1)))


def test_a_step_reads_back_as_it_was(tmp_path: Path) -> None:
    vectors = np.arange(6, dtype=np.float16).reshape(2, 3)
    kept(tmp_path).write("fold-1", {"vectors": vectors}, {"answers": TABLE}, {"done": [1, "ä"]})
    step = kept(tmp_path).read("fold-1")
    assert step is not None
    np.testing.assert_array_equal(step.arrays["vectors"], vectors)
    pd.testing.assert_frame_equal(step.tables["answers"], TABLE)
    assert step.notes == {"done": [1, "ä"]}
    assert kept(tmp_path).notes("fold-1") == step.notes


def test_a_step_is_made_once(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> Step:
        made.append(1)
        return Step(notes="text")

    assert [kept(tmp_path).once("one", make).notes for _ in range(3)] == ["text"] * 3
    assert made == [1]


def test_steps_of_another_key_are_dropped(tmp_path: Path) -> None:
    kept(tmp_path, "a", 1).write("one", notes=1)
    assert kept(tmp_path, "a", 2).names() == []
    assert kept(tmp_path, "a", 1).read("one") is None


def test_appended_steps_are_numbered_and_come_in_order(tmp_path: Path) -> None:
    cache = kept(tmp_path)
    assert [cache.append(notes=n) for n in range(3)] == ["00000000", "00000001", "00000002"]
    assert [step.notes for _, step in kept(tmp_path).steps()] == [0, 1, 2]


@pytest.mark.parametrize(
    "keep", [pytest.param(0.5, id="cut"), pytest.param(0.0, id="empty"), pytest.param(1.0, id="flipped")]
)
def test_a_damaged_step_is_made_again(tmp_path: Path, keep: float) -> None:
    kept(tmp_path).write("one", {"x": np.ones(1000, np.float32)})
    path = tmp_path / "steps" / "one.step"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data[: int(len(data) * keep)]))
    assert kept(tmp_path).read("one") is None
    assert not path.exists()


def test_without_a_folder_nothing_is_kept() -> None:
    cache = StepCache(None, "job")
    cache.write("one", notes=1)
    assert cache.names() == []
    assert cache.read("one") is None
    cache.clear()


def test_clear_drops_everything(tmp_path: Path) -> None:
    cache = kept(tmp_path)
    cache.append(notes=1)
    cache.clear()
    assert not (tmp_path / "steps").exists()


def test_a_number_keeps_its_shape(tmp_path: Path) -> None:
    cache = kept(tmp_path)
    cache.write("number", {"x": np.array(3.5), "columns": np.arange(6).reshape(2, 3).T})
    step = cache.read("number")
    assert step is not None
    assert step.arrays["x"].shape == ()
    assert step.arrays["columns"].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize("name", ["", "a/b", "..\\x", "a b"])
def test_a_name_stays_inside_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a step's name"):
        kept(tmp_path).write(name)
