from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from maskcls.classify.comparison.cnn.settings import Backbone, Crop, Settings
from maskcls.cli import train
from maskcls.cli.main import app

pytestmark = pytest.mark.usefixtures("small_backbone")
TINY = ("--image-size", "32", "--epochs", "2", "--folds", "2", "--batch-size", "16", "--no-bfloat16")


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("maskcls: ")
    for word in words:
        assert word in line


@pytest.fixture(scope="module")
def runs(painted: Path, small_backbone: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs of the painted people."""
    folder = tmp_path_factory.mktemp("runs")
    plain = call("train", painted, "--out", folder / "plain", *TINY, "--learning-rate", "0.003")
    assert plain.exit_code == 0, plain.output
    smooth = call("train", painted, "--out", folder / "smooth", *TINY, "--label-smoothing", "age=0.1", "--balance", "1")
    assert smooth.exit_code == 0, smooth.output
    return folder


def test_a_run_explains_itself(runs: Path, painted: Path) -> None:
    run = runs / "plain"
    config = json.loads((run / "config.json").read_text())
    assert config["settings"]["image_size"] == 32
    assert config["seed"] == 0
    assert config["weights"] is None
    assert config["sets"][0]["faces"] == 72
    assert set(config["files"]) == {
        *("curves.csv", "curves.png", "metrics.json"),
        *("fold-0.safetensors", "fold-1.safetensors"),
    }
    tables = {"answers.parquet", "faces.parquet"}
    assert {path.name for path in run.iterdir()} == {*config["files"], *tables, "config.json"}
    with Image.open(run / "curves.png") as picture:
        assert picture.format == "PNG"
    curves = pd.read_csv(run / "curves.csv")
    assert list(curves["epoch"]) == [1, 2] * 2
    assert curves["train_loss"].iloc[1] < curves["train_loss"].iloc[0]
    answers = pd.read_parquet(run / "answers.parquet")
    assert len(answers) == 72
    assert (answers.groupby("person")["fold"].nunique() == 1).all()
    metrics = json.loads((run / "metrics.json").read_text())
    accuracy = metrics["overall"]["mask accuracy"]
    assert accuracy["value"] == (answers["mask"] == answers["true_mask"]).mean()
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]


def test_answers_have_the_columns_of_evaluate(runs: Path) -> None:
    from maskcls.classify.evaluation.cross_validation import FACE_COLUMNS
    from maskcls.classify.tasks import ANSWER_COLUMNS

    answers = pd.read_parquet(runs / "plain" / "answers.parquet")
    assert {*ANSWER_COLUMNS, *FACE_COLUMNS, "person", "fold", "true_mask", "true_age_low"} <= set(answers)
    np.testing.assert_allclose(answers[["p_wear", "p_incorrect", "p_normal"]].sum(axis=1), 1, atol=2e-4)


def test_runs_are_listed_and_compared(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs.json"
    done = call("runs", runs, "--json", out)
    assert done.exit_code == 0, done.output
    assert "plain: resnet18, face 32 px, 72 faces predicted" in done.stdout
    assert "  label_smoothing: - (plain), age=0.1 (smooth)" in done.stdout
    assert "  balance: 0.0 (plain), 1.0 (smooth)" in done.stdout
    assert "72 faces of 24 people that all of them predict" in done.stdout
    rows = json.loads(out.read_text())["rows"]
    assert [row["name"] for row in rows] == ["plain", "smooth"]
    gain = rows[1]["mask accuracy"]["value"] - rows[0]["mask accuracy"]["value"]
    assert rows[1]["difference"]["mask accuracy"]["value"] == pytest.approx(gain)


def test_runs_beside_other_answers(runs: Path, tmp_path: Path) -> None:
    answers = pd.read_parquet(runs / "plain" / "answers.parquet").iloc[:30]
    answers.assign(mask=answers["true_mask"]).to_parquet(tmp_path / "retrieval.parquet")
    done = call("runs", runs / "smooth", "--beside", tmp_path / "retrieval.parquet")
    assert done.exit_code == 0, done.output
    assert "30 faces" in done.stdout
    assert "difference to retrieval" in done.stdout


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        pytest.param({"true_mask": "wear"}, "other labels of 48 faces; predict again", id="relabelled"),
        pytest.param({"face_id": "0"}, "no face is predicted by all", id="other faces"),
    ],
)
def test_runs_that_cannot_be_compared(runs: Path, tmp_path: Path, columns: dict[str, str], message: str) -> None:
    pd.read_parquet(runs / "plain" / "answers.parquet").assign(**columns).to_parquet(tmp_path / "other.parquet")
    fails(call("runs", runs / "smooth", "--beside", tmp_path / "other.parquet"), "other and smooth: ", message)


def test_no_answers_to_compare_with(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    fails(call("runs", runs, "--beside", path), f"{path}: cannot be read as predictions (No such file or directory)")
    pd.DataFrame({"face_id": ["a"]}).to_parquet(path)
    fails(call("runs", runs, "--beside", path), "column person is missing")


def test_a_finished_run_is_left_alone(runs: Path, painted: Path) -> None:
    before = (runs / "plain" / "config.json").read_bytes()
    again = call("train", painted, "--out", runs / "plain", *TINY, "--learning-rate", "0.003")
    assert again.exit_code == 0, again.output
    assert "finished" in again.stdout
    assert (runs / "plain" / "config.json").read_bytes() == before


def test_another_run_is_not_overwritten(runs: Path, painted: Path) -> None:
    done = call("train", painted, "--out", runs / "plain", *TINY, "--learning-rate", "0.01")
    fails(done, "plain: holds another run (learning_rate 0.003 there, 0.01 here); choose another --out")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(
            ["--recipe", "{file}"],
            ["recipe.toml: unknown key 'learning_rat'", "did you mean learning_rate", "backbone"],
            id="unknown key",
        ),
        pytest.param(["--recipe", "team-c"], ["team-c: no such recipe; shipped are team-a, team-b"], id="no recipe"),
        pytest.param(
            ["--weight", "race:martian=2"],
            ["--weight race:martian: no face has this race; there are: none"],
            id="no such race",
        ),
        pytest.param(
            ["--weight", "race=2"], ["sample_weights 'race': write race:NAME or source:NAME"], id="weight of nothing"
        ),
        pytest.param(
            ["--label-smoothing", "age=much"], ["--label-smoothing age=much: write NAME=NUMBER"], id="no number"
        ),
        pytest.param(
            ["--label-smoothing", "height=0.1"], ["label_smoothing", "'mask', 'gender' or 'age'"], id="no such task"
        ),
        pytest.param(["--balance", "2"], ["balance: Input should be less than or equal to 1"], id="out of range"),
        pytest.param(
            ["--randaugment", "Sparkle"], ["randaugment 'Sparkle' is none of Identity"], id="no such operation"
        ),
        pytest.param(
            ["--backbone", "vit_b_16", "--image-size", "40"], ["vit_b_16 takes multiples of 16"], id="patches"
        ),
        pytest.param(["--weights", "nowhere.pth"], ["weights nowhere.pth: No such file"], id="no weights"),
        pytest.param(["--weights", "{file}"], ["SHA-256 is", "resnet18-f37072fd.pth"], id="other weights"),
        pytest.param(
            ["--learning-rate", "1e25", *TINY], ["the loss is", "lower --learning-rate (it is 1e+25)"], id="NaN"
        ),
        pytest.param(["--out", "{photos}"], ["not empty and not a run; choose another folder"], id="taken folder"),
    ],
)
def test_bad_input_is_one_line(painted: Path, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("learning_rat = 0.1\n")
    places = {"file": str(recipe), "photos": str(painted.parent / "photos")}
    done = call("train", painted, "--out", tmp_path / "run", *(text.format(**places) for text in arguments))
    fails(done, *words)


def test_one_person_only(paint_set: Callable[..., Path], tmp_path: Path) -> None:
    faces = paint_set(tmp_path, people=1)
    fails(call("train", faces, "--out", tmp_path / "run", "--folds", "2"), "2 folds need 2 people, and there are 1")


def test_nobody_left_to_be_held_out(paint_set: Callable[..., Path], tmp_path: Path) -> None:
    done = call("train", paint_set(tmp_path, people=2), "--out", tmp_path / "run", *TINY)
    fails(done, "fold 0: one person is left to train on, and another must be held out; add people")


def test_a_class_without_examples(paint_set: Callable[..., Path], tmp_path: Path) -> None:
    faces = paint_set(tmp_path, people=6, gender="male")
    named = call("train", faces, "--out", tmp_path / "run", *TINY, "--tasks", "gender")
    fails(named, "gender female: fewer than 2 people show it, so gender cannot be learnt")
    done = call("train", faces, "--out", tmp_path / "run", *TINY)
    assert done.exit_code == 0, done.output
    assert "gender female: fewer than 2 people show it, so gender is left out" in done.stdout
    assert pd.read_parquet(tmp_path / "run" / "answers.parquet")["gender"].isna().all()


def test_no_runs(tmp_path: Path) -> None:
    fails(call("runs", tmp_path), "no runs in there; make one with `maskcls train")


def test_every_setting_has_its_option() -> None:
    options = set(inspect.signature(train.train).parameters)
    assert set(Settings.model_fields) - options == {"sample_weights"}  # --weight
    for option, of_settings in ((train.Backbone, Backbone), (train.Crop, Crop)):
        assert tuple(option) == get_args(of_settings)
