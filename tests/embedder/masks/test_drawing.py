from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.labels import Mask
from maskcls.embedder.masks.drawing import Fabric, Face, Shape, Style, draw_mask, random_style

Floats = npt.NDArray[np.float32]
Points = Sequence[tuple[float, float]]
Kind = Literal["wear", "nose", "chin", "mouth"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
FABRICS: tuple[Fabric, ...] = get_args(Fabric)
STATES: tuple[Mask, ...] = ("wear", "incorrect")
GREEN = (0.0, 1.0, 0.0)
EYES: Points = [(-0.5, 0), (0.5, 0)]
NOSE, MOUTH = (0.0, 0.58), (0.0, 1.0)
FRONTAL: Points = [*EYES, NOSE, (-0.36, 1), (0.36, 1)]
PLAIN = Style(
    "surgical",
    "plain",
    GREEN,
    GREEN,
    top=0.42,
    bottom=1.9,
    width=1,
    tilt=0,
    shading=0.3,
    shadow=0,
    grain=0,
    softness=0.5,
    straps=False,
    valve=False,
    fabric_size=0.2,
    seed=1,
)


def place(points: Points, size: float, centre: tuple[float, float] = (0.5, 0.4), unit: float = 0.4) -> Floats:
    """Points in face coordinates on a square photo: where the eyes' middle and how long a unit is, in its sides."""
    return np.asarray(np.array(centre) * size + np.array(points) * unit * size, np.float32)


def frame(landmarks: Floats) -> Face:
    face = Face.of(landmarks)
    assert face is not None
    return face


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def style_of(seed: int, state: Mask) -> Style:
    return random_style(np.random.default_rng(seed), state)


def kind_of(style: Style, state: Mask) -> Kind:
    if state == "wear":
        return "wear"
    return "chin" if style.top > 1.05 else "nose" if style.top > 0.7 else "mouth"


def change(before: Image.Image, after: Image.Image) -> npt.NDArray[np.int16]:
    """Largest change of a channel (height, width)."""
    assert (before.size, before.mode) == (after.size, after.mode)
    pixels = [np.asarray(image, np.int16) for image in (before, after)]
    return np.asarray(np.abs(pixels[1] - pixels[0]).max(axis=2), np.int16)


def covered(image: Image.Image, points: Floats) -> list[bool]:
    """Whether a green mask covers each point (n, 2)."""
    pixels = np.asarray(image, np.int16)
    return [bool(pixels[y, x, 1] > max(pixels[y, x, 0], pixels[y, x, 2]) + 20) for x, y in np.floor(points).astype(int)]


def in_green(style: Style) -> Style:
    """The same mask in green without what it does around itself."""
    return replace(style, colour=GREEN, second=GREEN, grain=0, shadow=0, straps=False)


COVERED: dict[Kind, Points] = {
    "wear": [MOUTH, (-0.36, 1), (0.36, 1), (0, 1.5)],
    "nose": [(0, 1.5)],
    "chin": [(0, 1.5)],
    "mouth": [MOUTH],
}
BARE: dict[Kind, Points] = {
    "wear": [*EYES, (0, 0), (0, -0.5)],
    "nose": [*EYES, NOSE],
    "chin": [*EYES, NOSE, MOUTH],
    "mouth": [*EYES, (0, 1.65)],
}


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32), state=st.sampled_from(STATES))
def test_what_a_mask_covers_and_leaves_bare(seed: int, state: Mask) -> None:
    style = in_green(style_of(seed, state))
    kind = kind_of(style, state)
    drawn = draw_mask(Image.new("RGB", (160, 160), "grey"), place(FRONTAL, 160, unit=0.3), style)
    assert all(covered(drawn, place(COVERED[kind], 160, unit=0.3)))
    assert not any(covered(drawn, place(BARE[kind], 160, unit=0.3)))


@pytest.mark.parametrize("seed", range(6))
def test_real_faces(bare: list[Image.Image], finder: FaceFinder, seed: int) -> None:
    upright = bare[:2]
    for image, face in zip(upright, finder.find(upright, "detect"), strict=True):
        assert face is not None
        landmarks = finder.landmarks([image], [face])[0]
        mouth = landmarks[3:].mean(axis=0, keepdims=True)
        for state in STATES:
            style = in_green(style_of(seed, state))
            drawn = draw_mask(image, landmarks, style)
            kind = kind_of(style, state)
            if kind in ("nose", "chin"):
                assert change(image, drawn)[tuple(landmarks[2, ::-1].astype(int))] == 0
            if kind in ("wear", "mouth"):
                assert covered(drawn, mouth) == [True]
            assert not any(covered(drawn, landmarks[:2]))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), state=st.sampled_from(STATES))
