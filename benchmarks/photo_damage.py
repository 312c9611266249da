"""Photos made hostile: real ones cut, flipped, spliced and renamed, and files made to hurt their reader.

Every maker takes a random generator and a real photo as bytes and returns a file's content.
"""

from __future__ import annotations

import io
import random
import re
import struct
import zlib
from collections.abc import Callable
from importlib.util import find_spec

from PIL import Image

Maker = Callable[[random.Random, bytes], bytes]
READ = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", *(["HEIC"] if find_spec("pillow_heif") else []))
NOT_READ = (
    *("BLP", "DDS", "DIB", "EPS", "ICNS", "ICO", "IM", "JPEG2000", "MSP", "PCX", "PDF", "PPM"),
    *("QOI", "SGI", "SPIDER", "TGA", "XBM"),
)
"""Formats that Pillow writes and the reader must refuse under any name."""
_MODES = {"EPS": "L", "MSP": "1", "XBM": "1", "SPIDER": "F", "BLP": "P"}
_HEADERS = {
    "FITS": b"SIMPLE  =                    T".ljust(80) + b"BITPIX  =                    8".ljust(80) + bytes(2720),
    "PSD": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 200, 200, 8, 3) + bytes(4000),
    "CUR": b"\0\0\2\0\1\0" + bytes([32, 32, 0, 0, 0, 0, 0, 0]) + struct.pack("<II", 4000, 22) + bytes(4000),
    "FLI": struct.pack("<IHHHH", 4000, 0xAF12, 1, 200, 200) + bytes(4000),
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(4000),
    "SUN": b"\x59\xa6\x6a\x95" + struct.pack(">7I", 200, 200, 24, 120000, 1, 0, 0) + bytes(4000),
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(4000),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "HTML": b"<!doctype html><script>alert(1)</script>",
    "ZIP": b"PK\x03\x04" + bytes(4000),
    "GZIP": b"\x1f\x8b\x08" + bytes(4000),
    "pickle": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
}
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def encoded(photo: bytes, file_format: str, mode: str = "RGB", **options: object) -> bytes:
    """A photo in another format."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as image:
        if file_format == "HEIC":
            from pillow_heif import from_pillow

            from_pillow(image.convert(mode)).save(out, quality=50)
        else:
            image.convert(mode).save(out, file_format, **options)
    return out.getvalue()


def as_any_format(rng: random.Random, photo: bytes) -> bytes:
    """A healthy photo in one of the formats that are read: what the other makers damage."""
    file_format = rng.choice(READ)
    options: dict[str, object] = {"progressive": rng.random() < 0.5} if file_format == "JPEG" else {}
    if file_format == "WEBP":
        options = {"lossless": rng.random() < 0.5, "method": 0}
    if file_format == "TIFF":
        options = {"compression": rng.choice((None, "tiff_lzw", "tiff_adobe_deflate", "packbits"))}
    if file_format == "AVIF":
        options = {"speed": 10}
    mode = {"JPEG": ["RGB", "L", "CMYK"], "WEBP": ["RGB", "RGBA"], "BMP": ["RGB", "L", "P", "1"], "GIF": ["P", "L"]}
    mode |= {"AVIF": ["RGB", "RGBA", "L"], "HEIC": ["RGB", "RGBA", "L"]}
    mode |= {"TIFF": ["RGB", "L", "P", "RGBA", "CMYK", "I;16", "1"]}
    modes = mode.get(file_format, ["RGB", "L", "P", "RGBA", "LA", "I;16", "1"])
    chosen = rng.choice(modes)
    if chosen == "I;16":
        wide = Image.open(io.BytesIO(photo)).convert("I").point(lambda v: v * 257)
        out = io.BytesIO()
        wide.convert("I;16").save(out, file_format, **options)
        return out.getvalue()
    return encoded(photo, file_format, chosen, **options)


def truncated(rng: random.Random, photo: bytes) -> bytes:
    """Cut short anywhere."""
    data = as_any_format(rng, photo)
    return data[: rng.randrange(len(data))]


_BORDER = re.compile(
    rb"ftyp|meta|iloc|ispe|mdat|IHDR|IDAT|IEND|PLTE|tRNS|VP8|ALPH|RIFF|WEBP|\x21\xf9|\x2c\x00|\xff[\x01-\xfe]",
    re.DOTALL,
)


def blocks(data: bytes) -> list[int]:
    """Where the segments of a JPEG or the chunks of a PNG, WebP or GIF begin, as far as they can be found."""
    return [0, min(54, len(data)), *(found.start() for found in _BORDER.finditer(data))]


def cut_at_a_block(rng: random.Random, photo: bytes) -> bytes:
    """Cut at a block's border, or a few bytes behind it."""
    data = as_any_format(rng, photo)
    return data[: rng.choice(blocks(data)) + rng.choice((0, 0, 1, 2, 4, 8))]


