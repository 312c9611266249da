"""Pictures of faces for the review page: cut from the photos when asked for, kept in memory, never on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from html import escape
from textwrap import wrap

from PIL import ImageDraw

from ...data.thumbnails import FacePlace, jpeg, read_face

JOBS = 4
_SMALL, _LARGE, _PHOTO = 160, 400, 400
_KEPT_SMALL, _KEPT_LARGE = 16_384, 128
"""Pictures kept; a small one takes about 5 KB, a large one about 30 KB."""


class Thumbnails:
    """JPEG pictures of faces, made by a few threads.

    Sizes: ``small`` (160 pixels a side at most) and ``large`` (400) show the face, ``photo`` (400) the whole photo
    with the face's box drawn in.
    """

    def __init__(self, places: Mapping[str, FacePlace], jobs: int = JOBS) -> None:
        self._places = places
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="thumbnails")
        self._sizes = {
            "small": lru_cache(_KEPT_SMALL)(partial(self._face, side=_SMALL)),
            "large": lru_cache(_KEPT_LARGE)(partial(self._face, side=_LARGE)),
            "photo": lru_cache(_KEPT_LARGE)(self._photo),
        }

    async def picture(self, face_id: str, size: str) -> bytes:
        """One picture.

        Raises:
            KeyError: no such face or size.
            PhotoError: why there is none; asked for again, the photo is read again.
        """
        make = self._sizes[size]
        if face_id not in self._places:
            raise KeyError(face_id)
        return await asyncio.get_running_loop().run_in_executor(self._pool, make, face_id)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _face(self, face_id: str, side: int) -> bytes:
        return jpeg(read_face(self._places[face_id])[1], side)

    def _photo(self, face_id: str) -> bytes:
        place = self._places[face_id]
        photo, _ = read_face(place)
        image = photo.image.copy()
        image.thumbnail((_PHOTO, _PHOTO))
        shrunk = max(photo.image.size) * photo.scale / max(image.size)
        x0, y0, x1, y1 = (float(value) / shrunk for value in place.box)
        ImageDraw.Draw(image).rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline="#ffb000", width=2)
        return jpeg(image, _PHOTO)


def placeholder(reason: str) -> str:
    """An SVG picture with the reason why there is no photo."""
    lines = ["no photo:", *wrap(reason, 20)][:7]
    texts = "".join(
        f'<text x="80" y="{80 + 18 * (number - (len(lines) - 1) / 2):.0f}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="160" height="160" viewBox="0 0 160 160">'
        '<rect width="160" height="160" fill="#8a92a0"/>'
        f'<g fill="#fff" font-family="sans-serif" font-size="14" text-anchor="middle">{texts}</g></svg>'
    )
