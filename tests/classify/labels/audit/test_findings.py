from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.evaluation.splits import pool_folds
from maskcls.classify.labels.audit.doubts import Doubt, units_of
from maskcls.classify.labels.audit.findings import audit, findings_of, patch_of
from maskcls.classify.labels.audit.photos import photo_doubts
from maskcls.embedder.faceset.corrections import labels_of


def test_a_wrong_gender_and_a_wrong_mask_state_rank_first(pool: FaceSet) -> None:
    table = pool.table.copy()
    contest = np.flatnonzero(table["source"].eq("contest"))
    person = table["person"].iloc[contest[7]]
    mine = np.flatnonzero(table["person"].eq(person))
    table.loc[mine, "gender"] = {"male": "female", "female": "male"}[table["gender"].iloc[mine[0]]]
    bare = next(row for row in contest if table["mask"].iloc[int(row)] == "normal" and row not in mine)
    table.loc[bare, "mask"] = "wear"
    spoilt = replace(pool, table=table)
    doubts = audit(spoilt, pool_folds(spoilt, 3, 0), contest)
    place = {row: number for number, row in enumerate(contest.tolist())}
    genders = [doubt for doubt in doubts if doubt.field == "gender"]
    assert place[int(mine[0])] in {row for doubt in genders[: len(genders) // 5] for row in doubt.rows}
    masks = [doubt.rows for doubt in doubts if doubt.field == "mask"]
    assert (place[int(bare)],) in masks[:10]
    assert [d.probability for d in doubts] == sorted((d.probability for d in doubts), reverse=True)
    assert len({(d.rows, d.field or d.kind) for d in doubts}) == len(doubts)


@pytest.fixture
def faces(make_set: Callable[..., object]) -> FaceSet:
    return merge_sets([make_set(4, mask="wear", gender="male", age=30, person=["a", "a", "b", None])])  # type: ignore[list-item]


DOUBTS = [
    Doubt("label", (0, 1), "gender", "male", "female", 0.9, "heads"),
    Doubt("no_face", (2,), "", "", "", 0.8, "short"),
    Doubt("label", (3,), "age", "30", "50-70", 0.6, "vote"),
    Doubt("copies", (0,), "gender", "male", "", 0.55, "copies"),
    Doubt("label", (3,), "mask", "wear", "normal", 0.3, "head"),
    Doubt("label", (2,), "mask", "wear", "normal", 0.01, "head"),
]


def test_a_finding_shows_the_face_that_shows_most(faces: FaceSet) -> None:
    faces.table.loc[1, "norm"] = 30.0
    (first, *_) = findings_of(faces, DOUBTS).to_dict("records")
    assert first["face_id"] == faces.table["face_id"].iloc[1]
    assert first["face_ids"].split() == faces.table["face_id"].iloc[:2].to_list()


def test_findings_are_ranked_and_confirmed_labels_left_out(faces: FaceSet) -> None:
    found = findings_of(faces, DOUBTS)
    assert found["rank"].to_list() == [1, 2, 3, 4, 5]
    assert found["faces"].to_list() == [2, 1, 1, 1, 1]
    ids = faces.table["face_id"]
    fewer = findings_of(faces, DOUBTS, {(ids[0], "gender", "male"), (ids[1], "gender", "male"), (ids[3], "age", "31")})
    assert fewer["kind"].to_list() == ["no_face", "label", "label"]


def test_the_patch_mends_what_is_likely_and_takes_no_face_its_labels(faces: FaceSet) -> None:
    patch = patch_of(faces, findings_of(faces, DOUBTS))
    ids = faces.table["face_id"].to_list()
    lines = patch[["face_id", "field", "old", "new"]].itertuples(index=False, name=None)
    assert list(lines) == [
        (ids[0], "gender", "male", "female"),
        (ids[1], "gender", "male", "female"),
        (ids[2], "mask", "wear", ""),
        (ids[2], "gender", "male", ""),
        (ids[2], "age", "30", ""),
        (ids[3], "age", "30", "50-70"),
    ]
    assert patch["reason"].iloc[2].startswith("reject: no_face")
    assert len(patch_of(faces, findings_of(faces, DOUBTS), 0.85)) == 2


@pytest.mark.parametrize(
    ("named_only", "units"),
    [
        pytest.param(False, [[0, 1], [2], [3]], id="people with and without names"),
        pytest.param(True, [[0, 1], [2], [3]], id="faces without names alone"),
    ],
)
def test_units_are_faces_of_one_person_and_label(faces: FaceSet, named_only: bool, units: list[list[int]]) -> None:
    labels = labels_of(faces.table)["gender"]
    assert [u.tolist() for u in units_of(faces.table, labels, faces.people, named_only=named_only)] == units
    labels.iloc[1] = "female"
    assert len(units_of(faces.table, labels, faces.people, named_only=named_only)) == 4
    labels[:] = ""
    assert units_of(faces.table, labels, faces.people, named_only=named_only) == []


def test_short_embeddings_without_a_found_face_are_no_faces() -> None:
    count = 200
    table = pd.DataFrame({"norm": 22.0, "sharpness": 40.0, "face_score": 0.99, "mask": "normal"}, index=range(count))
    table["norm"] += np.random.default_rng(0).normal(0, 1, count)
    table.loc[0, ["norm", "face_score"]] = [11.0, 0.1]
    table.loc[1, ["norm", "face_score"]] = [11.0, 0.1]
    table.loc[1, "mask"] = "wear"
    table.loc[2, "norm"] = 11.0
    table.loc[3, "sharpness"] = 1.0
    found = {(doubt.kind, *doubt.rows): doubt.probability for doubt in photo_doubts(table)}
    assert found["no_face", 0] > 0.5 > max(found["no_face", row] for row in range(1, count))
    assert found["blurred", 3] > 0.5 > max(found["blurred", row] for row in range(count) if row != 3)
