from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskcls.embedder.photo import NO_FILE, WORKING_SIDE, PhotoError, photo_of, read_photo


@pytest.fixture
def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_an_opened_file_is_read_like_the_file(noise: Image.Image, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    noise.save(path, exif=exif)
    expected = read_photo(path)
    with Image.open(path) as opened:
        photo = photo_of(opened)
    assert photo.image.size == (60, 40)
    assert np.array_equal(np.asarray(photo.image), np.asarray(expected.image))
    assert photo.state == NO_FILE


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(noise: Image.Image, mode: str) -> None:
    image = noise.convert("L").convert("I").convert(mode) if mode == "I;16" else noise.convert(mode)
    assert photo_of(image).image.mode == "RGB"


def test_the_hash_is_of_the_pixels(noise: Image.Image) -> None:
    other = noise.copy()
    other.putpixel((0, 0), (1, 2, 3))
    assert photo_of(noise).sha256 == photo_of(noise.copy()).sha256 != photo_of(other).sha256
    assert photo_of(noise).sha256 != photo_of(noise.transpose(Image.Transpose.ROTATE_90)).sha256


def test_large_images_are_reduced_and_the_callers_is_left_alone() -> None:
    image = Image.new("RGB", (2 * WORKING_SIDE, 600))
    photo = photo_of(image)
    assert (photo.image.size, photo.scale) == ((WORKING_SIDE, 300), 2)
    assert image.size == (2 * WORKING_SIDE, 600)


def test_a_small_image_is_refused() -> None:
    with pytest.raises(PhotoError, match="9 x 99 pixels"):
        photo_of(Image.new("RGB", (9, 99)))


def test_an_image_that_was_opened_but_is_cut_off_is_refused(noise: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise.save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with Image.open(path) as opened, pytest.raises(PhotoError, match="truncated or damaged"):
        photo_of(opened)
