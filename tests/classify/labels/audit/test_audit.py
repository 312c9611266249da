from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.evaluation.splits import pool_folds
from maskcls.classify.labels.audit import audit
from maskcls.classify.labels.audit.audit import correcting_patch, find_label_issues, reported
from maskcls.classify.labels.audit.issues import LabelIssue
from maskcls.classify.labels.audit.predictions import YEAR_COLUMNS
from maskcls.embedder.faceset.store import EmbeddingSet

PEOPLE, EACH, ALONE = 14, 4, 24


def noisy_faces(make_set: Callable[..., EmbeddingSet]) -> FaceSet:
    """14 named people with four photos and 24 unnamed faces, some with wrong labels, and one photo in a wrong place."""
    random = np.random.default_rng(4)
    count = PEOPLE * EACH + ALONE
    person = [f"p{i // EACH:02}" if i < PEOPLE * EACH else None for i in range(count)]
    owner = np.where(np.arange(count) < PEOPLE * EACH, np.arange(count) // EACH, np.arange(count))
    gender = np.array(["male", "female"])[owner % 2]
    age = np.array([22.0, 41.0, 68.0])[owner % 3]
    mask = np.resize(np.array(["wear", "wear", "incorrect", "normal"]), count)
    gender[[5, 60]], age[[9, 61]], mask[[3, 18]] = ["male", "female"], [70.0, 20.0], ["wear", "normal"]
    norm = 22 + random.normal(0, 1, count)
    norm[67] = 10.0
    sharpness = np.full(count, 40.0)
    sharpness[66] = 1.0
    score = np.ones(count)
    score[67] = 0.1
    faces = merge_sets(
        [
            make_set(
                count, person=person, gender=gender.tolist(), age=age.tolist(), mask=mask.tolist(),
                norm=norm.tolist(), sharpness=sharpness.tolist(), face_score=score.tolist(),
            )
        ]
    )  # fmt: skip
    centres = random.standard_normal((count, 512))
    vectors = centres[owner] + 0.7 * random.standard_normal((count, 512))
    vectors[30] = centres[2] + 0.7 * random.standard_normal(512)
    vectors[71] = vectors[63]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return replace(faces, embeddings=vectors.astype(np.float32))


def made_up_predictions(faces: FaceSet) -> pd.DataFrame:
    """Probabilities near the truth, as out-of-fold predictions of :func:`noisy_faces`."""
    random = np.random.default_rng(5)
    count = len(faces)
    owner = np.where(np.arange(count) < PEOPLE * EACH, np.arange(count) // EACH, np.arange(count))
    masks = random.dirichlet([1, 1, 1], count) * 0.3
    masks[np.arange(count), np.resize([0, 0, 1, 2], count)] += 0.7
    male = np.clip(np.where(owner % 2 == 0, 0.85, 0.2) + random.normal(0, 0.08, count), 0.01, 0.99)
    middle = np.array([22.0, 41.0, 68.0])[owner % 3] + random.normal(0, 3, count)
    years = np.exp(-((np.arange(len(YEAR_COLUMNS)) - middle[:, None]) ** 2) / 50)
    table = pd.DataFrame(
        {
            "p_wear": masks[:, 0],
            "p_incorrect": masks[:, 1],
            "p_normal": masks[:, 2],
            "p_male": male,
            "p_female": 1 - male,
        }
    )
    table["neighbours"] = [f"{face_id}:41:0.500" for face_id in np.roll(faces.table["face_id"], 1)]
    years = pd.DataFrame(years / years.sum(axis=1, keepdims=True), columns=list(YEAR_COLUMNS))
    return pd.concat([table, years], axis=1)


EXPECTED = [
    ("blurred", (66,), "", "", "", 0.998676),
    ("label", (18,), "mask", "normal", "incorrect", 0.998307),
    ("label", (3,), "mask", "wear", "normal", 0.996778),
    ("no_face", (67,), "", "", "", 0.9),
    ("swapped", (30,), "", "p07", "", 0.896978),
    ("person", (5,), "gender", "male", "female", 0.893924),
    ("person", (9,), "age", "70", "68", 0.749988),
    ("label", (60,), "gender", "female", "male", 0.726088),
    ("copies", (63,), "age", "22", "68", 0.475),
    ("copies", (71,), "age", "68", "22", 0.475),
    ("person", (8, 10, 11), "age", "68", "70", 0.250012),
    ("person", (4, 6, 7), "gender", "female", "male", 0.106076),
    ("person", (19,), "mask", "normal", "incorrect", 0.020445),
    ("label", (67,), "gender", "female", "male", 0.016092),
    ("person", (1,), "mask", "wear", "normal", 0.015196),
    ("label", (76,), "gender", "male", "female", 0.014729),
    ("person", (0,), "mask", "wear", "normal", 0.011375),
]
"""The likeliest issues of :func:`noisy_faces`, as found by the first version of the audit."""


def test_issues_of_a_made_up_set_their_order_and_probabilities(
    make_set: Callable[..., EmbeddingSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = noisy_faces(make_set)
    monkeypatch.setattr(audit, "out_of_fold_predictions", lambda *_, **__: made_up_predictions(faces))
    issues = find_label_issues(faces, np.zeros(len(faces), np.int64), np.arange(len(faces)), 3)
    assert len(issues) == 374
    first = issues[: len(EXPECTED)]
    found = [(i.kind, i.rows, i.field, i.given_label, i.proposed_label) for i in first]
    assert found == [expected[:-1] for expected in EXPECTED]
    assert [i.probability for i in first] == pytest.approx([expected[-1] for expected in EXPECTED], abs=1e-5)
    patch = correcting_patch(faces.table, reported(issues, faces.table), 0.3)
    assert [(*line[1:3], line[4]) for line in patch.itertuples(index=False)] == [
        ("00018.jpg", "mask", "incorrect"),
        ("00003.jpg", "mask", "normal"),
        ("00067.jpg", "mask", ""),
        ("00067.jpg", "gender", ""),
        ("00067.jpg", "age", ""),
        ("00030.jpg", "gender", ""),
        ("00030.jpg", "age", ""),
        ("00005.jpg", "gender", "female"),
        ("00009.jpg", "age", "68"),
        ("00060.jpg", "gender", "male"),
        ("00063.jpg", "age", "68"),
        ("00071.jpg", "age", "22"),
    ]


def test_a_wrong_gender_and_a_wrong_mask_state_rank_first(pool: FaceSet) -> None:
    table = pool.table.copy()
    contest = np.flatnonzero(table["source"].eq("contest"))
    person = table["person"].iloc[contest[7]]
    mine = np.flatnonzero(table["person"].eq(person))
    table.loc[mine, "gender"] = {"male": "female", "female": "male"}[table["gender"].iloc[mine[0]]]
    bare = next(row for row in contest if table["mask"].iloc[int(row)] == "normal" and row not in mine)
    table.loc[bare, "mask"] = "wear"
    noisy = replace(pool, table=table)
    issues = find_label_issues(noisy, pool_folds(noisy, 3, 0), contest)
    position = {row: number for number, row in enumerate(contest.tolist())}
    genders = [issue for issue in issues if issue.field == "gender"]
    assert position[int(mine[0])] in {row for issue in genders[: len(genders) // 5] for row in issue.rows}
    masks = [issue.rows for issue in issues if issue.field == "mask"]
    assert (position[int(bare)],) in masks[:10]
    assert [i.probability for i in issues] == sorted((i.probability for i in issues), reverse=True)
    assert len({(i.rows, i.field or i.kind) for i in issues}) == len(issues)


@pytest.fixture
def table(make_set: Callable[..., EmbeddingSet]) -> pd.DataFrame:
    return merge_sets([make_set(4, mask="wear", gender="male", age=30, person=["a", "a", "b", None])]).table


ISSUES = [
    LabelIssue("label", (0, 1), "gender", "male", "female", 0.9, "heads"),
    LabelIssue("no_face", (2,), "", "", "", 0.8, "short"),
    LabelIssue("label", (3,), "age", "30", "50-70", 0.6, "vote"),
    LabelIssue("copies", (0,), "gender", "male", "", 0.55, "copies"),
    LabelIssue("label", (3,), "mask", "wear", "normal", 0.3, "head"),
    LabelIssue("label", (2,), "mask", "wear", "normal", 0.01, "head"),
]


def test_unlikely_issues_and_confirmed_labels_are_not_reported(table: pd.DataFrame) -> None:
    assert reported(ISSUES, table) == ISSUES[:5]
    ids = table["face_id"]
    confirmed = {(ids[0], "gender", "male"), (ids[1], "gender", "male"), (ids[3], "age", "31")}
    assert reported(ISSUES, table, confirmed) == [ISSUES[1], ISSUES[2], ISSUES[4]]


def test_the_patch_changes_likely_errors_and_empties_labels_without_a_face(table: pd.DataFrame) -> None:
    patch = correcting_patch(table, ISSUES)
    ids = table["face_id"].to_list()
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
    assert len(correcting_patch(table, ISSUES, 0.85)) == 2
