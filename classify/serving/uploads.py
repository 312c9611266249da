"""Photos of a request, taken in memory alone and within limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from .engine import Upload

MIB = 2**20
NAME = 255
"""Characters of a photo's name that are kept."""
_FORM = 64 * 1024
"""What a form may take beside its photos, in bytes."""

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # what strangers send is refused, and no news


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Attributes:
        photo_bytes: of one photo.
        photos: of one request.
        request_bytes: of one request's photos together.
        memory_bytes: of all requests that are being received or answered.
        receive_seconds: until a request has arrived.
        answer_seconds: until it is answered.
    """

    photo_bytes: int = 32 * MIB
    photos: int = 64
    request_bytes: int = 128 * MIB
    memory_bytes: int = 512 * MIB
    receive_seconds: float = 60.0
    answer_seconds: float = 60.0


class _InMemory(MultiPartParser):
    spool_max_size = 0  # never to the disk


class Intake:
    """Receives photos, and keeps count of the memory that they take."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0
        """Bytes of all requests that are being received or answered."""

    @asynccontextmanager
    async def receive(self, request: Request, field: str, photos: int) -> AsyncIterator[list[Upload]]:
        """The files of a multipart form, 1 to ``photos`` of them, all named ``field``; let go at the end.

        Raises:
            HTTPException: 400, 408, 413, 415 or 503, with the reason.
        """
        share = _Share(self)
        try:
            yield await self._form(request, field, photos, share)
        finally:
            self.held -= share.held

    async def _form(self, request: Request, field: str, photos: int, share: _Share) -> list[Upload]:
        limits = self.limits
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
            raise HTTPException(415, "photos come as multipart/form-data")
        most = min(limits.request_bytes, photos * limits.photo_bytes) + _FORM
        try:
            async with asyncio.timeout(limits.receive_seconds):
                stream = _bounded(request, most, share)
                form = await _InMemory(request.headers, stream, max_files=photos, max_fields=0).parse()
        except TimeoutError:
            raise HTTPException(408, f"not received within {limits.receive_seconds:g} seconds") from None
        except MultiPartException as error:
            raise HTTPException(400, error.message) from None
        except ClientDisconnect:
            raise HTTPException(400, "the client has gone away") from None
        uploads = [await self._upload(name, value, field) for name, value in form.multi_items()]
        if not uploads:
            raise HTTPException(400, f"the form has no file {field}")
        return uploads

    async def _upload(self, name: str, value: UploadFile | str, field: str) -> Upload:
        if name != field or isinstance(value, str):
            raise HTTPException(400, f"the form has something else than files named {field}")
        if (value.size or 0) > self.limits.photo_bytes:
            raise HTTPException(413, f"a photo has {self.limits.photo_bytes // MIB} MiB at most")
        with value.file:
            return Upload((value.filename or "")[:NAME], await value.read())


class _Share:
    """What one request takes of the memory for all of them."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.held = 0

    def take(self, size: int) -> None:
        if self._intake.held + size > self._intake.limits.memory_bytes:
            raise HTTPException(503, "too many photos at once; try again", {"Retry-After": "1"})
        self.held += size
        self._intake.held += size


async def _bounded(request: Request, most: int, share: _Share) -> AsyncGenerator[bytes, None]:
    """The body of a request, not read any further than allowed."""
    length, received = request.headers.get("content-length", ""), 0
    if length.isdecimal() and int(length[:20]) > most:
        raise HTTPException(413, f"a request has {most // MIB} MiB at most")
    async for chunk in request.stream():
        received += len(chunk)
        if received > most:
            raise HTTPException(413, f"a request has {most // MIB} MiB at most")
        share.take(len(chunk))
        yield chunk
