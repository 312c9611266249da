from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.age.prototypes import CELL, _split, gallery_of, make_prototypes, projected
from maskcls.classify.age.space import LinearSpace
from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.model.build import build_model, with_bare
from maskcls.classify.model.fitting import FineTuning
from maskcls.classify.model.gallery_edit import add_faces
from maskcls.classify.model.gallery_list import summary
from maskcls.classify.model.model import Model
from maskcls.classify.model.storage import GALLERY_COLUMNS
from maskcls.classify.predict.explain import write_explanations
from maskcls.classify.predict.job import PredictedPhotos, answer_photos
from maskcls.classify.predict.report import write_report
from maskcls.embedder.detection.detector import Found
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import MAP_SHAPE
from maskcls.embedder.faceset.store import EmbeddingSet
from maskcls.embedder.photo import FileState
from maskcls.embedder.pipeline import EncodedFace, EncodedPhoto
from maskcls.embedder.table import gallery_ids

MakeSet = Callable[..., EmbeddingSet]
SPACE = LinearSpace(np.zeros(512 + MAP_SHAPE[0], np.float32), np.eye(512 + MAP_SHAPE[0], 8, dtype=np.float32))


@pytest.fixture
def faces(make_set: MakeSet) -> FaceSet:
    """60 people, two photos each; 20 of them are 20-29 and female, 37 are 30-39 and male, 3 are alone of their kind."""
    kinds = [("female", 20, 29)] * 20 + [("male", 30, 39)] * 37 + [("male", 60, 69)] * 3
    genders, low, high = ([kind[i] for kind in kinds for _ in range(2)] for i in range(3))
    person = [f"p{i // 2}" for i in range(2 * len(kinds))]
    return merge_sets([make_set(len(person), person=person, gender=genders, age_low=low, age_high=high, mask="normal")])


def test_every_prototype_stands_for_enough_people_who_are_alike(faces: FaceSet) -> None:
    made = make_prototypes(SPACE, faces, 5)
    assert made.table["members"].between(5, 9).all()
    assert made.left_out == 3
    counts = made.table.groupby(list(CELL))["members"].sum()
    assert counts.to_dict() == {(20, 29, "female", "normal"): 20, (30, 39, "male", "normal"): 37}


def test_a_prototype_is_the_centroid_of_people_not_of_photos(make_set: MakeSet) -> None:
    person = ["a"] * 6 + ["b", "c", "d", "e"]  # a has many photos
    pool = merge_sets([make_set(10, person=person, age=30)])
    made = make_prototypes(SPACE, pool, 5)
    vectors = projected(SPACE, pool)
    means = [vectors[pool.people == number].mean(axis=0) for number in np.unique(pool.people)]
    np.testing.assert_allclose(made.vectors, [np.mean(means, axis=0)], rtol=1e-5)
    assert made.table["members"].tolist() == [5]


def test_no_prototype_is_near_to_one_person(faces: FaceSet) -> None:
    made, vectors = make_prototypes(SPACE, faces, 5), projected(SPACE, faces)
    units = made.vectors / np.linalg.norm(made.vectors, axis=1, keepdims=True)
    assert (units @ vectors.T).max() < 0.95


def test_the_same_faces_in_another_order_make_the_same_prototypes(faces: FaceSet) -> None:
    mixed = faces.subset(np.random.default_rng(1).permutation(len(faces)))
    one, other = (make_prototypes(SPACE, pool, 5) for pool in (faces, mixed))
    np.testing.assert_allclose(
        one.vectors[np.lexsort(one.vectors.T)], other.vectors[np.lexsort(other.vectors.T)], atol=1e-6
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60), st.integers(1, 7), st.integers(1, 4), st.integers(0, 99), st.booleans())
def test_groups_are_never_too_small_and_hold_everybody_once(
    people: int, least: int, dimension: int, seed: int, alike: bool
) -> None:
    points = np.random.default_rng(seed).standard_normal((people, dimension)) * (not alike)
    groups = list(_split(points, least))
    assert all(least <= len(group) < 2 * least for group in groups)
    everybody = np.concatenate(groups) if groups else np.empty(0)
    assert sorted(everybody.tolist()) == (list(range(people)) if people >= least else [])


def test_what_differs_most_is_split(make_set: MakeSet) -> None:
    points = np.repeat([[0.0, 0.0], [9.0, 1.0]], 5, axis=0) + np.random.default_rng(0).normal(0, 0.1, (10, 2))
    assert sorted(sorted(group.tolist()) for group in _split(points, 5)) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_a_gallery_of_prototypes_names_nobody(faces: FaceSet) -> None:
    made = make_prototypes(SPACE, faces, 5)
    gallery, table = gallery_of(made, GALLERY_COLUMNS)
    assert list(table.columns) == [*GALLERY_COLUMNS, "group", "members"]
    assert table[["person", "race", "dataset", "path", "root", "box", "file_sha256", "drawn_on"]].isna().all(axis=None)
    assert table["group"].tolist() == list(range(len(table)))
    assert not set(table["face_id"]) & set(faces.table["face_id"])
    assert gallery.ids.tolist() == gallery_ids(table["face_id"]).tolist()


