from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import EMBEDDING_DIM, MAP_SHAPE, EncoderInfo
from maskcls.embedder.faceset.store import (
    REJECT_COLUMNS,
    SetTables,
    SetWriter,
    open_set,
    replace_tables,
)
from maskcls.embedder.storage.atomic_folder import recover
from maskcls.embedder.table import COLUMNS, face_table, gallery_ids

INFO = EncoderInfo("facenet", "0" * 64, {"crop_size": 160, "eyes_at": [0.5, 0.3]})
SETTINGS = {"root": "/photos", "layout": "contest", "face": "auto"}
FILES = ["embeddings.npy", "encoder.json", "faces.parquet", "maps.npy", "rejects.csv"]


def faces(rows: int, mask: str = "wear") -> pd.DataFrame:
    return face_table(
        {
            "face_id": f"{i:016x}",
            "path": f"{i}.jpg",
            "mask": mask,
            "age_low": 30.0,
            "box": [0.0, 0.0, 200.0, 200.0],
            "landmarks": [],
            "face": "whole",
            "face_score": 0.5,
            "faces_in_photo": 1,
            "sharpness": 10.0,
            "file_sha256": "0" * 64,
            "file_size": 10,
            "file_mtime_ns": 2**62,
        }
        for i in range(rows)
    )


def rejects(*paths: str) -> pd.DataFrame:
    rows = [{"path": path, "reason": "no face found", "file_size": 1, "file_mtime_ns": 2**62 + 1} for path in paths]
    return pd.DataFrame(rows, columns=list(REJECT_COLUMNS)).astype(REJECT_COLUMNS)


def save(folder: Path, rows: int, value: float = 1.0, refused: pd.DataFrame | None = None) -> None:
    writer = SetWriter(folder, rows)
    writer.embeddings[:] = value
    writer.maps[:] = value
    writer.commit(SetTables(faces(rows), rejects("bad.jpg") if refused is None else refused, INFO, SETTINGS))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def die_at_move(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the commit's move of that number, counted from 0, fail as if the process were killed."""
    moves: list[str] = []
    move = os.replace

    def counted(source: Path, target: Path) -> None:
        if Path(source).parent.name == ".next" and Path(target).parent.name != ".next":
            moves.append(Path(source).name)
            if len(moves) > number:
                raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(os, "replace", counted)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_round_trip(tmp_path: Path, rows: int) -> None:
    save(tmp_path, rows)
    opened = open_set(tmp_path)
    assert sorted(contents(tmp_path)) == FILES
    assert len(opened) == rows
    nested = ["box", "landmarks"]
    assert opened.table.drop(columns=nested).equals(faces(rows).drop(columns=nested))
    assert [opened.table[name].map(list).tolist() for name in nested] == [faces(rows)[name].tolist() for name in nested]
    assert {name: str(dtype) for name, dtype in opened.table.dtypes.items()} == COLUMNS
    assert opened.embeddings.shape == (rows, EMBEDDING_DIM)
    assert opened.embeddings.dtype == np.float32
    assert opened.maps.shape == (rows, *MAP_SHAPE)
    assert opened.maps.dtype == np.float16
    assert (np.asarray(opened.embeddings) == 1).all()
    assert opened.rejects.equals(rejects("bad.jpg"))
    assert (opened.encoder, opened.settings) == (INFO, SETTINGS | {"faces": "largest"})
    assert opened.encoder.fingerprint == INFO.fingerprint


@pytest.mark.parametrize(
    "path",
    [
        "line\nbreak.jpg",
        "return\rline.jpg",
        "both\r\nends.jpg",
        'quo"te,comma.jpg',
        " blank .jpg",
        "NA",
        "😷.jpg",
        r"\udce9.jpg",
    ],
)
def test_odd_names_of_rejects_are_kept(tmp_path: Path, path: str) -> None:
    save(tmp_path, 1, refused=rejects("first.jpg", path, "last.jpg"))
    assert open_set(tmp_path).rejects["path"].tolist() == ["first.jpg", path, "last.jpg"]


def test_missing_labels_are_null() -> None:
    table = face_table([{"face_id": "0" * 16, "person": None, "faces_in_photo": 1, "file_size": 1, "file_mtime_ns": 1}])
    assert table[["person", "mask", "gender", "race", "age_low", "age_high"]].isna().all(axis=None)


def test_gallery_ids_are_int64() -> None:
    ids = gallery_ids(pd.Series(["0000000000000010", "7fffffffffffffff"], dtype="str"))
    assert ids.dtype == np.int64
    assert ids.tolist() == [16, 2**63 - 1]


@pytest.mark.parametrize("name", ["embeddings.npy", "faces.parquet", "maps.npy", "rejects.csv"])
@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_damaged_set(tmp_path: Path, name: str, damage: str) -> None:
    save(tmp_path, 2)
    content = bytearray((tmp_path / name).read_bytes())
    content[-1] ^= 1
    (tmp_path / name).write_bytes(content)
    if damage == "missing":
        (tmp_path / name).unlink()
    with pytest.raises(MaskclsError, match=f"^{tmp_path}: {name} is {damage}.*make it again with `maskcls embed"):
        open_set(tmp_path)


def test_parts_of_different_length(tmp_path: Path) -> None:
    writer = SetWriter(tmp_path, 3)
    writer.commit(SetTables(faces(2), rejects(), INFO, SETTINGS))
    with pytest.raises(MaskclsError, match="its files hold different numbers of faces; make it again"):
        open_set(tmp_path)


def test_a_run_killed_before_the_commit_changes_nothing(tmp_path: Path) -> None:
    save(tmp_path, 2)
    before = contents(tmp_path)
    SetWriter(tmp_path, 5).embeddings[:] = 7
    assert len(open_set(tmp_path)) == 2
    recover(tmp_path)
    assert contents(tmp_path) == before
    assert not (tmp_path / ".next").exists()


@pytest.mark.parametrize("moves", range(5))
@pytest.mark.parametrize("old", ["new set", "old set"])
def test_a_run_killed_during_the_commit_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int, old: str
) -> None:
    if old == "old set":
        save(tmp_path, 2)
    with monkeypatch.context() as patch:
        die_at_move(patch, moves)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, 3, 0.5)
    opened = open_set(tmp_path)
    assert len(opened) == 3
    assert (np.asarray(opened.embeddings) == 0.5).all()
    assert sorted(contents(tmp_path)) == FILES


def test_replace_tables_leaves_the_vectors(tmp_path: Path) -> None:
    save(tmp_path, 2)
    before = {name: os.stat(tmp_path / name).st_ino for name in ("embeddings.npy", "maps.npy")}
    replace_tables(tmp_path, SetTables(faces(2, "normal"), rejects(), INFO, SETTINGS))
    opened = open_set(tmp_path)
    assert opened.table["mask"].tolist() == ["normal", "normal"]
    assert len(opened.rejects) == 0
    assert before == {name: os.stat(tmp_path / name).st_ino for name in before}
