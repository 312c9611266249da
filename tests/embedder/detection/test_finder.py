from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image, ImageEnhance

from maskcls.embedder.detection import detector
from maskcls.embedder.detection.align import align
from maskcls.embedder.detection.detector import Array, Found
from maskcls.embedder.detection.finder import TURNS, FaceFinder, FaceMode
from maskcls.embedder.errors import MaskclsError

Scene = Callable[[Sequence[tuple[Image.Image, int, tuple[int, int]]]], Image.Image]
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8))
NOTHING = [
    pytest.param(NOISE, id="noise"),
    pytest.param(Image.new("RGB", (320, 240), "grey"), id="grey"),
    pytest.param(Image.new("RGB", (200, 200), "black"), id="black"),
]


def found(finder: FaceFinder, image: Image.Image, mode: FaceMode = "auto") -> Found:
    [face] = finder.find([image], mode)
    assert face is not None
    return face


def overlap(box: Sequence[float], other: Sequence[float]) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    inner = max(0.0, width) * max(0.0, height)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, other)]
    return inner / (sum(areas) - inner)


def test_tight_crops_are_taken_whole(finder: FaceFinder, bare: list[Image.Image], masked: list[Image.Image]) -> None:
    for image, face in zip([*bare, *masked], finder.find([*bare, *masked]), strict=True):
        assert face is not None
        assert face.how == "whole"
        assert face.box.tolist() == [0, 0, *image.size]
        assert face.landmarks.shape == (0, 2)
        assert 0.25 <= face.score <= 1
        assert face.faces == 1


@pytest.mark.parametrize("faces", ["bare", "masked"])
def test_a_face_in_a_scene_is_found(
    finder: FaceFinder, scene: Scene, faces: str, request: pytest.FixtureRequest
) -> None:
    images: list[Image.Image] = request.getfixturevalue(faces)
    for image in images[:2]:
        face = found(finder, scene([(image, 180, (300, 150))]))
        assert (face.how, face.faces) == ("detect", 1)
        assert overlap(face.box.tolist(), (300, 150, 480, 330)) > 0.4
        assert face.landmarks.shape == (5, 2)
        left_eye, right_eye, _, left_mouth, right_mouth = face.landmarks
        assert left_eye[0] < right_eye[0]
        assert max(left_eye[1], right_eye[1]) < min(left_mouth[1], right_mouth[1])
        assert (face.landmarks > [300, 150]).all()
        assert (face.landmarks < [480, 330]).all()


@pytest.mark.parametrize("large_first", [True, False])
def test_the_largest_of_two_faces(finder: FaceFinder, scene: Scene, bare: list[Image.Image], large_first: bool) -> None:
    pasted = [(bare[0], 180, (300, 150)), (bare[1], 120, (60, 60))]
    face = found(finder, scene(pasted if large_first else pasted[::-1]))
    assert face.faces == 2
    assert overlap(face.box.tolist(), (300, 150, 480, 330)) > 0.4


def test_box_is_in_pixels_of_a_photo_searched_at_another_size(
    finder: FaceFinder, scene: Scene, bare: list[Image.Image]
) -> None:
    image = scene([(bare[0], 180, (300, 150))])
    small, large = found(finder, image), found(finder, image.resize((960, 720)))
    assert overlap((large.box / 1.5).tolist(), small.box.tolist()) > 0.8


@pytest.mark.parametrize("mode", ["auto", "detect"])
@pytest.mark.parametrize("image", NOTHING)
def test_no_face(finder: FaceFinder, image: Image.Image, mode: FaceMode) -> None:
    assert finder.find([image], mode) == [None]


@pytest.mark.parametrize("image", NOTHING)
def test_mode_whole_takes_anything(finder: FaceFinder, image: Image.Image) -> None:
    face = found(finder, image, "whole")
    side = min(image.size)
    x, y = (image.width - side) / 2, (image.height - side) / 2
    assert face.box.tolist() == [x, y, x + side, y + side]
    assert (face.how, face.score, face.faces) == ("whole", 1, 1)


def test_mode_detect_never_takes_the_whole(finder: FaceFinder, bare: list[Image.Image]) -> None:
    assert {face.how for face in finder.find(bare, "detect") if face is not None} == {"detect"}