@example(seed=1331, state="wear")
@example(seed=1675, state="wear")
def test_only_the_surroundings_of_the_mask_change(seed: int, state: Mask) -> None:
    image, style = noise(192, 192), style_of(seed, state)
    changed = change(image, draw_mask(image, place(FRONTAL, 192, unit=0.2), style))
    eyes, unit = round(0.4 * 192), 0.2 * 192
    assert changed.max() > 0
    assert changed[: eyes + 1].max() <= 8  # the shadow's last trace
    assert not changed[: round(eyes - 0.3 * unit)].any()
    assert not changed[math.ceil(eyes + (style.bottom + 0.8) * unit) :].any()
    sides = np.abs(np.arange(192) - 96) > 2 * unit
    assert not changed[:, sides].any()


@pytest.mark.parametrize("shape", SHAPES)
def test_without_shadow_and_straps_the_eyes_row_and_above_are_untouched(shape: Shape) -> None:
    image = noise(128, 128)
    changed = change(image, draw_mask(image, place(FRONTAL, 128), replace(PLAIN, shape=shape)))
    assert not changed[: round(0.4 * 128) + 1].any()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("seed", range(3))
def test_same_style_same_pixels_and_the_photo_is_left_alone(state: Mask, seed: int) -> None:
    image, landmarks, style = noise(100, 80), place(FRONTAL, 80), style_of(seed, state)
    before = image.tobytes(), landmarks.tobytes()
    first, second = (draw_mask(image, landmarks, style) for _ in range(2))
    assert first.tobytes() == second.tobytes() != image.tobytes()
    assert (image.tobytes(), landmarks.tobytes()) == before


def test_different_seeds_differ() -> None:
    image, landmarks = Image.new("RGB", (96, 96), "grey"), place(FRONTAL, 96)
    drawn = {draw_mask(image, landmarks, style_of(seed, "wear")).tobytes() for seed in range(20)}
    assert len(drawn) == 20


@pytest.mark.parametrize(
    "style",
    [pytest.param(replace(PLAIN, grain=0.05), id="grain"), pytest.param(replace(PLAIN, fabric="blotches"), id="blot")],
)
def test_a_styles_own_seed_counts(style: Style) -> None:
    style = replace(style, second=(1.0, 0.0, 0.0))
    image, landmarks = Image.new("RGB", (96, 96), "grey"), place(FRONTAL, 96)
    assert len({draw_mask(image, landmarks, replace(style, seed=seed)).tobytes() for seed in range(5)}) == 5


