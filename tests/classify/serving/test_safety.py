from __future__ import annotations

import secrets

import pytest
from starlette.testclient import TestClient

from maskcls.classify.serving.engine import Engine
from maskcls.classify.serving.guard import HEADERS
from maskcls.classify.serving.metrics import Metrics
from maskcls.classify.serving.server import TOKEN as VARIABLE
from maskcls.classify.serving.server import guarded, token_for
from maskcls.embedder.errors import MaskclsError

from .conftest import ADDRESS, SMALL, TOKEN, photo

READ = ("/", "/about", "/metrics", "/openapi.json", "/static/main.js", "/nothing")
FORM = {"photo": ("a.png", photo())}


@pytest.mark.parametrize("path", READ)
def test_nothing_without_the_token(locked: TestClient, path: str) -> None:
    answer = locked.get(path)
    assert answer.status_code == 403
    assert "maskcls serve" in answer.json()["error"]


def test_no_photo_without_the_token(locked: TestClient) -> None:
    assert locked.post("/predict", files=FORM).status_code == 403
    assert locked.post(f"/predict?token={TOKEN}", files=FORM).status_code == 403


def test_health_needs_no_token_and_can_only_be_read(locked: TestClient) -> None:
    assert locked.get("/healthz").json() == {"status": "ok"}
    assert locked.post("/healthz").status_code == 403


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_a_program_shows_the_token(locked: TestClient, scheme: str) -> None:
    shown = {"authorization": f"{scheme} {TOKEN}"}
    assert locked.get("/metrics", headers=shown).status_code == 200
    assert locked.post("/predict", files=FORM, headers=shown).status_code == 200


@pytest.mark.parametrize(
    "shown",
    ["", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Bearer x {TOKEN}",
     f"Bearer {TOKEN.upper()}", "Bearer é"],
)  # fmt: skip
def test_a_wrong_token(locked: TestClient, shown: str) -> None:
    assert locked.get("/about", headers={b"authorization": shown.encode()}).status_code == 403


def test_a_browser_gets_a_cookie(locked: TestClient) -> None:
    answer = locked.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("maskcls_serve_8000=")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert locked.get("/").status_code == 200
    assert locked.post("/predict", files=FORM, headers={"origin": ADDRESS}).status_code == 200
    assert locked.post("/predict", files=FORM, headers={"origin": "http://evil.example"}).status_code == 403


def test_tokens_are_compared_in_constant_time(locked: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(secrets, "compare_digest", compare)
    assert locked.get("/about", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 403
    assert (TOKEN.encode(), TOKEN.encode()) in compared


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": ADDRESS}, 200),
        ({"origin": ADDRESS, "sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": ADDRESS, "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:8001"}, 403),
        ({"origin": "https://127.0.0.1:8000"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else "",
)
def test_a_foreign_page_sends_nothing(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.post("/predict", files=FORM, headers=headers).status_code == status


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "", "192.168.0.7:8000"])
def test_a_foreign_host(client: TestClient, host: str) -> None:
    for path in (*READ, "/healthz"):
        assert client.get(path, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("path", [*READ, "/healthz", "/docs"])
def test_every_answer_carries_the_headers(client: TestClient, locked: TestClient, path: str) -> None:
    for answer in (client.get(path), locked.get(path), client.get(path, headers={"host": "evil.example"})):
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods(client: TestClient, method: str) -> None:
    answer = client.request(method, "/predict")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_a_server_that_others_reach(engine: Engine, metrics: Metrics) -> None:
    app = guarded(engine, metrics, SMALL, TOKEN, "0.0.0.0", 8000)
    client = TestClient(app, headers={"authorization": f"Bearer {TOKEN}"})
    assert client.get("/about", headers={"host": "192.168.0.7:8000"}).status_code == 200
    assert client.get("/about", headers={"host": "evil.example:8000"}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_no_token_on_this_machine_unless_it_is_set(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert token_for(host, False) is None
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert token_for(host, False) == TOKEN


def test_others_need_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    first, second = token_for("0.0.0.0", True), token_for("0.0.0.0", True)
    assert first is not None
    assert len(first) >= 32
    assert first != second
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert token_for("0.0.0.0", True) == TOKEN


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "gpu.lab"])
def test_others_are_not_let_in_by_mistake(host: str) -> None:
    with pytest.raises(MaskclsError, match="--allow-remote"):
        token_for(host, False)


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "with a space in it", "é" * 16, "x" * 16 + "\n"])
def test_weak_tokens(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, token)
    with pytest.raises(MaskclsError, match=VARIABLE):
        token_for("127.0.0.1", False)
