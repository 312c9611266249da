from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from maskcls.cli.main import app
from maskcls.embedder.faceset.store import open_set


def relabel(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["relabel", *(str(argument) for argument in arguments)])


@pytest.fixture
def faces(contest_faces: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(contest_faces, tmp_path / "faces"))


def test_a_patch_is_applied_and_taken_back(faces: Path, tmp_path: Path) -> None:
    before = open_set(faces).table
    face = before.iloc[0]
    other = {"male": "female", "female": "male"}[face["gender"]]
    patch = tmp_path / "patch.csv"
    lines = [f"{face['face_id']},gender,{face['gender']},{other}", "0123,mask,wear,normal"]
    patch.write_text("\n".join(["face_id,field,old,new", *lines]) + "\n")
    applied = relabel(faces, "--patch", patch)
    assert applied.exit_code == 0, applied.output
    assert applied.stdout == "1 labels changed, 0 confirmed, 0 as wanted already, 1 lines passed over\n"
    assert applied.stderr == f"{patch}: line 3: no face 0123; passed over\n"
    assert open_set(faces).table["gender"].iloc[0] == other
    undone = relabel(faces, "--undo")
    assert undone.stdout == f"{faces}: 1 labels are what they were before the last patch\n"
    assert open_set(faces).table["gender"].iloc[0] == face["gender"]


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        pytest.param("face_id,field,old,new\n0123,mask,wear,normal\n", "line 2: no face 0123", id="nothing fits"),
        pytest.param("face_id,field\n", "no column old, new", id="no patch"),
        pytest.param(None, "either --patch FILE or --undo", id="neither"),
    ],
)
def test_what_fails_says_why_and_exits_1(faces: Path, tmp_path: Path, patch: str | None, words: str) -> None:
    arguments: list[str | Path] = [faces]
    if patch is not None:
        (tmp_path / "patch.csv").write_text(patch)
        arguments += ["--patch", tmp_path / "patch.csv"]
    failed = relabel(*arguments)
    assert failed.exit_code == 1
    (line,) = failed.stderr.splitlines()
    assert words in line


def test_undo_without_corrections(faces: Path) -> None:
    failed = relabel(faces, "--undo")
    assert failed.exit_code == 1
    assert failed.stderr == f"maskcls: {faces}: no corrections to take back\n"
