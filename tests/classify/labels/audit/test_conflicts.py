from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.data.identity import LINKS, person_keys, rows_by_value
from maskcls.classify.labels.audit.conflicts import label_conflicts, near_copies, odd_folders
from maskcls.embedder.faceset.corrections import labels_of

MakeSet = Callable[..., object]


@pytest.fixture
def make_pool(make_set: Callable[..., object]) -> Callable[..., FaceSet]:
    return lambda count, **labels: merge_sets([make_set(count, **labels)])  # type: ignore[list-item]


def conflicts(faces: FaceSet, kind: str = "person", wrong: dict[tuple[int, str], float] | None = None) -> list[object]:
    groups = rows_by_value(person_keys(faces.table)) if kind == "person" else near_copies(faces)
    found = label_conflicts(faces, labels_of(faces.table), groups, kind, wrong or {})
    return [(i.rows, i.field, i.given_label, i.proposed_label, round(i.probability, 2)) for i in found]


def test_the_rarer_label_of_a_person_is_less_likely_right(make_pool: Callable[..., FaceSet]) -> None:
    faces = make_pool(4, person="anna", gender=["female", "male", "female", "female"], age=30)
    assert conflicts(faces) == [((0, 2, 3), "gender", "female", "male", 0.25), ((1,), "gender", "male", "female", 0.75)]


def test_predictions_decide_between_equally_frequent_labels(make_pool: Callable[..., FaceSet]) -> None:
    faces = make_pool(2, person="anna", gender=["female", "male"])
    found = conflicts(faces, wrong={(0, "gender"): 0.9, (1, "gender"): 0.0})
    assert found == [((0,), "gender", "female", "male", 0.91), ((1,), "gender", "male", "female", 0.09)]


@pytest.mark.parametrize(
    ("ages", "issues"),
    [
        pytest.param([30, 30, 30], 0, id="one age"),
        pytest.param([30, 31, 30], 0, id="a birthday"),
        pytest.param([30, 52, 30], 2, id="two ages"),
        pytest.param([30, np.nan, 30], 0, id="unknown is no conflict"),
    ],
)
def test_ages_of_a_person(make_pool: Callable[..., FaceSet], ages: list[float], issues: int) -> None:
    assert len(conflicts(make_pool(3, person="anna", age=ages))) == issues


def test_near_copies_are_found_and_compared(make_pool: Callable[..., FaceSet]) -> None:
    faces = make_pool(4, gender=["female", "male", "female", "female"], mask="normal")
    embeddings = faces.embeddings.copy()
    embeddings[1] = embeddings[0]
    faces = replace(faces, embeddings=embeddings)
    assert [rows.tolist() for rows in near_copies(faces)] == [[0, 1]]
    assert {row[0] for row in conflicts(faces, "copies")} == {(0,), (1,)}  # type: ignore[index]


def test_a_near_copy_found_only_from_the_higher_row_counts(make_pool: Callable[..., FaceSet]) -> None:
    """The first face has so many nearer neighbours that its copy, the last face, is not among them."""
    count = LINKS + 5
    faces = make_pool(count + 2, mask=["normal", *["wear"] * count, "normal"])
    axes = np.eye(512, dtype=np.float32)
    first, others = axes[0], 0.99 * axes[0] + np.sqrt(1 - 0.99**2) * axes[2 : count + 2]
    last = 0.96 * axes[0] + np.sqrt(1 - 0.96**2) * axes[1]
    embeddings = np.asarray(np.vstack([first, others, last]), np.float32)
    found = [rows.tolist() for rows in near_copies(replace(faces, embeddings=embeddings))]
    assert [0, count + 1] in found


def test_people_of_one_name_in_two_data_sets_do_not_contradict_each_other(make_set: Callable[..., object]) -> None:
    sets = [make_set(2, seed=seed, person="1", gender=gender) for seed, gender in ((1, "male"), (2, "female"))]
    assert conflicts(merge_sets(sets)) == []  # type: ignore[arg-type]


def test_two_spellings_of_a_name_are_one_person(make_pool: Callable[..., FaceSet]) -> None:
    faces = make_pool(2, person=["Zo\u00eb", "Zoe\u0308"], gender=["male", "female"])
    assert len(conflicts(faces)) == 2


def test_faces_of_another_mask_state_are_no_copies(make_pool: Callable[..., FaceSet]) -> None:
    faces = make_pool(2, mask=["wear", "normal"])
    assert near_copies(replace(faces, embeddings=np.repeat(faces.embeddings[:1], 2, axis=0))) == []


def test_an_odd_folder_names_the_face_that_looks_most_like_the_missing_state(make_pool: Callable[..., FaceSet]) -> None:
    people = 10
    masks = ["wear", "wear", "incorrect", "normal"] * people
    masks[3] = "wear"  # the first person's bare face
    faces = make_pool(4 * people, person=[f"p{i // 4}" for i in range(4 * people)], mask=masks)
    predicted = pd.DataFrame({"p_wear": 0.9, "p_incorrect": 0.05, "p_normal": 0.05}, index=range(4 * people))
    predicted.loc[3, ["p_wear", "p_normal"]] = [0.1, 0.85]
    found = odd_folders(faces, predicted, labels_of(faces.table)["mask"])
    assert {issue.rows for issue in found} == {(0,), (1,), (3,)}
    best = max(found, key=lambda issue: issue.probability)
    assert (best.rows, best.given_label, best.proposed_label) == ((3,), "wear", "normal")
    assert best.probability > 0.85


def test_folders_without_a_common_pattern_are_not_odd(
    make_pool: Callable[..., FaceSet], rng: np.random.Generator
) -> None:
    faces = make_pool(40, person=[f"p{i // 4}" for i in range(40)], mask=rng.choice(["wear", "normal"], 40).tolist())
    predicted = pd.DataFrame({"p_wear": 0.5, "p_incorrect": 0.0, "p_normal": 0.5}, index=range(40))
    assert odd_folders(faces, predicted, labels_of(faces.table)["mask"]) == []
