from __future__ import annotations

import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskcls.embedder.photo import PassedOver, is_photo, list_photos, read_photo, shown, stored

ODD_NAMES = [
    pytest.param(b"line\nbreak.jpg", r"line\nbreak.jpg", id="newline"),
    pytest.param(b"return\r.jpg", r"return\r.jpg", id="carriage return"),
    pytest.param("face 😷.jpg".encode(), "face 😷.jpg", id="emoji"),
    pytest.param(b"caf\xe9.jpg", r"caf\udce9.jpg", id="not UTF-8"),
    pytest.param(b"\x1b[31mred.jpg", r"\x1b[31mred.jpg", id="terminal escape"),
    pytest.param("\u202egpj.jpg".encode(), r"\u202egpj.jpg", id="right-to-left"),
]


@pytest.mark.parametrize(("name", "line"), ODD_NAMES)
def test_odd_names(tmp_path: Path, portrait: Path, name: bytes, line: str) -> None:
    shutil.copy(portrait, tmp_path / os.fsdecode(name))
    [path], passed_over = list_photos(tmp_path)
    assert not passed_over
    assert os.fsencode(path.name) == name
    assert shown(path.name) == line
    stored(path.name).encode("utf-8")
    assert read_photo(path).image.mode == "RGB"


@given(st.binary(min_size=1, max_size=40))
def test_shown_is_printable_and_stored_is_utf8(name: bytes) -> None:
    assert shown(os.fsdecode(name)).isprintable()
    stored(os.fsdecode(name)).encode("utf-8")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("scan", "JPEG"),
        ("scan.jfif", "JPEG"),
        ("scan.JPG", "JPEG"),
        ("scan.jpg_large", "JPEG"),
        ("picture.png", "JPEG"),
        ("3f2a", "PNG"),
        ("avatar.dat", "WEBP"),
        ("old.dib", "BMP"),
        ("moving.tmp", "GIF"),
        ("page.scan", "TIFF"),
        ("new.bin", "AVIF"),
    ],
)
def test_a_photo_is_found_by_its_content(tmp_path: Path, portrait: Path, name: str, content: str) -> None:
    with Image.open(portrait) as image:
        image.save(tmp_path / name, format=content)
    assert list_photos(tmp_path) == ([tmp_path / name], PassedOver())
    assert is_photo(tmp_path / name)
    assert read_photo(tmp_path / name).image.mode == "RGB"


@pytest.mark.parametrize("content", [b"", b"not a photo", b"\xff\xd8"], ids=["empty", "text", "cut off"])
@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".jfif", ".png", ".tif", ".avif", ".HEIC"])
def test_what_is_named_like_a_photo_is_listed_whatever_it_holds(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert list_photos(tmp_path) == ([path], PassedOver())


TIFF_HEAD = b"II*\0\x08\0\0\0" + bytes(60)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        pytest.param("notes.txt", b"BMW is a car, BM is a start of many a text " + bytes(40), ".txt", id="text"),
        pytest.param("empty.TXT", b"", ".txt", id="empty"),
        pytest.param("film.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", ".mp4", id="film"),
        pytest.param("README", b"read me", "file without a suffix", id="no suffix"),
        pytest.param("Dr. Who and his dog", b"a tale", "file without a suffix", id="a sentence"),
        pytest.param("a.\x1b[31m", b"a trap", "file without a suffix", id="terminal escape"),
        pytest.param("raw.NEF", TIFF_HEAD, ".nef", id="camera raw"),
        pytest.param("shot.dng", TIFF_HEAD, ".dng", id="digital negative"),
        pytest.param("._a.JPG", b"\xff\xd8\xff", "hidden file", id="litter"),
        pytest.param(".DS_Store", b"", "hidden file", id="hidden"),
        pytest.param(".trash/a.jpg", b"\xff\xd8\xff", "hidden folder", id="in a hidden folder"),
        pytest.param("a/b/Thumbs.db", b"", ".db", id="deep"),
    ],
)
def test_what_is_passed_over_is_counted_by_kind(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(content)
    assert list_photos(tmp_path) == ([], PassedOver(Counter([kind])))


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(path))


