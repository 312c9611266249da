from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from maskcls.embedder.photo.formats import FORMATS, HEAD, format_of


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "HEIC"])
def test_what_pillow_writes_is_known(name: str, mode: str) -> None:
    if name == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    out = io.BytesIO()
    Image.new(mode, (32, 32)).save(out, name)
    assert format_of(out.getvalue()[:HEAD]) == name


def ftyp(*brands: bytes) -> bytes:
    """The head of a file of the ISO base media format: major brand, version, compatible brands."""
    body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (len(body) + 4).to_bytes(4) + body + b"\0\0\0\x20meta"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        pytest.param(b"MM\0*\0\0\0\x08", "TIFF", id="big-endian TIFF"),
        pytest.param(b"II+\0\x08\0\0\0", None, id="BigTIFF"),
        pytest.param(ftyp(b"avif", b"avif", b"mif1"), "AVIF", id="AVIF"),
        pytest.param(ftyp(b"avis", b"msf1"), "AVIF", id="AVIF sequence"),
        pytest.param(ftyp(b"mif1", b"mif1", b"avif"), "AVIF", id="AVIF by a compatible brand"),
        pytest.param(ftyp(b"heic", b"mif1", b"heic"), "HEIC", id="HEIC"),
        pytest.param(ftyp(b"mif1", b"mif1", b"heic"), "HEIC", id="HEIC by a compatible brand"),
        pytest.param(ftyp(b"heix", b"mif1"), "HEIC", id="HEIC of 10 bits"),
        pytest.param(ftyp(b"isom", b"iso2", b"mp41"), None, id="MP4"),
        pytest.param(ftyp(b"qt  ", b"qt  "), None, id="QuickTime"),
        pytest.param(ftyp(b"crx ", b"isom"), None, id="CR3"),
        pytest.param(ftyp(b"isom") + b"heic", None, id="a brand behind the list"),
        pytest.param(b"BM" + bytes(62), None, id="BM and zeros"),
        pytest.param(b"BM, a magazine about the world of business and money", None, id="BM in a text"),
        pytest.param(b"RIFF\0\0\0\0WAVEfmt ", None, id="WAV"),
        pytest.param(b"\0\0\0\x0cjP  \r\n\x87\n", None, id="JPEG 2000"),
        pytest.param(b"%PDF-1.7", None, id="PDF"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_heads(head: bytes, name: str | None) -> None:
    assert format_of(head) == name


@given(st.binary(max_size=HEAD))
def test_any_bytes_have_a_format_or_none(head: bytes) -> None:
    assert format_of(head) in (*FORMATS, None)
