from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from maskcls.cli.main import app
from maskcls.cli.options import Depth
from maskcls.embedder.facenet.network import BLOCKS
from maskcls.embedder.faceset.store import EmbeddingSet, open_set

WriteSet = Callable[[Path, EmbeddingSet], Path]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def few_faces(contest_faces: Path, write_set: WriteSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half of the people of :func:`contest_faces`."""
    whole = open_set(contest_faces)
    rows = np.flatnonzero(whole.table["person"].isin(sorted(whole.table["person"].unique())[::2]))
    few = replace(
        whole,
        table=whole.table.iloc[rows].reset_index(drop=True),
        embeddings=whole.embeddings[rows],
        maps=whole.maps[rows],
    )
    return write_set(tmp_path_factory.mktemp("few") / "faces", few)


@pytest.fixture
def small_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskcls.classify.model.finetune.MIN_FACES_TO_LEARN", 100)
    monkeypatch.setattr("maskcls.classify.model.finetune.MIN_PEOPLE", 2)


@pytest.mark.usefixtures("small_is_enough")
def test_a_fine_tuned_model_is_built_scored_and_answers(few_faces: Path, contest_photos: Path, tmp_path: Path) -> None:
    tuning = ("--finetune", "block8", "--passes", "1", "--device", "cpu")
    built = run("build-index", few_faces, "--out", tmp_path / "model", *tuning)
    assert built.exit_code == 0, built.output
    assert json.loads((tmp_path / "model" / "model.json").read_text())["encoder"]["name"].endswith("-tuned")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]  # no checkpoint is left
    photos = sorted(contest_photos.iterdir())[0]
    out = tmp_path / "predictions.csv"
    predicted = run("predict", photos, "--model", tmp_path / "model", "--out", out)
    assert predicted.exit_code == 0, predicted.output
    assert pd.read_csv(out)["status"].eq("ok").all()

    scores = tmp_path / "scores.json"
    scored = run("evaluate", few_faces, *tuning, "--score-folds", "1", "--baselines", "--json", scores)
    assert scored.exit_code == 0, scored.output
    summary = json.loads(scores.read_text())
    assert summary["data"]["finetuned"] == "from block8, 1 passes"
    assert 20 < summary["data"]["faces"] < 200
    assert "the age network itself, no vote" in [row["name"] for row in summary["baselines"]["rows"]]
    assert summary["overall"]["mask accuracy"]["value"] > 0.8


@pytest.mark.parametrize(
    ("command", "message"),
    [
        pytest.param(("build-index", "--out", "model"), "faces of known age", id="too few faces"),
        pytest.param(("evaluate", "--leakage"), "--leakage: not with --finetune", id="leakage of a tuned model"),
    ],
)
def test_what_cannot_be_is_one_line(
    contest_faces: Path, tmp_path: Path, command: tuple[str, ...], message: str
) -> None:
    options = [str(tmp_path / "model") if option == "model" else option for option in command[1:]]
    done = run(command[0], contest_faces, *options, "--finetune", "block8")
    assert done.exit_code == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("maskcls: ")
    assert message in line
    assert not (tmp_path / "model").exists()


def test_every_depth_is_a_block_of_the_backbone() -> None:
    assert {depth.value for depth in Depth} <= set(BLOCKS)
