from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from maskcls.embedder.photo import PhotoError, read_photo, read_photo_bytes
from maskcls.embedder.photo.tiff import first_page

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def tiff(pixels: np.ndarray | None = None, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(NOISE if pixels is None else pixels).save(out, "TIFF", **options)
    return out.getvalue()


def directory(order: str, *tags: tuple[int, int, int, int], behind: bytes = b"") -> bytes:
    """A TIFF of one directory: tag, kind (3 short, 4 long), count, value or offset."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}L", 8)
    body = struct.pack(f"{order}H", len(tags))
    for tag, kind, count, value in sorted(tags):
        short = kind == 3 and count == 1
        body += struct.pack(f"{order}HHL", tag, kind, count) + struct.pack(f"{order}{'Hxx' if short else 'L'}", value)
    return head + body + bytes(4) + behind


def declared(width: int, length: int, compression: int = 1, **more: tuple[int, int, int]) -> bytes:
    """A grey TIFF of a hundred bytes that declares any size."""
    tags = {256: (4, 1, width), 257: (4, 1, length), 258: (3, 1, 8), 259: (3, 1, compression), 262: (3, 1, 1)}
    tags |= {273: (4, 1, 8), 277: (3, 1, 1), 278: (4, 1, length), 279: (4, 1, 60)}
    tags |= {int(name[1:]): value for name, value in more.items()}
    return directory("<", *((tag, *value) for tag, value in tags.items()), behind=bytes(64))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_pixels_are_kept(compression: str | None) -> None:
    assert np.array_equal(np.asarray(read_photo_bytes(tiff(compression=compression)).image), NOISE)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "CMYK", "YCbCr", "LA", "I;16", "F"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.fromarray(NOISE)
    image = image.convert("L").convert("I").convert(mode) if mode == "I;16" else image.convert(mode)
    out = io.BytesIO()
    image.save(out, "TIFF")
    assert read_photo_bytes(out.getvalue()).image.mode == "RGB"


@pytest.mark.parametrize(("orientation", "size"), [(1, (64, 48)), (3, (64, 48)), (6, (48, 64)), (8, (48, 64))])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_orientation_is_applied_once(orientation: int, size: tuple[int, int], compression: str | None) -> None:
    turn = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
    image, way = Image.fromarray(NOISE), turn[orientation]
    read = read_photo_bytes(tiff(tiffinfo={274: orientation}, compression=compression)).image
    assert read.size == size
    assert np.array_equal(np.asarray(read), np.asarray(image if way is None else image.transpose(way)))


def test_of_several_pages_the_first_is_read() -> None:
    several = tiff(save_all=True, append_images=[Image.new("RGB", (30, 90), "red")])
    assert np.array_equal(np.asarray(read_photo_bytes(several).image), NOISE)
    with Image.open(io.BytesIO(first_page(several, 10**6))) as page:
        assert getattr(page, "n_frames", 1) == 1


def test_nothing_but_the_pixels_is_kept() -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[270] = "a description"
    info[34665] = 12  # EXIF, in the middle of nowhere
    page = first_page(tiff(tiffinfo=info, icc_profile=b"junk"), 10**6)
    with Image.open(io.BytesIO(page)) as opened:
        tags = set(opened.tag_v2)  # type: ignore[attr-defined]
    assert not tags & {270, 34665, 34675}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(declared(60_000, 60_000), "60000 x 60000 pixels; the limit is 50|too many pixels", id="raw"),
        pytest.param(declared(60_000, 60_000, 5), "60000 x 60000 pixels; the limit is 50|too many pixels", id="LZW"),
        pytest.param(declared(7_100, 7_100, 8), "7100 x 7100 pixels; the limit is 50 megapixels", id="Deflate"),
        pytest.param(declared(2**32 - 1, 2**32 - 1), "too many pixels|429|truncated", id="largest numbers"),
        pytest.param(declared(0, 0), "0 x 0 pixels|truncated", id="nothing"),
        pytest.param(
            declared(32, 32, 8, _322=(4, 1, 60_000), _323=(4, 1, 60_000), _324=(4, 1, 8), _325=(4, 1, 60)),
            "a TIFF with tiles of 60000 x 60000 pixels",
            id="a small page of one huge tile",
        ),
        pytest.param(
            declared(7_000, 7_000, 8, _322=(4, 1, 16), _323=(4, 1, 3_000_000), _324=(4, 1, 8), _325=(4, 1, 60)),
            "a TIFF with tiles of 16 x 3000000 pixels",
            id="many tall tiles",
        ),
        pytest.param(declared(32, 32, 8, _322=(4, 1, 0), _323=(4, 1, 0)), "a TIFF with tiles of 0 x 0", id="no tile"),
        pytest.param(declared(32, 32, 1, _273=(4, 2**22, 8)), "a TIFF in too many parts", id="millions of strips"),
        pytest.param(declared(32, 32, 1, _258=(3, 2**31, 8)), "a TIFF in too many parts", id="millions of samples"),
        pytest.param(declared(32, 32, 1, _277=(3, 1, 65535)), "truncated or damaged", id="65,535 samples a pixel"),
        pytest.param(declared(32, 32, 7), "a TIFF compressed in another way than none, LZW, Deflate", id="JPEG inside"),
        pytest.param(declared(32, 32, 50001), "a TIFF compressed in another way", id="WebP inside"),
        pytest.param(declared(32, 32, _256=(4, 2, 32)), r"truncated or damaged \(TIFF directory\)", id="two widths"),
        pytest.param(declared(32, 32, _256=(9, 1, 32)), r"truncated or damaged \(TIFF directory\)", id="signed width"),
        pytest.param(declared(32, 32, _50706=(4, 1, 1)), "a camera raw file", id="DNG"),
        pytest.param(declared(160, 120, _254=(4, 1, 1)), "a camera raw file", id="thumbnail first, as in NEF"),
        pytest.param(b"II*\0\x10\0\0\0CR\2\0" + directory("<")[8:], "truncated|a camera raw file", id="CR2"),
        pytest.param(
            b"II*\0\xff\xff\xff\xff" + bytes(60), r"truncated or damaged \(TIFF directory\)", id="no directory"
        ),
        pytest.param(b"II*\0\x08\0\0\0\xff\xff" + bytes(60), "truncated or damaged", id="65,535 tags"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    assert len(data) < 400
    with pytest.raises(PhotoError, match=f"^(?:{reason})"):
        read_photo_bytes(data)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([None, "tiff_lzw", "tiff_adobe_deflate", "packbits"]), st.data())
def test_damage_raises_nothing_but_photo_error(compression: str | None, data: st.DataObject) -> None:
    content = bytearray(tiff(NOISE[:32, :32], compression=compression))
    places = st.integers(0, 15) | st.integers(max(0, len(content) - 300), len(content) - 1)
    for place in data.draw(st.lists(places, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        outcome = read_photo_bytes(bytes(content)).image.mode
    except PhotoError as error:
        outcome = str(error)
    assert outcome.isprintable()


def test_a_file_is_read_as_its_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "scan"
    path.write_bytes(tiff())
    assert np.array_equal(np.asarray(read_photo(path).image), NOISE)