@pytest.mark.parametrize("size", [(16, 16), (40, 64), (1024, 768)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_and_fabric_at_every_size(shape: Shape, fabric: Fabric, size: tuple[int, int]) -> None:
    image, landmarks = Image.new("RGB", size, "grey"), place(FRONTAL, min(size))
    style = replace(PLAIN, shape=shape, fabric=fabric, straps=True, valve=True, shadow=0.4, grain=0.02)
    drawn = draw_mask(image, landmarks, style)
    assert (drawn.size, drawn.mode) == (image.size, "RGB")
    assert covered(drawn, landmarks[3:].mean(axis=0, keepdims=True)) == [True]


@pytest.mark.parametrize("fabric", [fabric for fabric in FABRICS if fabric != "plain"])
def test_a_patterned_fabric_shows_both_colours(fabric: Fabric) -> None:
    style = replace(PLAIN, fabric=fabric, second=(1.0, 0.0, 0.0))
    pixels = np.asarray(draw_mask(Image.new("RGB", (256, 256), "grey"), place(FRONTAL, 256), style), np.int16)
    difference = pixels[..., 1] - pixels[..., 0]
    assert min((difference > 60).sum(), (difference < -60).sum()) > 100


@pytest.mark.parametrize(
    ("centre", "unit", "conformity_score"),
    [
        pytest.param((0.0, 0.4), 0.3, True, id="left edge"),
        pytest.param((1.0, 0.4), 0.3, True, id="right edge"),
        pytest.param((0.5, -0.2), 0.3, True, id="eyes above the photo"),
        pytest.param((0.5, 0.9), 0.2, True, id="chin below the photo"),
        pytest.param((0.5, -4.0), 4.0, True, id="larger than the photo"),
        pytest.param((0.5, 0.5), 0.03, True, id="three pixels"),
        pytest.param((5.0, 0.4), 0.3, False, id="far right"),
        pytest.param((-5.0, -5.0), 0.3, False, id="far above and left"),
        pytest.param((0.5, 30.0), 0.3, False, id="far below"),
    ],
)
@pytest.mark.parametrize("size", [16, 100])
def test_faces_at_and_beyond_the_photos_edge(
    size: int, centre: tuple[float, float], unit: float, conformity_score: bool
) -> None:
    image = noise(size, size)
    drawn = draw_mask(image, place(FRONTAL, size, centre, unit), replace(PLAIN, straps=True, shadow=0.4))
    assert drawn is not image
    assert bool(change(image, drawn).any()) == conformity_score


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("straps", [True, False])
def test_a_sliver_of_a_photo(width: int, straps: bool) -> None:
    image = noise(width, 100)
    drawn = draw_mask(image, place(FRONTAL, 100, (0, 0.4)), replace(PLAIN, straps=straps))
    assert drawn is not image
    assert bool(change(image, drawn).any()) == (width == 2)


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([EYES[1], EYES[0], *FRONTAL[2:]], id="eyes swapped"),
        pytest.param([(-x, -y) for x, y in FRONTAL], id="upside down"),
        pytest.param([(-y, x) for x, y in FRONTAL], id="lying"),
        pytest.param([(-0.05, 0), (0.05, 0), (0.4, 0.5), (0, 1), (0.1, 1)], id="profile"),
        pytest.param([*EYES, (3, 0.5), *FRONTAL[3:]], id="nose far aside"),
        pytest.param([*EYES, NOSE, MOUTH, MOUTH], id="mouth in one point"),
        pytest.param([MOUTH, MOUTH, NOSE, MOUTH, MOUTH], id="eyes on the mouth"),
        pytest.param([(0, 0), (0, 0), NOSE, (-0.3, 1), (0.3, 1)], id="eyes in one point"),
        pytest.param([(0, 0), (0, 0.2), NOSE, MOUTH, MOUTH], id="on one line"),
        pytest.param([NOSE] * 5, id="all in one point"),
    ],
)
def test_odd_landmarks_are_no_error(points: Points) -> None:
    image = noise(96, 96)
    for state in STATES:
        drawn = draw_mask(image, place(points, 96, (0.5, 0.45), 0.25), style_of(3, state))
        assert drawn is not image
        assert drawn.size == image.size


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(Image.new("RGB", (96, 96), "black"), id="black"),
        pytest.param(Image.new("RGB", (96, 96), "grey"), id="grey"),
        pytest.param(Image.new("RGB", (96, 96), "white"), id="white"),
        pytest.param(noise(96, 96).convert("L").convert("RGB"), id="grey noise"),
    ],
)
@pytest.mark.parametrize("shape", SHAPES)
def test_photos_without_colour(image: Image.Image, shape: Shape) -> None:
    landmarks = place(FRONTAL, 96)
    drawn = draw_mask(image, landmarks, replace(PLAIN, shape=shape, shading=0.8, shadow=0.45))
    assert covered(drawn, landmarks[[0, 1, 3, 4]]) == [False, False, True, True]


def test_a_mask_in_a_brighter_photo_is_brighter() -> None:
    landmarks = place(FRONTAL, 96)
    x, y = place([(0.2, 1.2)], 96)[0].astype(int).tolist()
    levels = []
    for level in (0, 40, 80, 120):
        image = Image.new("RGB", (96, 96), (level, level, level))
        levels.append(np.asarray(draw_mask(image, landmarks, PLAIN))[y, x, 1])
    assert levels == sorted(set(levels))


