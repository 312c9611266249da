from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.comparison.cnn.job import Job, prepare
from maskcls.classify.comparison.cnn.targets import age_words, targets_of
from maskcls.classify.comparison.cnn.train import train

TINY = {"image_size": 32, "epochs": 1, "folds": 2, "batch_size": 24, "learning_rate": 0.003}


@pytest.fixture(scope="module")
def job(painted: Path, small_backbone: None) -> Job:
    return prepare([painted], [], None, TINY | {"per_task": True, "tasks": ["mask", "age"]}, bfloat16=False)


@pytest.fixture(scope="module")
def run(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    train(job, folder)
    return folder


def test_the_fold_of_every_face_is_in_the_run(run: Path, job: Job) -> None:
    faces = pd.read_parquet(run / "faces.parquet")
    assert list(faces["face_id"]) == list(job.pool.table["face_id"])
    assert (faces.groupby("person")["fold"].nunique() == 1).all()


def test_a_killed_run_goes_on_with_its_fold(run: Path, job: Job, tmp_path: Path) -> None:
    out, seen = tmp_path / "run", []

    def kill(what: str, done: int, total: int) -> None:
        seen.append(what)
        if what.startswith("fold 1") and seen.count("reading photos") < 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(job, out, kill)
    assert "files" not in json.loads((out / "config.json").read_text())  # the mark of a finished run
    started = json.loads((out / "config.json").read_text())["started"]
    seen.clear()
    train(job, out, lambda what, done, total: seen.append(what))
    assert not [what for what in seen if what.startswith("fold 0")]
    assert json.loads((out / "config.json").read_text())["started"] == started
    pd.testing.assert_frame_equal(pd.read_parquet(out / "answers.parquet"), pd.read_parquet(run / "answers.parquet"))
    for name in ("fold-0.safetensors", "fold-1.safetensors"):
        assert (out / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.usefixtures("small_backbone")
def test_sets_that_lack_labels_and_sets_only_trained_on(paint_set: Callable[..., Path], tmp_path: Path) -> None:
    scored = paint_set(tmp_path / "a", people=8, mask=None)
    also = paint_set(tmp_path / "b", people=8, seed=1, gender=None)
    job = prepare([scored], [also], None, TINY | {"sample_weights": {"source:painted": 2.0}}, bfloat16=False)
    metrics = train(job, tmp_path / "run")
    assert metrics["data"]["faces"] == 24
    assert metrics["data"]["trained_from_faces"] == 48
    assert metrics["overall"]["mask accuracy"]["value"] is None  # nobody scored has the label
    assert metrics["overall"]["gender accuracy"]["faces"] == 24
    assert pd.read_parquet(tmp_path / "run" / "answers.parquet")["mask"].notna().all()


@pytest.mark.parametrize(
    ("low", "high", "senior_from", "band"),
    [
        pytest.param(58, 58, 60, "30-59", id="58 is no senior"),
        pytest.param(58, 58, 58, ">=60", id="58 counted as one"),
        pytest.param(50, 59, 58, None, id="a band across the border"),
        pytest.param(60, 69, 58, ">=60", id="a band beyond it"),
        pytest.param(20, 29, 60, "<30", id="the young"),
        pytest.param(25, 35, 60, None, id="across thirty"),
        pytest.param(np.nan, np.nan, 60, None, id="unknown"),
    ],
)
def test_bands_that_are_learnt(low: float, high: float, senior_from: int, band: str | None) -> None:
    (word,) = age_words(pd.Series([low]), pd.Series([high]), senior_from)
    assert word == band if band else pd.isna(word)


def test_only_training_sees_the_relabelled(paint_set: Callable[..., Path], tmp_path: Path) -> None:
    faces = paint_set(tmp_path, people=6)
    job = prepare([faces], [], None, TINY | {"senior_from": 45})
    targets = targets_of(job.pool.table, job.pool.people, job.settings, named=False)
    middle = (job.pool.table["age_low"] == 45).to_numpy()
    assert targets.classes["age"] == ("<30", ">=60")
    assert (targets.learnt["age"][middle] == 1).all()
    assert (targets.true["age"][middle] == -1).all()
