from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.labels.audit.label_quality import label_units, mask_issues
from maskcls.embedder.faceset.corrections import labels_of
from maskcls.embedder.faceset.store import EmbeddingSet


@pytest.fixture
def faces(make_set: Callable[..., EmbeddingSet]) -> FaceSet:
    return merge_sets([make_set(4, mask="wear", gender="male", age=30, person=["a", "a", "b", None])])


@pytest.mark.parametrize(
    ("named_only", "units"),
    [
        pytest.param(False, [[0, 1], [2], [3]], id="people with and without names"),
        pytest.param(True, [[0, 1], [2], [3]], id="faces without names alone"),
    ],
)
def test_units_are_the_faces_of_one_person_and_label(faces: FaceSet, named_only: bool, units: list[list[int]]) -> None:
    labels = labels_of(faces.table)["gender"]
    assert [u.tolist() for u in label_units(faces.table, labels, faces.people, named_only=named_only)] == units
    labels.iloc[1] = "female"
    assert len(label_units(faces.table, labels, faces.people, named_only=named_only)) == 4
    labels[:] = ""
    assert label_units(faces.table, labels, faces.people, named_only=named_only) == []


def test_people_of_one_name_in_two_data_sets_are_two_units(make_set: Callable[..., EmbeddingSet]) -> None:
    faces = merge_sets([make_set(2, seed=seed, gender="male", person="1") for seed in (1, 2)])
    labels = labels_of(faces.table)["gender"]
    units = label_units(faces.table, labels, np.zeros(len(faces), np.int64), named_only=True)
    assert [unit.tolist() for unit in units] == [[0, 1], [2, 3]]


def test_faces_without_mask_label_or_prediction_have_no_mask_issue(rng: np.random.Generator) -> None:
    predicted = pd.DataFrame({"p_wear": [0.9, 0.9, None], "p_incorrect": [0.05, 0.05, None], "p_normal": 0.05})
    predicted.loc[2] = np.nan
    (issue,) = mask_issues(predicted, pd.Series(["normal", "", "wear"]), rng)
    assert (issue.rows, issue.given_label, issue.proposed_label) == ((0,), "normal", "wear")
    assert mask_issues(predicted, pd.Series(["", "", ""]), rng) == []
