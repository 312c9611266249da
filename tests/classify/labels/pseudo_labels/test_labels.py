from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskcls.classify.age.vote import NOBODY
from maskcls.classify.data.face_set import merge_sets
from maskcls.classify.data.provenance import TeacherRecord
from maskcls.classify.labels.pseudo_labels.labels import LABELS, pseudo_labels, read_thresholds, with_pseudo_labels
from maskcls.classify.model.answers import answer_rows
from maskcls.classify.model.model import Model
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.faceset.provenance import CONFIDENCES, Teacher
from maskcls.embedder.faceset.store import EmbeddingSet
from maskcls.embedder.labels import band_numbers

ALL = {"mask": 0.0, "gender": 0.0, "age": 0.0}


@pytest.mark.parametrize(
    ("texts", "tasks", "expected"),
    [
        pytest.param([], None, {"mask": 0.9, "gender": 0.9, "age": 0.9}, id="default"),
        pytest.param(["0.8"], None, {"mask": 0.8, "gender": 0.8, "age": 0.8}, id="one for all"),
        pytest.param(["0.8", "age=.5"], None, {"mask": 0.8, "gender": 0.8, "age": 0.5}, id="one task apart"),
        pytest.param(["age=0.5", "0.8"], None, {"mask": 0.8, "gender": 0.8, "age": 0.8}, id="the last one counts"),
        pytest.param(["1"], ["age"], {"age": 1.0}, id="one task only"),
    ],
)
def test_thresholds(texts: list[str], tasks: list[str] | None, expected: dict[str, float]) -> None:
    assert read_thresholds(texts, tasks) == expected


@pytest.mark.parametrize(
    ("texts", "tasks", "reason"),
    [
        pytest.param(["sure"], None, "a number from 0 to 1", id="no number"),
        pytest.param(["1.1"], None, "a number from 0 to 1", id="too large"),
        pytest.param(["nan"], None, "a number from 0 to 1", id="nan"),
        pytest.param(["=0.5"], None, "a number from 0 to 1", id="no task"),
        pytest.param(["race=0.5"], None, "tasks to label are mask, gender, age", id="no such task"),
        pytest.param(["mask=0.5"], ["age"], "tasks to label are age", id="a task not asked for"),
        pytest.param([], ["race"], "no such task: race", id="no such task to label"),
    ],
)
def test_unusable_thresholds(texts: list[str], tasks: list[str] | None, reason: str) -> None:
    with pytest.raises(MaskclsError, match=reason):
        read_thresholds(texts, tasks)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(thresholds=st.fixed_dictionaries({}, optional=dict.fromkeys(CONFIDENCES, st.floats(0, 1))))
def test_labels_are_the_confident_predictions_alone(
    teacher: Model, unlabelled: EmbeddingSet, thresholds: dict[str, float]
) -> None:
    pool = merge_sets([unlabelled])
    rows = np.arange(len(pool))
    embeddings, maps = pool.embeddings, pool.maps(rows)
    ages = teacher.ages(embeddings, maps, np.full(len(pool), NOBODY))
    answers = pd.DataFrame(answer_rows(teacher, ages, embeddings, maps))
    labels = pseudo_labels(teacher, pool, thresholds)
    for task, column in {"mask": "mask", "gender": "gender", "age": "age_low"}.items():
        sure = labels[CONFIDENCES[task]]
        assert (sure.notna() == labels[column].notna()).all()
        assert (sure.dropna() >= np.float32(thresholds.get(task, 2))).all()
        if task != "age":
            there = labels[column].notna()
            assert labels[column][there].tolist() == answers[task][there].tolist()
    aged = labels["age_low"].notna()
    low, high = labels["age_low"][aged], labels["age_high"][aged]
    assert (low <= high).all()
    assert (band_numbers(low) == band_numbers(high)).all()
    assert (low.to_numpy() >= answers["age_low"][aged].to_numpy() - 0.5).all()
    assert (high.to_numpy() <= answers["age_high"][aged].to_numpy() + 0.5).all()


def test_without_a_threshold_every_prediction_is_a_label(teacher: Model, unlabelled: EmbeddingSet) -> None:
    labels = pseudo_labels(teacher, merge_sets([unlabelled]), ALL)
    assert labels[["mask", "gender"]].notna().all(axis=None)
    assert labels["age_low"].notna().any()


def test_no_faces_have_no_labels(teacher: Model, unlabelled: EmbeddingSet) -> None:
    nothing = np.empty(0, np.int64)
    pool = merge_sets([unlabelled])
    labels = pseudo_labels(teacher, pool.subset(nothing), ALL)
    assert len(labels) == 0
    taught = with_pseudo_labels(pool, nothing, labels, TeacherRecord(Teacher("t", ()), nothing))
    pd.testing.assert_frame_equal(taught.table, pool.table)


def test_pseudo_labels_replace_labels_at_their_rows_alone(
    teacher: Model, labelled: EmbeddingSet, unlabelled: EmbeddingSet
) -> None:
    pool = merge_sets([labelled, unlabelled])
    rows = np.array([27, 25])
    labels = pseudo_labels(teacher, pool.subset(rows), ALL)
    taught = with_pseudo_labels(pool, rows, labels, TeacherRecord(Teacher("t", ()), np.array([3])))
    pd.testing.assert_frame_equal(
        taught.table[list(LABELS)].iloc[rows].reset_index(drop=True), labels[list(LABELS)], check_dtype=False
    )
    others = np.setdiff1d(np.arange(len(pool)), rows)
    pd.testing.assert_frame_equal(taught.table.iloc[others], pool.table.iloc[others])
    assert taught.table.dtypes.equals(pool.table.dtypes)
    assert np.flatnonzero(~taught.real).tolist() == sorted(rows)
    assert taught.teachers["t"].people.tolist() == [3]
