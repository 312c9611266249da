from __future__ import annotations

import hashlib
import shutil
import struct
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from benchmarks.photo_damage import slow_jpeg
from maskcls.embedder.photo import (
    NO_FILE,
    FileState,
    PhotoError,
    file_state,
    read_photo,
    read_photo_bytes,
)
from maskcls.embedder.photo import reading as photo


def pixels(path: Path) -> npt.NDArray[np.uint8]:
    return np.asarray(read_photo(path).image)


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, data, b"IEND")
    )


def bmp_header(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)


def gif_header(width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, width, height, 0)
        + b"\x08\x00;"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", r"empty file \(0 bytes\)", id="zero bytes"),
        pytest.param(
            b"not a photo at all", r"not a photo \(JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF, HEIC are read\)", id="text"
        ),
        pytest.param(b"\xff\xd8\xff", "not a photo|truncated or damaged", id="start of a JPEG"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "not a photo|truncated or damaged", id="start of a PNG"),
    ],
)
def test_no_photo_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(PhotoError, match=f"^(?:{reason})"):
        read_photo(path)


@pytest.mark.parametrize("file_format", ["DIB", "PPM", "ICO", "TGA", "JPEG2000"])
def test_other_formats_are_refused_under_any_name(tmp_path: Path, portrait: Path, file_format: str) -> None:
    path = tmp_path / "photo.jpg"
    with Image.open(portrait) as image:
        image.save(path, format=file_format)
    with pytest.raises(PhotoError, match=r"^not a photo"):
        read_photo(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_jpeg(tmp_path: Path, portrait: Path, share: float) -> None:
    data = portrait.read_bytes()
    path = tmp_path / "photo.jpg"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(PhotoError, match=r"^truncated or damaged"):
        read_photo(path)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (15, 400), (400, 15)])
def test_too_small(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (width, height)).save(path)
    with pytest.raises(PhotoError, match=f"^{width} x {height} pixels; a face needs at least 16 x 16$"):
        read_photo(path)


@pytest.mark.parametrize("header", [png_header, bmp_header, gif_header])
@pytest.mark.parametrize(
    ("side", "reason"),
    [
        pytest.param(30000, "too many pixels|30000 x 30000 pixels", id="over Pillow's limit"),
        pytest.param(7100, "7100 x 7100 pixels", id="over ours"),
    ],
)
def test_pixel_bomb_is_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: Callable[[int, int], bytes], side: int, reason: str
) -> None:
    decoded: list[object] = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded.append)
    path = tmp_path / "photo.png"
    path.write_bytes(header(side, side))
    with pytest.raises(PhotoError, match=f"^(?:{reason}); the limit is 50 megapixels$"):
        read_photo(path)
    assert not decoded


