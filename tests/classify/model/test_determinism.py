"""The same photos, sets and seeds give the same answers, whatever the batch size, the number of jobs and the order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.data.face_set import merge_sets
from maskcls.classify.model.build import build_model
from maskcls.classify.model.model import Model
from maskcls.classify.predict.job import predict_photos
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.faceset.store import EmbeddingSet
from maskcls.embedder.photo import list_photos

WORDS = ["path", "status", "mask", "gender", "age_band", "class_id", "voters"]
NUMBERS = {"p_": 1e-3, "age": 0.05}
"""Largest difference of probabilities, and of ages in years."""


def test_answers_do_not_depend_on_batches_jobs_or_order(
    contest_photos: Path, model: Model, finder: FaceFinder, encoder: FaceNetEncoder
) -> None:
    paths = list_photos(contest_photos)[0][::14]

    def answers(paths: list[Path], batch_size: int, jobs: int) -> pd.DataFrame:
        done = predict_photos(
            paths, [str(path) for path in paths], model, encoder, finder, batch_size=batch_size, jobs=jobs
        )
        return done.table.sort_values("path", ignore_index=True)

    first = answers(paths, 64, 4)
    assert len(first) == 30
    for other in (answers(paths, 1, 1), answers(paths[::-1], 7, 2)):
        pd.testing.assert_frame_equal(first[WORDS], other[WORDS])
        for name in first.columns:
            for prefix, tolerance in NUMBERS.items():
                if name.startswith(prefix) and name not in WORDS:
                    np.testing.assert_allclose(first[name], other[name], rtol=0, atol=tolerance, err_msg=name)


@pytest.fixture(scope="module")
def faces(make_set: Callable[..., EmbeddingSet]) -> EmbeddingSet:
    count = 60
    return make_set(
        count,
        person=[f"p{i // 3}" for i in range(count)],
        mask=[("wear", "incorrect", "normal")[i % 3] for i in range(count)],
        gender=[("male", "female")[i // 3 % 2] for i in range(count)],
        age=[20.0 + i for i in range(count)],
    )


def test_one_seed_makes_one_model(faces: EmbeddingSet, tmp_path: Path) -> None:
    for name in ("first", "second"):
        build_model(merge_sets([faces]), seed=3)[0].save(tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "first").iterdir() if path.name != "model.json")
    assert len(names) >= 4
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    first, second = Model.load(tmp_path / "first"), Model.load(tmp_path / "second")
    times = {"created": ""}
    assert {**first.card, **times} == {**second.card, **times}
    assert (first.settings, first.least_norm) == (second.settings, second.least_norm)


def test_another_seed_makes_another_model(faces: EmbeddingSet) -> None:
    heads = [build_model(merge_sets([faces]), seed=seed)[0].heads["gender"].net.state_dict() for seed in (3, 4)]
    assert any((heads[0][name] != heads[1][name]).any() for name in heads[0])
