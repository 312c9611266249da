from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from maskcls.classify.age.vote import VoteSettings
from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.evaluation import builtin_baseline as ready
from maskcls.classify.evaluation.cross_validation import predictions_of
from maskcls.classify.evaluation.evaluate import HEADLINES, ROUNDS
from maskcls.classify.metrics.scores import summarise
from maskcls.classify.model.model import Model
from maskcls.embedder.errors import MaskclsError
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
    found = ready.beside_builtin(own, pool, rows, 7)["baselines"]
    assert [row["name"] for row in found["rows"]] == ["maskcls", "built-in model"]
    assert found["rows"][0]["age MAE"] == own["overall"]["age MAE"]
    assert found["rows"][1] == {"name": "built-in model"} | {name: theirs["overall"][name] for name in HEADLINES}
    assert "baselines" not in own
    with_others = own | {"baselines": {"rows": [found["rows"][0], {"name": "linear"}], "metrics": [], "note": ""}}
    again = ready.beside_builtin(with_others, pool, rows, 7)["baselines"]
    assert [row["name"] for row in again["rows"]] == ["maskcls", "built-in model", "linear"]
    assert again["note"] != found["note"]


def test_faces_of_other_weights_are_refused(pool: FaceSet) -> None:
    with pytest.raises(MaskclsError, match="built with encoder"):
        ready.beside_builtin({}, pool, np.arange(3))
