from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from maskcls.classify.evaluation.kept import Kept, Tables


class Maker:
    """Makes two tables and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Tables:
        self.times += 1
        table = pd.DataFrame({"name": ["a", None], "age": [1.5, None], "box": [[0.0, 1.0], [2.0, 3.0]]}, index=[7, 3])
        return {"maskcls": table, "kNN, plain": table.assign(age=2.0)}


@pytest.fixture
def make() -> Maker:
    return Maker()


def test_a_finished_step_is_read_and_equal(tmp_path: Path, make: Maker) -> None:
    first = Kept(tmp_path / "kept", "key", 1).tables("fold-0", make)
    again = Kept(tmp_path / "kept", "key", 1).tables("fold-0", make)
    assert make.times == 1
    assert list(first) == list(again)
    for name, table in first.items():
        assert again[name].index.tolist() == [7, 3]
        pd.testing.assert_frame_equal(again[name][["name", "age"]], table[["name", "age"]], check_dtype=False)
        assert [list(box) for box in again[name]["box"]] == table["box"].tolist()


def test_steps_are_apart(tmp_path: Path, make: Maker) -> None:
    kept = Kept(tmp_path / "kept", "key")
    kept.tables("fold-0", make)
    kept.tables("fold-1", make)
    assert make.times == 2


@pytest.mark.parametrize("key", [("other",), ("key", ""), (b"key", 1), ()], ids=str)
def test_another_key_drops_everything(tmp_path: Path, make: Maker, key: tuple[object, ...]) -> None:
    Kept(tmp_path / "kept", "key").tables("fold-0", make)
    Kept(tmp_path / "kept", *key).tables("fold-0", make)
    assert make.times == 2


def test_without_a_folder_nothing_is_kept(tmp_path: Path, make: Maker) -> None:
    kept = Kept(None, "key")
    for _ in range(2):
        kept.tables("fold-0", make)
    kept.clear()
    assert make.times == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda folder: (folder / "fold-0.maskcls.parquet").unlink(), id="a table is gone"),
        pytest.param(lambda folder: (folder / "fold-0.maskcls.parquet").write_bytes(b"PAR1"), id="a table is damaged"),
        pytest.param(
            lambda folder: shutil.copy(folder / "fold-0.kNN, plain.parquet", folder / "fold-0.maskcls.parquet"),
            id="a table is another one",
        ),
        pytest.param(lambda folder: (folder / "fold-0.json").write_text("{"), id="the list is cut short"),
        pytest.param(lambda folder: (folder / "fold-0.json").write_text("[1]"), id="the list is none"),
        pytest.param(lambda folder: (folder / "key.json").unlink(), id="the key is gone"),
    ],
)
def test_what_is_spoilt_is_made_again(tmp_path: Path, make: Maker, spoil: Callable[[Path], object]) -> None:
    Kept(tmp_path / "kept", "key").tables("fold-0", make)
    spoil(tmp_path / "kept")
    kept = Kept(tmp_path / "kept", "key")
    for _ in range(2):
        assert list(kept.tables("fold-0", make)) == ["maskcls", "kNN, plain"]
    assert make.times == 2
    kept.clear()
    assert not (tmp_path / "kept").exists()
