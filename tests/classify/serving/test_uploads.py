from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from maskcls.classify.serving.engine import Upload
from maskcls.classify.serving.uploads import Intake, Limits

LIMITS = Limits(photo_bytes=1000, photos=3, request_bytes=2000, memory_bytes=5000, receive_seconds=0.2)
HEAD = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
END = b"\r\n--x--\r\n"


def request(*chunks: bytes, wait: float = 0.0, gone: bool = False) -> Request:
    """A request that comes in parts."""
    messages: list[Any] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        await asyncio.sleep(wait)
        return messages.pop(0)

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def take(intake: Intake, asked: Request) -> list[Upload]:
    async with intake.receive(asked, "photo", 1) as uploads:
        assert intake.held > 0
        return uploads


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        (request(HEAD, b"x" * 500, wait=0.15), 408, "within 0.2 seconds"),
        (request(HEAD, b"x" * 500, gone=True), 400, "gone away"),
        (request(HEAD, b"x" * 1001, END), 413, "a photo has"),
        (request(*[HEAD, *[b"x" * 10_000] * 20, END]), 503, "try again"),
    ],
    ids=["slow", "gone", "large", "memory"],
)
def test_refused(asked: Request, status: int, words: str) -> None:
    intake = Intake(LIMITS)
    with pytest.raises(HTTPException) as refused:
        asyncio.run(take(intake, asked))
    assert refused.value.status_code == status
    assert words in refused.value.detail
    assert intake.held == 0


def test_taken_and_let_go() -> None:
    intake = Intake(LIMITS)
    assert asyncio.run(take(intake, request(HEAD, b"x" * 999, END))) == [Upload("a", b"x" * 999)]
    assert intake.held == 0
