from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from maskcls.embedder.detection.align import CROP_SIZE, EYES_AT, MARGIN, align, sharpness
from maskcls.embedder.detection.detector import Found
from maskcls.embedder.detection.finder import FaceFinder

Scene = Callable[[Sequence[tuple[Image.Image, int, tuple[int, int]]]], Image.Image]
Cosine = Callable[[Sequence[npt.NDArray[np.uint8]]], float]


def face_at(box: Sequence[float], left: Sequence[float], right: Sequence[float]) -> Found:
    landmarks = np.array([left, right, [0, 0], [0, 0], [0, 0]], np.float32)
    return Found(np.array(box, np.float32), landmarks, 1.0, 1, "detect")


def whole(box: Sequence[float]) -> Found:
    return Found(np.array(box, np.float32), np.empty((0, 2), np.float32), 1.0, 1, "whole")


def dots(size: tuple[int, int], left: tuple[float, float], right: tuple[float, float], radius: float) -> Image.Image:
    rows, columns = np.indices(size[::-1]) + 0.5
    pixels = np.zeros((*size[::-1], 3), np.uint8)
    for channel, (x, y) in enumerate((left, right)):
        pixels[(columns - x) ** 2 + (rows - y) ** 2 <= radius**2, channel] = 255
    return Image.fromarray(pixels)


def centre(crop: npt.NDArray[np.uint8], channel: int) -> npt.NDArray[np.float64]:
    rows, columns = np.nonzero(crop[..., channel] > 127)
    return np.array([columns.mean(), rows.mean()]) + 0.5


def test_a_whole_photo_is_only_resized(bare: list[Image.Image]) -> None:
    image = bare[0]
    resized = image.resize((CROP_SIZE, CROP_SIZE), Image.Resampling.BILINEAR)
    assert np.array_equal(align(image, whole((0, 0, *image.size))), np.asarray(resized))


def test_a_wide_whole_photo_is_cut_to_its_box() -> None:
    image = Image.new("RGB", (300, 100), "red")
    image.paste("blue", (100, 0, 200, 100))
    crop = align(image, whole((100, 0, 200, 100)))
    assert (crop[:, 2:-2] == [0, 0, 255]).all()


@pytest.mark.parametrize("size", [48, 96, 224])
def test_a_crop_of_any_size_shows_the_same(size: int) -> None:
    image = dots((600, 600), (250, 300), (350, 300), 30)
    face = face_at((150, 200, 450, 500), (250, 300), (350, 300))
    usual, other = align(image, face), align(image, face, size)
    assert other.shape == (size, size, 3)
    for channel in (0, 1):
        np.testing.assert_allclose(centre(other, channel) / size, centre(usual, channel) / CROP_SIZE, atol=0.01)


@pytest.mark.parametrize("degrees", [-60, -15, 0, 15, 45, 90])
@pytest.mark.parametrize("side", [50, 160, 600])
def test_eyes_come_to_lie_level_at_their_place(side: int, degrees: int) -> None:
    middle = np.array([500.0, 450.0])
    half = 0.2 * side * np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    (lx, ly), (rx, ry) = (middle - half).tolist(), (middle + half).tolist()
    face = face_at((0, 0, side, side / 2), (lx, ly), (rx, ry))
    crop = align(dots((1000, 900), (lx, ly), (rx, ry), 0.06 * side), face)
    red, green = centre(crop, 0), centre(crop, 1)
    assert np.abs((red + green) / 2 - CROP_SIZE * np.array(EYES_AT)).max() < 1.5
    assert abs(red[1] - green[1]) < 1.5
    assert green[0] - red[0] == pytest.approx(0.4 * CROP_SIZE / (1 + MARGIN), abs=1.5)


def test_shape_and_type(finder: FaceFinder, scene: Scene, bare: list[Image.Image]) -> None:
    for image in (bare[0], scene([(bare[0], 180, (300, 150))])):
        [face] = finder.find([image])
        assert face is not None
        crop = align(image, face)
        assert crop.shape == (160, 160, 3)
        assert crop.dtype == np.uint8


@pytest.mark.parametrize("degrees", [-15, 15])
def test_a_turned_scene_gives_nearly_the_same_crop(
    finder: FaceFinder, scene: Scene, bare: list[Image.Image], cosine: Cosine, degrees: int
) -> None:
    upright = scene([(bare[0], 180, (230, 150))])
    turned = upright.rotate(degrees, Image.Resampling.BILINEAR, fillcolor="grey")
    crops = []
    for image in (upright, turned):
        [face] = finder.find([image])
        assert face is not None
        assert face.how == "detect"
        crops.append(align(image, face))
    assert cosine(crops) > 0.8


def test_scene_and_enlarged_scene_give_nearly_the_same_crop(
    finder: FaceFinder, scene: Scene, bare: list[Image.Image], cosine: Cosine
) -> None:
    image = scene([(bare[0], 180, (230, 150))])
    large = image.resize((1280, 960), Image.Resampling.BICUBIC)
    crops = []
    for photo in (image, large):
        [face] = finder.find([photo])
        assert face is not None
        crops.append(align(photo, face))
    assert cosine(crops) > 0.9


@pytest.mark.parametrize(
    "box",
    [(-60, -80, 60, 40), (150, 150, 260, 260), (-100, -100, 400, 400), (-300, -300, -200, -200)],
    ids=["top left", "bottom right", "all around", "outside"],
)
def test_edge_pixels_are_repeated_beyond_the_edge(box: tuple[int, int, int, int]) -> None:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    image = Image.new("RGB", (200, 200), (10, 120, 230))
    crop = align(image, face_at(box, (x - 20, y), (x + 20, y)))
    assert (crop == [10, 120, 230]).all()


def test_blur_lowers_sharpness(bare: list[Image.Image]) -> None:
    for image in bare:
        face = whole((0, 0, *image.size))
        values = [sharpness(align(image.filter(ImageFilter.GaussianBlur(r)), face)) for r in (0, 1, 3)]
        assert values[0] > values[1] > values[2] > 0


def test_sharpness_of_known_pictures() -> None:
    flat = np.full((160, 160, 3), 90, np.uint8)
    checkers = np.repeat((np.indices((160, 160)).sum(0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    assert sharpness(flat) == pytest.approx(0, abs=1e-6)
    assert sharpness(checkers) == pytest.approx((4 * 255) ** 2, rel=1e-4)
