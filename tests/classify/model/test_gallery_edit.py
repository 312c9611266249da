from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.model.build import build_model
from maskcls.classify.model.gallery_edit import add_faces, check_addable, drop_faces, edit_model
from maskcls.classify.model.gallery_list import of_dataset, of_faces, of_file, of_person, of_photos, summary
from maskcls.classify.model.model import Model
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import EncoderInfo, FaceNetEncoder
from maskcls.embedder.facenet.weights import load_facenet
from maskcls.embedder.faceset.store import EmbeddingSet, open_set
from maskcls.embedder.table import gallery_ids

MakeSet = Callable[..., EmbeddingSet]


@pytest.fixture(scope="module")
def old(make_set: MakeSet) -> EmbeddingSet:
    """Twelve faces of six people."""
    return make_set(12, seed=1, person=[f"p{i // 2}" for i in range(12)], age=[*range(20, 80, 5)], source="csv")


@pytest.fixture(scope="module")
def built(old: EmbeddingSet) -> Model:
    return build_model(merge_sets([old]))[0]


def groups(model: Model) -> dict[str, int]:
    return dict(zip(model.table["face_id"], model.table["group"], strict=True))


def check_whole(model: Model, folder: Path) -> None:
    model.save(folder)
    loaded = Model.load(folder)
    assert loaded.table["face_id"].tolist() == model.table["face_id"].tolist()
    people = np.unique(loaded.table["group"])
    assert people.tolist() == list(range(len(people)))


def test_faces_come_in_and_vote_like_any_other(built: Model, make_set: MakeSet, tmp_path: Path) -> None:
    new = make_set(5, seed=2, age=[30, 40, None, 50, 60])
    model, added = add_faces(built, [new])
    assert (added.faces, added.people, added.joined, added.merged) == (4, 4, 0, 0)
    assert (added.known, added.ageless, added.compared) == (0, 1, 0)
    assert (len(model.table), len(model.gallery)) == (16, 16)
    own = np.full(4, -1, np.int64)
    rows = np.array([0, 1, 3, 4])
    near = model.ages(np.array(new.embeddings[rows]), np.array(new.maps[rows]), own)
    assert near.voters[:, 0].tolist() == [12, 13, 14, 15]
    np.testing.assert_allclose(near.similarities[:, 0], 1, atol=1e-5)
    check_whole(model, tmp_path / "model")
    assert (model.settings, model.age_space, model.heads) == (built.settings, built.age_space, built.heads)
    (edit,) = model.card["edits"]
    assert (edit["what"], edit["faces"], edit["counts"]["source"]) == ("added", 4, {"made-up": 4})


def like(old: EmbeddingSet, new: EmbeddingSet, near: float) -> EmbeddingSet:
    """The new faces at a given similarity to the first old ones."""
    mix = near * old.embeddings[: len(new)] + np.sqrt(1 - near**2) * new.embeddings
    return replace(new, embeddings=np.asarray(mix / np.linalg.norm(mix, axis=1, keepdims=True), np.float32))


@pytest.mark.parametrize(
    ("labels", "near", "known", "joins"),
    [
        pytest.param({"person": "p0", "dataset": "same"}, 0.0, False, 0, id="same name, same data set"),
        pytest.param({"person": "p0", "source": "csv"}, 0.0, False, None, id="same name, another data set"),
        pytest.param({"file_sha256": "sha of face 4"}, 0.0, False, 2, id="same photo, another box"),
        pytest.param({"drawn_on": "sha of face 4"}, 0.0, False, 2, id="a mask drawn on a photo"),
        pytest.param({"person": "other"}, 0.95, False, None, id="looks alike, not compared"),
        pytest.param({"person": "other"}, 0.95, True, 0, id="looks alike, compared"),
        pytest.param({}, 0.3, True, None, id="looks unlike, compared"),
    ],
)
def test_identity_of_an_added_face(
    built: Model,
    old: EmbeddingSet,
    make_set: MakeSet,
    labels: dict[str, object],
    near: float,
    known: bool,
    joins: int | None,
) -> None:
    digest = old.table["file_sha256"].iloc[4]
    labels = {name: digest if value == "sha of face 4" else value for name, value in labels.items()}
    same_dataset = labels.pop("dataset", None) is not None
    new = like(old, make_set(1, seed=3, age=44, **labels), near)
    new = replace(new, dataset=old.dataset) if same_dataset else new
    model, added = add_faces(built, [new], [old] if known else [])
    face = new.table["face_id"].iloc[0]
    together = {one for one, group in groups(model).items() if group == groups(model)[face] and one != face}
    expected = set() if joins is None else set(old.table["face_id"][[2 * joins, 2 * joins + 1]])
    assert together == expected
    assert (added.joined, added.people) == ((0, 1) if joins is None else (1, 0))
    assert added.compared == (12 if known else 0)
    assert len({groups(model)[one] for one in groups(built)}) == 6


