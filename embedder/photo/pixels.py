"""An opened picture as upright RGB of 8 bits: orientation, depth, transparency."""

from __future__ import annotations

import sys
from typing import cast

import numpy as np
from PIL import ExifTags, Image, ImageChops

_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What puts a photo upright, by its EXIF orientation."""
_SWAPPED = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}


def upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF block asks. Pillow's own way also writes the block anew, which fails on one bad tag in it."""
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # a damaged EXIF block does not matter for the pixels
        return image
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB of 8 bits; transparency is laid on white, more bits are scaled by what they hold.

    See :func:`white_level`; floats up to 1 have their white there.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image, np.float32)
        if image.mode == "F":
            values = np.nan_to_num(values, posinf=0, neginf=0)
        largest = float(values.max(initial=0))
        white = 1.0 if image.mode == "F" and largest <= 1 else white_level(largest)
        return Image.fromarray((values.clip(0, white) * (255 / white)).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def white_level(largest: float) -> float:
    """The value of white in a picture by its largest value: that of the least depth, of 8 bits or more, that holds it.

    Data of 10 or 12 bits come in files of 16, and would be nearly black by the file's depth.
    """
    return float(2 ** max(8, int(largest).bit_length()) - 1)


def low_bytes(rawmode: str) -> str | None:
    """The raw mode in which Pillow reads the low bytes of colours of 16 bits, of which it keeps the high ones.

    None where the pixels of ``rawmode``, such as ``RGB;16B``, are no colours of 16 bits.
    """
    bands, _, depth = rawmode.partition(";")
    if bands not in ("RGB", "RGBA") or depth[:2] != "16" or depth[2:] not in _SWAPPED:
        return None
    return f"{bands};16{_SWAPPED[depth[2:]]}"


def is_shallow(high: Image.Image) -> bool:
    """Whether colours of 16 bits hold fewer, by their high bytes."""
    return max(_largest(high)[:3]) < 128


def joined(high: Image.Image, low: Image.Image) -> Image.Image:
    """Colours of 16 bits, by their high and their low bytes, in 8 bits by what they hold; alpha by itself."""
    largest = _largest(high)
    bits = [max(largest[:3]).bit_length()] * 3 + [top.bit_length() for top in largest[3:]]
    upper = high.point([(value << (8 - used)) & 255 for used in bits for value in range(256)])
    return ImageChops.add(upper, low.point([value >> used for used in bits for value in range(256)]))


def _largest(image: Image.Image) -> list[int]:
    """The largest value of each band."""
    return [top for _, top in cast(tuple[tuple[int, int], ...], image.getextrema())]
