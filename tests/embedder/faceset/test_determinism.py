"""The same photos give the same faces, whatever the batch size, the number of jobs and the order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.photo import list_photos
from maskcls.embedder.pipeline import EncodedPhoto, encode_photos

TOLERANCE = 1e-5
"""Largest difference of any number of a unit embedding, in float32."""
PIXELS = 0.01
"""Largest difference of a box."""


@pytest.fixture(scope="module")
def paths(data: Path) -> list[Path]:
    """Crops and scenes of many sizes, masked and bare."""
    folders = ("contest/images", "utkface/photos", "fairface/photos", "masks/street", "masks/portraits")
    found = [list_photos(data / folder)[0] for folder in folders]
    return [photos[n * len(photos) // 3] for n in range(3) for photos in found]


def encoded(
    paths: Sequence[Path], finder: FaceFinder, encoder: FaceNetEncoder, batch_size: int, jobs: int
) -> dict[Path, EncodedPhoto]:
    with encode_photos(paths, finder, encoder, batch_size=batch_size, jobs=jobs) as batches:
        return {photo.path: photo for batch in batches for photo in batch}


def test_faces_do_not_depend_on_batches_jobs_or_order(
    paths: list[Path], finder: FaceFinder, encoder: FaceNetEncoder
) -> None:
    together = encoded(paths, finder, encoder, 15, 4)
    assert sum(photo.face is not None for photo in together.values()) > 10
    for others in (encoded(paths, finder, encoder, 1, 1), encoded(paths[::-1], finder, encoder, 7, 2)):
        for path in paths:
            first, second = together[path], others[path]
            assert (first.reason, first.state) == (second.reason, second.state), path
            if first.face and second.face:
                assert (first.face.found.how, first.face.found.faces) == (
                    second.face.found.how,
                    second.face.found.faces,
                )
                np.testing.assert_allclose(first.face.found.box, second.face.found.box, atol=PIXELS)
                np.testing.assert_allclose(first.face.embedding, second.face.embedding, rtol=0, atol=TOLERANCE)
                np.testing.assert_allclose(
                    first.face.map.astype(np.float32), second.face.map.astype(np.float32), rtol=2e-3, atol=2e-3
                )
