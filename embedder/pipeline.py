"""Photos to faces to vectors, in order: every stage works ahead of the next one by a bounded distance."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .detection.align import align, brightness, sharpness
from .detection.detector import Found
from .detection.finder import FaceFinder, FaceMode
from .detection.quality import Measures, Quality, judge
from .facenet.encoder import Encoder
from .photo import NO_FILE, FileState, Photo, PhotoError, file_state, read_photo

NO_FACE = "no face found"
MOST_FACES = 1000
"""More faces than a photo has."""
Source = Path | Callable[[], Photo]
"""A photo's file, or what gives the photo or raises :class:`~.photo.PhotoError`."""
DECODED = 3
"""Batches of photos in memory at most: one in which faces are sought, the others decoded or being decoded."""

T = TypeVar("T")


@dataclass(frozen=True)
class EncodedFace:
    """A face of a photo: geometry in photo pixels, crop (160, 160, 3), vector (512,), map, norm.

    ``brightness`` is the mean grey (0-255) of its box in the photo.
    """

    found: Found
    crop: npt.NDArray[np.uint8]
    embedding: npt.NDArray[np.float32]
    map: npt.NDArray[np.float16]
    norm: float
    file_sha256: str
    brightness: float = math.nan

    @property
    def quality(self) -> Quality:
        """How well it can be judged."""
        width, height = (self.found.box[2:] - self.found.box[:2]).tolist()
        single = (min(width, height), sharpness(self.crop), self.norm, self.brightness)
        return judge(Measures(*(np.array([value], np.float64) for value in single)))[0]


@dataclass(frozen=True)
class EncodedPhoto:
    """What became of one photo: its faces, or why there is none; ``path`` is empty for one without a file.

    ``faces`` are as many as were asked for, the largest first.
    """

    path: Path
    state: FileState
    faces: tuple[EncodedFace, ...]
    reason: str | None

    @property
    def face(self) -> EncodedFace | None:
        """The largest face."""
        return self.faces[0] if self.faces else None


@dataclass(frozen=True)
class _Sought:
    """A photo in which faces were sought, and the crops of these; see :class:`EncodedPhoto`."""

    path: Path
    state: FileState
    reason: str | None
    found: tuple[Found, ...] = ()
    crops: tuple[npt.NDArray[np.uint8], ...] = ()
    brightness: tuple[float, ...] = ()
    sha256: str = ""


_Read = tuple[Source | None, Photo | PhotoError]


@contextmanager
def encode_photos(
    paths: Sequence[Source],
    finder: FaceFinder,
    encoder: Encoder,
    *,
    mode: FaceMode = "auto",
    faces: int = 1,
    jobs: int = 2,
    batch_size: int = 64,
) -> Generator[Iterator[list[EncodedPhoto]]]:
    """Encode photos batch by batch, in the order given: an iterator to be used within a ``with`` statement.

    Of each photo the ``faces`` largest faces are encoded.

    While one batch is used, the next one is encoded, faces are sought in the one after, and ``jobs`` threads decode
    those behind: at most :data:`DECODED` batches of photos are in memory, and the crops of three. All threads have
    ended when the ``with`` statement ends. They are not left to the garbage collector, which may run while another
    thread starts, and would wait there for ever.
    """
    with ThreadPoolExecutor(jobs) as decoders, ThreadPoolExecutor(1) as seeking, ThreadPoolExecutor(1) as encoding:
        try:
            photos = _decoded(paths, decoders, batch_size)
            found = ahead(seeking, (_find(batch, finder, mode, faces) for batch in photos))
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
    photos: Sequence[Photo | PhotoError],
    finder: FaceFinder,
    encoder: Encoder,
    mode: FaceMode = "auto",
    faces: int = 1,
) -> list[EncodedPhoto]:
    """Encode photos without files that are read already, in one batch."""
    return _encode(_find([(None, photo) for photo in photos], finder, mode, faces), encoder)


def _find(photos: Sequence[_Read], finder: FaceFinder, mode: FaceMode, most: int) -> list[_Sought]:
    """Faces and crops; the photos' pixels are not needed any more then."""
    readable = [photo for _, photo in photos if isinstance(photo, Photo)]
    faces = iter(finder.find_all([photo.image for photo in readable], mode))
    sought = []
    for source, photo in photos:
        path = source if isinstance(source, Path) else Path()
        if isinstance(photo, PhotoError):
            state = file_state(path) if isinstance(source, Path) else NO_FILE
            sought.append(_Sought(path, state, str(photo)))
        elif not (wanted := next(faces)[:most]):
            sought.append(_Sought(path, photo.state, NO_FACE))
        else:
            found = tuple(_in_photo_pixels(face, photo.scale) for face in wanted)
            crops = tuple(align(photo.image, face) for face in wanted)
            grey = tuple(brightness(photo.image, face) for face in wanted)
            sought.append(_Sought(path, photo.state, None, found, crops, grey, photo.sha256))
    return sought


def _encode(sought: Sequence[_Sought], encoder: Encoder) -> list[EncodedPhoto]:
    crops = [crop for photo in sought for crop in photo.crops]
    size = max(1, len(sought))  # photos with many faces take several passes
    parts = (encoder.encode(np.stack(crops[start : start + size])) for start in range(0, len(crops), size))
    encoded = (face for part in parts for face in zip(*part, strict=True))
    results = []
    for photo in sought:
        faces = tuple(
            EncodedFace(found, crop, embedding, feature_map, float(norm), photo.sha256, grey)
            for found, crop, grey, (embedding, feature_map, norm) in zip(
                photo.found, photo.crops, photo.brightness, encoded, strict=False
            )
        )
        results.append(EncodedPhoto(photo.path, photo.state, faces, photo.reason))
    return results


def _in_photo_pixels(face: Found, scale: float) -> Found:
    return replace(face, box=face.box * np.float32(scale), landmarks=face.landmarks * np.float32(scale))