@pytest.mark.parametrize("mode", ["auto", "detect", "whole"])
@pytest.mark.parametrize("size", [(16, 16), (16, 400), (400, 16), (1024, 1), (1, 1024)])
@pytest.mark.parametrize("texture", ["grey", "noise"])
def test_tiny_and_narrow_images(finder: FaceFinder, size: tuple[int, int], mode: FaceMode, texture: str) -> None:
    image = Image.new("RGB", size, "grey") if texture == "grey" else NOISE.resize(size)
    assert [face is not None for face in finder.find([image], mode)] == [mode == "whole"]


@pytest.mark.parametrize("mode", ["auto", "detect", "whole"])
def test_empty_batch(finder: FaceFinder, mode: FaceMode) -> None:
    assert finder.find([], mode) == []


@pytest.mark.parametrize("mode", ["auto", "detect"])
def test_result_does_not_depend_on_the_batch(
    finder: FaceFinder, scene: Scene, bare: list[Image.Image], masked: list[Image.Image], mode: FaceMode
) -> None:
    scenes = [scene([(image, 150, (50 * i, 40 * i))]) for i, image in enumerate([bare[0], bare[1], masked[0]])]
    images = [bare[0], NOISE, *scenes, masked[1], NOISE.resize((16, 16))]
    for image, together in zip(images, finder.find(images, mode), strict=True):
        [alone] = finder.find([image], mode)
        if alone is None or together is None:
            assert alone is together
            continue
        assert (alone.how, alone.faces) == (together.how, together.faces)
        assert np.abs(alone.box - together.box).max() < 0.1
        assert np.abs(alone.landmarks - together.landmarks).max(initial=0) < 0.1
        assert alone.score == pytest.approx(together.score, abs=1e-3)


def assert_is_a_face(points: Array, image: Image.Image) -> None:
    left_eye, right_eye, nose, left_mouth, right_mouth = points
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < max(left_mouth[1], right_mouth[1])
    assert ((points > 0) & (points < image.size)).all()


@pytest.mark.parametrize("mode", ["auto", "detect", "whole"])
@pytest.mark.parametrize("faces", ["bare", "masked"])
def test_landmarks_of_tight_crops(
    finder: FaceFinder, mode: FaceMode, faces: str, request: pytest.FixtureRequest
) -> None:
    images: list[Image.Image] = request.getfixturevalue(faces)
    pairs = [(image, face) for image, face in zip(images, finder.find(images, mode), strict=True) if face]
    points = finder.landmarks(*zip(*pairs, strict=True))
    assert points.shape == (len(pairs), 5, 2)
    for (image, face), five in zip(pairs, points, strict=True):
        assert_is_a_face(five, image)
        assert face.how == "whole" or (five == face.landmarks).all()


def test_landmarks_of_whole_photos_are_near_those_of_a_search(finder: FaceFinder, bare: list[Image.Image]) -> None:
    for image in bare:
        searched, whole = found(finder, image, "detect"), found(finder, image, "whole")
        distance = np.abs(finder.landmarks([image], [whole])[0] - searched.landmarks).mean()
        assert distance < 0.08 * image.width


@pytest.mark.parametrize(
    ("size", "corner"),
    [
        pytest.param((600, 200), (200, 0), id="wide"),
        pytest.param((200, 500), (0, 150), id="tall"),
    ],
)
def test_landmarks_of_a_whole_photo_lie_in_its_central_square(
    finder: FaceFinder, bare: list[Image.Image], size: tuple[int, int], corner: tuple[int, int]
) -> None:
    square = bare[0].resize((200, 200))
    image = Image.new("RGB", size, "grey")
    image.paste(square, corner)
    points = finder.landmarks([image, square], [found(finder, image, "whole"), found(finder, square, "whole")])
    assert points[0] - points[1] == pytest.approx(np.broadcast_to(corner, (5, 2)), abs=2)


