"""Photos to faces to vectors, in order: every stage works ahead of the next one by a bounded distance."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .detection.align import align
from .detection.finder import FaceFinder, FaceMode, Found
from .facenet.encoder import CROP_SHAPE, Encoder
from .photo import NO_FILE, FileState, Photo, PhotoError, file_state, read_photo

NO_FACE = "no face found"
Source = Path | Callable[[], Photo]
"""A photo's file, or what gives the photo or raises :class:`~.photo.PhotoError`."""
DECODED = 3
"""Batches of photos in memory at most: one in which faces are sought, the others decoded or being decoded."""

T = TypeVar("T")


@dataclass(frozen=True)
class EncodedFace:
    """The largest face of a photo: geometry in photo pixels, crop (160, 160, 3), vector (512,), map, norm."""

    found: Found
    crop: npt.NDArray[np.uint8]
    embedding: npt.NDArray[np.float32]
    map: npt.NDArray[np.float16]
    norm: float
    file_sha256: str


@dataclass(frozen=True)
class EncodedPhoto:
    """What became of one photo: a face, or the reason why there is none; ``path`` is empty for one without a file."""

    path: Path
    state: FileState
    face: EncodedFace | None
    reason: str | None


@dataclass(frozen=True)
class _Sought:
    """A photo in which a face was sought; see :class:`EncodedPhoto`."""

    path: Path
    state: FileState
    reason: str | None
    found: Found | None = None
    crop: npt.NDArray[np.uint8] | None = None
    sha256: str = ""


_Read = tuple[Source | None, Photo | PhotoError]


@contextmanager
def encode_photos(
    paths: Sequence[Source],
    finder: FaceFinder,
    encoder: Encoder,
    *,
    mode: FaceMode = "auto",
    jobs: int = 2,
    batch_size: int = 64,
) -> Generator[Iterator[list[EncodedPhoto]]]:
    """Encode photos batch by batch, in the order given: an iterator to be used within a ``with`` statement.

    While one batch is used, the next one is encoded, faces are sought in the one after, and ``jobs`` threads decode
    those behind: at most :data:`DECODED` batches of photos are in memory, and the crops of three. All threads have
    ended when the ``with`` statement ends. They are not left to the garbage collector, which may run while another
    thread starts, and would wait there for ever.
    """
    with ThreadPoolExecutor(jobs) as decoders, ThreadPoolExecutor(1) as seeking, ThreadPoolExecutor(1) as encoding:
        try:
            photos = _decoded(paths, decoders, batch_size)
            found = ahead(seeking, (_find(batch, finder, mode) for batch in photos))
            yield ahead(encoding, (_encode(batch, encoder) for batch in found))
        finally:
            decoders.shutdown(wait=False, cancel_futures=True)


def ahead(worker: ThreadPoolExecutor, items: Iterator[T]) -> Iterator[T]:
    """The same items, each made by a worker of one thread while the one before it is used.

    ``items`` must need no clean-up, and the worker's ``with`` statement belongs around the loop: neither is left to
    the garbage collector then.
    """
    end = object()
    waiting: Future[T | object] = worker.submit(next, items, end)
    while (item := waiting.result()) is not end:
        waiting = worker.submit(next, items, end)
        yield item  # type: ignore[misc]


def _decoded(paths: Sequence[Source], pool: ThreadPoolExecutor, batch_size: int) -> Iterator[list[_Read]]:
    waiting: deque[list[tuple[Source, Future[Photo | PhotoError]]]] = deque()
    starts = iter(range(0, len(paths), batch_size))
    while True:
        while len(waiting) < DECODED and (start := next(starts, None)) is not None:
            waiting.append([(path, pool.submit(_read, path)) for path in paths[start : start + batch_size]])
        if not waiting:
            return
        yield [(path, future.result()) for path, future in waiting.popleft()]


def _read(source: Source) -> Photo | PhotoError:
    try:
        return read_photo(source) if isinstance(source, Path) else source()
    except PhotoError as error:
        return error


def encode_read(
    photos: Sequence[Photo | PhotoError], finder: FaceFinder, encoder: Encoder, mode: FaceMode = "auto"
) -> list[EncodedPhoto]:
    """Encode photos without files that are read already, in one batch."""
    return _encode(_find([(None, photo) for photo in photos], finder, mode), encoder)


def _find(photos: Sequence[_Read], finder: FaceFinder, mode: FaceMode) -> list[_Sought]:
    """Faces and crops; the photos' pixels are not needed any more then."""
    readable = [photo for _, photo in photos if isinstance(photo, Photo)]
    faces = iter(finder.find([photo.image for photo in readable], mode))
    sought = []
    for source, photo in photos:
        path = source if isinstance(source, Path) else Path()
        if isinstance(photo, PhotoError):
            state = file_state(path) if isinstance(source, Path) else NO_FILE
            sought.append(_Sought(path, state, str(photo)))
        elif (face := next(faces)) is None:
            sought.append(_Sought(path, photo.state, NO_FACE))
        else:
            crop = align(photo.image, face)
            sought.append(_Sought(path, photo.state, None, _in_photo_pixels(face, photo.scale), crop, photo.sha256))
    return sought


def _encode(sought: Sequence[_Sought], encoder: Encoder) -> list[EncodedPhoto]:
    crops = [photo.crop for photo in sought if photo.crop is not None]
    vectors = encoder.encode(np.stack(crops) if crops else np.empty((0, *CROP_SHAPE), np.uint8))
    encoded = iter(zip(*vectors, strict=True))
    results = []
    for photo in sought:
        face = None
        if photo.found is not None and photo.crop is not None:
            embedding, feature_map, norm = next(encoded)
            face = EncodedFace(photo.found, photo.crop, embedding, feature_map, float(norm), photo.sha256)
        results.append(EncodedPhoto(photo.path, photo.state, face, photo.reason))
    return results


def _in_photo_pixels(face: Found, scale: float) -> Found:
    return Found(face.box * np.float32(scale), face.landmarks * np.float32(scale), face.score, face.faces, face.how)