def test_a_face_of_two_people_makes_them_one(built: Model, old: EmbeddingSet, make_set: MakeSet) -> None:
    new = make_set(1, seed=3, age=44, person="p0", drawn_on=old.table["file_sha256"].iloc[4])
    model, added = add_faces(built, [replace(new, dataset=old.dataset)])
    assert (added.joined, added.merged, model.table["group"].nunique()) == (1, 1, 5)


@pytest.mark.parametrize("labels", [pytest.param({}, id="no age"), pytest.param({"age": 30}, id="all in already")])
def test_nothing_to_add(built: Model, make_set: MakeSet, labels: dict[str, object]) -> None:
    again = make_set(12, seed=1 if labels else 5, **labels)
    with pytest.raises(MaskclsError, match="nothing to add"):
        add_faces(built, [again])


def test_another_encoder_is_refused(built: Model, make_set: MakeSet) -> None:
    other = make_set(2, encoder=EncoderInfo("facenet", "1" * 64, {"crop_size": 160}))
    with pytest.raises(MaskclsError, match="embed it again with the weights of the model"):
        check_addable(built, Path("model"), [(Path("faces"), other)])


def test_a_fine_tuned_model_needs_the_photos(built: Model, make_set: MakeSet) -> None:
    tuned = replace(built, tuned={}, encoder=EncoderInfo("facenet-tuned", "2" * 64, {"crop_size": 160}))
    with pytest.raises(MaskclsError, match="gone or changed since it was embedded"):
        check_addable(tuned, Path("model"), [(Path("faces"), make_set(2, seed=4, age=20))])


def test_a_fine_tuned_model_sees_new_faces_through_its_own_backbone(pool: FaceSet, contest_faces: Path) -> None:
    faces = open_set(contest_faces)
    backbone = load_facenet()[0].state_dict()
    built = build_model(pool.subset(np.arange(40)))[0]
    names = [name for name in backbone if name.startswith("block8.conv2d")]
    tensors = {name: backbone[name].half() * 1.5 for name in names}
    own = FaceNetEncoder(None, "cpu", tensors)
    model = replace(built, tuned=tensors, encoder=own.info)
    few = faces.table.iloc[40:44]
    new = replace(faces, table=few, embeddings=faces.embeddings[40:44], maps=faces.maps[40:44])
    check_addable(model, Path("model"), [(contest_faces, new)])
    grown, _ = add_faces(model, [new], encoder=own)
    seen = merge_sets([new]).encoded_by(own)
    expected = model.age_space.project(seen.embeddings, seen.maps(np.arange(4)))
    got = grown.gallery.vectors(gallery_ids(new.table["face_id"]))
    np.testing.assert_allclose(got, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-4)
    frozen = model.age_space.project(np.array(new.embeddings), np.array(new.maps))
    assert np.abs(got - frozen / np.linalg.norm(frozen, axis=1, keepdims=True)).max() > 1e-3


@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(0, 11), min_size=1, max_size=11))
def test_what_goes_and_comes_back_answers_as_before(built: Model, old: EmbeddingSet, rows: set[int]) -> None:
    left = drop_faces(built, np.array(sorted(rows)), "removed")
    assert set(left.table["face_id"]) == set(old.table["face_id"].drop(sorted(rows)))
    back, added = add_faces(left, [old], [old])
    assert added.faces == len(rows)
    assert back.card["edits"][0]["what"] == "removed"
    asked = (np.array(old.embeddings), np.array(old.maps), np.full(12, -1, np.int64))
    for name in ("age", "low", "high", "bands"):
        np.testing.assert_allclose(
            getattr(back.ages(*asked).votes, name), getattr(built.ages(*asked).votes, name), atol=1e-3
        )
    same = {frozenset(faces) for faces in _people(built).values()}
    assert {frozenset(faces) for faces in _people(back).values()} == same


