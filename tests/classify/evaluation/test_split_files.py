from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.evaluation import splits
from maskcls.classify.evaluation.splits import COLUMNS, person_folds, read_split, write_split
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.faceset.store import EmbeddingSet, open_set
from maskcls.embedder.storage.atomic import write_csv

MakeSet = Callable[..., EmbeddingSet]


def refused(path: Path, pool: FaceSet) -> str:
    with pytest.raises(MaskclsError) as caught:
        read_split(path, pool)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


@pytest.fixture
def small(make_set: MakeSet) -> FaceSet:
    """Six faces: Ann, Ann, Bob, and three nobody knows."""
    return merge_sets([make_set(6, person=["ann", "ann", "bob", None, None, None])])


SMALL_FOLDS = [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", ["split.csv", "split.parquet"])
def test_written_file(small: FaceSet, tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / name
    write_split(path, small, np.array(SMALL_FOLDS))
    read = pd.read_parquet if name.endswith("parquet") else pd.read_csv
    table = read(path)
    assert tuple(table.columns) == COLUMNS
    assert table["fold"].tolist() == SMALL_FOLDS
    assert table["path"].tolist() == small.table["path"].tolist()
    assert table["name"].fillna("?").tolist() == ["ann", "ann", "bob", "?", "?", "?"]
    assert sorted(set(table["person"])) == [f"g{number:06}" for number in range(5)]
    assert table["person"][0] == table["person"][1]
    assert list(path.parent.iterdir()) == [path]
    split = read_split(path, small)
    assert (split.fold.tolist(), split.names, split.ignored) == (SMALL_FOLDS, ("0", "1", "2"), 0)


def test_old_file_stays_when_writing_fails(small: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "split.csv"
    path.write_text("old")

    def full(path: Path, table: pd.DataFrame) -> None:
        path.write_text("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(splits, "write_csv", full)
    with pytest.raises(OSError, match="no space"):
        write_split(path, small, np.array(SMALL_FOLDS))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("key", ["face_id", "path"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_odd_names_and_ids_come_back(make_set: MakeSet, tmp_path: Path, key: str, suffix: str) -> None:
    paths = ["NA", "new\nline.jpg", 'quo"te,.jpg', "lone\rreturn.jpg", "=1+1", "007"]
    ids = ["0000000000000012", "1234567890123456", "12e4567890123456", "0x00000000000001", "nan", "00000000000000ff"]
    pool = merge_sets([make_set(6, path=paths, face_id=ids)])
    path = tmp_path / f"split{suffix}"
    write_split(path, pool, np.array(SMALL_FOLDS))
    if suffix == ".parquet":
        pd.read_parquet(path)[[key, "fold"]].to_parquet(path)
    elif key == "path":
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        write_csv(path, table[["path", "fold"]])
    assert read_split(path, pool).fold.tolist() == SMALL_FOLDS


@pytest.mark.parametrize(
    ("cells", "fold", "names"),
    [
        pytest.param([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2], ("0", "1", "2"), id="from-0"),
        pytest.param([1, 1, 2, 2, 3, 3], [0, 0, 1, 1, 2, 2], ("1", "2", "3"), id="from-1"),
        pytest.param([10, 10, 9, 9, -1, -1], [2, 2, 1, 1, 0, 0], ("-1", "9", "10"), id="by-value"),
        pytest.param([0.0, 0.0, 1.0, 1.0, 1.0, 1.0], [0, 0, 1, 1, 1, 1], ("0", "1"), id="whole-floats"),
        pytest.param(["1", "1.0", " 01", "2", "2", "2 "], [0, 0, 0, 1, 1, 1], ("1", "2"), id="written-differently"),
        pytest.param(["val", "val ", "fit", "fit", "fit", "fit"], [1, 1, 0, 0, 0, 0], ("fit", "val"), id="words"),
        pytest.param(["a", "a", "1", "1", "1.0", "1.0"], [2, 2, 0, 0, 1, 1], ("1", "1.0", "a"), id="mixed"),
        pytest.param([0.5, 0.5, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1], ("0.5", "1.0"), id="fractions-are-words"),
    ],
)
def test_names_of_folds(
    small: FaceSet, tmp_path: Path, cells: list[object], fold: list[int], names: tuple[str, ...]
) -> None:
    pd.DataFrame({"path": small.table["path"], "fold": cells}).to_csv(tmp_path / "split.csv", index=False)
    split = read_split(tmp_path / "split.csv", small)
    assert (split.fold.tolist(), split.names) == (fold, names)


def test_rows_in_any_order_twice_and_of_other_faces(small: FaceSet, tmp_path: Path) -> None:
    write_split(tmp_path / "split.csv", small, np.array(SMALL_FOLDS))
    table = pd.read_csv(tmp_path / "split.csv", dtype=str)
    others = table.head(2).assign(face_id=["x", ""], fold=["7", ""])
    pd.concat([table[::-1], others, table[2:4]]).to_csv(tmp_path / "split.csv", index=False)
    split = read_split(tmp_path / "split.csv", small)
    assert (split.fold.tolist(), split.names, split.ignored) == (SMALL_FOLDS, ("0", "1", "2"), 2)


def test_a_pool_of_fewer_faces(small: FaceSet, tmp_path: Path) -> None:
    write_split(tmp_path / "split.csv", small, np.array(SMALL_FOLDS))
    split = read_split(tmp_path / "split.csv", small.subset(np.array([5, 0, 1])))
    assert (split.fold.tolist(), split.names, split.ignored) == ([1, 0, 0], ("0", "2"), 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda t: t.drop(columns="fold"), "has face_id, path, source, person, name", id="no-fold-column"),
        pytest.param(
            lambda t: t[["person", "fold"]], "fold and face_id or path; this file has person, fold", id="no-key"
        ),
        pytest.param(
            lambda t: t.drop(index=[3, 4]),
            "2 of 6 faces are not in this file (by face_id), first 00003.jpg",
            id="lacking",
        ),
        pytest.param(
            lambda t: t[["path", "fold"]].assign(path="/x/" + t["path"]),
            "6 of 6 faces are not in this file (by path), first 00000.jpg",
            id="other-paths",
        ),
        pytest.param(lambda t: t.head(0), "6 of 6 faces", id="no-rows"),
        pytest.param(
            lambda t: pd.concat([t, t.tail(1).assign(fold="0")])[["path", "fold"]],
            "00005.jpg is in more than one fold",
            id="face-twice",
        ),
        pytest.param(
            lambda t: t[["path", "fold"]].assign(fold=["0", "0", "1", " ", "2", "2"]),
            "no fold is given for 00003.jpg",
            id="blank-fold",
        ),
        pytest.param(lambda t: t.assign(fold="4"), "all faces are in one fold (4)", id="one-fold"),
        pytest.param(
            lambda t: t.assign(fold=["0", "2", "1", "1", "1", "2"]),
            "leaky, 1 of 5 people are in more than one fold, such as 00000.jpg in fold 0 and 00001.jpg in fold 2",
            id="leaky",
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_bad_files(
    small: FaceSet, tmp_path: Path, suffix: str, change: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    path = tmp_path / f"split{suffix}"
    write_split(tmp_path / "good.csv", small, np.array(SMALL_FOLDS))
    table = change(pd.read_csv(tmp_path / "good.csv", dtype=str))
    if suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)
    assert words in refused(path, small)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param("s.csv", None, "cannot be read as a split (No such file or directory)", id="missing"),
        pytest.param("s.parquet", None, "cannot be read as a split (No such file or directory)", id="missing-parquet"),
        pytest.param("s.csv", b"", "cannot be read as a split (No columns", id="empty"),
        pytest.param("s.csv", b"\xff\xfe\x00", "cannot be read as a split", id="not-text"),
        pytest.param("s.csv", b"path,fold\na,1,2,3\n\nb,1\nc,1,2,3,4,5\n", "cannot be read", id="ragged"),
        pytest.param("s.parquet", b"path,fold\n", "cannot be read as a split", id="not-parquet"),
        pytest.param("s.csv", b"pa\x1bth;fold\na;0\n", r"this file has pa\x1bth;fold", id="semicolons"),
    ],
)
def test_unreadable_files(small: FaceSet, tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert words in refused(tmp_path / name, small)


def test_a_folder_is_no_split(small: FaceSet, tmp_path: Path) -> None:
    assert "cannot be read as a split (Is a directory)" in refused(tmp_path, small)


def test_a_path_of_two_sets_needs_face_ids(make_set: MakeSet, tmp_path: Path) -> None:
    pool = merge_sets([make_set(3, seed=1, root="/a"), make_set(3, seed=2, root="/b")])
    path = tmp_path / "split.csv"
    write_split(path, pool, np.array(SMALL_FOLDS))
    assert read_split(path, pool).fold.tolist() == SMALL_FOLDS
    pd.read_csv(path).drop(columns="face_id").to_csv(path, index=False)
    assert refused(path, pool) == "00000.jpg is of several faces; the file needs the column face_id"


def test_a_split_that_parts_faces_without_names_that_look_alike(contest_faces: Path, tmp_path: Path) -> None:
    named = open_set(contest_faces)
    nameless = merge_sets([replace(named, table=named.table.assign(person=pd.Series(dtype="str")))])
    faces = np.arange(len(nameless))
    write_split(tmp_path / "split.csv", nameless, person_folds(faces, faces % 2, 5, 0))
    assert " people are in more than one fold, such as " in refused(tmp_path / "split.csv", nameless)
