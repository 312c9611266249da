from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
from typer.testing import CliRunner, Result

from maskcls.classify.labels.audit.issues import COLUMNS
from maskcls.cli.main import app


def maskcls(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_audit_then_relabel_then_audit(contest_faces: Path, tmp_path: Path) -> None:
    faces, out = tmp_path / "faces", tmp_path / "audit"
    shutil.copytree(contest_faces, faces)
    done = maskcls("audit", faces, "--out", out, "--folds", "2", "--min-probability", "0.1")
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == {"issues.csv", "patch.csv"}
    issues = pd.read_csv(out / "issues.csv")
    assert tuple(issues.columns) == COLUMNS
    assert issues["probability"].is_monotonic_decreasing
    assert issues["probability"].between(0.05, 1).all()
    patch = pd.read_csv(out / "patch.csv", dtype=str, keep_default_na=False)
    assert f"{len(issues)} label issues on" in done.stdout
    applied = maskcls("relabel", faces, "--patch", out / "patch.csv")
    assert applied.exit_code == 0, applied.output
    assert f"{len(patch)} labels changed, 0 confirmed" in applied.stdout
    again = maskcls("audit", faces, "--out", out, "--folds", "2")
    assert again.exit_code == 0, again.output
    made = set(patch[["face_id", "field", "new"]].itertuples(index=False, name=None))
    left = pd.read_csv(out / "issues.csv", dtype=str, keep_default_na=False)
    left = left[left["faces"] == "1"]
    assert not made & set(left[["face_id", "field", "given_label"]].itertuples(index=False, name=None))


def test_a_missing_set_is_one_line(tmp_path: Path) -> None:
    failed = maskcls("audit", tmp_path / "nothing", "--out", tmp_path / "audit")
    assert failed.exit_code == 1
    (line,) = failed.stderr.splitlines()
    assert "no such folder" in line
