from __future__ import annotations

from pathlib import Path

import pandas as pd
from typer.testing import CliRunner, Result

from maskcls.cli.main import app
from maskcls.embedder.faceset.store import open_set


def maskcls(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_from_a_split_to_the_score_of_a_student(contest_faces: Path, utkface_faces: Path, tmp_path: Path) -> None:
    split, teacher, extra = tmp_path / "split.csv", tmp_path / "teacher", tmp_path / "extra"
    assert maskcls("split", contest_faces, "--folds", "2", "--out", split).exit_code == 0
    without = ("--split", split, "--without", "0")
    built = maskcls("build-index", contest_faces, "--out", teacher, *without)
    assert built.exit_code == 0, built.output
    assert "faces of people of fold 0 left out" in built.stdout
    done = maskcls("pseudo-label", teacher, utkface_faces, "--out", extra, "--min-confidence", "0.8")
    assert done.exit_code == 0, done.output
    found = open_set(extra)
    assert found.pseudo is not None
    assert f"{len(found)} of " in done.stdout
    known = pd.read_parquet(teacher / "gallery.parquet")["file_sha256"]
    assert (found.pseudo.teacher.seen[0].persons(known) >= 0).all()

    refused = maskcls("build-index", contest_faces, extra, "--out", tmp_path / "m", "--split", split, "--without", "1")
    assert refused.exit_code == 1
    (line,) = refused.stderr.splitlines()
    assert f"{len(found)} faces have pseudo-labels" in line
    assert not (tmp_path / "m").exists()
    built = maskcls("build-index", contest_faces, extra, "--out", tmp_path / "m", *without)
    assert built.exit_code == 0, built.output
    assert "of the faces have pseudo-labels" in built.stdout

    answers = tmp_path / "answers.parquet"
    scored = maskcls("evaluate", contest_faces, "--also", extra, "--split", split, "--predictions", answers)
    assert scored.exit_code == 0, scored.output
    assert "train 1 of 2 folds" in scored.stdout
    assert not set(pd.read_parquet(answers)["face_id"]) & set(found.table["face_id"])


def test_mistakes_are_one_line(contest_faces: Path, model_folder: Path, tmp_path: Path) -> None:
    cases: list[tuple[list[str | Path], str]] = [
        (["pseudo-label", tmp_path / "none", contest_faces, "--out", tmp_path / "x"], "no such folder"),
        (["pseudo-label", model_folder, contest_faces, "--out", contest_faces], "labels given by people"),
        (["pseudo-label", model_folder, contest_faces, "--out", tmp_path / "x"], "built from all of these photos"),
        (
            ["pseudo-label", model_folder, contest_faces, "--out", tmp_path / "x", "--min-confidence", "much"],
            "a number from 0 to 1",
        ),
        (["evaluate", contest_faces, "--min-confidence", "0.5"], "goes with --unlabelled"),
    ]
    for arguments, reason in cases:
        failed = maskcls(*arguments)
        assert failed.exit_code == 1
        (line,) = failed.stderr.splitlines()
        assert reason in line