RANGES: dict[Kind, tuple[tuple[float, float], tuple[float, float]]] = {
    "wear": ((0.24, 0.5), (1.72, 2.1)),
    "nose": ((0.8, 1.0), (1.75, 2.1)),
    "chin": ((1.08, 1.35), (1.6, 2.05)),
    "mouth": ((0.4, 0.55), (1.2, 1.4)),
}
"""Where the top and the bottom of a mask may lie, between the eyes (0) and the mouth (1)."""


@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 2**63), state=st.sampled_from(STATES))
def test_random_styles_stay_in_their_ranges(seed: int, state: Mask) -> None:
    style = style_of(seed, state)
    assert style == style_of(seed, state)
    assert style.shape in SHAPES
    assert style.fabric in FABRICS
    assert all(0 <= share <= 1 for share in (*style.colour, *style.second))
    assert all(0 <= share <= 1 for share in (style.shading, style.shadow, style.grain, style.softness))
    top, bottom = RANGES[kind_of(style, state)]
    assert top[0] <= style.top <= top[1] < bottom[0] <= style.bottom <= bottom[1]
    assert 0.84 <= style.width <= 1.1
    assert style.fabric_size > 0
    assert style.shape == "cup" or not style.valve


@pytest.mark.parametrize(("state", "kinds"), [("wear", {"wear"}), ("incorrect", {"nose", "chin", "mouth"})])
def test_every_kind_shape_and_fabric_turns_up(state: Mask, kinds: set[Kind]) -> None:
    styles = [style_of(seed, state) for seed in range(300)]
    assert {kind_of(style, state) for style in styles} == kinds
    assert {style.shape for style in styles} == set(SHAPES)
    assert {style.fabric for style in styles} == set(FABRICS)
    assert {style.straps for style in styles} == {style.valve for style in styles} == {True, False}
    assert len({style.seed for style in styles}) == 300


@settings(deadline=None)
@given(
    angle=st.floats(-math.pi, math.pi),
    unit=st.floats(5, 300),
    height=st.floats(0.8, 1.3),
    centre=st.tuples(st.floats(-100, 1100), st.floats(-100, 1100)),
    step=st.sampled_from([1.0, 0.5, 1 / 3]),
)
def test_pixels_and_coordinates_are_inverse_for_an_unturned_face(
    angle: float, unit: float, height: float, centre: tuple[float, float], step: float
) -> None:
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]) * unit
    points = np.array([(u, v * height) for u, v in FRONTAL])
    face = frame(np.asarray(points @ turn + centre, np.float32))
    assert face.turn == pytest.approx(0, abs=1e-2)
    u, v = replace(face, turn=0.0, nod=NOSE[1]).coordinates(12, 9, 40, -20, step)
    assert u.shape == v.shape == (9, 12)
    pixels = replace(face, turn=0.0, nod=NOSE[1]).pixels(np.stack([u.ravel(), v.ravel()], axis=1)).reshape(9, 12, 2)
    x, y = np.meshgrid(40 + (np.arange(12) + 0.5) * step, -20 + (np.arange(9) + 0.5) * step)
    np.testing.assert_allclose(pixels, np.stack([x, y], axis=2), atol=0.02)


@pytest.mark.parametrize("size", [20, 500])
def test_the_landmarks_of_an_unturned_face_are_where_face_coordinates_say(size: int) -> None:
    landmarks = place(FRONTAL, size)
    np.testing.assert_allclose(frame(landmarks).pixels(np.array(FRONTAL, np.float32)), landmarks, rtol=1e-5)


@pytest.mark.parametrize(("nose", "turn"), [(-2.0, -0.5), (-0.3, -0.3), (0.0, 0.0), (0.2, 0.2), (0.5, 0.5), (9.0, 0.5)])
def test_turn_follows_the_nose_up_to_a_limit(nose: float, turn: float) -> None:
    face = frame(place([*EYES, (nose, 0.6), *FRONTAL[3:]], 100))
    assert face.turn == pytest.approx(turn, abs=1e-5)
    assert float(face.pixels(np.array([NOSE], np.float32))[0, 0] - face.eyes[0]) == pytest.approx(40 * turn, rel=0.2)


def test_eyes_that_a_turn_brings_together_do_not_narrow_the_face() -> None:
    face = frame(place([(-0.1, 0), (0.1, 0), (0.3, 0.6), (0, 1), (0.2, 1)], 100))
    assert float(np.hypot(*face.across)) == pytest.approx(0.75 * float(np.hypot(*face.down)))
