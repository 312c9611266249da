"""Photos to faces to vectors, in order: decoding threads run ahead of the networks by a bounded distance."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .align import align
from .encoder import Encoder
from .finder import FaceFinder, FaceMode, Found
from .photo import NO_FILE, FileState, Photo, PhotoError, file_state, read_photo

NO_FACE = "no face found"
Source = Path | Callable[[], Photo]
"""A photo's file, or what gives the photo or raises :class:`~.photo.PhotoError`."""


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


def encode_photos(
    paths: Sequence[Source],
    finder: FaceFinder,
    encoder: Encoder,
    *,
    mode: FaceMode = "auto",
    jobs: int = 2,
    batch_size: int = 64,
) -> Iterator[list[EncodedPhoto]]:
    """Encode photos batch by batch, in the order given; at most three batches of photos are in memory."""
    batches = [paths[i : i + batch_size] for i in range(0, len(paths), batch_size)]
    waiting: deque[list[Future[Photo | PhotoError]]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for number, batch in enumerate(batches):
                for ahead in batches[number + len(waiting) : number + 3]:
                    waiting.append([pool.submit(_read, path) for path in ahead])
                photos = [future.result() for future in waiting.popleft()]
                outcomes = encode_read(photos, finder, encoder, mode)
                yield [_result(*one) for one in zip(batch, photos, outcomes, strict=True)]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read(source: Source) -> Photo | PhotoError:
    try:
        return read_photo(source) if isinstance(source, Path) else source()
    except PhotoError as error:
        return error


def _result(source: Source, photo: Photo | PhotoError, outcome: EncodedFace | str) -> EncodedPhoto:
    path, state = (source, file_state(source)) if isinstance(source, Path) else (Path(), NO_FILE)
    face, reason = (None, outcome) if isinstance(outcome, str) else (outcome, None)
    return EncodedPhoto(path, photo.state if isinstance(photo, Photo) else state, face, reason)


def encode_read(
    photos: Sequence[Photo | PhotoError], finder: FaceFinder, encoder: Encoder, mode: FaceMode = "auto"
) -> list[EncodedFace | str]:
    """Encode photos that are read, in one batch: of each its largest face, or the reason why there is none."""
    readable = [photo for photo in photos if isinstance(photo, Photo)]
    faces = finder.find([photo.image for photo in readable], mode)
    pairs = [(photo, face) for photo, face in zip(readable, faces, strict=True) if face is not None]
    crops = [align(photo.image, face) for photo, face in pairs]
    encoded = encoder.encode(np.stack(crops) if crops else np.empty((0, 160, 160, 3), np.uint8))
    by_photo: dict[int, EncodedFace] = {}
    for i, (photo, face) in enumerate(pairs):
        by_photo[id(photo)] = EncodedFace(
            _in_photo_pixels(face, photo.scale),
            crops[i],
            encoded.embeddings[i],
            encoded.maps[i],
            float(encoded.norms[i]),
            photo.sha256,
        )
    return [str(photo) if isinstance(photo, PhotoError) else by_photo.get(id(photo), NO_FACE) for photo in photos]


def _in_photo_pixels(face: Found, scale: float) -> Found:
    return Found(face.box * np.float32(scale), face.landmarks * np.float32(scale), face.score, face.faces, face.how)
