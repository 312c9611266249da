from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from maskcls.classify.evaluation.error_gallery_folder import (
    PAGES,
    check_error_gallery_folder,
    replacing_error_gallery,
    write_manifest,
)
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.photo import file_state


def write(folder: Path, text: str) -> None:
    """A error_gallery whose pages are one word."""
    with replacing_error_gallery(folder) as temporary:
        for name in PAGES:
            (temporary / name).write_text(text)
        write_manifest(temporary, {"mistakes": 3})


def _nothing(folder: Path) -> None:
    pass


def _empty(folder: Path) -> None:
    folder.mkdir()


def _former(folder: Path) -> None:
    write(folder, "former")
    (folder / "faces" / "former.jpg").write_bytes(b"x")


def _killed(folder: Path) -> None:
    (folder / ".next").mkdir(parents=True)
    (folder / ".next" / "half").write_text("x")


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(_nothing, id="new"),
        pytest.param(_empty, id="empty"),
        pytest.param(_former, id="former error_gallery"),
        pytest.param(_killed, id="killed run"),
    ],
)
def test_folder_is_replaced_whole(tmp_path: Path, before: Callable[[Path], None]) -> None:
    folder = tmp_path / "book"
    before(folder)
    write(folder, "new")
    assert (folder / "index.html").read_text() == "new"
    assert json.loads((folder / "error_gallery.json").read_text())["mistakes"] == 3
    assert sorted(path.name for path in folder.iterdir()) == [
        "border.html",
        "error_gallery.json",
        "faces",
        "index.html",
    ]
    assert list((folder / "faces").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


def _file(folder: Path) -> None:
    folder.write_text("x")


def _photos(folder: Path) -> None:
    folder.mkdir()
    (folder / "index.html").write_text("mine")


def _other_manifest(folder: Path) -> None:
    folder.mkdir()
    (folder / "error_gallery.json").write_text("[1]")


def _with_notes(folder: Path) -> None:
    write(folder, "former")
    (folder / "notes\n.txt").write_text("mine")


@pytest.mark.parametrize(
    ("before", "message"),
    [
        pytest.param(_file, "not a folder", id="file"),
        pytest.param(_photos, "not an error gallery", id="other folder"),
        pytest.param(_other_manifest, "not an error gallery", id="other manifest"),
        pytest.param(_with_notes, "notes\\n.txt is no part of an error gallery", id="error_gallery with other files"),
    ],
)
def test_other_folders_are_refused(tmp_path: Path, before: Callable[[Path], None], message: str) -> None:
    folder = tmp_path / "book"
    before(folder)
    states = {path: file_state(path) for path in [folder, *folder.rglob("*")]}
    with pytest.raises(MaskclsError) as refused:
        check_error_gallery_folder(folder)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(MaskclsError, match=re.escape(message)):
        write(folder, "new")
    assert {path: file_state(path) for path in [folder, *folder.rglob("*")]} == states


def test_former_error_gallery_survives_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "book"
    write(folder, "former")
    with (
        pytest.raises(MaskclsError, match="cannot be written \\(No space left on device\\)"),
        replacing_error_gallery(folder),
    ):
        raise OSError(28, "No space left on device")
    assert (folder / "index.html").read_text() == "former"
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


def test_a_link_to_a_error_gallery_stays_a_link(tmp_path: Path) -> None:
    write(tmp_path / "real" / "book", "former")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "book")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "book" / "index.html").read_text() == "new"
