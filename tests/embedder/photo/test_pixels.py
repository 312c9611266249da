from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.photo_damage import png
from maskcls.embedder.photo import photo_of, read_photo_bytes
from maskcls.embedder.photo.pixels import low_bytes, to_rgb, white_level


def grey(top: int) -> npt.NDArray[np.uint16]:
    """From black to ``top``, in 64 x 64."""
    return np.linspace(0, top, 64 * 64).round().astype(np.uint16).reshape(64, 64)


def colours(top: int, alpha: int | None = None) -> npt.NDArray[np.uint16]:
    ramp = grey(top)
    bands = [ramp, ramp.T, ramp[::-1]] + ([] if alpha is None else [np.full_like(ramp, alpha)])
    return np.stack(bands, axis=-1)


def png_16(values: npt.NDArray[np.uint16]) -> bytes:
    rows = values.astype(">u2").reshape(len(values), -1).view(np.uint8)
    data = zlib.compress(np.insert(rows, 0, 0, axis=1).tobytes())
    return png(
        values.shape[1], values.shape[0], data, colour={2: 0, 3: {3: 2, 4: 6}[values.shape[-1]]}[values.ndim], depth=16
    )


def tiff_16(values: npt.NDArray[np.uint16], order: str, compression: int) -> bytes:
    pixels = values.astype(f"{order}u2").tobytes()
    pixels = zlib.compress(pixels) if compression == 8 else pixels
    bands = values.shape[-1]
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    tags = [(256, 4, 1, values.shape[1]), (257, 4, 1, len(values)), (258, 3, bands, 8 + len(pixels))]
    tags += [(259, 3, 1, compression), (262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, bands), (279, 4, 1, len(pixels))]
    tags += [(338, 3, 1, 2)] if bands == 4 else []
    directory = struct.pack(f"{order}H", len(tags))
    for tag, kind, count, value in tags:
        form = "Hxx" if kind == 3 and count == 1 else "L"
        directory += struct.pack(f"{order}HHL{form}", tag, kind, count, value)
    depths = struct.pack(f"{order}{bands}H", *[16] * bands)
    return head + struct.pack(f"{order}L", 8 + len(pixels) + len(depths)) + pixels + depths + directory + bytes(4)


TOPS = [
    pytest.param(200, 255, id="8 bits"),
    pytest.param(1023, 1023, id="10 bits"),
    pytest.param(4000, 4095, id="12 bits"),
    pytest.param(16383, 16383, id="14 bits"),
    pytest.param(65535, 65535, id="16 bits"),
]


@pytest.mark.parametrize(("top", "white"), TOPS)
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_greys_are_scaled_by_what_they_hold(top: int, white: int, file_format: str) -> None:
    out = io.BytesIO()
    Image.fromarray(grey(top)).save(out, file_format)
    read = np.asarray(read_photo_bytes(out.getvalue()).image).astype(float)
    assert np.abs(read[..., 0] - grey(top).astype(float) * 255 / white).max() <= 1


CONTAINERS = [
    pytest.param(png_16, id="PNG"),
    pytest.param(lambda values: tiff_16(values, "<", 1), id="TIFF"),
    pytest.param(lambda values: tiff_16(values, ">", 1), id="big-endian TIFF"),
    pytest.param(lambda values: tiff_16(values, "<", 8), id="packed TIFF"),
    pytest.param(lambda values: tiff_16(values, ">", 8), id="packed big-endian TIFF"),
]


@pytest.mark.parametrize(("top", "white"), TOPS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_colours_are_scaled_by_what_they_hold(top: int, white: int, container) -> None:  # type: ignore[no-untyped-def]
    read = np.asarray(read_photo_bytes(container(colours(top))).image).astype(float)
    assert np.abs(read - colours(top).astype(float) * 255 / white).max() <= 1


@pytest.mark.parametrize("alpha", [4095, 65535])
@pytest.mark.parametrize("container", CONTAINERS)
def test_alpha_is_scaled_by_itself(container, alpha: int) -> None:  # type: ignore[no-untyped-def]
    read = np.asarray(read_photo_bytes(container(colours(4095, alpha))).image).astype(float)
    assert np.abs(read - colours(4095).astype(float) * 255 / 4095).max() <= 2


@given(st.integers(0, 2**32 - 1))
def test_white_is_the_least_depth_that_holds_the_largest_value(largest: int) -> None:
    white = white_level(largest)
    assert white >= max(largest, 255)
    assert white == 255 or white < 2 * largest
    assert (int(white) + 1).bit_count() == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([0, 0.5, 1], [0, 127, 255], id="fractions"),
        pytest.param([0, 128, 255], [0, 128, 255], id="bytes"),
        pytest.param([-3, float("nan"), float("inf")], [0, 0, 0], id="no numbers"),
        pytest.param([0, 2048, 4095], [0, 127, 255], id="12 bits"),
    ],
)
def test_floats(values: list[float], expected: list[int]) -> None:
    image = Image.fromarray(np.array([values], np.float32))
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == expected


def test_a_nearly_black_picture_stays_nearly_black() -> None:
    assert np.asarray(photo_of(Image.fromarray(np.ones((32, 32), np.uint16))).image).max() == 1


@pytest.mark.parametrize(
    ("rawmode", "low"), [("RGB;16B", "RGB;16L"), ("RGBA;16L", "RGBA;16B"), ("RGB", None), ("I;16B", None)]
)
def test_raw_modes(rawmode: str, low: str | None) -> None:
    assert low_bytes(rawmode) == low
