from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskcls.embedder import pipeline
from maskcls.embedder.detection.align import align
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.facenet.encoder import Encoder
from maskcls.embedder.photo import FileState, Photo, PhotoError, file_state, read_photo
from maskcls.embedder.pipeline import DECODED, NO_FACE, EncodedPhoto, Source, encode_photos

Scene = Callable[[Sequence[tuple[Image.Image, int, tuple[int, int]]]], Image.Image]


def encoded(
    paths: Sequence[Source], finder: FaceFinder, encoder: Encoder, batch_size: int = 64, **options: Any
) -> list[list[EncodedPhoto]]:
    """All batches."""
    with encode_photos(paths, finder, encoder, batch_size=batch_size, **options) as batches:
        return list(batches)


def flat(batches: Sequence[Sequence[EncodedPhoto]]) -> list[EncodedPhoto]:
    return [photo for batch in batches for photo in batch]


@pytest.fixture
def paths(tmp_path: Path, bare: list[Image.Image]) -> list[Path]:
    """Face, text, face, blank, missing, face."""
    for i, image in zip((0, 2, 5), bare, strict=True):
        image.save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_text("no photo")
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "3.png")
    return [tmp_path / f"{i}.png" for i in range(6)]


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 6, 100])
def test_order_and_reasons(
    paths: list[Path], finder: FaceFinder, pixel_encoder: Encoder, batch_size: int, jobs: int
) -> None:
    batches = encoded(paths, finder, pixel_encoder, batch_size, jobs=jobs)
    assert [len(batch) for batch in batches] == [min(batch_size, 6 - i) for i in range(0, 6, batch_size)]
    photos = flat(batches)
    assert [photo.path for photo in photos] == paths
    assert [photo.face is not None for photo in photos] == [True, False, True, False, False, True]
    reasons = [photo.reason for photo in photos]
    assert reasons[0] is reasons[2] is reasons[5] is None
    assert reasons[1] == "not a photo (JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF, HEIC are read)"
    assert reasons[3] == NO_FACE
    assert reasons[4] == "cannot be read: No such file or directory"
    assert [photo.state for photo in photos[:4]] == [file_state(path) for path in paths[:4]]
    assert photos[4].state == FileState(-1, -1)


def test_face_belongs_to_its_photo(paths: list[Path], finder: FaceFinder, pixel_encoder: Encoder) -> None:
    for photo in flat(encoded(paths, finder, pixel_encoder, 4)):
        if photo.face is None:
            continue
        read = read_photo(photo.path)
        crop = align(read.image, photo.face.found)
        expected = pixel_encoder.encode(crop[None])
        assert np.array_equal(photo.face.crop, crop)
        assert np.array_equal(photo.face.embedding, expected.embeddings[0])
        assert np.array_equal(photo.face.map, expected.maps[0])
        assert photo.face.file_sha256 == read.sha256


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_as_many_faces_as_asked_for(
    tmp_path: Path, finder: FaceFinder, pixel_encoder: Encoder, scene: Scene, bare: list[Image.Image], batch_size: int
) -> None:
    scene([(bare[0], 200, (300, 150)), (bare[1], 130, (30, 40)), (bare[2], 100, (520, 10))]).save(
        tmp_path / "three.png"
    )
    bare[0].save(tmp_path / "one.png")
    (tmp_path / "none.png").write_text("no photo")
    paths = [tmp_path / name for name in ("three.png", "none.png", "one.png", "three.png")]
    for most, counts in ((1, [1, 0, 1, 1]), (2, [2, 0, 1, 2]), (1000, [3, 0, 1, 3])):
        photos = flat(encoded(paths, finder, pixel_encoder, batch_size, faces=most))
        assert [len(photo.faces) for photo in photos] == counts
        for photo in photos:
            image = read_photo(photo.path).image if photo.faces else None
            for face in photo.faces:
                assert image is not None
                expected = pixel_encoder.encode(align(image, face.found)[None])
                assert np.array_equal(face.embedding, expected.embeddings[0])
                assert 0 < face.brightness < 255
                assert 0 <= face.quality.value <= 1


