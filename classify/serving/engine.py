"""One thread that predicts for all clients: photos that wait together pass the networks together."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import NamedTuple

from ...embedder.photo import Photo, PhotoError, read_photo_bytes, shown
from ..answer import Answer
from .answerer import Answerer

ROOM = 128
"""Photos that may wait at once; decoded, each takes 3 MB at most."""
BATCH = 32

_log = logging.getLogger(__name__)


class BusyError(Exception):
    """More photos wait than there is room for."""


class Upload(NamedTuple):
    """An uploaded photo: its name, for display only, and its bytes."""

    name: str
    data: bytes


class _Asked(NamedTuple):
    name: str
    photo: Future[Photo | PhotoError]
    answered: Future[list[Answer]]


class Engine:
    """Decodes photos in a few threads and predicts them in one.

    While the networks are at work, photos of any number of clients gather; the next pass takes them all, up to a
    batch. Nobody waits for a batch to fill.
    """

    def __init__(
        self,
        answerer: Answerer,
        *,
        room: int = ROOM,
        batch: int = BATCH,
        jobs: int = 2,
        passed: Callable[[int], None] = lambda photos: None,
    ) -> None:
        """Start the threads; :meth:`close` ends them.

        Args:
            answerer: predicts.
            room: photos that may wait at once.
            batch: photos of a pass at most.
            jobs: threads that decode.
            passed: called with the number of photos of each pass of the networks.
        """
        self.answerer = answerer
        self.room = room
        self._batch = batch
        self._passed = passed
        self._queue: SimpleQueue[_Asked | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._closed = False
        self._decoders = ThreadPoolExecutor(jobs, thread_name_prefix="decode")
        self._worker = threading.Thread(target=self._work, name="answer", daemon=True)
        self._worker.start()

    @property
    def waiting(self) -> int:
        """Photos that have no answer yet."""
        return self._waiting

    @property
    def alive(self) -> bool:
        """Whether there will be answers."""
        return self._worker.is_alive()

    async def ask(self, uploads: Sequence[Upload]) -> list[list[Answer]]:
        """Answers about the faces of each photo, in their order; a cancelled call withdraws its photos.

        Raises:
            BusyError: there is no room for all of them, or it is closed.
        """
        with self._lock:
            if self._closed or self._waiting + len(uploads) > self.room:
                raise BusyError
            asked = [
                _Asked(shown(upload.name), self._decoders.submit(_read, upload.data), Future()) for upload in uploads
            ]
            for one in asked:
                one.answered.add_done_callback(self._leave)
                self._queue.put(one)
            self._waiting += len(asked)
        return list(await asyncio.gather(*(asyncio.wrap_future(one.answered) for one in asked)))

    def close(self) -> None:
        """Answer the photos that wait, and stop."""
        with self._lock:
            self._closed = True
            self._queue.put(None)
        self._worker.join()
        self._decoders.shutdown(cancel_futures=True)

    def _leave(self, _: Future[list[Answer]]) -> None:
        with self._lock:
            self._waiting -= 1

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, end = [first], False
            while len(batch) < self._batch and not end:
                try:
                    more = self._queue.get_nowait()
                except Empty:
                    break
                if more is None:
                    end = True
                else:
                    batch.append(more)
            self._answer([one for one in batch if one.answered.set_running_or_notify_cancel()])
            if end:
                return

    def _answer(self, batch: Sequence[_Asked]) -> None:
        """Answer a batch; where that fails, each photo alone, so that one cannot spoil the others."""
        if not batch:
            return
        try:
            self._passed(len(batch))
            answers = self.answerer.answer([one.name for one in batch], [one.photo.result() for one in batch])
        except Exception as error:
            if len(batch) == 1:
                _log.exception("no answer for a photo")
                reason = f"the server failed ({type(error).__name__})"
                batch[0].answered.set_result([Answer(batch[0].name, "failed", notes=(reason,))])
                return
            for one in batch:
                self._answer([one])
            return
        for one, found in zip(batch, answers, strict=True):
            one.answered.set_result(found)


def _read(data: bytes) -> Photo | PhotoError:
    try:
        return read_photo_bytes(data)
    except PhotoError as error:
        return error
