from __future__ import annotations

import asyncio
import io
import tempfile
import threading
import time
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from maskcls.classify.model.model import Model
from maskcls.classify.serving.engine import Engine, Upload
from maskcls.classify.serving.schema import PhotoAnswer
from maskcls.embedder.detection.quality import FACTORS

from .conftest import SMALL, Colours, photo

FIELDS = set(PhotoAnswer.model_fields)


def post(client: TestClient, path: str, *files: tuple[str, tuple[str, bytes]], **more: Any) -> Any:
    return client.post(path, files=list(files), **more)


def one(client: TestClient, data: bytes, name: str = "a.png") -> Any:
    return post(client, "/predict", ("photo", (name, data)))


def test_a_photo(client: TestClient) -> None:
    answer = one(client, photo("red", "JPEG"), "me é.jpg")
    assert answer.status_code == 200, answer.text
    got = answer.json()
    assert set(got) == FIELDS
    assert (got["name"], got["status"]) == ("me é.jpg", "ok")
    assert got["age_low"] <= got["age"] <= got["age_high"]
    for task, classes in {"mask": 3, "gender": 2, "age_band": 3}.items():
        shares = got["probabilities"][task]
        assert len(shares) == classes
        assert sum(shares.values()) == pytest.approx(1, abs=0.001)
        assert got[task] in shares
    assert len(got["voters"]) == 10
    assert got["voters_in_all"] >= 10
    assert sum(voter["weight"] for voter in got["voters"]) <= 1.001
    face = got["face"]
    assert (face["box"], face["score"], face["how"]) == ([0, 0, 40, 40], 1, "whole")
    assert (face["faces_in_photo"], face["number"], face["turn"]) == (1, 1, 0)
    assert 0 <= face["quality"] < 1
    assert face["quality_reason"].split(", ")[0] in FACTORS
    assert got["other_faces"] == []


def test_what_a_photo_may_lack(client: TestClient) -> None:
    dark = one(client, photo("black"))
    assert dark.status_code == 200
    got = dark.json()
    assert (got["status"], got["reason"]) == ("no_face", "no face found")
    assert got["face"] is got["mask"] is got["age"] is None
    assert got["voters"] == []
    assert got["probabilities"] == {}
    two = one(client, photo("blue")).json()
    assert two["face"]["faces_in_photo"] == 2
    assert "2 faces found; the largest found is predicted" in two["reason"]
    (other,) = two["other_faces"]
    assert (other["face"]["number"], other["face"]["box"]) == (2, [0, 0, 20, 20])
    assert other["age"] is not None
    assert "this is number 2 by size" in other["reason"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"<html>", "not a photo"),
        (photo()[:60], "truncated or damaged"),
        (photo(side=8), "needs at least 16 x 16"),
        (photo(kind="PPM"), "not a photo"),
        (b"%PDF-1.7" + photo(), "not a photo"),
    ],
    ids=["empty", "html", "cut", "tiny", "ppm", "pdf"],
)
def test_no_photo(client: TestClient, data: bytes, words: str) -> None:
    answer = one(client, data)
    assert answer.status_code == 422
    assert words in answer.json()["error"]


def test_more_pixels_than_are_read(client: TestClient) -> None:
    buffer = io.BytesIO()
    Image.new("1", (7100, 7100)).save(buffer, "PNG")  # a few kilobytes
    bomb = one(client, buffer.getvalue())
    assert bomb.status_code == 422
    assert "limit is 50 megapixels" in bomb.json()["error"]


def test_a_batch_in_its_order(client: TestClient) -> None:
    files = [("photos", (f"{n}.png", data)) for n, data in enumerate([photo("green"), b"x", photo("black")])]
    answer = post(client, "/predict/batch", *files)
    assert answer.status_code == 200
    got = answer.json()
    assert [(s["name"], s["status"]) for s in got] == [("0.png", "ok"), ("1.png", "unreadable"), ("2.png", "no_face")]
    alone = one(client, photo("green"), "0.png").json()
    assert got[0] == alone