def flipped(rng: random.Random, photo: bytes) -> bytes:
    """Up to 64 bytes are others, most of them in the head."""
    data = bytearray(as_any_format(rng, photo))
    for _ in range(rng.randint(1, 64)):
        data[rng.randrange(min(len(data), rng.choice((64, 1024, len(data)))))] = rng.randrange(256)
    return bytes(data)


def extreme_numbers(rng: random.Random, photo: bytes) -> bytes:
    """Up to four numbers are extremes: lengths, sides, offsets, counts."""
    data = bytearray(as_any_format(rng, photo))
    for _ in range(rng.randint(1, 4)):
        kind = rng.choice(("<H", ">H", "<I", ">I"))
        size = struct.calcsize(kind)
        value = rng.choice(_EXTREMES) & (256**size - 1)
        struct.pack_into(kind, data, rng.randrange(min(len(data) - 4, rng.choice((64, 1024)))), value)
    return bytes(data)


def spliced(rng: random.Random, photo: bytes) -> bytes:
    """A part is left out, doubled, or taken from another format."""
    data, other = as_any_format(rng, photo), as_any_format(rng, photo)
    start, end = sorted(rng.randrange(len(data)) for _ in range(2))
    first, last = sorted(rng.randrange(len(other)) for _ in range(2))
    part = rng.choice((b"", data[start:end] * 2, other[first:last]))
    return data[:start] + part + data[end:]


def polyglot(rng: random.Random, photo: bytes) -> bytes:
    """Two files in one: something before or behind the photo, or inside a comment."""
    data, junk = as_any_format(rng, photo), rng.choice([*_HEADERS.values(), as_any_format(rng, photo)])
    place = rng.randrange(3)
    if place == 2 and data[:2] == b"\xff\xd8":
        junk = junk[:60000]
        return data[:2] + b"\xff\xfe" + struct.pack(">H", len(junk) + 2) + junk + data[2:]
    return junk + data if place == 0 else data + junk


def foreign(rng: random.Random, photo: bytes) -> bytes:
    """A healthy file of a format that is not read, or the head of one."""
    name = rng.choice([*NOT_READ, *_HEADERS])
    if name in _HEADERS:
        return _HEADERS[name]
    small = io.BytesIO()
    Image.open(io.BytesIO(photo)).convert("RGB").resize((64, 64)).save(small, "PNG")
    return encoded(small.getvalue(), name, _MODES.get(name, "RGB"))


