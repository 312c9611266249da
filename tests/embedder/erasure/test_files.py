from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from maskcls.classify.predict.erasure import explanations
from maskcls.classify.privacy.erase import KINDS
from maskcls.embedder.erasure.files import GENERATOR, Tables
from maskcls.embedder.erasure.protocol import Artefact, Listing
from maskcls.embedder.erasure.traces import Traces

ID, OTHER, HASH = "0123456789abcdef", "fedcba9876543210", "f" * 64
TRACES = Traces(frozenset({ID}), frozenset({HASH}), frozenset({("/data/set", "anna/é.jpg"), ("/data/set", "flat.jpg")}))


def artefacts(folder: Path) -> list[Artefact]:
    listing = Listing(folder, {path.name for path in folder.iterdir()}, set())
    return [artefact for kind in KINDS for artefact in kind(listing)]


@pytest.mark.parametrize(
    ("text", "left", "changed"),
    [
        pytest.param(f"face_id,x\n{ID},1\n{OTHER},2\n", f"face_id,x\n{OTHER},2\n", 1, id="by face"),
        pytest.param("ImageID,ans\nanna/é.jpg,1\nb.jpg,2\n", "ImageID,ans\nb.jpg,2\n", 1, id="submission"),
        pytest.param("ImageID,ans\nset/anna/é.jpg,1\n", "ImageID,ans\n", 1, id="from further up"),
        pytest.param(
            "ImageID,ans\n../../set/anna/é.jpg,1\n../../a.jpg,2\n", "ImageID,ans\n../../a.jpg,2\n", 1, id="led up"
        ),
        pytest.param("ImageID,ans\nanna/e\u0301.jpg,1\n", "ImageID,ans\n", 1, id="in the other Unicode form"),
        pytest.param("ImageID,ans\nflat.jpg,1\né.jpg,1\n", "ImageID,ans\né.jpg,1\n", 1, id="bare names"),
        pytest.param("path,reason\nanna/é.jpg,dark\n", "path,reason\n", 1, id="rejects"),
        pytest.param(
            f"path,root,file_sha256,face_id\nanna/é.jpg,/other,x,{OTHER}\nanna/é.jpg,/data/set,x,{OTHER}\n",
            f"path,root,file_sha256,face_id\nanna/é.jpg,/other,x,{OTHER}\n",
            1,
            id="the same name below another folder",
        ),
        pytest.param(
            f"path,neighbours,weights\na,{OTHER}:20:0.900 {ID}:30:0.800,0.600 0.400\nb,{OTHER}:20:0.900,1.000\nc,,\n",
            f"path,neighbours,weights\na,{OTHER}:20:0.900,0.600\nb,{OTHER}:20:0.900,1.000\nc,,\n",
            1,
            id="a voter goes with its weight",
        ),
        pytest.param(f"path,neighbours\na,{ID}:30:0.800\n", "path,neighbours\na,\n", 1, id="the only voter"),
        pytest.param(
            f"kind,face_id,face_ids\ncopy,{OTHER},{OTHER} {ID}\nage,{OTHER},{OTHER}\n",
            f"kind,face_id,face_ids\nage,{OTHER},{OTHER}\n",
            1,
            id="a finding about several faces",
        ),
        pytest.param(f"face_id,x\n{OTHER},001\n", f"face_id,x\n{OTHER},001\n", 0, id="texts stay as they are"),
    ],
)
def test_rows_and_voters(text: str, left: str, changed: int, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    (artefact,) = artefacts(tmp_path)
    assert artefact.erase(TRACES, dry_run=True) == changed
    assert path.read_text() == text
    assert artefact.erase(TRACES) == changed
    assert path.read_text() == left
    assert artefact.erase(TRACES) == 0


@pytest.mark.parametrize(
    "text", ["path,age,person\nanna/é.jpg,20,anna\n", "a\n", "", "\0\0", "path,reason,mine\nanna/é.jpg,x,y\n"]
)
def test_tables_of_the_user_are_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text)
    assert artefacts(tmp_path) == []


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pd.DataFrame({"face_id": [ID, OTHER], "voters": pd.array([1, None], "Int64"), "box": [[0.0, 1.0], [2.0]]})
    table.to_parquet(path)
    assert Tables("rows", ("face_id",)).erase(path, TRACES, False) == 1
    left = pd.read_parquet(path)
    assert left["voters"].dtype == "Int64"
    assert [list(box) for box in left["box"]] == [[2.0]]


@pytest.mark.parametrize(
    ("name", "text", "removed"),
    [
        pytest.param("r.html", f"{GENERATOR.decode()}<h2>anna/é.jpg</h2>", True, id="our page names a photo"),
        pytest.param("r.html", "<h2>anna/é.jpg</h2>", False, id="the user's page names a photo"),
        pytest.param("r.html", f"{GENERATOR.decode()}<h2>joanna/é.jpg</h2>", False, id="our page of others"),
        pytest.param("r.json", json.dumps({"rows": [{"face_id": ID}]}), True, id="JSON with an id"),
        pytest.param("r.json", json.dumps({"path": "anna/é.jpg"}), False, id="the user's JSON"),
        pytest.param("mine.jsonl", '{"path": "anna/é.jpg", "age": 3}', False, id="the user's labels"),
    ],
)
def test_pages_are_removed_whole(name: str, text: str, removed: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    (artefact,) = artefacts(tmp_path)
    assert artefact.erase(TRACES, dry_run=True) == removed
    artefact.erase(TRACES)
    assert (tmp_path / name).exists() != removed
    assert artefact.erase(TRACES, dry_run=True) == 0 if not removed else True


def test_explanations_lose_lines_and_voters(tmp_path: Path) -> None:
    path = tmp_path / "why.jsonl"
    lines = [
        {"path": "anna/e\u0301.jpg", "voters": []},
        {"path": "x.jpg", "face_id": ID, "voters": []},
        {"path": "y.jpg", "voters": [{"face_id": ID, "weight": 0.4}, {"face_id": OTHER, "weight": 0.6}]},
        {"path": "z.jpg", "voters": [{"face_id": OTHER, "weight": 1.0}]},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "not JSON\n")
    (artefact,) = explanations(Listing(tmp_path, {"why.jsonl"}, set()))
    assert artefact.erase(TRACES) == 3
    *left, last = path.read_text().splitlines()
    assert [json.loads(line) for line in left] == [
        {"path": "y.jpg", "voters": [{"face_id": OTHER, "weight": 0.6}]},
        {"path": "z.jpg", "voters": [{"face_id": OTHER, "weight": 1.0}]},
    ]
    assert last == "not JSON"
    assert artefact.erase(TRACES) == 0
