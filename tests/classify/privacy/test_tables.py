from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from maskcls.classify.privacy.tables import names_photo, read_table, without_person
from maskcls.classify.privacy.traces import Traces

ID, OTHER, HASH = "0123456789abcdef", "fedcba9876543210", "f" * 64
TRACES = Traces(frozenset({ID}), frozenset({HASH}), frozenset({("/data/set", "anna/1.jpg"), ("/data/set", "flat.jpg")}))


@pytest.mark.parametrize(
    ("text", "left", "changed"),
    [
        pytest.param(f"face_id,x\n{ID},1\n{OTHER},2\n", f"face_id,x\n{OTHER},2\n", 1, id="by face"),
        pytest.param("ImageID,ans\nanna/1.jpg,1\nb.jpg,2\n", "ImageID,ans\nb.jpg,2\n", 1, id="submission"),
        pytest.param("ImageID,ans\nset/anna/1.jpg,1\n", "ImageID,ans\n", 1, id="from further up"),
        pytest.param("ImageID,ans\nflat.jpg,1\n1.jpg,1\n", "ImageID,ans\n1.jpg,1\n", 1, id="bare names"),
        pytest.param("path,reason\nanna/1.jpg,dark\n", "path,reason\n", 1, id="rejects"),
        pytest.param(
            f"path,root,file_sha256,face_id\nanna/1.jpg,/other,x,{OTHER}\nanna/1.jpg,/data/set,x,{OTHER}\n",
            f"path,root,file_sha256,face_id\nanna/1.jpg,/other,x,{OTHER}\n",
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
        pytest.param(f"face_id,x\n{OTHER},001\n", f"face_id,x\n{OTHER},001\n", 0, id="texts stay as they are"),
    ],
)
def test_rows_and_voters(text: str, left: str, changed: int, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    table = read_table(path)
    assert table is not None
    found, count = without_person(table, TRACES)
    assert (found.to_csv(index=False), count) == (left, changed)


@pytest.mark.parametrize(
    "text", ["path,age,person\nanna/1.jpg,20,anna\n", "a\n", "", "\0\0", "path,reason,mine\nanna/1.jpg,x,y\n"]
)
def test_tables_of_the_user_are_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text)
    assert read_table(tmp_path / "labels.csv") is None


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pd.DataFrame({"face_id": [ID, OTHER], "voters": pd.array([1, None], "Int64"), "box": [[0.0, 1.0], [2.0]]})
    table.to_parquet(tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    assert found is not None
    left, _ = without_person(found, TRACES)
    assert left["voters"].dtype == "Int64"
    assert [list(box) for box in left["box"]] == [[2.0]]


@pytest.mark.parametrize(
    ("name", "text", "about"),
    [
        pytest.param(
            ".p.csv.partial", '{"key": 1}\n{"path": "anna/1.jpg", "neighbours": ""}\n{"pa', True, id="journal"
        ),
        pytest.param(".p.csv.partial", '{"path": "b.jpg", "neighbours": ""}', False, id="journal of others"),
        pytest.param("mine.jsonl", '{"path": "anna/1.jpg", "age": 3}', False, id="labels of the user"),
        pytest.param("r.html", '<article data-a="">\n<h2>anna/1.jpg</h2>', True, id="report"),
        pytest.param("r.html", "<h2>anna/1.jpg</h2>", False, id="page of the user"),
    ],
)
def test_journals_and_pages_by_name(name: str, text: str, about: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert names_photo(tmp_path / name, TRACES) == about
