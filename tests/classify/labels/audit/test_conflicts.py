from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.labels.audit.conflicts import label_conflicts, named_people, near_copies, odd_folders, swapped
from maskcls.embedder.faceset.corrections import labels_of

MakeSet = Callable[..., object]


@pytest.fixture
def make_pool(make_set: Callable[..., object]) -> Callable[..., FaceSet]:
    return lambda count, **labels: merge_sets([make_set(count, **labels)])  # type: ignore[list-item]


def conflicts(
    faces: FaceSet, kind: str = "person", doubted: dict[tuple[int, str], float] | None = None
) -> list[object]:
    groups = named_people(faces) if kind == "person" else near_copies(faces)
    found = label_conflicts(faces, labels_of(faces.table), groups, kind, doubted or {})
    return [(doubt.rows, doubt.field, doubt.label, doubt.proposal, round(doubt.probability, 2)) for doubt in found]


def test_the_rarer_label_of_a_person_is_doubted_more(make_pool: Callable[..., FaceSet]) -> None:
    faces = make_pool(4, person="anna", gender=["female", "male", "female", "female"], age=30)
    assert conflicts(faces) == [((0, 2, 3), "gender", "female", "male", 0.25), ((1,), "gender", "male", "female", 0.75)]


def test_what_models_say_decides_between_equals(make_pool: Callable[..., FaceSet]) -> None:
    faces = make_pool(2, person="anna", gender=["female", "male"])
    found = conflicts(faces, doubted={(0, "gender"): 0.9, (1, "gender"): 0.0})
    assert found == [((0,), "gender", "female", "male", 0.91), ((1,), "gender", "male", "female", 0.09)]


@pytest.mark.parametrize(
    ("ages", "doubts"),
    [
        pytest.param([30, 30, 30], 0, id="one age"),
        pytest.param([30, 31, 30], 0, id="a birthday"),
        pytest.param([30, 52, 30], 2, id="two ages"),
        pytest.param([30, np.nan, 30], 0, id="unknown is no conflict"),
    ],
)
def test_ages_of_a_person(make_pool: Callable[..., FaceSet], ages: list[float], doubts: int) -> None:
    assert len(conflicts(make_pool(3, person="anna", age=ages))) == doubts


def test_near_copies_are_found_and_compared(make_pool: Callable[..., FaceSet]) -> None:
    faces = make_pool(4, gender=["female", "male", "female", "female"], mask="normal")
    embeddings = faces.embeddings.copy()
    embeddings[1] = embeddings[0]
    faces = replace(faces, embeddings=embeddings)
    assert near_copies(faces) == [[0, 1]]
    assert {row[0] for row in conflicts(faces, "copies")} == {(0,), (1,)}  # type: ignore[index]


def test_copies_of_another_mask_state_are_none(make_pool: Callable[..., FaceSet]) -> None:
    faces = make_pool(2, mask=["wear", "normal"])
    assert near_copies(replace(faces, embeddings=np.repeat(faces.embeddings[:1], 2, axis=0))) == []


def test_an_odd_folder_names_the_face_that_looks_most_like_what_is_lacking(make_pool: Callable[..., FaceSet]) -> None:
    people = 10
    masks = ["wear", "wear", "incorrect", "normal"] * people
    masks[3] = "wear"  # the first person's bare face
    faces = make_pool(4 * people, person=[f"p{i // 4}" for i in range(4 * people)], mask=masks)
    said = pd.DataFrame({"p_wear": 0.9, "p_incorrect": 0.05, "p_normal": 0.05}, index=range(4 * people))
    said.loc[3, ["p_wear", "p_normal"]] = [0.1, 0.85]
    found = odd_folders(faces, said, labels_of(faces.table)["mask"])
    assert {doubt.rows for doubt in found} == {(0,), (1,), (3,)}
    best = max(found, key=lambda doubt: doubt.probability)
    assert (best.rows, best.label, best.proposal) == ((3,), "wear", "normal")
    assert best.probability > 0.85


def test_folders_of_all_makes_are_not_odd(make_pool: Callable[..., FaceSet], rng: np.random.Generator) -> None:
    faces = make_pool(40, person=[f"p{i // 4}" for i in range(40)], mask=rng.choice(["wear", "normal"], 40).tolist())
    said = pd.DataFrame({"p_wear": 0.5, "p_incorrect": 0.0, "p_normal": 0.5}, index=range(40))
    assert odd_folders(faces, said, labels_of(faces.table)["mask"]) == []


def test_a_stranger_in_a_folder_is_found(make_pool: Callable[..., FaceSet], rng: np.random.Generator) -> None:
    people, each = 30, 5
    faces = make_pool(people * each, person=[f"p{i // each}" for i in range(people * each)], mask="normal")
    centres = rng.standard_normal((people, 512))
    vectors = np.repeat(centres, each, axis=0) + 0.7 * rng.standard_normal((people * each, 512))
    vectors[2] = centres[8] + 0.7 * rng.standard_normal(512)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    faces = replace(faces, embeddings=vectors.astype(np.float32))
    found = sorted(swapped(faces, rng), key=lambda doubt: -doubt.probability)
    assert found[0].rows == (2,)
    assert found[0].probability > 0.5 > found[1].probability
    assert found[0].evidence.endswith("to those of p8")