def test_a_model_of_prototypes_is_tuned_and_answers(faces: FaceSet) -> None:
    model, report = build_model(faces, prototypes=5)
    assert report.gallery == len(model.table) == len(model.gallery)
    assert report.vote is not None
    assert model.card["prototypes"] == 5
    assert (model.table["members"] >= 5).all()
    answers = model.ages(faces.embeddings, faces.maps(np.arange(len(faces))), np.full(len(faces), -1))
    assert ((answers.votes.age > 15) & (answers.votes.age < 45)).all()


@pytest.mark.parametrize(("least", "words"), [pytest.param(38, "no 38 people", id="too many wanted")])
def test_prototypes_of_too_few_people_are_refused(faces: FaceSet, least: int, words: str) -> None:
    with pytest.raises(MaskclsError, match=words):
        build_model(faces, prototypes=least)


@pytest.fixture
def answered(faces: FaceSet) -> tuple[PredictedPhotos, Model]:
    """One explained answer of a model of prototypes."""
    model, _ = build_model(faces, prototypes=5)
    found = Found(np.array([0, 0, 9, 9], np.float32), np.empty((0, 2), np.float32), 1.0, 1, "whole")
    crop = np.zeros((160, 160, 3), np.uint8)
    face = EncodedFace(found, crop, faces.embeddings[0], faces.maps(np.array([0]))[0], 20.0, "f" * 64)
    photo = EncodedPhoto(Path("a.jpg"), FileState(1, 1), (face,), None)
    return PredictedPhotos(answer_photos([photo], ["a.jpg"], model, explain=True), {0: crop}), model


def test_evidence_says_how_many_people_a_prototype_is(answered: tuple[PredictedPhotos, Model], tmp_path: Path) -> None:
    answers, model = answered
    write_explanations(tmp_path / "e.jsonl", answers.answers)
    (card,) = map(json.loads, (tmp_path / "e.jsonl").read_text(encoding="utf-8").splitlines())
    members = model.table.set_index("face_id")["members"].loc[[voter["face_id"] for voter in card["voters"]]]
    assert len(members) == min(model.settings.voters, len(model.table))
    assert [voter["members"] for voter in card["voters"]] == members.tolist()
    assert all(voter["path"] is None and voter["root"] is None for voter in card["voters"])


def test_the_report_says_how_many_people_a_prototype_is(
    answered: tuple[PredictedPhotos, Model], tmp_path: Path
) -> None:
    answers, model = answered
    write_report(tmp_path / "report.html", answers, model, "t")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for voter in answers.answers[0].voters[:6]:
        assert f'class="n{voter.face_id}">prototype of {voter.members} people</i>' in page
    assert f"of {len(model.table)} prototypes" in page
    assert "background-image" not in page


def test_faces_can_come_into_a_gallery_of_prototypes_and_it_is_saved(
    faces: FaceSet, make_set: MakeSet, tmp_path: Path
) -> None:
    model, _ = build_model(faces, prototypes=5)
    more, added = add_faces(model, [make_set(2, seed=9, age=50)])
    assert added.faces == 2
    more.save(tmp_path / "model")
    table = Model.load(tmp_path / "model").table
    assert table["members"].isna().tolist() == [False] * len(model.table) + [True] * 2
    assert summary(table)["faces"] == len(table)


def test_photos_that_masks_were_drawn_on_are_bare(make_set: MakeSet) -> None:
    photos = make_set(12, seed=1, gender=["male", "female"] * 6)
    originals = photos.table["file_sha256"].tolist()
    drawn = make_set(8, seed=2, mask="wear", drawn_on=originals[:8], gender=["male", "female"] * 4)
    pool = merge_sets([photos, drawn])
    masks = with_bare(pool.table)["mask"]
    assert masks.isna().tolist() == [False] * 8 + [True] * 4 + [False] * 8
    assert masks.dropna().tolist() == ["normal"] * 8 + ["wear"] * 8
    model, _ = build_model(pool)
    assert model.heads["mask"].classes == ("wear", "normal")
    assert pool.table["mask"].isna().sum() == 12  # what is scored stays what the data says


def test_prototypes_and_fine_tuning_do_not_go_together(faces: FaceSet) -> None:
    with pytest.raises(MaskclsError, match="not with fine-tuning"):
        build_model(faces, prototypes=5, finetuning=FineTuning("block8", 1))
