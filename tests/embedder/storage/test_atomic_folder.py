from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.storage import atomic_folder
from maskcls.embedder.storage.atomic_folder import (
    COMMIT,
    NEXT,
    commit,
    ensure_whole,
    is_interrupted,
    recover,
    replacing_folder,
    stage,
)
from maskcls.embedder.storage.lock import locked

OLD = {"a.txt": "old a", "b.txt": "old b", "faces/1.jpg": "old face", "gone.txt": "old"}
NEW = {"a.txt": "new a", "faces/2.jpg": "new face", "c.txt": "new c"}
FOREIGN = {"notes.txt": "mine", "photos/1.jpg": "mine"}
AFTER = NEW | {"b.txt": "old b"}
CHANGES = ((os, "replace"), (os, "unlink"), (os, "rmdir"), (Path, "unlink"), (shutil, "rmtree"))


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def replace(folder: Path) -> None:
    with replacing_folder(folder, obsolete=["gone.txt", "a.txt"]) as staging:
        write(staging, NEW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "folder", OLD | FOREIGN)
    return tmp_path / "folder"


def test_files_are_replaced_together_and_foreign_ones_stay(folder: Path) -> None:
    kept = (folder / "b.txt").stat().st_ino
    replace(folder)
    assert read(folder) == AFTER | FOREIGN
    assert (folder / "b.txt").stat().st_ino == kept  # a file that is not staged is not copied either


@pytest.mark.parametrize("made", [True, False], ids=["empty folder", "no folder"])
def test_a_new_folder(tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "new").mkdir()
    replace(tmp_path / "new")
    assert read(tmp_path / "new") == NEW


def test_a_failure_while_files_are_staged_changes_nothing(folder: Path, tmp_path: Path) -> None:
    for place in (folder, tmp_path / "new"):
        with pytest.raises(FileExistsError), replacing_folder(place) as staging:
            raise FileExistsError(staging)
    assert read(tmp_path) == {f"folder/{name}": text for name, text in (OLD | FOREIGN).items()}
    assert not (tmp_path / "new").exists()


def killed(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """From the n-th change on disk on nothing is changed any more, as after a kill; the changes asked for."""
    asked: list[str] = []

    def wrap(place: Any, name: str) -> None:
        real = getattr(place, name)

        def change(*arguments: Any, **options: Any) -> Any:
            asked.append(name)
            if len(asked) > number:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        monkeypatch.setattr(place, name, change)

    for place, name in CHANGES:
        wrap(place, name)
    return asked


def test_a_kill_at_any_change_leaves_the_old_or_the_new_content(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, number, done = [], 0, False
    while not done:
        shutil.rmtree(folder)
        write(folder, OLD | FOREIGN)
        with monkeypatch.context() as patch:
            asked = killed(patch, number)
            with suppress(KeyboardInterrupt):
                replace(folder)
            done = len(asked) <= number
        ensure_whole(folder)  # what a reader does
        found = {name: text for name, text in read(folder).items() if not name.startswith((NEXT, ".lock"))}
        assert found in (OLD | FOREIGN, AFTER | FOREIGN)
        seen.append(found == AFTER | FOREIGN)
        replace(folder)  # what the next run does
        assert read(folder) == AFTER | FOREIGN
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            {name.split("/")[0] for name in AFTER | FOREIGN}
        )
        number += 1
    assert seen == sorted(seen)  # once the new content counts, it is never lost again
    assert 3 < sum(seen) < len(seen)


def test_reading_a_whole_folder_writes_nothing(folder: Path) -> None:
    stage(folder)
    before = folder.stat().st_mtime_ns
    ensure_whole(folder)
    assert folder.stat().st_mtime_ns == before


def interrupted(folder: Path, note: str) -> None:
    write(stage(folder), NEW | {COMMIT: note})


def test_nobody_finishes_what_another_run_is_committing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_folder, "PATIENCE", 0.0)
    interrupted(folder, '{"remove": []}')
    with locked(folder), pytest.raises(MaskclsError, match="another maskcls run is writing here"):
        ensure_whole(folder)
    assert is_interrupted(folder)
    ensure_whole(folder)
    assert (folder / "a.txt").read_text() == "new a"


@pytest.mark.parametrize("name", ["../notes.txt", "", ".", "..", "photos/1.jpg", 1, None])
def test_a_note_that_names_other_places_is_refused(folder: Path, name: object) -> None:
    write(folder.parent, {"notes.txt": "mine"})
    interrupted(folder, json.dumps({"remove": [name]}))
    with pytest.raises(MaskclsError, match=f"^{folder}/.next/commit.json: damaged; remove"):
        recover(folder)
    assert (folder.parent / "notes.txt").read_text() == (folder / "photos" / "1.jpg").read_text() == "mine"


@pytest.mark.parametrize("note", ["", "{", "[]", "{}", '{"remove": 3}'])
def test_a_damaged_note_is_one_line(folder: Path, note: str) -> None:
    interrupted(folder, note)
    with pytest.raises(MaskclsError, match="damaged") as error:
        ensure_whole(folder)
    assert str(error.value).isprintable()


def test_a_linked_folder_stays_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    replace(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert read(folder) == AFTER | FOREIGN


def test_files_are_in_place_when_a_commit_returns(folder: Path) -> None:
    write(stage(folder), NEW)
    commit(folder)
    assert read(folder) == AFTER | FOREIGN | {"gone.txt": "old"}