@pytest.mark.parametrize("suffix", ["", ".jpg"])
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        pytest.param(os.mkfifo, "pipe", id="pipe"),
        pytest.param(_socket, "socket", id="socket"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), "device", id="link to a device"),
    ],
)
def test_what_could_make_a_reader_wait_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], kind: str, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make(tmp_path / f"a{suffix}")
    assert list_photos(tmp_path) == ([], PassedOver(Counter([kind])))


def test_a_broken_link_is_a_photo_if_it_is_called_one(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.txt"):
        (tmp_path / name).symlink_to("gone")
        (tmp_path / f"loop-{name}").symlink_to(f"loop-{name}")
    photos, passed_over = list_photos(tmp_path)
    assert photos == [tmp_path / "a.jpg", tmp_path / "loop-a.jpg"]
    assert passed_over.kinds.total() == 2


def test_what_may_not_be_read_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> None:
        raise PermissionError(path)

    (tmp_path / "b").mkdir()
    for name in ("a.txt", "a.jpg"):
        (tmp_path / name).touch()
    scandir = os.scandir
    monkeypatch.setattr("maskcls.embedder.photo.listing.open_file", refused)
    monkeypatch.setattr(os, "scandir", lambda path: refused(path) if path.endswith("b") else scandir(path))
    photos, passed_over = list_photos(tmp_path)
    assert photos == [tmp_path / "a.jpg"]
    assert passed_over.kinds == {"file that cannot be opened": 1, "folder that cannot be opened": 1}


def test_named_photos_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").touch()
    monkeypatch.setattr("maskcls.embedder.photo.listing.open_file", None)
    assert list_photos(tmp_path)[0] == [tmp_path / "a.jpg"]


def test_links_to_files_are_followed_and_links_to_folders_are_not(tmp_path: Path, portrait: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    shutil.copy(portrait, outside / "a.jpg")
    (inside / "linked").symlink_to(outside / "a.jpg")
    (inside / "loop").symlink_to(inside)
    (inside / "more").symlink_to(outside)
    photos, passed_over = list_photos(inside)
    assert photos == [inside / "linked"]
    assert passed_over.links == (inside / "loop", inside / "more")
    assert str(passed_over) == "2 folders that are links"


def test_photos_are_in_sorted_order_whatever_the_depth(tmp_path: Path) -> None:
    names = ["b/c.jpg", "a.jpg", "b/a/z.jpg", "c.jpg", "b.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list_photos(tmp_path)[0] == sorted(tmp_path / name for name in names)


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        pytest.param({}, "", id="nothing"),
        pytest.param(
            {".mp4": 3, ".txt": 12, "folder that is a link": 1}, "12 .txt, 3 .mp4, 1 folder that is a link", id="kinds"
        ),
        pytest.param({"hidden file": 2, "pipe": 1}, "2 hidden files, 1 pipe", id="words"),
        pytest.param(
            {f".k{i}": i for i in range(1, 12)},
            "11 .k11, 10 .k10, 9 .k9, 8 .k8, 7 .k7, 6 .k6, 5 .k5, 4 .k4, 6 of other kinds",
            id="many kinds",
        ),
    ],
)
def test_as_text(kinds: dict[str, int], text: str) -> None:
    passed_over = PassedOver(Counter(kinds))
    assert str(passed_over) == text
    assert len(passed_over) == sum(kinds.values())
    assert bool(passed_over) == bool(kinds)


@given(st.dictionaries(st.sampled_from([".a", ".b", "pipe", "hidden file"]), st.integers(1, 5)), st.integers(0, 3))
def test_sums_count_everything(kinds: dict[str, int], times: int) -> None:
    one = PassedOver(Counter(kinds), (Path("a"),))
    total = sum([one] * times, PassedOver())
    assert (len(total), len(total.links)) == (times * len(one), times)


def test_why_a_folder_is_empty(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "photos").mkdir()
    assert list_photos(tmp_path / "photos")[1].why_empty() == ""
    (tmp_path / "photos" / "link").symlink_to(target)
    assert list_photos(tmp_path / "photos")[1].why_empty() == (
        f"; passed over: 1 folder that is a link; {tmp_path / 'photos' / 'link'} is a link to a folder, and these are "
        f"not followed: name its target, {target}, instead"
    )
