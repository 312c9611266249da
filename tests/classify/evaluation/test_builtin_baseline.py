from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.age.vote import VoteSettings
from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.evaluation import builtin_baseline as ready
from maskcls.classify.evaluation.cross_validation import predictions_of
from maskcls.classify.evaluation.evaluate import HEADLINES, ROUNDS
from maskcls.classify.metrics.scores import summarise
from maskcls.classify.model.model import Model
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.faceset.provenance import SeenPeople
from maskcls.embedder.faceset.store import EmbeddingSet


@pytest.fixture
def pool(make_set: Callable[..., EmbeddingSet]) -> FaceSet:
    return merge_sets([make_set(20, seed=3, age=list(range(20, 60, 2)))])


def test_the_built_in_model_stands_behind_the_own_one_and_before_the_baselines(
    pool: FaceSet, made_up: Callable[[int, int, VoteSettings], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    builtin, rows = made_up(40, 0, VoteSettings(5)), np.arange(5, 20)
    pool = replace(pool, encoder=builtin.encoder)
    monkeypatch.setattr(ready, "load_model", lambda folder: builtin)
    own = summarise(predictions_of(made_up(40, 1, VoteSettings(5)), pool, rows), 50)
    theirs = summarise(predictions_of(builtin, pool, rows), ROUNDS, 7)
    found = ready.beside_builtin(own, pd.DataFrame(), pool, rows, 7)["baselines"]
    assert [row["name"] for row in found["rows"]] == ["maskcls", "built-in model"]
    assert found["rows"][0]["age MAE"] == own["overall"]["age MAE"]
    assert found["rows"][1] == {"name": "built-in model"} | {name: theirs["overall"][name] for name in HEADLINES}
    assert "baselines" not in own
    with_others = own | {"baselines": {"rows": [found["rows"][0], {"name": "linear"}], "metrics": [], "note": ""}}
    again = ready.beside_builtin(with_others, pd.DataFrame(), pool, rows, 7)["baselines"]
    assert [row["name"] for row in again["rows"]] == ["maskcls", "built-in model", "linear"]
    assert again["note"] != found["note"]


def test_people_that_the_built_in_model_was_built_from_are_not_scored(
    make_set: Callable[..., EmbeddingSet],
    made_up: Callable[[int, int, VoteSettings], Model],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"p{i // 2}" for i in range(20)]
    pool = merge_sets([make_set(20, seed=3, age=list(range(20, 60, 2)), person=names)])
    builtin, rows = made_up(40, 0, VoteSettings(5)), np.arange(20)
    pool = replace(pool, encoder=builtin.encoder)
    seen = SeenPeople.of([0, 1], pool.table["file_sha256"].iloc[[0, 4]].tolist())  # one of two photos of p0 and p2
    monkeypatch.setattr(ready, "load_model", lambda folder: replace(builtin, seen=(seen,)))
    predictions = predictions_of(made_up(40, 1, VoteSettings(5)), pool, rows)
    found = ready.beside_builtin(summarise(predictions, 50), predictions, pool, rows)["baselines"]
    left = np.array([2, 3, *range(6, 20)])
    assert (
        found["rows"][1]["age MAE"] == summarise(predictions_of(builtin, pool, left), ROUNDS, 0)["overall"]["age MAE"]
    )
    assert found["rows"][0]["age MAE"] == summarise(predictions.iloc[left], ROUNDS, 0)["overall"]["age MAE"]
    assert "4 faces are left out" in found["note"]
    all_seen = SeenPeople.of(np.arange(20), pool.table["file_sha256"].tolist())
    monkeypatch.setattr(ready, "load_model", lambda folder: replace(builtin, seen=(all_seen,)))
    with pytest.raises(MaskclsError, match="built from all faces that are scored"):
        ready.beside_builtin({}, predictions, pool, rows)


def test_faces_of_other_weights_are_refused(pool: FaceSet) -> None:
    with pytest.raises(MaskclsError, match="built with encoder"):
        ready.beside_builtin({}, pd.DataFrame(), pool, np.arange(3))
