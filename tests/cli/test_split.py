from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from maskcls.classify.evaluation.splits import COLUMNS
from maskcls.cli.main import app


def split(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["split", *(str(argument) for argument in arguments)])


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert line.startswith("maskcls: ")
    for word in words:
        assert word in line


def test_split_and_check_of_real_sets(contest_faces: Path, utkface_faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "split.csv"
    made = split(contest_faces, utkface_faces, "--folds", "4", "--out", out)
    assert made.exit_code == 0, made.output
    first, *folds = made.stdout.splitlines()
    table = pd.read_csv(out, dtype={"person": str, "name": str})
    assert tuple(table.columns) == COLUMNS
    assert first == f"{out}: 4 folds of {len(table)} faces, 0 exact copies left out"
    assert len(folds) == 4
    for number, line in enumerate(folds):
        mine = table[table["fold"] == number]
        assert line.startswith(f"  fold {number}: {mine['person'].nunique()} people, {len(mine)} faces (age <30 ")
    assert (table.groupby("person")["fold"].nunique() == 1).all()
    assert (table.dropna(subset="name").groupby("name")["fold"].nunique() == 1).all()
    before = out.read_bytes()
    checked = split(utkface_faces, contest_faces, "--check", out)
    assert checked.exit_code == 0, checked.output
    assert checked.stdout.splitlines() == [f"{out}: 4 folds of {len(table)} faces, nobody is in two of them", *folds]
    assert list(out.parent.iterdir()) == [out]
    assert out.read_bytes() == before


def test_seed(contest_faces: Path, tmp_path: Path) -> None:
    outs = [tmp_path / f"{name}.csv" for name in "abc"]
    for out, seed in zip(outs, (1, 1, 2), strict=True):
        assert split(contest_faces, "--seed", str(seed), "-o", out).exit_code == 0
    assert outs[0].read_bytes() == outs[1].read_bytes() != outs[2].read_bytes()


def test_parquet_and_rows_of_other_sets(contest_faces: Path, utkface_faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "split.parquet"
    assert split(contest_faces, utkface_faces, "--out", out).exit_code == 0
    others = (pd.read_parquet(out)["source"] == "contest").sum()
    checked = split(utkface_faces, "--check", out)
    assert checked.exit_code == 0, checked.output
    assert f"{others} rows of faces that are not in these sets were passed over" in checked.stdout


def test_a_leaky_split_fails_in_one_line(contest_faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "split.csv"
    assert split(contest_faces, "--out", out).exit_code == 0
    table = pd.read_csv(out)
    table["fold"] = np.where(table.index == 0, (table["fold"] + 1) % 5, table["fold"])
    table.to_csv(out, index=False)
    result = split(contest_faces, "--check", out)
    fails(result, f"{out}: leaky, 1 of ", "people are in more than one fold, such as ", table["path"].iloc[0])
    assert result.stdout == ""


def test_too_few_people(contest_faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "split.csv"
    fails(split(contest_faces, "--folds", "100", "--out", out), "100 folds need 100 people, and there are ")
    assert not out.exists()


def test_classes_of_few_people_are_said(contest_faces: Path, tmp_path: Path) -> None:
    result = split(contest_faces, "--folds", "30", "--out", tmp_path / "split.csv")
    assert result.exit_code == 0, result.output
    assert "age >=60: fewer people (12) than folds (30), so some folds have none" in result.stdout.splitlines()


def test_check_of_a_missing_file(contest_faces: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.csv"
    fails(split(contest_faces, "--check", missing), f"{missing}: cannot be read as a split (No such file or directory)")


def test_what_is_no_set(tmp_path: Path) -> None:
    fails(split(tmp_path / "nothing", "--out", tmp_path / "split.csv"), "no such folder", "maskcls embed")


@pytest.mark.parametrize("options", [["--folds", "1"], ["--folds", "two"], ["--seed", "-1"], ["--seed", str(2**32)]])
def test_bad_options(options: list[str], contest_faces: Path, tmp_path: Path) -> None:
    result = split(contest_faces, "--out", tmp_path / "split.csv", *options)
    assert result.exit_code == 2
    assert options[0] in result.stderr
    assert not list(tmp_path.iterdir())


def test_out_is_a_folder(contest_faces: Path, tmp_path: Path) -> None:
    fails(split(contest_faces, "--out", tmp_path), f"{tmp_path}: is a folder")
