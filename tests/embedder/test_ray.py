from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.faceset.embed import embed_folder
from maskcls.embedder.faceset.store import open_set
from maskcls.embedder.pipeline import MOST_FACES
from maskcls.embedder.ray import Work, _encode, ray_cluster

PHOTOS, BATCH = 24, 4


@pytest.fixture
def photos(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Two dozen pictures that are taken for faces whole, and two that cannot be read."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(PHOTOS):
        pixels = rng.integers(0, 256, (12, 12, 3), np.uint8)
        Image.fromarray(pixels).resize((160, 160)).save(folder / f"{number:02}.png")
    for number in (3, 17):
        (folder / f"{number:02}.png").write_bytes(b"no picture")
    return folder


def test_a_worker_killed_midway_changes_nothing(
    photos: Path, tmp_path: Path, encoder: FaceNetEncoder, finder: FaceFinder
) -> None:
    plain, by_ray = tmp_path / "plain", tmp_path / "ray"
    dataset = read_dataset(photos, "folders")
    embed_folder(dataset, photos, plain, encoder, finder, mode="whole", batch_size=BATCH)
    script = Path(__file__).with_name("ray_run.py")
    done = subprocess.run(
        [sys.executable, script, photos, by_ray], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    batches = list(range(0, PHOTOS + 1, BATCH))
    assert done.stdout.splitlines()[-1] == f"1 {PHOTOS - 2} 2 {batches}"  # one was killed; every batch came once
    one, other = open_set(plain), open_set(by_ray)
    pd.testing.assert_frame_equal(one.table.drop(columns="norm"), other.table.drop(columns="norm"))
    pd.testing.assert_frame_equal(one.rejects, other.rejects)
    # As many threads do not add up in the same order on every machine.
    np.testing.assert_allclose(other.embeddings, one.embeddings, atol=1e-5)
    np.testing.assert_allclose(other.maps, one.maps, atol=2e-3)
    assert sorted(path.name for path in by_ray.iterdir() if path.name != ".lock") == sorted(
        path.name for path in plain.iterdir() if path.name != ".lock"
    )


def test_a_worker_with_another_encoder_refuses(photos: Path, encoder: FaceNetEncoder) -> None:
    other = replace(encoder.info, weights_sha256="0" * 64)
    work = Work(other, None, "cpu", "whole", BATCH)
    with pytest.raises(MaskclsError, match="install the same maskcls and weights on every machine"):
        _encode([photos / "00.png"], work)


def test_a_worker_encodes_every_face(data: Path, encoder: FaceNetEncoder) -> None:
    work = Work(encoder.info, None, "cpu", "auto", BATCH)
    street = [data / "streets" / "photos" / "street129.webp"]
    assert [len(photo.faces) for photo in _encode(street, work)] == [1]
    assert len(_encode(street, replace(work, faces=MOST_FACES))[0].faces) >= 3


def test_without_the_extra_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MaskclsError, match=r"pip install 'maskcls\[ray\]'"), ray_cluster():
        pass
