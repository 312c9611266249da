"""Cut the found face out of a photo, upright and at the size FaceNet expects."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageStat

from .detector import Found

CROP_SIZE = 160
MARGIN = 0.15
"""Share of the detected box added around it, chosen by measurement (``docs/detection.md``)."""
EYES_AT = (0.497, 0.29)
"""Where the point between the eyes lies in a crop, as shares of its side: UTKFace's own framing (median)."""
DARK, LIFTED, MAX_GAIN = 40.0, 100.0, 8.0
"""Mean grey (0-255) below which an image is dark, the mean to which it is lifted, and the largest factor."""


def lift(image: Image.Image) -> Image.Image:
    """The same image, or a dark one multiplied so that its mean grey is :data:`LIFTED`."""
    mean = float(ImageStat.Stat(image.convert("L")).mean[0])
    if not 0 < mean < DARK:
        return image
    gain = min(MAX_GAIN, LIFTED / mean)
    return image.point([min(255, round(value * gain)) for value in range(256)] * 3)


def align(image: Image.Image, face: Found, size: int = CROP_SIZE) -> npt.NDArray[np.uint8]:
    """The face as RGB pixels, shape (size, size, 3), lifted where it is dark.

    A detected face is turned so that the eyes are level, placed by the point between them and scaled by its
    box, so that bare and masked faces are framed alike; beyond the photo's edge its last pixels are repeated.
    A whole photo is only resized.
    """
    x0, y0, x1, y1 = (float(v) for v in face.box)
    if not len(face.landmarks):
        crop = image.resize((size, size), Image.Resampling.BILINEAR, box=(x0, y0, x1, y1))
        return np.asarray(lift(crop))
    left, right = face.landmarks[0], face.landmarks[1]
    angle = math.atan2(float(right[1] - left[1]), float(right[0] - left[0]))
    side = max(x1 - x0, y1 - y0) * (1 + MARGIN)
    eyes = (left + right) / 2
    step = side / size
    cos, sin = step * math.cos(angle), step * math.sin(angle)
    ex, ey = EYES_AT[0] * size, EYES_AT[1] * size
    origin_x = float(eyes[0]) - cos * ex + sin * ey
    origin_y = float(eyes[1]) - sin * ex - cos * ey
    corners = [(origin_x + cos * x - sin * y, origin_y + sin * x + cos * y) for x in (0, size) for y in (0, size)]
    tile, (left_edge, top_edge) = _tile(image, corners)
    if step > 1.5:  # affine sampling does not average: shrink first
        factor = max(1, round(step))
        tile = tile.reduce(factor)
    else:
        factor = 1
    matrix = (
        cos / factor,
        -sin / factor,
        (origin_x - left_edge) / factor,
        sin / factor,
        cos / factor,
        (origin_y - top_edge) / factor,
    )
    crop = tile.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(lift(crop))


def brightness(image: Image.Image, face: Found) -> float:
    """Mean grey (0-255) of a face's box in the photo; NaN for a box outside."""
    x0, y0, x1, y1 = (float(v) for v in face.box)
    box = (max(0, round(x0)), max(0, round(y0)), min(image.width, round(x1)), min(image.height, round(y1)))
    if box[0] >= box[2] or box[1] >= box[3]:
        return math.nan
    return float(ImageStat.Stat(image.crop(box).convert("L")).mean[0])


def sharpness(crop: npt.NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of the grey crop (Pech-Pacheco et al. 2000), in squared 8-bit grey levels."""
    grey = crop.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var())


def _tile(image: Image.Image, corners: list[tuple[float, float]]) -> tuple[Image.Image, tuple[int, int]]:
    """The part of the image around the corners, edge pixels repeated outwards, and its top left corner."""
    xs, ys = zip(*corners, strict=True)
    left, top = math.floor(min(xs)) - 1, math.floor(min(ys)) - 1
    right, bottom = math.ceil(max(xs)) + 1, math.ceil(max(ys)) + 1
    columns = np.clip(np.arange(left, right), 0, image.width - 1)
    rows = np.clip(np.arange(top, bottom), 0, image.height - 1)
    return Image.fromarray(np.asarray(image)[rows[:, None], columns]), (left, top)