def png(width: int, height: int, data: bytes, *, colour: int = 2, depth: int = 8, extra: bytes = b"") -> bytes:
    """A PNG of an IDAT chunk's content, other chunks before it."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(name: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def claimed_size(rng: random.Random, photo: bytes) -> bytes:
    """A file of a few bytes that claims up to 65,535 pixels a side."""
    width, height = (rng.choice((30_000, 65_535, 16_383, 7_100, 50_000, 16)) for _ in range(2))
    kind = rng.randrange(7)
    if kind > 4:
        return _claimed_by_tags(width, height) if kind == 5 else _claimed_by_a_box(width, height, photo)
    if kind == 0:
        return png(width, height, zlib.compress(b""))
    if kind == 1:
        info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)
        return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info
    if kind == 2:
        size = struct.pack("<HH", width, height)
        return b"GIF89a" + size + bytes(3) + b"," + bytes(4) + size + b"\0\x08\0;"
    if kind == 3:
        frame = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = b"WEBPVP8X" + struct.pack("<I", 10) + frame + encoded(photo, "WEBP", method=0)[12:]
        return b"RIFF" + struct.pack("<I", len(body)) + body
    data = bytearray(encoded(photo, "JPEG"))
    at = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, at + 5, height, width)
    return bytes(data)


def _claimed_by_tags(width: int, height: int) -> bytes:
    """A TIFF that declares a page, or tiles, of that size."""
    tags = [(256, min(width, 64)), (257, min(height, 64)), (259, 8), (262, 1), (322, width), (323, height), (324, 8)]
    tags = tags if width % 16 else [(256, width), (257, height), (259, 5), (262, 1), (273, 8), (279, 60)]
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in [*tags[:2], (258, 8), *tags[2:]])
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags) + 1) + entries + bytes(100)


def _claimed_by_a_box(width: int, height: int, photo: bytes) -> bytes:
    """An AVIF that claims another size than its frame has."""
    data = encoded(photo, "AVIF", speed=10)
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def exif_block(rng: random.Random) -> bytes:
    """An EXIF block with an orientation, entries that point anywhere, and directories that lead back to themselves."""
    tags = (0x8769, 0x8825, 0xA005, 0x14A, 0x927C, 0x10F, 0x201, 0x9286, rng.randrange(65536))
    entries = [(0x112, 3, 1, rng.randrange(12))]
    for _ in range(rng.randrange(6)):
        count = rng.choice((0, 1, 2, 100, 60_000, 2**31))
        entries.append((rng.choice(tags), rng.randrange(20), count, rng.choice((8, 8, rng.randrange(2**32)))))
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + directory + struct.pack("<L", rng.choice((0, 8, 10, 2**32 - 1)))


def strange_exif(rng: random.Random, photo: bytes) -> bytes:
    """A healthy photo with a damaged EXIF block, or with many blocks that add up."""
    file_format = rng.choice(("JPEG", "PNG", "WEBP"))
    data = encoded(photo, file_format, exif=exif_block(rng), method=0)
    if file_format == "JPEG" and rng.random() < 0.1:
        segment = b"Exif\0\0" + rng.randbytes(60_000)
        data = data[:2] + (b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment) * 40 + data[2:]
    return data


def strange_profile(rng: random.Random, photo: bytes) -> bytes:
    """A healthy photo with an ICC profile of junk, of junk that unpacks to 200 MB, or with a text that does."""
    junk = rng.randbytes(rng.choice((0, 10, 3_000)))
    if rng.random() < 0.5:
        return encoded(photo, rng.choice(("JPEG", "PNG", "WEBP")), icc_profile=junk or b"\0")
    packed = _packed_zeros(200_000_000)
    name = rng.choice((b"iCCP", b"zTXt", b"iTXt"))
    head = b"icc\0\0" if name != b"iTXt" else b"icc\0\1\0\0\0"
    healthy = encoded(photo, "PNG")
    return healthy[:33] + chunk(name, head + packed) * rng.choice((1, 5)) + healthy[33:]


def several_frames(rng: random.Random, photo: bytes) -> bytes:
    """An animation, its frames' places and sizes changed, or a frame cut short."""
    file_format = rng.choice(("GIF", "WEBP", "PNG", "MPO", "TIFF", "AVIF"))
    image = Image.open(io.BytesIO(photo)).convert("RGB").resize((96, 96))
    frames = [image.rotate(90 * i) for i in range(rng.randint(2, 5))]
    out = io.BytesIO()
    image.save(out, file_format, save_all=True, append_images=frames)
    data = bytearray(out.getvalue())
    for mark in (b"\x2c", b"fcTL", b"ANMF", b"stsz", b"II*\0"):
        at = data.find(mark)
        if at >= 0 and rng.random() < 0.7:
            struct.pack_into("<I", data, min(at + rng.randrange(12), len(data) - 4), rng.choice(_EXTREMES))
    return bytes(data[: rng.choice((len(data), rng.randrange(len(data))))])


