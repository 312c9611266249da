"""Faces cut from the photos they were found in, each photo read once."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ...embedder.photo import Photo, PhotoError, read_photo

_QUALITY = 80
_FILE_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")
OTHER_PHOTO = "another photo lies there now"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FacePlace:
    """Where a face is: a photo below a folder, a box in pixels of the upright photo; the file's SHA-256 if known."""

    root: str
    path: str
    box: Sequence[float]
    sha256: str | None = None


def read_face(face: FacePlace) -> tuple[Photo, Image.Image]:
    """A face's photo, and the face cut from it.

    Raises:
        PhotoError: the photo is gone, cannot be read or is another one now.
    """
    photo = read_photo(Path(face.root, face.path))
    return photo, _face_of(photo, face)


def cut_face(photo: Photo, box: Iterable[float]) -> Image.Image:
    """The part of a photo inside a box.

    Raises:
        PhotoError: the box holds nothing of the photo.
    """
    width, height = photo.image.size
    ends = [float(value) / photo.scale for value in box]
    if len(ends) != 4 or not all(map(math.isfinite, ends)):
        raise PhotoError("the face's box is no box")
    left, top, right, bottom = map(round, ends)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if left >= right or top >= bottom:
        raise PhotoError("the face's box lies outside the photo")
    return photo.image.crop((left, top, right, bottom))


def jpeg(image: Image.Image, side: int) -> bytes:
    """An image as JPEG, reduced to at most ``side`` pixels a side, pixels alone."""
    small = image.copy()
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, comment=b"")
    return buffer.getvalue()


def write_faces(
    folder: Path,
    faces: Mapping[str, FacePlace],
    side: int,
    *,
    jobs: int = 2,
    progress: Progress = lambda done, total: None,
) -> dict[str, str]:
    """Write ``<face_id>.jpg`` for every face, and return for the others why there is none."""
    photos: dict[tuple[str, str], list[str]] = {}
    missing: dict[str, str] = {}
    for face_id, face in faces.items():
        if _FILE_NAME.fullmatch(face_id):
            photos.setdefault((face.root, face.path), []).append(face_id)
        else:
            missing[face_id] = "its id is no name for a file"

    def write(place: tuple[str, str]) -> dict[str, str]:
        try:
            photo = read_photo(Path(*place))
        except PhotoError as error:
            return dict.fromkeys(photos[place], str(error))
        failed = {}
        for face_id in photos[place]:
            face = faces[face_id]
            try:
                (folder / f"{face_id}.jpg").write_bytes(jpeg(_face_of(photo, face), side))
            except PhotoError as error:
                failed[face_id] = str(error)
        return failed

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for done, failed in enumerate(pool.map(write, photos), 1):
            missing |= failed
            progress(done, len(photos))
    return missing


def _face_of(photo: Photo, face: FacePlace) -> Image.Image:
    if face.sha256 is not None and face.sha256 != photo.sha256:
        raise PhotoError(OTHER_PHOTO)
    return cut_face(photo, face.box)
