from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from maskcls.classify.serving.guard import HEADERS, Guard, is_loopback

TOKEN, ADDRESS = "the-token", "http://127.0.0.1:8000"
PATHS = (
    "/",
    "/static/main.js",
    "/api/faces",
    "/api/issues",
    "/api/decisions",
    "/api/map",
    "/api/near/0",
    "/faces/x/small",
)
CHANGE = {"changes": [{"row": 0, "act": "confirm"}]}


@pytest.mark.parametrize("path", PATHS)
def test_nothing_without_the_token(stranger: TestClient, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 403
    assert "maskcls review" in answer.text
    assert stranger.post("/api/decisions", json=CHANGE).status_code == 403


@pytest.mark.parametrize("token", ["", "the-toke", "the-token2", "THE-TOKEN", "é", "%00"])
def test_a_wrong_token(stranger: TestClient, token: str) -> None:
    assert stranger.get("/", params={"token": token}).status_code == 403
    assert not stranger.cookies
    stranger.cookies.set("maskcls_review_8000", "x" + TOKEN)
    assert stranger.get("/").status_code == 403


def test_the_token_becomes_a_cookie_and_leaves_the_address(stranger: TestClient) -> None:
    answer = stranger.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(f"maskcls_review_8000={TOKEN};")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert stranger.get("/").status_code == 200


def test_the_token_opens_the_page_alone(stranger: TestClient) -> None:
    assert stranger.get(f"/api/faces?token={TOKEN}").status_code == 403
    assert stranger.post(f"/api/undo?token={TOKEN}", json={}).status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8000",
        "",
        "127.0.0.1@evil.example",
        "127.0.0.2:8000",
        "[::1",
        "127.0.0.1:8000/",
        "localhost.:8000",
        "192.168.0.7:8000",
    ],
)
def test_a_foreign_host(client: TestClient, host: str) -> None:
    for path in ("/", "/api/faces", f"/?token={TOKEN}"):
        assert client.get(path, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.0.0.1:9000"])
def test_this_machine_by_its_names_and_through_a_tunnel(client: TestClient, host: str) -> None:
    assert (
        client.get("/api/decisions", headers={"host": host, "cookie": f"maskcls_review_8000={TOKEN}"}).status_code
        == 200
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": ADDRESS}, 200),
        ({"origin": ADDRESS, "sec-fetch-site": "same-origin"}, 200),
        ({"origin": ADDRESS, "sec-fetch-site": "cross-site"}, 403),
        ({"origin": ADDRESS, "sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://127.0.0.1:8001"}, 403),
        ({"origin": "https://127.0.0.1:8000"}, 403),
        ({"origin": "http://localhost:8000"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else str(value),
)
def test_changes_come_from_the_page_itself(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.post("/api/decisions", json=CHANGE, headers=headers).status_code == status
    assert client.get("/api/decisions").json()["counts"]["confirmed"] == (status == 200)


def test_a_change_without_an_origin(client: TestClient) -> None:
    del client.headers["origin"]
    assert client.post("/api/decisions", json=CHANGE).status_code == 403


def test_the_review_page_is_for_browsers_alone(stranger: TestClient) -> None:
    assert stranger.get("/api/faces", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods(client: TestClient, method: str) -> None:
    assert client.request(method, "/api/decisions").status_code == 405


@pytest.mark.parametrize("path", [*PATHS, "/nothing", f"/?token={TOKEN}"])
def test_every_answer_carries_the_headers(client: TestClient, path: str) -> None:
    foreign = client.get(path, headers={"host": "evil.example"})
    for answer in (client.get(path), foreign):
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value]
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("host", "asked", "status"),
    [
        ("0.0.0.0", "192.168.0.7:8000", 303),
        ("0.0.0.0", "[fe80::1]:8000", 303),
        ("0.0.0.0", "evil.example:8000", 421),
        ("gpu.lab", "gpu.lab:8000", 303),
        ("gpu.lab", "evil.example", 421),
    ],
)
def test_hosts_of_a_server_that_others_reach(host: str, asked: str, status: int) -> None:
    async def app(*_: object) -> None:
        raise AssertionError

    client = TestClient(Guard(app, TOKEN, host, 8000), follow_redirects=False)
    assert client.get(f"/?token={TOKEN}", headers={"host": asked}).status_code == status


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("LocalHost", True), ("0.0.0.0", False), ("::", False),
     ("10.0.0.1", False), ("localhost.evil.example", False), ("", False)],
)  # fmt: skip
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
