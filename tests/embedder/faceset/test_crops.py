from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.faceset.crops import check_photos, read_crops, read_whole
from maskcls.embedder.faceset.store import open_set


def test_crops_are_those_that_were_embedded(contest_faces: Path, encoder: FaceNetEncoder) -> None:
    faces = open_set(contest_faces)
    table = faces.table.assign(root=faces.settings["root"]).iloc[::9]
    check_photos(table)
    again = encoder.encode(read_crops(table)).embeddings
    cosine = (again * faces.embeddings[::9]).sum(axis=1)
    assert cosine.min() > 0.9995  # boxes are stored to a hundredth of a pixel


@pytest.fixture
def table(tmp_path: Path, contest_faces: Path) -> pd.DataFrame:
    """Three faces whose photos are copies that may be spoilt."""
    faces = open_set(contest_faces)
    table = faces.table.iloc[:3].reset_index(drop=True)
    states = []
    for number, path in enumerate(table["path"]):
        photo = tmp_path / f"{number}.jpg"
        photo.write_bytes(Path(faces.settings["root"], path).read_bytes())
        states.append(photo.stat())
    return table.assign(
        root=str(tmp_path),
        path=[f"{number}.jpg" for number in range(3)],
        file_size=[state.st_size for state in states],
        file_mtime_ns=[state.st_mtime_ns for state in states],
    )


def test_crops_of_a_size_and_whole_photos(painted: Path, tmp_path: Path) -> None:
    faces = open_set(painted)
    table = faces.table.assign(root=faces.settings["root"]).iloc[:2]
    usual, small, whole = read_crops(table), read_crops(table, size=20), read_whole(table, size=20)
    assert small.shape == whole.shape == (2, 20, 20, 3)
    np.testing.assert_allclose(small.mean(axis=(1, 2)), usual.mean(axis=(1, 2)), atol=1)
    np.testing.assert_array_equal(small, whole)  # these faces fill their photos
    wide = tmp_path / "wide.png"
    Image.new("RGB", (60, 30), "white").save(wide)
    digest = hashlib.sha256(wide.read_bytes()).hexdigest()
    (got,) = read_whole(table.iloc[:1].assign(root=str(tmp_path), path="wide.png", file_sha256=digest), size=20)
    assert (got[5:15] == 255).all()
    assert not got[:5].any()
    assert not got[15:].any()


def _gone(photo: Path) -> None:
    photo.unlink()


def _cut(photo: Path) -> None:
    photo.write_bytes(photo.read_bytes()[:100])


def _other(photo: Path) -> None:
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(photo)


SPOILT: list[object] = [
    pytest.param(_gone, r"1\.jpg: .*No such file", id="gone"),
    pytest.param(_cut, r"1\.jpg: ", id="cut short"),
    pytest.param(_other, r"1\.jpg: another photo", id="another photo"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILT)
def test_a_spoilt_photo_is_named(table: pd.DataFrame, spoil: Callable[[Path], None], message: str) -> None:
    spoil(Path(table["root"].iloc[0], "1.jpg"))
    with pytest.raises(MaskclsError, match=message + r".*run `maskcls embed`"):
        read_crops(table)
    with pytest.raises(MaskclsError, match=r"1\.jpg: gone or changed"):
        check_photos(table)


def test_photos_that_are_gone_are_counted(table: pd.DataFrame) -> None:
    for name in ("0.jpg", "2.jpg"):
        Path(table["root"].iloc[0], name).unlink()
    with pytest.raises(MaskclsError, match=r"0\.jpg \(and 1 more photos\): gone or changed"):
        check_photos(table)


def test_a_photo_with_another_time_is_the_same_photo(table: pd.DataFrame) -> None:
    os.utime(Path(table["root"].iloc[0], "1.jpg"), ns=(1, 1))
    check_photos(table)
    assert len(read_crops(table)) == 3