def test_no_photos(finder: FaceFinder, pixel_encoder: Encoder) -> None:
    assert encoded([], finder, pixel_encoder) == []


def test_mode_reaches_the_finder(paths: list[Path], finder: FaceFinder, pixel_encoder: Encoder) -> None:
    [batch] = encoded(paths[3:4], finder, pixel_encoder, mode="whole")
    assert batch[0].face is not None


@pytest.mark.parametrize("enlarged", [2, 4])
def test_geometry_is_in_photo_pixels(
    tmp_path: Path, finder: FaceFinder, pixel_encoder: Encoder, scene: Scene, bare: list[Image.Image], enlarged: int
) -> None:
    image = scene([(bare[0], 180, (300, 150))])
    image.save(tmp_path / "1.png")
    image.resize((640 * enlarged, 480 * enlarged), Image.Resampling.BICUBIC).save(tmp_path / "2.png")
    [small, large] = flat(encoded([tmp_path / "1.png", tmp_path / "2.png"], finder, pixel_encoder))
    assert small.face is not None
    assert large.face is not None
    assert np.abs(large.face.found.box / enlarged - small.face.found.box).max() < 20
    assert np.abs(large.face.found.landmarks / enlarged - small.face.found.landmarks).max() < 10


def test_every_stage_runs_ahead_by_a_bounded_distance(
    tmp_path: Path, portrait: Path, finder: FaceFinder, pixel_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> Photo:
        read.append(path)
        return read_photo(path)

    monkeypatch.setattr(pipeline, "read_photo", counted)
    paths = [tmp_path / f"{i:02d}.jpg" for i in range(16)]
    for path in paths:
        shutil.copy(portrait, path)
    with encode_photos(paths, finder, pixel_encoder, batch_size=1) as batches:
        for done, _ in enumerate(batches, start=1):
            time.sleep(0.1)  # the others go as far as they may
            assert done <= len(read) <= done + DECODED + 2
    assert sorted(read) == paths


def test_a_consumer_that_stops_stops_everything(
    tmp_path: Path, portrait: Path, finder: FaceFinder, pixel_encoder: Encoder
) -> None:
    paths = [tmp_path / f"{i:02d}.jpg" for i in range(16)]
    for path in paths:
        shutil.copy(portrait, path)
    before = set(threading.enumerate())
    with encode_photos(paths, finder, pixel_encoder, batch_size=1) as batches:
        next(batches)
        assert set(threading.enumerate()) - before
    assert set(threading.enumerate()) <= before


def test_an_error_of_the_encoder_comes_after_the_batches_before_it(
    paths: list[Path], finder: FaceFinder, wrap: Callable[..., Encoder], pixel_encoder: Encoder
) -> None:
    before = set(threading.enumerate())
    sizes: list[int] = []

    def run() -> None:
        with encode_photos(paths, finder, wrap(pixel_encoder, batches=2), batch_size=2) as batches:
            sizes.extend(len(batch) for batch in batches)

    with pytest.raises(KeyboardInterrupt) as error:
        run()
    assert sizes == [2, 2]
    assert error.value.__traceback__
    assert set(threading.enumerate()) <= before, "a thread lives on as long as the error does"


def test_an_error_of_the_reader_is_raised(
    paths: list[Path], finder: FaceFinder, pixel_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> Photo:
        raise ZeroDivisionError(str(path))

    monkeypatch.setattr(pipeline, "read_photo", broken)
    with pytest.raises(ZeroDivisionError):
        encoded(paths, finder, pixel_encoder)


def test_photos_without_a_file_are_encoded_and_refused_alike(
    paths: list[Path], finder: FaceFinder, pixel_encoder: Encoder
) -> None:
    def refused() -> Photo:
        raise PhotoError("no such picture")

    batch = flat(encoded([paths[0], partial(read_photo, paths[0]), refused], finder, pixel_encoder))
    [file, memory, none] = batch
    assert file.face is not None
    assert memory.face is not None
    assert np.array_equal(file.face.crop, memory.face.crop)
    assert (none.face, none.reason) == (None, "no such picture")
