from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from maskcls.cli.main import app


def evaluate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *(str(argument) for argument in arguments)])


def test_all_outputs_of_real_sets(contest_faces: Path, utkface_faces: Path, tmp_path: Path) -> None:
    outs = {name: tmp_path / "out" / name for name in ("a.json", "a.html", "a.parquet", "cases")}
    done = evaluate(
        contest_faces,
        "--also",
        utkface_faces,
        *("--folds", "2", "--senior-from", "58"),
        *("--json", outs["a.json"], "--report", outs["a.html"], "--predictions", outs["a.parquet"]),
        *("--error-gallery", outs["cases"]),
    )
    assert done.exit_code == 0, done.output
    summary = json.loads(outs["a.json"].read_text())
    predictions = pd.read_parquet(outs["a.parquet"])
    assert summary["data"]["faces"] == len(predictions)
    assert set(predictions["source"]) == {"contest"}
    assert [one["name"] for one in summary["data"]["sets"]] == [contest_faces.name, utkface_faces.name]
    assert summary["data"]["senior_from"] == 58
    assert f"{len(predictions)} faces scored in 2 folds of people" in done.stdout
    value = summary["overall"]["mask accuracy"]["value"]
    assert f"mask accuracy                      {value:.3f}" in done.stdout
    assert f"{value:.3f}" in outs["a.html"].read_text()
    assert (outs["cases"] / "index.html").is_file()
    assert (outs["cases"] / "border.html").is_file()
    assert len(list((outs["cases"] / "faces").iterdir())) > 50


@pytest.fixture
def leaky(contest_faces: Path, tmp_path: Path) -> Path:
    """A split file that puts each person's photos into several folds."""
    out = tmp_path / "split.csv"
    assert CliRunner().invoke(app, ["split", str(contest_faces), "--out", str(out)]).exit_code == 0
    table = pd.read_csv(out)
    table.assign(fold=range(len(table))).assign(fold=lambda t: t["fold"] % 5).to_csv(out, index=False)
    return out


def test_a_leaky_split_is_refused(contest_faces: Path, leaky: Path) -> None:
    done = evaluate(contest_faces, "--split", leaky)
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"maskcls: {leaky}: ")
    assert "in more than one fold" in line or "two folds" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["nowhere"], "nowhere: no such folder", id="no such set"),
        pytest.param(["{contest}", "--folds", "5000"], "choose fewer folds", id="fewer people than folds"),
        pytest.param(["{contest}", "--split", "nowhere.csv"], "nowhere.csv", id="no such split"),
        pytest.param(
            ["{contest}", "--error-gallery", "{contest}"],
            "not an error gallery",
            id="an error gallery's place is taken",
        ),
        pytest.param(["{contest}", "--also", "{contest}"], "these photos are scored", id="scored and only trained on"),
    ],
)
def test_bad_input_is_one_line(contest_faces: Path, arguments: list[str], message: str) -> None:
    done = evaluate(*(text.format(contest=contest_faces) for text in arguments))
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("maskcls: ")
    assert message in line
