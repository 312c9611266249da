from __future__ import annotations

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, features

from maskcls.embedder.photo import PhotoError, heif, read_photo_bytes

SMOOTH = np.add.outer(np.arange(96), 2 * np.arange(64)).astype(np.uint8)[..., None].repeat(3, axis=-1)
avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


def saved(file_format: str, image: Image.Image | None = None, **options: object) -> bytes:
    out = io.BytesIO()
    image = image or Image.fromarray(SMOOTH)
    if file_format == "AVIF":
        image.save(out, file_format, **options)
    else:
        pytest.importorskip("pillow_heif").from_pillow(image).save(out, **options)
    return out.getvalue()


FORMATS = [pytest.param("AVIF", marks=avif), "HEIC"]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_is_read(file_format: str, mode: str) -> None:
    read = read_photo_bytes(saved(file_format, Image.fromarray(SMOOTH).convert(mode), quality=90)).image
    assert read.size == (64, 96)
    assert np.abs(np.asarray(read).astype(int) - SMOOTH).mean() < 3


@pytest.mark.parametrize("file_format", FORMATS)
def test_orientation_is_applied_once(file_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(SMOOTH)
    read = read_photo_bytes(saved(file_format, image, quality=90, exif=exif.tobytes())).image
    upright = np.asarray(image.transpose(Image.Transpose.ROTATE_270))
    assert read.size == (96, 64)
    assert np.abs(np.asarray(read).astype(int) - upright).mean() < 3


@pytest.mark.parametrize("file_format", FORMATS)
def test_first_of_several(file_format: str) -> None:
    red, blue = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue"))
    if file_format == "AVIF":
        data = saved("AVIF", red, save_all=True, append_images=[blue])
    else:
        out = io.BytesIO()
        several = pytest.importorskip("pillow_heif").from_pillow(red)
        several.add_from_pillow(blue)
        several.save(out, save_all=True, primary_index=0)
        data = out.getvalue()
    assert np.abs(np.asarray(read_photo_bytes(data).image).astype(int) - [255, 0, 0]).mean() < 9


def resized(data: bytes, width: int, height: int) -> bytes:
    """The same file with other sides declared."""
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("sides", [(30_000, 30_000), (7_100, 7_100), (2**31, 2**31)], ids=str)
def test_huge_declared_sizes_are_refused(
    file_format: str, sides: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.Image.core.new", None)
    with pytest.raises(PhotoError, match=r"pixels; the limit is 50|too many pixels|^truncated or damaged"):
        read_photo_bytes(resized(saved(file_format), *sides))


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_truncated(file_format: str, share: float) -> None:
    data = saved(file_format, Image.effect_noise((128, 128), 90).convert("RGB"))
    with pytest.raises(PhotoError, match=r"^truncated or damaged") as error:
        read_photo_bytes(data[: int(len(data) * share)])
    assert str(error.value).isprintable()


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content) + 8) + kind + content


def references(*links: tuple[bytes, int, tuple[int, ...]], brand: bytes = b"avif", alpha: bool = False) -> bytes:
    """A file of pictures that are made of others; picture 1 is the photo."""
    inside = b"".join(
        box(kind, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets)) for kind, source, targets in links
    )
    kinds = box(b"iprp", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0") if alpha else b""
    meta = bytes(4) + box(b"pitm", bytes(4) + b"\0\1") + box(b"iref", bytes(4) + inside) + kinds
    return box(b"ftyp", brand + bytes(4) + b"mif1") + box(b"meta", meta)


@avif
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(references((b"dimg", 1, (2, 3))), "an AVIF photo that is put together", id="grid"),
        pytest.param(references((b"dimg", 1, (2,)), (b"dimg", 2, (3,) * 99)), "a photo that is put", id="nested"),
        pytest.param(
            references((b"auxl", 4, (1,)), (b"dimg", 4, (5,) * 99), alpha=True), "a photo that is put", id="alpha"
        ),
        pytest.param(references((b"dimg", 9, (1, 2))), "truncated or damaged", id="the photo is a part of another"),
        pytest.param(references((b"auxl", 4, (1,)), (b"dimg", 4, (5, 6))), "truncated or damaged", id="gain map"),
        pytest.param(references((b"dimg", 1, (2,) * 40))[:-30], "an AVIF photo|truncated or damaged", id="cut off"),
    ],
)
def test_avif_photos_that_are_put_together_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(PhotoError, match=f"^(?:{reason})"):
        read_photo_bytes(data)


def tiled() -> bytes:
    out = io.BytesIO()
    noise = Image.effect_noise((1000, 700), 50).convert("RGB")
    pytest.importorskip("pillow_heif").from_pillow(noise).save(out, quality=40, tile_size=256)
    return out.getvalue()


def test_tiles_of_heic_are_read() -> None:
    assert read_photo_bytes(tiled()).image.size == (1000, 700)


@pytest.mark.parametrize("sides", [(64, 64), (1000, 512), (768, 700)], ids=str)
def test_more_tiles_than_the_picture_needs_are_refused(sides: tuple[int, int]) -> None:
    data = tiled().replace(struct.pack(">HH", 1000, 700), struct.pack(">HH", *sides), 1)  # what the grid says of itself
    with pytest.raises(PhotoError, match=r"^a HEIC photo that is put together"):
        read_photo_bytes(resized(data, *sides))


@pytest.mark.parametrize(
    "links", [[(b"dimg", 1, (2, 3))], [(b"dimg", 1, (2,)), (b"dimg", 2, (3,) * 9)]], ids=["overlay", "nested"]
)
def test_heic_photos_that_are_put_together_in_another_way_are_refused(
    links: list[tuple[bytes, int, tuple[int, ...]]],
) -> None:
    pytest.importorskip("pillow_heif")
    with pytest.raises(PhotoError):
        read_photo_bytes(references(*links, brand=b"heic"))


def test_avif_without_its_decoder_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(PhotoError, match="Pillow does not read: pip install"):
        read_photo_bytes(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(60))


def test_heic_without_its_reader_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PhotoError) as error:
        read_photo_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60))
    assert str(error.value) == heif.HEIC_HINT == "a HEIC photo, which needs an extra: pip install 'maskcls[heic]'"


def test_reading_heic_leaves_pillow_as_it_was() -> None:
    pytest.importorskip("pillow_heif")
    code = """
import io, sys
from PIL import Image
from maskcls.embedder.photo import read_photo_bytes
data = sys.stdin.buffer.read()
Image.init()
before = dict(Image.OPEN), dict(Image.SAVE), dict(Image.EXTENSION)
png = io.BytesIO()
Image.new("RGB", (32, 32)).save(png, "PNG")
read_photo_bytes(png.getvalue())
assert "pillow_heif" not in sys.modules
assert read_photo_bytes(data).image.size == (64, 96)
assert (Image.OPEN, Image.SAVE, Image.EXTENSION) == before
"""
    done = subprocess.run([sys.executable, "-c", code], input=saved("HEIC"), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
