from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from maskcls.classify.labels.review.app import MAX_BODY
from maskcls.classify.labels.review.changes import MAX_CHANGES
from maskcls.classify.labels.review.faces import Faces

GONE, CHANGED = 58, 59


def decide(client: TestClient, *changes: dict[str, object]) -> Any:
    return client.post("/api/decisions", json={"changes": changes})


def test_the_page_and_its_files(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script>" not in page.text
    assert "style=" not in page.text
    for name in ("review.css", "main.js", "icon.svg"):
        assert client.get(f"/static/{name}").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/__init__.py",
     "/faces/../../etc/passwd/small", "/faces/..%2f..%2fetc%2fpasswd/small", "/faces/%2fetc%2fpasswd/small",
     "/faces/ffffffffffffffff/small", "/faces//small", "/api/near/-1", "/api/near/60", "/api/near/x", "/nothing"],
)  # fmt: skip
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "error" in answer.json()


def test_columns(client: TestClient, faces: Faces) -> None:
    table = client.get("/api/faces").json()
    assert table["count"] == len(faces) == len(table["id"]) == len(table["class"])
    assert table["path"][0] == "person 00/00 é.png"
    assert table["names"]["class"][14] == "normal, male, >=60"
    assert table["command"] == "maskcls relabel …"
    assert client.get("/api/issues").json() == []


def test_pictures(client: TestClient, faces: Faces) -> None:
    ids = faces.table["face_id"]
    for size, side in (("small", 64), ("large", 64), ("photo", 64)):
        answer = client.get(f"/faces/{ids[0]}/{size}")
        assert answer.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).size == (side, side)
    assert client.get(f"/faces/{ids[0]}/huge").status_code == 404


@pytest.mark.parametrize(("row", "reason"), [(GONE, "No such file"), (CHANGED, "another photo")])
def test_a_photo_that_is_gone(client: TestClient, faces: Faces, row: int, reason: str) -> None:
    answer = client.get(f"/faces/{faces.table['face_id'][row]}/small")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "image/svg+xml"
    assert set(reason.split()) <= set(answer.text.replace("<", " ").replace(">", " ").split())


def test_near_and_map(client: TestClient, faces: Faces) -> None:
    near = client.get("/api/near/3").json()
    assert len(near) == 24
    assert 3 not in [row for row, _ in near]
    plane = client.get("/api/map").json()
    assert len(plane["x"]) == len(plane["y"]) == len(faces)


def test_decide_and_undo(client: TestClient, patch: Path) -> None:
    answer = decide(client, {"row": 4, "act": "set", "field": "age", "value": "60+"}, {"row": 5, "act": "confirm"})
    assert answer.json()["counts"] == {"changed": 1, "confirmed": 1, "rejected": 0}
    assert answer.json()["faces"]["4"] == {"age": ["60-100", "changed"]}
    assert patch.read_text().count("\n") == 5
    assert client.get("/api/decisions").json()["faces"].keys() == {"4", "5"}
    assert client.post("/api/undo", json={}).json()["faces"] == {"4": {}, "5": {}}
    refused = client.post("/api/undo", json={})
    assert (refused.status_code, refused.json()["error"]) == (409, "there is nothing to take back")


BAD: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"changes": "\xff"}',
    "a list": b"[]",
    "no changes": b"{}",
    "no list": b'{"changes": {}}',
    "an empty list": b'{"changes": []}',
    "no change": b'{"changes": [1]}',
    "an extra key": b'{"changes": [{"row": 1, "act": "confirm", "path": "/etc"}]}',
    "no row": b'{"changes": [{"act": "confirm"}]}',
    "row beyond": b'{"changes": [{"row": 60, "act": "confirm"}]}',
    "row before": b'{"changes": [{"row": -1, "act": "confirm"}]}',
    "row true": b'{"changes": [{"row": true, "act": "confirm"}]}',
    "row text": b'{"changes": [{"row": "1", "act": "confirm"}]}',
    "act": b'{"changes": [{"row": 1, "act": "delete"}]}',
    "act list": b'{"changes": [{"row": 1, "act": ["set"]}]}',
    "no field": b'{"changes": [{"row": 1, "act": "set", "value": "3"}]}',
    "field": b'{"changes": [{"row": 1, "act": "set", "field": "race", "value": "x"}]}',
    "field list": b'{"changes": [{"row": 1, "act": "set", "field": ["age"], "value": "3"}]}',
    "age": b'{"changes": [{"row": 1, "act": "set", "field": "age", "value": "old"}]}',
    "age 121": b'{"changes": [{"row": 1, "act": "set", "field": "age", "value": "121"}]}',
    "band backwards": b'{"changes": [{"row": 1, "act": "set", "field": "age", "value": "40-30"}]}',
    "mask": b'{"changes": [{"row": 1, "act": "set", "field": "mask", "value": "male"}]}',
    "value number": b'{"changes": [{"row": 1, "act": "set", "field": "age", "value": 37}]}',
    "value long": b'{"changes": [{"row": 1, "act": "set", "field": "age", "value": "' + b"1" * 21 + b'"}]}',
    "probability": b'{"changes": [{"row": 1, "act": "set", "field": "age", "value": "3", "probability": 1.5}]}',
    "probability NaN": b'{"changes": [{"row": 1, "act": "set", "field": "age", "value": "3", "probability": NaN}]}',
    "one of two": b'{"changes": [{"row": 1, "act": "confirm"}, {"row": 99, "act": "confirm"}]}',
    "too many": json.dumps({"changes": [{"row": 1, "act": "confirm"}] * (MAX_CHANGES + 1)}).encode(),
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_bad_requests_change_nothing(client: TestClient, patch: Path, body: bytes) -> None:
    answer = client.post("/api/decisions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert not patch.exists()


@pytest.mark.parametrize("path", ["/api/decisions", "/api/undo"])
def test_limits_of_a_body(client: TestClient, path: str) -> None:
    kind = {"content-type": "application/json"}
    assert client.post(path, content=b" " * (MAX_BODY + 1), headers=kind).status_code == 413
    assert client.post(path, content=iter([b" " * 2**20] * 5), headers=kind).status_code == 413
    assert client.post(path, content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    assert client.post(path, content=b"{}").status_code == 415


def test_as_many_changes_as_are_allowed(client: TestClient) -> None:
    answer = decide(
        client, *[{"row": row % 60, "act": "set", "field": "age", "value": "30-39"} for row in range(MAX_CHANGES)]
    )
    assert answer.json()["counts"]["changed"] == 60


def test_a_full_disk_is_said(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    answer = decide(client, {"row": 4, "act": "confirm"})
    assert answer.status_code == 507
    assert "No space left on device" in answer.json()["error"]
    assert client.get("/api/decisions").json()["counts"]["confirmed"] == 0
