from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.storage.atomic import replacing, reserve, write_json
from maskcls.embedder.storage.lock import locked
from maskcls.embedder.storage.manifest import checksums, parsing, read_manifest, write_manifest

MAKE = "maskcls make IN --out OUT"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(folder: Path) -> dict[str, Any]:
    return read_manifest(folder, "manifest.json", "thing", 2, MAKE)


def change(folder: Path, **changes: object) -> None:
    content = json.loads((folder / "manifest.json").read_text()) | changes
    (folder / "manifest.json").write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    thing = tmp_path / "thing"
    thing.mkdir()
    (thing / "a.bin").write_bytes(bytes(range(200)))
    (thing / "b.bin").write_bytes(b"")
    files = checksums(thing, ("a.bin", "b.bin"))
    write_json(thing / "manifest.json", {"format": 2, "kind": "thing", "note": "é", "files": files})
    return thing


@pytest.mark.parametrize("old", [None, "old"])
def test_replacing(tmp_path: Path, old: str | None) -> None:
    path = tmp_path / "new folder" / "file.txt"
    if old is not None:
        path.parent.mkdir()
        path.write_text(old)
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.exists() == (old is not None)
    assert path.read_text() == "new"
    assert names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("written", [None, "half"])
def test_replacing_keeps_the_old_content_after_an_error(tmp_path: Path, written: str | None) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            if written is not None:
                temporary.write_text(written)
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_write_json_keeps_order_and_letters(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": "é😷", "a": 1})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert text == '{\n  "b": "é😷",\n  "a": 1\n}\n'


def test_write_json_that_fails_changes_nothing(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}
    assert names(tmp_path) == ["x.json"]


def test_checksums(folder: Path) -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert checksums(folder, ("b.bin",)) == {"b.bin": empty}


def test_manifest_is_read(folder: Path) -> None:
    assert read(folder)["note"] == "é"
    assert set(read(folder)["files"]) == {"a.bin", "b.bin"}


def test_a_manifest_is_sealed(tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "format": 2,
        "kind": "thing",
        "numbers": (0.1, 1e300, -0.0),
        "b": {3: [None, True]},
        "files": {},
    }
    write_manifest(tmp_path / "manifest.json", content)
    manifest = read(tmp_path)
    assert manifest["numbers"] == [0.1, 1e300, -0.0]
    write_manifest(tmp_path / "manifest.json", manifest)
    assert read(tmp_path) == manifest
    text = (tmp_path / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(text.replace("0.1", "0.2"))
    with pytest.raises(MaskclsError, match=r": manifest\.json is damaged \(SHA-256 differs\); make it again with"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["../thing/a.bin", "/etc/passwd", "", "..", "a\\b", "a.bin\0"])
def test_files_elsewhere_are_not_read(folder: Path, name: str) -> None:
    change(folder, files=checksums(folder, ("a.bin",)) | {name: "0" * 64})
    with pytest.raises(MaskclsError, match="not a thing manifest"):
        read(folder)


def test_files_that_must_be_listed(folder: Path) -> None:
    arguments = (folder, "manifest.json", "thing", 2, MAKE)
    read_manifest(*arguments, ("a.bin",))
    with pytest.raises(MaskclsError, match="not a thing manifest"):
        read_manifest(*arguments, ("a.bin", "c.bin"))


def test_parsing_says_any_error_in_one_line(folder: Path) -> None:
    with pytest.raises(MaskclsError) as error, parsing(folder, MAKE):
        raise ValueError("two\nlines " + "x" * 1000)
    assert str(error.value).startswith(f"{folder}: not what `{MAKE}` writes (ValueError: two lines xxx")
    assert len(str(error.value)) < 300 + len(str(folder))
    with pytest.raises(MaskclsError, match=r"^mine$"), parsing(folder, MAKE):
        raise MaskclsError("mine")


def test_left_over_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    dead, alive = tmp_path / f".x.json.{done.stdout.strip()}.tmp", tmp_path / f".x.json.{os.getppid()}.tmp"
    others = [tmp_path / name for name in ("x.json.1.tmp", f".y.json.{done.stdout.strip()}.tmp")]
    for path in (dead, alive, *others, tmp_path / f".x.json.{10**30}.tmp"):
        path.touch()
    write_json(tmp_path / "x.json", {})
    assert names(tmp_path) == sorted([alive.name, "x.json", *(path.name for path in others)])


def test_reserved_disk(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w+b") as file:
        reserve(file, 10_000)
        reserve(file, 0)
        reserve(file, 5_000)
    assert (tmp_path / "x").read_bytes() == bytes(5_000)


def flip_one_bit(folder: Path) -> None:
    content = bytearray((folder / "a.bin").read_bytes())
    content[100] ^= 1
    (folder / "a.bin").write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(
            lambda f: (f / "manifest.json").unlink(),
            ": no manifest.json in this folder; make it with",
            id="no manifest",
        ),
        pytest.param(
            lambda f: (f / "manifest.json").write_text("{"),
            "/manifest.json: not a thing manifest; make it again with",
            id="not JSON",
        ),
        pytest.param(
            lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe"),
            "/manifest.json: not a thing manifest; make it again with",
            id="not UTF-8",
        ),
        pytest.param(
            lambda f: (f / "manifest.json").write_text("[]"),
            "/manifest.json: not a thing manifest; make it again with",
            id="a list",
        ),
        pytest.param(
            lambda f: change(f, kind="other"),
            "/manifest.json: not a thing manifest; make it again with",
            id="other kind",
        ),
        pytest.param(
            lambda f: change(f, files=None),
            "/manifest.json: not a thing manifest; make it again with",
            id="no file list",
        ),
        pytest.param(
            lambda f: change(f, format=1), ": format 1, this maskcls reads 2; make it again with", id="other format"
        ),
        pytest.param(
            lambda f: change(f, format=None), ": format None, this maskcls reads 2; make it again with", id="no format"
        ),
        pytest.param(lambda f: (f / "a.bin").unlink(), ": a.bin is missing; make it again with", id="missing file"),
        pytest.param(flip_one_bit, ": a.bin is damaged (SHA-256 differs); make it again with", id="flipped bit"),
        pytest.param(
            lambda f: (f / "b.bin").write_bytes(b"x"),
            ": b.bin is damaged (SHA-256 differs); make it again with",
            id="longer file",
        ),
    ],
)
def test_unusable_manifest(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(MaskclsError) as error:
        read(folder)
    assert str(error.value) == f"{folder}{message} `{MAKE}`"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "gone: no such folder; make it with"),
        ("line\nbreak", r"line\nbreak: no such folder; make it with"),
        ("thing/a.bin", "thing/a.bin/manifest.json: not a thing manifest; make it again with"),
    ],
)
def test_no_folder(folder: Path, name: str, message: str) -> None:
    with pytest.raises(MaskclsError) as error:
        read(folder.parent / name)
    assert str(error.value) == f"{folder.parent}/{message} `{MAKE}`"


def test_locked_makes_the_folder_and_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "a" / "b"):
            assert (tmp_path / "a" / "b").is_dir()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    expected = f"^{tmp_path}: another maskcls run is writing here; wait for it to end$"
    with locked(tmp_path), pytest.raises(MaskclsError, match=expected), locked(tmp_path):
        pytest.fail("two writers")


def test_a_writer_in_another_process_is_refused_until_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from maskcls.embedder.storage.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(MaskclsError, match="another maskcls run"), locked(tmp_path):
            pytest.fail("two writers")
        other.kill()
    with locked(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_the_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        _ = 1 / 0
    with locked(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    expected = rf"^{tmp_path}/file: cannot be written \(File exists\)$"
    with pytest.raises(MaskclsError, match=expected), locked(tmp_path / "file"):
        pytest.fail("locked a file")