def test_largest_picture_allowed_passes_the_pixel_check(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(png_header(10_000, 5_000))
    with pytest.raises(PhotoError, match=r"^truncated or damaged"):
        read_photo(path)


def test_file_size_limit(portrait: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo, "MAX_BYTES", portrait.stat().st_size)
    assert read_photo(portrait).image.mode == "RGB"
    monkeypatch.setattr(photo, "MAX_BYTES", portrait.stat().st_size - 1)
    with pytest.raises(PhotoError, match=r"^file larger than \d+ MiB$"):
        read_photo(portrait)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("gone.jpg", "cannot be read: No such file", id="missing"),
        pytest.param("folder.jpg", "cannot be read: Is a directory", id="folder"),
        pytest.param("x" * 300 + ".jpg", "cannot be read: File name too long", id="long name"),
        pytest.param("nul\0.jpg", "cannot be read", id="NUL in the name"),
    ],
)
def test_unreadable_path(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(PhotoError, match=f"^{reason}"):
        read_photo(tmp_path / name)


def test_hash_state_and_scale(tmp_path: Path, portrait: Path) -> None:
    path = tmp_path / "photo.jpg"
    shutil.copy2(portrait, path)
    read = read_photo(path)
    assert read.sha256 == hashlib.sha256(portrait.read_bytes()).hexdigest()
    assert read.state == file_state(path) == FileState(path.stat().st_size, path.stat().st_mtime_ns)
    assert read.scale == 1
    with Image.open(path) as image:
        assert (pixels(path) == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize(("width", "height"), [(1100, 16), (16, 50_000), (20, 3_000)])
def test_too_narrow_once_it_is_reduced(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (width, height)).save(path)
    with pytest.raises(PhotoError, match=f"^{width} x {height} pixels; too narrow for a face$"):
        read_photo(path)


def test_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(slow_jpeg(1500, 20))
    assert read_photo(path).image.size == (1024, 1024)
    monkeypatch.setattr(photo, "MAX_SECONDS", 0.2)
    path.write_bytes(slow_jpeg(1500, 20_000))  # more than ten seconds
    began = time.thread_time()
    with pytest.raises(PhotoError, match=r"^takes more than 0\.2 s to decode$"):
        read_photo(path)
    assert time.thread_time() - began < 5


def test_large_photos_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[int] = []
    largest: list[int] = []
    load = ImageFile.ImageFile.load

    def counted(image: ImageFile.ImageFile) -> object:
        inside.append(1)
        largest.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        return load(image)

    monkeypatch.setattr(photo, "LARGE", 64 * 64 - 1)
    monkeypatch.setattr(ImageFile.ImageFile, "load", counted)
    path = tmp_path / "photo.bmp"
    Image.new("RGB", (64, 64)).save(path)
    with ThreadPoolExecutor(4) as pool:
        assert [read.image.size for read in pool.map(read_photo, [path] * 8)] == [(64, 64)] * 8
    assert max(largest) == 1


def test_bytes_are_read_as_a_file_is(portrait: Path) -> None:
    data = portrait.read_bytes()
    read, from_file = read_photo_bytes(data), read_photo(portrait)
    assert np.array_equal(np.asarray(read.image), pixels(portrait))
    assert (read.scale, read.sha256) == (from_file.scale, from_file.sha256)
    assert read.state == NO_FILE
    for bad, words in ((b"", "empty"), (b"%!PS", "not a photo"), (data[:300], "truncated")):
        with pytest.raises(PhotoError, match=words):
            read_photo_bytes(bad)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize(
    ("size", "working"), [((2048, 1024), (1024, 512)), ((1000, 3072), (333, 1024)), ((1024, 1024), (1024, 1024))]
)
def test_large_photos_are_reduced(tmp_path: Path, suffix: str, size: tuple[int, int], working: tuple[int, int]) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.new("RGB", size, "red").save(path)
    read = read_photo(path)
    assert read.image.size == working
    assert read.scale == max(size) / 1024


def test_cmyk(tmp_path: Path, portrait: Path) -> None:
    path = tmp_path / "photo.jpg"
    with Image.open(portrait) as image:
        image.convert("CMYK").save(path, quality=95)
    assert np.abs(pixels(path).astype(int) - pixels(portrait)).mean() < 4


def test_transparent_palette_is_laid_on_white(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    image = Image.new("P", (32, 32), 0)
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.paste(1, (0, 0, 16, 32))
    image.save(path, transparency=0)
    assert pixels(path)[5, 5].tolist() == [0, 200, 0]
    assert pixels(path)[5, 25].tolist() == [255, 255, 255]


def test_half_transparency_is_mixed_with_white(tmp_path: Path) -> None:
    path = tmp_path / "photo.webp"
    Image.new("RGBA", (32, 32), (0, 0, 0, 128)).save(path, lossless=True)
    assert np.abs(pixels(path).astype(int) - 127).max() <= 1


@pytest.mark.parametrize(("suffix", "file_format"), [("gif", "GIF"), ("webp", "WEBP"), ("png", "PNG"), ("jpg", "MPO")])
def test_first_frame_of_several(tmp_path: Path, suffix: str, file_format: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(path, format=file_format, save_all=True, append_images=frames[1:])
    assert np.abs(pixels(path).astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize(
    ("orientation", "undo"),
    [
        (1, None),
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (5, Image.Transpose.TRANSPOSE),
        (6, Image.Transpose.ROTATE_270),
        (7, Image.Transpose.TRANSVERSE),
        (8, Image.Transpose.ROTATE_90),
        (99, None),
    ],
)
def test_exif_orientation(tmp_path: Path, portrait: Path, orientation: int, undo: Image.Transpose | None) -> None:
    path = tmp_path / "photo.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(portrait) as image:
        raw = image.convert("RGB").crop((0, 0, 120, 80))
    raw.save(path, exif=exif)
    upright = raw if undo is None else raw.transpose(undo)
    assert np.array_equal(pixels(path), np.asarray(upright))


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param((0x201, 2, 2, 8), id="thumbnail offset is text"),
        pytest.param((0x10F, 11, 1, 8), id="maker is a number"),
        pytest.param((0x8769, 4, 1, 8), id="directory leads back to itself"),
        pytest.param((0x8825, 9, 1, 2**32 - 100), id="negative offset"),
    ],
)
def test_a_bad_exif_entry_does_not_leave_the_photo_on_its_side(
    tmp_path: Path, entry: tuple[int, int, int, int]
) -> None:
    entries = struct.pack("<HHLL", 0x112, 3, 1, 6) + struct.pack("<HHLL", *entry)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + entries + struct.pack("<L", 8)
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (64, 32)).save(path, exif=exif)
    assert read_photo(path).image.size == (32, 64)


def test_content_counts_not_the_extension(tmp_path: Path, portrait: Path) -> None:
    path = tmp_path / "photo.jpg"
    with Image.open(portrait) as image:
        image.save(path, format="PNG")
    assert np.array_equal(pixels(path), pixels(portrait))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_raises_nothing_but_photo_error(
    tmp_path_factory: pytest.TempPathFactory, portrait: Path, data: st.DataObject
) -> None:
    content = bytearray(portrait.read_bytes())
    head = st.integers(0, 700)
    for place in data.draw(st.lists(head | st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.jpg"
    path.write_bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))])
    try:
        outcome = read_photo(path).image.mode
    except PhotoError as error:
        outcome = str(error)
    assert outcome
    assert outcome.isprintable()
