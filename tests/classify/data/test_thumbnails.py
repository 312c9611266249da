from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from maskcls.classify.data import thumbnails
from maskcls.classify.data.thumbnails import FacePlace, write_faces
from maskcls.embedder.photo import Photo, read_photo


def test_every_photo_is_read_once(contest_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = next(path for path in contest_photos.rglob("*") if path.is_file())
    places = {f"{i}": FacePlace(str(photo.parent), photo.name, [i, i, 90 + i, 90 + i]) for i in range(5)}
    seen: list[Path] = []

    def read(path: Path) -> Photo:
        seen.append(path)
        return read_photo(path)

    monkeypatch.setattr(thumbnails, "read_photo", read)
    assert write_faces(tmp_path, places, 64) == {}
    assert seen == [photo]
    assert len(list(tmp_path.iterdir())) == 5


def test_large_faces_are_reduced(tmp_path: Path) -> None:
    Image.new("RGB", (2000, 3000), "red").save(tmp_path / "large.png")
    (tmp_path / "faces").mkdir()
    places = {"a": FacePlace(str(tmp_path), "large.png", [-50, 0, 1000, 2000])}
    assert write_faces(tmp_path / "faces", places, 64) == {}
    with Image.open(tmp_path / "faces" / "a.jpg") as thumbnail:
        assert thumbnail.size == (32, 64)


def test_thumbnails_hold_pixels_alone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "at home"
    Image.new("RGB", (90, 90)).save(tmp_path / "photo.jpg", comment=b"taken at home", exif=exif)
    assert write_faces(tmp_path, {"a": FacePlace(str(tmp_path), "photo.jpg", [0, 0, 90, 90])}, 64) == {}
    assert b"at home" in (tmp_path / "photo.jpg").read_bytes()
    assert b"at home" not in (tmp_path / "a.jpg").read_bytes()