def unpacks_large(rng: random.Random, photo: bytes) -> bytes:
    """A small file whose pixels fill what the limits allow, or one that hardly ever ends."""
    kind = rng.randrange(4)
    if kind == 0:
        colour, size = rng.choice(((2, 3), (6, 4), (0, 1)))
        return png(7_000, 7_000, _packed_zeros(7_000 * (7_000 * size + 1)), colour=colour)
    if kind == 1:
        return slow_jpeg(rng.randint(2_000, 5_000), 60)
    if kind == 2:
        out = io.BytesIO()
        Image.new("L", (6_000, 6_000)).save(out, "GIF")
        return out.getvalue()
    side = rng.choice((2_000, 6_000))
    runs = b"\x01\x00" * rng.randint(100_000, 400_000)
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(runs), 0, 0, 54 + 1024) + info + bytes(1024) + runs


def slow_jpeg(side: int, scans: int) -> bytes:
    """A progressive JPEG that repeats its last scan: a small file that is slow to decode."""
    out = io.BytesIO()
    Image.new("L", (side, side), 128).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * scans + b"\xff\xd9"


def narrow(rng: random.Random, photo: bytes) -> bytes:
    """A healthy picture of extreme shape."""
    long, short = rng.choice((1_000, 20_000, 60_000)), rng.choice((1, 15, 16, 17, 40))
    out = io.BytesIO()
    Image.new("RGB", rng.choice(((long, short), (short, long))), "grey").save(out, rng.choice(("PNG", "BMP", "JPEG")))
    return out.getvalue()


def noise(rng: random.Random, photo: bytes) -> bytes:
    """Random bytes, some behind the first bytes of a format."""
    head = rng.choice(
        (
            b"",
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"BM",
            b"II*\0\x08\0\0\0",
            b"\0\0\0\x1cftypavif\0\0\0\0mif1",
            b"RIFF\xff\0\0\0WEBPVP8 ",
        )
    )
    return head + rng.randbytes(rng.choice((0, 1, 30, 3_000)))


def healthy(rng: random.Random, photo: bytes) -> bytes:
    """Nothing wrong with it: must be read."""
    return as_any_format(rng, photo)


def _packed_zeros(count: int) -> bytes:
    """Zeros as zlib packs them, made without having them all in memory."""
    if count not in _packed:
        packer = zlib.compressobj(9)
        part = bytes(1_000_000)
        out = [packer.compress(part) for _ in range(count // len(part))]
        _packed[count] = b"".join([*out, packer.compress(part[: count % len(part)]), packer.flush()])
    return _packed[count]


_packed: dict[int, bytes] = {}

MAKERS: dict[Maker, float] = {
    truncated: 4,
    cut_at_a_block: 4,
    flipped: 6,
    extreme_numbers: 6,
    spliced: 4,
    polyglot: 3,
    foreign: 3,
    claimed_size: 2,
    strange_exif: 4,
    strange_profile: 1,
    several_frames: 3,
    unpacks_large: 0.1,
    narrow: 0.5,
    noise: 2,
    healthy: 2,
}
"""With how often each is drawn, relative to the others."""
MUST_BE_READ = {healthy}
MUST_BE_REFUSED = {foreign, noise}