def _people(model: Model) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for face, group in groups(model).items():
        found.setdefault(group, []).append(face)
    return found


def test_an_edit_that_fails_leaves_the_model_as_it_was(built: Model, tmp_path: Path) -> None:
    built.save(tmp_path / "model")
    before = (tmp_path / "model" / "model.json").read_bytes()

    def fail(model: Model) -> tuple[Model, None]:
        raise MaskclsError("no")

    with pytest.raises(MaskclsError, match="no"):
        edit_model(tmp_path / "model", fail)
    assert (tmp_path / "model" / "model.json").read_bytes() == before
    with pytest.raises(MaskclsError, match="no such folder"):
        edit_model(tmp_path / "nowhere", fail)
    assert not (tmp_path / "nowhere").exists()


def test_one_edit_at_a_time(built: Model, tmp_path: Path) -> None:
    built.save(tmp_path / "model")

    def twice(model: Model) -> tuple[Model, None]:
        edit_model(tmp_path / "model", lambda loaded: (loaded, None))
        return model, None

    with pytest.raises(MaskclsError, match="another maskcls run is writing here"):
        edit_model(tmp_path / "model", twice)


def test_counts_and_rows(built: Model, old: EmbeddingSet, tmp_path: Path) -> None:
    table = built.table
    found = summary(table)
    assert (found["faces"], found["people"], found["source"]) == (12, 6, {"csv": 12})
    assert found["age_band"] == {"<30": 2, "30-59": 6, ">=60": 4}
    assert found["mask"] == {"unknown": 12}
    ids = old.table["face_id"].tolist()
    assert of_person(table, "p1").tolist() == [2, 3]
    assert of_person(table, "p1", "f" * 16).tolist() == []
    assert of_dataset(table, old.dataset).tolist() == of_dataset(table, "/nowhere").tolist() == list(range(12))
    assert of_faces(table, [ids[3], "0" * 16]).tolist() == [3]
    assert of_photos(table, ["/nowhere/00003.jpg", "00005.jpg", "elsewhere/00004.jpg"]).tolist() == [3, 5]
    path = tmp_path / "which.csv"
    pd.DataFrame({"face_id": [ids[0], ids[0], "", "f" * 16], "path": "00009.jpg"}).to_csv(path, index=False)
    rows, asked = of_file(table, path)
    assert (rows.tolist(), asked) == ([0], 2)
    pd.DataFrame({"path": ["00009.jpg"]}).to_csv(path, index=False)
    assert of_file(table, path)[0].tolist() == [9]


def test_people_of_one_name_in_two_data_sets_stay_two_voters(built: Model, make_set: MakeSet) -> None:
    sets = [make_set(2, seed=seed, root=f"/set{seed}", person="1", source="csv", age=30) for seed in (5, 6)]
    model, added = add_faces(built, sets)
    assert (added.people, model.table["group"].nunique()) == (2, 8)
    assert added.joined == 0


def test_a_name_of_two_data_sets_needs_the_data_set(built: Model, make_set: MakeSet) -> None:
    sets = [make_set(2, seed=seed, root=f"/set{seed}", person="1", age=30) for seed in (5, 6)]
    table = add_faces(built, sets)[0].table
    with pytest.raises(MaskclsError) as error:
        of_person(table, "1")
    assert all(
        one.dataset in str(error.value) and f"(/set{seed})" in str(error.value)
        for seed, one in zip((5, 6), sets, strict=True)
    )
    assert of_person(table, "1", sets[1].dataset).tolist() == of_person(table, "1", "/set6").tolist() == [14, 15]


def test_both_unicode_forms_of_a_name_are_one_person(built: Model, make_set: MakeSet) -> None:
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    first = make_set(1, seed=5, person=composed, age=30)
    second = replace(make_set(1, seed=6, person=decomposed, age=31), dataset=first.dataset)
    model, _ = add_faces(built, [first])
    model, added = add_faces(model, [second])
    assert (added.joined, added.people) == (1, 0)
    for name in (composed, decomposed):
        assert of_person(model.table, name).tolist() == [12, 13]


@pytest.mark.parametrize("content", [None, b"", b"name\nx\n", b"\0\xff"], ids=["gone", "empty", "other", "binary"])
def test_a_file_that_names_nothing_is_one_line(built: Model, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "which.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MaskclsError, match=r"which\.csv: (cannot be read|no column)"):
        of_file(built.table, path)