@pytest.mark.parametrize(
    ("path", "files", "status", "words"),
    [
        ("/predict", [("photos", ("a", b"x"))], 400, "files named photo"),
        ("/predict/batch", [("photo", ("a", b"x"))], 400, "files named photos"),
        ("/predict", [("photo", ("a", b"x")), ("photo", ("b", b"x"))], 400, "Too many files"),
        ("/predict/batch", [("photos", ("a", b"x"))] * 4, 400, "Too many files"),
        ("/predict", [("photo", (None, b"x"))], 400, "Too many fields"),
        ("/predict", [("photo", ("a", b"x" * 100_001))], 413, "MiB at most"),
        ("/predict", [("photo", ("a", b"x" * 300_000))], 413, "MiB at most"),
        ("/predict/batch", [("photos", ("a", b"x" * 99_000))] * 3, 413, "MiB at most"),
    ],
    ids=["other-field", "other-field-batch", "two", "too-many", "no-file", "large", "larger", "large-batch"],
)
def test_refused_forms(client: TestClient, path: str, files: list[Any], status: int, words: str) -> None:
    answer = client.post(path, files=files)
    assert answer.status_code == status
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("", b"", 415),
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 400),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nhello", 400),
        ("multipart/form-data; boundary=x", b"\x00\xff" * 99, 400),
        ("multipart/form-data; boundary=" + "x" * 300, b"", 400),
        ("multipart/form-data; boundary=x; charset=nonsense", b"--y", 400),
    ],
)
def test_broken_forms(client: TestClient, kind: str, body: bytes, status: int) -> None:
    answer = client.post("/predict", content=body, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


def test_a_body_of_untold_length_is_not_read_to_its_end(client: TestClient) -> None:
    sent = 0

    def endless() -> Any:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
        while sent < 50_000_000:
            sent += 10_000
            yield b"x" * 10_000

    answer = client.post("/predict", content=endless(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413


def test_names_are_for_the_eye_alone(client: TestClient) -> None:
    for name in ("../../etc/passwd", "/etc/passwd", "a\x00b", "x" * 3000, "<script>", "\x1b[31m"):
        answer = one(client, photo(), name)
        assert answer.status_code == 200
        got = answer.json()["name"]
        assert got.isprintable()
        assert len(got) <= 255 * 10


def test_nothing_is_written_to_the_disk(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    large = photo() + b"\x00" * 90_000  # what follows the end of a PNG is not looked at
    assert one(client, large).status_code == 200
    monkeypatch.undo()


def test_memory_is_given_back(engine: Engine, client: TestClient) -> None:
    for _ in range(8):  # more than all requests together may hold
        assert one(client, photo() + b"\x00" * 90_000).status_code == 200
        assert one(client, b"x" * 100_001).status_code == 413
    assert engine.waiting == 0


def test_a_sick_network_spoils_no_other_photo(client: TestClient, colours: Colours) -> None:
    colours.hates_white = True
    files = [("photos", (name, photo(colour))) for name, colour in (("a", "red"), ("b", "white"), ("c", "green"))]
    got = post(client, "/predict/batch", *files).json()
    assert [one["status"] for one in got] == ["ok", "failed", "ok"]
    assert "RuntimeError" in got[1]["reason"]
    colours.broken = True
    assert one(client, photo()).status_code == 500
    colours.broken = False
    assert one(client, photo()).status_code == 200


def test_too_many_at_once(engine: Engine, client: TestClient, colours: Colours) -> None:
    colours.free.clear()
    filling = threading.Thread(target=lambda: asyncio.run(engine.ask([Upload("x", photo())] * 10)))
    filling.start()
    while engine.waiting < 10:
        time.sleep(0.001)
    busy = one(client, photo())
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
    assert busy.json() == {"error": "10 photos wait already; try again"}
    colours.free.set()
    filling.join()
    assert one(client, photo()).status_code == 200


def test_about_health_and_metrics(client: TestClient, served_model: Model, engine: Engine) -> None:
    one(client, photo())
    one(client, b"x")
    about = client.get("/about").json()
    assert about["gallery_faces"] == len(served_model.table)
    assert about["tasks"] == ["mask", "gender", "age_band"]
    assert about["photo_bytes"] == SMALL.photo_bytes
    assert client.get("/healthz").json() == {"status": "ok"}
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    for line in (
        'maskcls_requests_total{route="/predict",status="200"} 1.0',
        'maskcls_requests_total{route="/predict",status="422"} 1.0',
        'maskcls_photos_total{status="ok"} 1.0',
        'maskcls_photos_total{status="unreadable"} 1.0',
        "maskcls_waiting_photos 0.0",
        "maskcls_batch_photos_count 2.0",
    ):
        assert line in metrics.text.splitlines()
    client.get("/nothing/at/all")
    assert 'route="other",status="404"' in client.get("/metrics").text
    engine.close()
    down = client.get("/healthz")
    assert (down.status_code, down.json()) == (503, {"status": "down"})


def test_the_page_and_its_files(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script>" not in page.text
    assert "style=" not in page.text
    for name in ("serve.css", "main.js", "ask.js", "card.js", "camera.js", "icon.svg"):
        assert client.get(f"/static/{name}").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/__init__.py",
     "/docs", "/redoc", "/nothing", "/predict/", "/static/"],
)  # fmt: skip
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "error" in answer.json()