@pytest.mark.parametrize("factor", [0.5, 3])
def test_landmarks_of_a_whole_photo_scale_with_it(finder: FaceFinder, bare: list[Image.Image], factor: float) -> None:
    for image in bare:
        resized = image.resize((round(image.width * factor), round(image.height * factor)))
        points = finder.landmarks([image, resized], [found(finder, image, "whole"), found(finder, resized, "whole")])
        assert np.abs(points[1] / factor - points[0]).max() < 0.05 * image.width


@pytest.mark.parametrize("image", [*NOTHING, pytest.param(Image.new("RGB", (1, 400)), id="narrow")])
def test_landmarks_of_anything_taken_whole_are_numbers(finder: FaceFinder, image: Image.Image) -> None:
    assert np.isfinite(finder.landmarks([image], [found(finder, image, "whole")])).all()


def test_landmarks_of_nothing_and_of_unequal_lists(finder: FaceFinder) -> None:
    assert finder.landmarks([], []).shape == (0, 5, 2)
    with pytest.raises(ValueError, match="zip"):
        finder.landmarks([], [found(finder, NOISE, "whole")])


def test_damaged_detector_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(detector.MTCNN_SHA256, "rnet.pt", "0" * 64)
    with pytest.raises(
        MaskclsError, match=r"^detector weights rnet\.pt are damaged: reinstall facenet-pytorch==2\.5\.3$"
    ):
        FaceFinder()


TURNED = [pytest.param(turn, way, id=str(turn)) for turn, (way, _) in TURNS.items()]


@pytest.mark.parametrize(("turn", "way"), TURNED)
def test_a_crop_that_lies_is_turned(
    finder: FaceFinder, bare: list[Image.Image], turn: int, way: Image.Transpose
) -> None:
    back = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}[turn]
    righted = 0
    for image in bare:
        lying = image.transpose(back)
        face = found(finder, lying)
        if face.turn:
            assert (face.turn, face.how) == (turn, "detect")
            again, upright = (align(*pair).astype(float) for pair in ((lying, face), (image, found(finder, image))))
            assert np.corrcoef(again.ravel(), upright.ravel())[0, 1] > 0.6
            righted += 1
    assert righted >= 2


@pytest.mark.parametrize(("turn", "way"), TURNED)
def test_points_of_a_turned_image_are_turned_back(turn: int, way: Image.Transpose) -> None:
    image = Image.new("L", (30, 20))
    image.putpixel((7, 4), 255)
    turned = image.transpose(way)
    ((y, x),) = np.argwhere(np.asarray(turned))
    assert TURNS[turn][1](np.array([[x + 0.5, y + 0.5]]), *turned.size).tolist() == [[7.5, 4.5]]


def test_a_scene_that_lies_is_turned(finder: FaceFinder, scene: Scene, bare: list[Image.Image]) -> None:
    image = scene([(bare[0], 300, (200, 100))])
    upright, lying = found(finder, image), found(finder, image.transpose(Image.Transpose.ROTATE_180))
    assert (upright.turn, lying.turn) == (0, 180)
    width, height = image.size
    expected = [width - upright.box[2], height - upright.box[3], width - upright.box[0], height - upright.box[1]]
    assert overlap(lying.box.tolist(), expected) > 0.8


def test_upright_crops_and_scenes_are_not_turned(
    finder: FaceFinder, scene: Scene, bare: list[Image.Image], masked: list[Image.Image]
) -> None:
    images = [*bare, *masked, scene([(bare[0], 180, (300, 150))])]
    assert {face.turn for face in finder.find(images) if face is not None} == {0}


@pytest.mark.parametrize("share", [0.06, 0.12])
def test_dark_photos_are_lifted(
    finder: FaceFinder, bare: list[Image.Image], masked: list[Image.Image], share: float
) -> None:
    for image in [*bare, *masked]:
        dark = ImageEnhance.Brightness(image).enhance(share)
        face = found(finder, dark)
        assert face.turn == 0
        assert align(dark, face).mean() > 4 * np.asarray(dark).mean()


@pytest.mark.parametrize("name", ["coffee.png", "brick.png", "text.png", "moon.png", "coins.png", "page.png"])
def test_pictures_without_a_face_have_none(finder: FaceFinder, name: str) -> None:
    image = Image.open(Path(skimage.__path__[0], "data", name)).convert("RGB")
    assert finder.find([image]) == [None]
