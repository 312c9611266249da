from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from maskcls.classify.data import reduction
from maskcls.classify.data.augmentation import AugmentedFaces
from maskcls.classify.data.face_set import FaceSet, Rows
from maskcls.classify.data.reduction import CHANNELS, reduced


def whole(maps: npt.NDArray[np.float16], directions: torch.Tensor) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = np.einsum("ndhw,cd->nchw", maps.astype(np.float32), directions.numpy())
    return found


def low_rank(pool: FaceSet, rank: int) -> FaceSet:
    """The pool with maps that need ``rank`` directions."""
    random = np.random.default_rng(0)
    kinds = random.random((rank, 896)).astype(np.float32)

    def maps(_: object) -> npt.NDArray[np.float16]:
        shares = random.random((len(pool), 4, 4, rank)).astype(np.float32) / rank
        return (shares @ kinds).transpose(0, 3, 1, 2).astype(np.float16)

    return pool.with_maps(maps)


@pytest.mark.parametrize("rank", [1, 40, CHANNELS])
def test_maps_of_few_directions_lose_nothing(pool: FaceSet, monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    monkeypatch.setattr(reduction, "CHUNK", 70)
    faces = low_rank(pool, rank)
    small, directions = reduced(faces)
    rows: Rows = np.array([5, 3, 250, 3])
    assert small.channels == CHANNELS
    assert small.maps(rows).dtype == np.float16
    assert directions.shape == (896, CHANNELS)
    np.testing.assert_allclose(directions.T @ directions, np.eye(CHANNELS), atol=1e-4)
    expected = faces.maps(rows).astype(np.float32)
    assert np.abs(whole(small.maps(rows), directions) - expected).max() < 0.01 * np.abs(expected).max()


def test_faces_stay_what_they_are(pool: FaceSet) -> None:
    small, directions = reduced(pool)
    assert small.table is pool.table
    assert small.embeddings is pool.embeddings
    assert small.people is pool.people
    part = small.subset(np.array([7, 0, 100]))
    np.testing.assert_array_equal(part.maps(np.array([1, 2])), small.maps(np.array([0, 100])))
    first, second = reduced(pool)[1], reduced(pool.subset(np.arange(len(pool))))[1]
    assert torch.equal(first, second)
    assert torch.equal(first, directions)


def test_augmentations_are_reduced_along_the_same_directions(pool: FaceSet) -> None:
    count = len(pool)
    turned = AugmentedFaces(
        pool.embeddings, np.ones(count, np.float32), pool.maps(np.arange(count))[::-1], np.arange(count)
    )
    small, _ = reduced(replace(pool, augmentations=(turned,)))
    rows: Rows = np.array([2, 9])
    np.testing.assert_array_equal(small.augmentations[0].maps(rows), small.maps(count - 1 - rows))


@pytest.mark.parametrize("faces", [1, 2, 5])
def test_a_handful_of_faces(pool: FaceSet, faces: int) -> None:
    small, _ = reduced(pool.subset(np.arange(faces)))
    assert small.maps(np.arange(faces)).shape == (faces, CHANNELS, 4, 4)
    assert np.isfinite(small.maps(np.arange(faces))).all()
