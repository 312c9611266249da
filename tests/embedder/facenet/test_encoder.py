from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from maskcls.embedder.detection.align import align
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import EncoderInfo, FaceNetEncoder, pick_device
from maskcls.embedder.facenet.weights import PACKAGED_SHA256
from maskcls.embedder.photo import read_photo

PEOPLE = 20


@pytest.fixture(scope="module")
def crops(data: Path, finder: FaceFinder) -> npt.NDArray[np.uint8]:
    """Bare faces of 20 people, then the same people with an incorrectly worn mask."""
    people = sorted((data / "contest" / "images").iterdir())[:PEOPLE]
    images = [read_photo(next(p.glob(name))).image for name in ("normal.*", "incorrect_mask.*") for p in people]
    faces = finder.find(images)
    return np.stack([align(image, face) for image, face in zip(images, faces, strict=True) if face is not None])


@pytest.fixture(scope="module")
def embeddings(crops: npt.NDArray[np.uint8], encoder: FaceNetEncoder) -> npt.NDArray[np.float32]:
    return encoder.encode(crops).embeddings


def test_people_are_told_apart_across_masks(embeddings: npt.NDArray[np.float32]) -> None:
    assert len(embeddings) == 2 * PEOPLE
    similarity = embeddings[:PEOPLE] @ embeddings[PEOPLE:].T
    same = np.diag(similarity)
    different = similarity[~np.eye(PEOPLE, dtype=bool)]
    auc = (same[:, None] > different[None, :]).mean()
    assert auc > 0.95


def test_embeddings_have_unit_length(embeddings: npt.NDArray[np.float32]) -> None:
    assert embeddings.shape == (2 * PEOPLE, 512)
    assert embeddings.dtype == np.float32
    assert np.abs(np.linalg.norm(embeddings, axis=1) - 1).max() < 1e-5


def test_a_crop_alone_and_in_a_batch(
    crops: npt.NDArray[np.uint8], embeddings: npt.NDArray[np.float32], encoder: FaceNetEncoder
) -> None:
    for i in (0, 2 * PEOPLE - 1):
        assert np.abs(encoder.encode(crops[i : i + 1]).embeddings[0] - embeddings[i]).max() < 1e-5


def test_maps(crops: npt.NDArray[np.uint8], encoder: FaceNetEncoder) -> None:
    maps = encoder.encode(crops[:3]).maps
    alone = encoder.encode(crops[1:2]).maps[0]
    assert maps.shape == (3, 896, 4, 4)
    assert maps.dtype == np.float16
    assert np.isfinite(maps).all()
    assert (maps >= 0).all()
    assert np.abs(maps[1].astype(float) - alone).max() < 0.01
    assert np.abs(maps[0].astype(float) - maps[1]).max() > 0.1


def test_empty_batch(encoder: FaceNetEncoder) -> None:
    encoded = encoder.encode(np.empty((0, 160, 160, 3), np.uint8))
    assert encoded.embeddings.shape == (0, 512)
    assert encoded.embeddings.dtype == np.float32
    assert encoded.maps.shape == (0, 896, 4, 4)
    assert encoded.maps.dtype == np.float16


def test_info_names_the_weights(encoder: FaceNetEncoder) -> None:
    assert (encoder.info.name, encoder.info.weights_sha256) == ("facenet-vggface2-uint8", PACKAGED_SHA256)
    assert len(encoder.info.fingerprint) == 16


@pytest.mark.parametrize(
    "change",
    [{"weights_sha256": "1" * 64}, {"name": "other"}, {"preprocessing": {"crop_size": 112}}],
    ids=lambda change: next(iter(change)),
)
def test_fingerprint_changes_with(change: dict[str, object]) -> None:
    info = EncoderInfo("facenet", "0" * 64, {"crop_size": 160})
    assert replace(info).fingerprint == info.fingerprint
    assert replace(info, **change).fingerprint != info.fingerprint  # type: ignore[arg-type]


def test_fingerprint_ignores_the_order_of_keys() -> None:
    assert EncoderInfo("a", "b", {"x": 1, "y": 2}).fingerprint == EncoderInfo("a", "b", {"y": 2, "x": 1}).fingerprint


@pytest.mark.parametrize(
    ("name", "gpu", "device"),
    [("cpu", True, "cpu"), ("auto", True, "cuda"), ("auto", False, "cpu"), ("cuda", True, "cuda")],
)
def test_pick_device(monkeypatch: pytest.MonkeyPatch, name: str, gpu: bool, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert pick_device(name) == device


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda", "--device cuda: no usable GPU; use --device cpu or auto"),
        ("tpu", "--device tpu: choose auto, cpu or cuda"),
    ],
)
def test_pick_device_refuses(monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MaskclsError) as error:
        pick_device(name)
    assert str(error.value) == message
