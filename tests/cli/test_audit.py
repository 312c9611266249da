from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
from typer.testing import CliRunner, Result

from maskcls.classify.labels.audit.findings import COLUMNS
from maskcls.cli.main import app


def maskcls(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_audit_then_relabel_then_audit(contest_faces: Path, tmp_path: Path) -> None:
    faces, out = tmp_path / "faces", tmp_path / "audit"
    shutil.copytree(contest_faces, faces)
    done = maskcls("audit", faces, "--out", out, "--folds", "3", "--min-probability", "0.1")
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == {"findings.csv", "findings.parquet", "patch.csv"}
    findings = pd.read_parquet(out / "findings.parquet")
    assert tuple(findings.columns) == COLUMNS
    assert findings["probability"].is_monotonic_decreasing
    assert findings["probability"].between(0.05, 1).all()
    patch = pd.read_csv(out / "patch.csv", dtype=str, keep_default_na=False)
    assert f"{len(findings)} findings on" in done.stdout
    applied = maskcls("relabel", faces, "--patch", out / "patch.csv")
    assert applied.exit_code == 0, applied.output
    assert f"{len(patch)} labels changed, 0 confirmed" in applied.stdout
    again = maskcls("audit", faces, "--out", out, "--folds", "3")
    assert again.exit_code == 0, again.output
    made = set(patch[["face_id", "field", "new"]].itertuples(index=False, name=None))
    left = pd.read_parquet(out / "findings.parquet")
    assert not made & set(left[left["faces"] == 1][["face_id", "field", "label"]].itertuples(index=False, name=None))


def test_a_missing_set_is_one_line(tmp_path: Path) -> None:
    failed = maskcls("audit", tmp_path / "nothing", "--out", tmp_path / "audit")
    assert failed.exit_code == 1
    (line,) = failed.stderr.splitlines()
    assert "no such folder" in line
