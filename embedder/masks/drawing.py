"""Draw a face mask on a bare face: our own shapes and fabrics, placed by five landmarks.

Trained on bare photos alone, a head has never seen a mask. Drawing them is how the contest's own stand-ins and most
masked-face data were made (Anwar & Raychowdhury 2020, https://arxiv.org/abs/2008.11104); here the shapes are curves in
face coordinates and the fabric is computed, so that no two masks are alike and no template is copied.

Face coordinates: ``u`` runs from the midline to the subject's left in distances between the eyes, ``v`` from the line
of the eyes (0) to the mouth (1).
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy.interpolate import CubicSpline

from ..labels import Mask

Floats = npt.NDArray[np.float32]
Shape = Literal["surgical", "cloth", "folded", "cup"]
Fabric = Literal["plain", "stripes", "checks", "dots", "blotches"]

OUTLINES: dict[Shape, tuple[tuple[float, float], ...]] = {
    "surgical": ((0, 0.42), (0.35, 0.49), (0.75, 0.58), (1.0, 0.64), (1.02, 0.95), (0.94, 1.3), (0.68, 1.66), (0, 1.9)),
    "cloth": ((0, 0.36), (0.28, 0.48), (0.65, 0.6), (1.1, 0.55), (1.14, 0.8), (0.92, 1.32), (0.5, 1.76), (0, 1.92)),
    "folded": ((0, 0.26), (0.22, 0.46), (0.65, 0.56), (1.15, 0.52), (1.14, 0.85), (1.0, 1.25), (0.5, 1.75), (0, 2.0)),
    "cup": ((0, 0.34), (0.26, 0.48), (0.62, 0.66), (0.86, 0.95), (0.88, 1.25), (0.72, 1.6), (0.42, 1.83), (0, 1.92)),
}
"""Right half of each shape, from the bridge of the nose to the chin, in face coordinates."""
WORN_TOP, WORN_BOTTOM = 0.42, 1.9
SHARP_CORNER: dict[Shape, int] = {"surgical": 3, "cloth": 3, "folded": 3, "cup": 0}
"""Where the outline turns sharply, at the cheek: the curve is smooth before and after."""
NOSE = 0.58
"""v of the tip of the nose, median of real faces; the drawing follows where a face has it."""
NODS = (0.4, 0.85)
MIN_SINE = 0.2
"""Between the line of the eyes and the line from eyes to mouth, below which there is no face to draw on."""
FAINT = 8
"""The shadow ends where it is this faint (of 255), so that it does not reach the eyes."""
SUPERSAMPLING = 3
COLOURS = (
    (0.56, 0.45, 0.85),
    (0.0, 0.0, 0.95),
    (0.0, 0.0, 0.12),
    (0.0, 0.0, 0.45),
    (0.38, 0.3, 0.75),
    (0.94, 0.3, 0.9),
)
"""Hue, saturation and value of the masks one meets: blue, white, black, grey, green, pink."""


@dataclass(frozen=True)
class Style:
    """How one mask looks and sits; lengths in face coordinates, colours and shares 0-1."""

    shape: Shape
    fabric: Fabric
    colour: tuple[float, float, float]
    second: tuple[float, float, float]
    top: float
    bottom: float
    width: float
    tilt: float
    shading: float
    shadow: float
    grain: float
    softness: float
    straps: bool
    valve: bool
    fabric_size: float
    seed: int


def random_style(random: np.random.Generator, state: Mask) -> Style:
    """A style for ``wear`` or ``incorrect``.

    Wrongly worn is under the nose, under the mouth on the chin, or on the mouth with the chin bare.
    """
    shape: Shape = random.choice(["surgical", "surgical", "cloth", "cloth", "folded", "cup"])
    fabric: Fabric = random.choice(["plain"] * 6 + ["stripes", "checks", "dots", "blotches"])
    if state == "wear":
        top, bottom = random.uniform(0.24, 0.5), random.uniform(1.72, 2.1)
    else:
        kind = random.choice(["nose", "nose", "chin", "chin", "mouth"])
        if kind == "nose":
            top, bottom = random.uniform(0.8, 1.0), random.uniform(1.75, 2.1)
        elif kind == "chin":
            top, bottom = random.uniform(1.08, 1.35), random.uniform(1.6, 2.05)
        else:
            top, bottom = random.uniform(0.4, 0.55), random.uniform(1.2, 1.4)
    return Style(
        shape,
        fabric,
        _colour(random),
        _colour(random),
        top,
        bottom,
        width=random.uniform(0.84, 1.1),
        tilt=random.normal(0, 0.03),
        shading=random.uniform(0.2, 0.8),
        shadow=random.uniform(0, 0.45),
        grain=random.uniform(0, 0.05),
        softness=random.uniform(0.3, 1.0),
        straps=bool(random.random() < 0.7),
        valve=bool(shape == "cup" and random.random() < 0.4),
        fabric_size=random.uniform(0.08, 0.3),
        seed=int(random.integers(2**31)),
    )


def _colour(random: np.random.Generator) -> tuple[float, float, float]:
    if random.random() < 0.6:
        h, s, v = COLOURS[random.integers(len(COLOURS))]
        h, s, v = h + random.normal(0, 0.03), s + random.normal(0, 0.08), v + random.normal(0, 0.08)
    else:
        h, s, v = random.random(), random.uniform(0, 0.9), random.uniform(0.1, 1)
    return colorsys.hsv_to_rgb(h % 1, min(max(s, 0), 1), min(max(v, 0.05), 1))


@dataclass(frozen=True)
class Face:
    """Face coordinates of one face: an affine frame, bent where the head is turned.

    Attributes:
        eyes: point between the eyes, in pixels.
        across: one unit of u in pixels.
        down: one unit of v in pixels.
        turn: where the nose lies between the eyes and mouth, in u: 0 looks into the camera.
        nod: where it lies in v; :data:`NOSE` is usual, more looks down.
    """

    eyes: Floats
    across: Floats
    down: Floats
    turn: float
    nod: float

    @classmethod
    def of(cls, landmarks: Floats) -> Face | None:
        """The frame of landmarks (5, 2): eyes, nose, mouth corners. None where they lie on one line."""
        eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
        down = mouth - eyes
        across = landmarks[1] - landmarks[0]
        height, width = float(np.hypot(*down)), float(np.hypot(*across))
        if abs(across[0] * down[1] - across[1] * down[0]) < MIN_SINE * height * width or not height * width:
            return None
        across = across / width * max(width, 0.75 * height)  # turned heads bring the eyes together
        turn, nod = np.linalg.solve(np.stack([across, down], axis=1), landmarks[2] - eyes)
        return cls(eyes, across, down, float(np.clip(turn, -0.5, 0.5)), float(np.clip(nod, *NODS)))

    def pixels(self, points: Floats) -> Floats:
        """Pixels (n, 2) of face coordinates (n, 2)."""
        u, v = points.T
        v = v + np.interp(v, [0, NOSE, 1], [0, self.nod - NOSE, 0])
        bent = u + self.turn * (1 - (u / 1.3) ** 2).clip(0) * np.interp(v, [0, 0.6, 1.2, 2], [0.2, 1, 0.9, 0.6])
        return np.asarray(self.eyes + bent[:, None] * self.across + v[:, None] * self.down, np.float32)

    def coordinates(self, width: int, height: int, left: float, top: float, step: float) -> tuple[Floats, Floats]:
        """u and v (height, width) of a grid of pixels, the bend left out."""
        x = left + (np.arange(width, dtype=np.float32) + 0.5) * step - self.eyes[0]
        y = top + (np.arange(height, dtype=np.float32) + 0.5) * step - self.eyes[1]
        inverse = np.linalg.inv(np.stack([self.across, self.down], axis=1)).astype(np.float32)
        return (
            inverse[0, 0] * x[None] + inverse[0, 1] * y[:, None],
            inverse[1, 0] * x[None] + inverse[1, 1] * y[:, None],
        )


def draw_mask(image: Image.Image, landmarks: Floats, style: Style) -> Image.Image:
    """The RGB image with a mask drawn on the face whose landmarks (5, 2) are given in its pixels.

    The image is returned as it is where the landmarks lie on one line, or the face outside of it.
    """
    face = Face.of(np.asarray(landmarks, np.float32))
    if face is None:
        return image.copy()
    outline = _outline(style)
    edge = face.pixels(outline)
    margin = 0.5 * float(np.hypot(*face.across))
    left, top = (math.floor(v) for v in edge.min(axis=0) - margin)
    right, bottom = (math.ceil(v) for v in edge.max(axis=0) + margin)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height)
    if right - left < 2 or bottom - top < 2:
        return image.copy()
    size = (right - left, bottom - top)
    scale = SUPERSAMPLING if max(size) < 400 else 1
    large = (size[0] * scale, size[1] * scale)
    cover = Image.new("L", large)
    ImageDraw.Draw(cover).polygon([tuple(p) for p in ((edge - (left, top)) * scale).tolist()], fill=255)
    tile = image.crop((left, top, right, bottom))
    u, v = face.coordinates(*large, left, top, 1 / scale)
    cloth = _fabric(style, u - face.turn * 0.9, v) * _light(style, u, v, cover, tile.resize(large))[..., None]
    cloth += np.random.default_rng(style.seed).normal(0, style.grain, cloth.shape[:2])[..., None]
    paint = Image.fromarray((cloth.clip(0, 1) * 255).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    alpha = cover.resize(size, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(style.softness))
    if style.straps:
        tile = _straps(tile, face, outline, style, (left, top), scale)
    dark = alpha.filter(ImageFilter.GaussianBlur(0.06 * size[0]))
    dark = dark.point(lambda a: 255 - style.shadow * max(0, a - FAINT))
    tile = ImageChops.multiply(tile, Image.merge("RGB", [dark] * 3))
    tile.paste(paint.filter(ImageFilter.GaussianBlur(style.softness / 2)), mask=alpha)
    result = image.copy()
    result.paste(tile, (left, top))
    return result


def _outline(style: Style) -> Floats:
    """The closed outline (n, 2) in face coordinates, clockwise from the nose."""
    half = np.array(OUTLINES[style.shape], np.float32)
    span = half[:, 1].max() - half[0, 1]
    half[:, 1] = style.top + (half[:, 1] - half[0, 1]) * (style.bottom - style.top) / span
    squeezed = (style.bottom - style.top) / (WORN_BOTTOM - WORN_TOP)
    half[:, 0] *= style.width * (1 if squeezed > 0.7 else 0.92)
    corner = SHARP_CORNER[style.shape]
    parts = [half[: corner + 1], half[corner:]] if corner else [half]
    smooth = np.concatenate([_smooth(part) for part in parts])
    mirrored = smooth[::-1] * (-1, 1)
    closed = np.concatenate([smooth, mirrored])
    closed[:, 1] += style.tilt * closed[:, 0]
    return np.asarray(closed, np.float32)


def _smooth(points: Floats) -> Floats:
    length = np.concatenate([[0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    return np.asarray(CubicSpline(length, points)(np.linspace(0, length[-1], 24)), np.float32)


def _fabric(style: Style, u: Floats, v: Floats) -> Floats:
    """Colour (h, w, 3), 0-1, before light falls on it."""
    size = style.fabric_size
    match style.fabric:
        case "stripes":
            pick = (v / size) % 1 < 0.5
        case "checks":
            pick = ((u / size) % 1 < 0.5) ^ ((v / size) % 1 < 0.5)
        case "dots":
            pick = ((u / size) % 1 - 0.5) ** 2 + ((v / size) % 1 - 0.5) ** 2 < 0.08
        case "blotches":
            waves = np.random.default_rng(style.seed).normal(0, 1 / size, (6, 3)).astype(np.float32)
            pick = np.sum([np.sin(a * u + b * v + c) for a, b, c in waves], axis=0) > 1
        case _:
            pick = np.zeros(u.shape, bool)
    colours = np.array([style.colour, style.second], np.float32)
    return np.asarray(colours[pick.astype(np.intp)], np.float32)


def _light(style: Style, u: Floats, v: Floats, cover: Image.Image, tile: Image.Image) -> Floats:
    """Brightness (h, w): the light on the face, the bulge of the mask, its folds, seam and hem."""
    radius = 0.12 * cover.width
    grey = np.asarray(tile.convert("L").filter(ImageFilter.GaussianBlur(radius)), np.float32)
    inside = np.asarray(cover) > 0
    level = float(np.median(grey[inside])) if inside.any() else 128.0
    exposure = np.float32(np.clip(0.35 + level / 200, 0.5, 1.1))
    light = exposure * (1 + style.shading * 0.6 * (grey / max(level, 1) - 1))
    middle, half = (style.top + style.bottom) / 2, (style.bottom - style.top) / 2
    light *= 1 - 0.25 * style.shading * ((u / 1.1) ** 2 + 0.5 * ((v - middle) / half) ** 2)
    depth = 0.12 + 0.2 * style.shading
    if style.shape == "surgical":
        for share in (0.33, 0.53, 0.73):
            fold = v - (style.top + share * 2 * half + 0.08 * u**2)
            light -= depth * np.exp(-((fold / 0.025) ** 2)) - 0.5 * depth * np.exp(-(((fold + 0.05) / 0.04) ** 2))
        light += 0.06 * (np.abs(v - style.top - 0.12 - 0.2 * u**2) < 0.05)
    elif style.shape in ("cloth", "folded"):
        light -= depth * np.exp(-((u / 0.025) ** 2))
        light += 0.25 * depth * np.sign(u) * np.exp(-np.abs(u) / 0.5)
    if style.valve:
        ring = np.hypot(u, (v - middle) * 1.1)
        light += 0.1 * (ring < 0.22) - 0.2 * (np.abs(ring - 0.22) < 0.03)
    soft = np.asarray(cover.filter(ImageFilter.GaussianBlur(0.012 * cover.width)), np.float32) / 255
    return np.asarray((light - 0.5 * depth * (1 - soft) * 2).clip(0.05, 1.4), np.float32)


def _straps(
    tile: Image.Image, face: Face, outline: Floats, style: Style, corner: tuple[int, int], scale: int
) -> Image.Image:
    large = Image.new("L", (tile.width * scale, tile.height * scale))
    pen = ImageDraw.Draw(large)
    right = outline[outline[:, 0] > 0.75 * outline[:, 0].max()]
    upper, lower = right[right[:, 1].argmin()], right[right[:, 1].argmax()]
    for sign in (-1, 1):
        for start, end in ((upper, 0.3), (lower, 0.75)):
            points = np.array([(sign * (start[0] - 0.05), start[1]), (sign * 1.45, end)], np.float32)
            line = ((face.pixels(points) - corner) * scale).reshape(-1).tolist()
            pen.line(line, fill=255, width=max(1, round(0.035 * float(np.hypot(*face.across)) * scale)))
    alpha = large.resize(tile.size, Image.Resampling.BOX)
    colour = tuple(round(255 * c) for c in (style.second if style.seed % 3 == 0 else (0.9, 0.9, 0.9)))
    result = tile.copy()
    result.paste(colour, (0, 0, *tile.size), alpha)
    return result
