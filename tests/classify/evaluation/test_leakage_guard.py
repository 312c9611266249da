from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.comparison.cnn.job import Job
from maskcls.classify.comparison.cnn.settings import Settings
from maskcls.classify.comparison.cnn.train import _part
from maskcls.classify.data.face_set import FaceSet, merge_sets, open_face_set
from maskcls.classify.data.provenance import barred, refuse_knowing
from maskcls.classify.evaluation import cross_validation as crossval
from maskcls.classify.evaluation.cross_validation import (
    MASKCLS,
    WITHOUT_PSEUDO_LABELS,
    BuildSettings,
    cross_validate,
)
from maskcls.classify.evaluation.evaluate import EvaluationSettings, Plan, evaluate, plan
from maskcls.classify.evaluation.leakage_guard import fold_notes, training_pool
from maskcls.classify.evaluation.splits import write_split
from maskcls.classify.labels.pseudo_labels.label_set import label_set, without_labels
from maskcls.classify.labels.pseudo_labels.labels import SelfTraining
from maskcls.classify.model.build import build_model
from maskcls.classify.model.fitting import FineTuning
from maskcls.classify.model.model import Model
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.faceset.store import EmbeddingSet, open_set

MakeSet = Callable[..., EmbeddingSet]
WriteSet = Callable[[Path, EmbeddingSet], Path]
ALL = {"mask": 0.0, "gender": 0.0, "age": 0.0}
FACES = 24
OTHERS = 12


def of_people(faces: EmbeddingSet, names: list[str]) -> EmbeddingSet:
    rows = np.flatnonzero(faces.table["person"].isin(names))
    return replace(
        faces,
        table=faces.table.iloc[rows].reset_index(drop=True),
        embeddings=faces.embeddings[rows],
        maps=faces.maps[rows],
    )


@pytest.fixture(scope="module")
def others(make_set: MakeSet) -> EmbeddingSet:
    """Twelve more people with labels, unseen by the teacher."""
    return make_set(
        OTHERS,
        seed=5,
        root="/others",
        person=[f"q{i}" for i in range(OTHERS)],
        mask=["wear", "normal"] * (OTHERS // 2),
        gender=["male", "male", "female", "female"] * (OTHERS // 4),
        age=list(range(20, 80, 5)),
    )


@pytest.fixture(scope="module")
def near_copy(unlabelled: EmbeddingSet, others: EmbeddingSet) -> EmbeddingSet:
    """The unlabelled faces, the first of which looks like the person q0."""
    vectors = np.array(unlabelled.embeddings)
    vectors[0] = others.embeddings[0]
    return replace(unlabelled, embeddings=vectors)


def person(pool: FaceSet, name: str) -> int:
    return int(pool.people[np.flatnonzero(pool.table["person"] == name)[0]])


def test_people_seen_by_a_teacher_are_found_by_photo_and_by_group(
    labelled: EmbeddingSet, others: EmbeddingSet, extra: Path
) -> None:
    pool = merge_sets([others, open_set(extra), labelled])
    (taught,) = pool.teachers.values()
    assert set(taught.people) == set(pool.people[pool.table["root"] == "/labelled"])
    assert taught.unplaced == 0
    half = of_people(labelled, [f"p{i}" for i in range(0, 12, 2)])
    (taught,) = merge_sets([others, half, open_set(extra)]).teachers.values()
    assert taught.unplaced == 6
    one_photo_each = replace(labelled, table=labelled.table[::2], embeddings=labelled.embeddings[::2])
    one_photo_each = replace(one_photo_each, maps=labelled.maps[::2])
    (taught,) = merge_sets([one_photo_each, open_set(extra)]).teachers.values()
    assert taught.unplaced == 0


def test_a_mask_drawn_on_a_photo_the_teacher_saw_is_of_a_person_it_saw(
    labelled: EmbeddingSet, others: EmbeddingSet, extra: Path
) -> None:
    drawn = replace(others, table=others.table.assign(drawn_on=labelled.table["file_sha256"][:OTHERS]))
    (taught,) = merge_sets([drawn, open_set(extra)]).teachers.values()
    assert len(taught.people) == OTHERS
    assert taught.unplaced == FACES // 2 - OTHERS // 2


def test_rows_are_barred_where_the_teacher_saw_somebody_or_the_photo_shows_them(
    teacher: Model, labelled: EmbeddingSet, others: EmbeddingSet, near_copy: EmbeddingSet, tmp_path: Path
) -> None:
    label_set(teacher, near_copy, tmp_path / "extra", ALL)
    found = open_set(tmp_path / "extra")
    pool = merge_sets([labelled, others, found])
    first = np.flatnonzero(pool.table["face_id"] == near_copy.table["face_id"].iloc[0])
    assert person(pool, "q0") in pool.people[first], "a near-copy is the same person"
    pseudo = ~pool.real
    assert barred(pool, np.array([person(pool, "p3")])).tolist() == pseudo.tolist()
    assert np.flatnonzero(barred(pool, np.array([person(pool, "q0")]))).tolist() == first.tolist()
    assert not barred(pool, np.array([person(pool, "q1")])).any()
    unplaced = merge_sets([others, found])
    assert barred(unplaced, np.array([person(unplaced, "q1")])).tolist() == (~unplaced.real).tolist()


def test_refusal_says_how_many_rows_and_what_to_do(labelled: EmbeddingSet, others: EmbeddingSet, extra: Path) -> None:
    pool = merge_sets([labelled, others, open_set(extra)])
    refuse_knowing(pool, np.array([person(pool, "q1")]), "fold 1")
    people = np.array([person(pool, name) for name in ("p3", "p4", "q1")])
    with pytest.raises(
        MaskclsError, match=r"/unlabelled: 10 faces .* built from 2 of the 3 people of fold 1; .*--without"
    ):
        refuse_knowing(pool, people, "fold 1")
    with pytest.raises(MaskclsError, match=r"built from 12 people without a photo .* --known"):
        refuse_knowing(merge_sets([others, open_set(extra)]), np.array([0]), "fold 1")


def test_a_real_label_wins_over_a_pseudo_label_of_the_same_photo(extra: Path, unlabelled: EmbeddingSet) -> None:
    pool = merge_sets([open_set(extra), unlabelled])
    assert pool.real.all()
    assert set(pool.table["mask"]) == {"incorrect"}
    assert pool.copies == 10


def test_known_sets_only_tell_who_is_who(
    labelled: EmbeddingSet, others: EmbeddingSet, extra: Path, write_set: WriteSet, tmp_path: Path
) -> None:
    known, faces = write_set(tmp_path / "known", labelled), write_set(tmp_path / "faces", others)
    pool = open_face_set([faces, extra], [known])
    assert not pool.table["face_id"].isin(labelled.table["face_id"]).any()
    (taught,) = pool.teachers.values()
    assert (len(taught.people), taught.unplaced) == (12, 0)
    assert not np.isin(pool.people, taught.people).any()


def test_building_without_a_fold_leaves_its_people_out_and_refuses_those_a_teacher_knows(
    labelled: EmbeddingSet, others: EmbeddingSet, extra: Path, write_set: WriteSet, tmp_path: Path
) -> None:
    first, second = write_set(tmp_path / "labelled", labelled), write_set(tmp_path / "others", others)
    pool, split = open_face_set([first, second]), tmp_path / "split.csv"
    is_other = pool.table["root"].eq("/others").to_numpy()
    write_split(split, pool, is_other.astype(np.int64))
    left, out = training_pool([first, second, extra], split=split, without=["1"])
    assert out == OTHERS
    assert set(left.table["root"]) == {"/labelled", "/unlabelled"}
    with pytest.raises(MaskclsError, match="12 of the 12 people of fold 0"):
        training_pool([first, second, extra], split=split, without=["0"])
    for arguments, reason in (
        ({"split": split, "without": ["7"]}, "no fold 7; it has 0, 1"),
        ({"split": split}, "go together"),
        ({"without": ["1"]}, "go together"),
    ):
        with pytest.raises(MaskclsError, match=reason):
            training_pool([first, second], **arguments)
    only, _ = training_pool([second], split=split, without=["0"])
    assert len(only) == OTHERS
    with pytest.raises(MaskclsError, match="nobody is left"):
        training_pool([second], split=split, without=["1"])


def test_fine_tuning_refuses_a_teacher_that_knows_the_people_it_holds_out(
    labelled: EmbeddingSet, extra: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskcls.classify.model.finetune.MIN_FACES_TO_LEARN", 1)
    monkeypatch.setattr("maskcls.classify.model.finetune.MIN_PEOPLE", 1)
    monkeypatch.setattr("maskcls.classify.model.finetune.check_photos", lambda table: None)
    monkeypatch.setattr(
        "maskcls.classify.model.finetune.load_facenet", lambda path: (None, type("Weights", (), {"sha256": "0" * 64}))
    )
    pool = merge_sets([labelled, open_set(extra)]).subset(
        np.arange(FACES + 1)
    )  # one of the two held out has a real label
    with pytest.raises(MaskclsError, match="the tenth that --finetune"):
        build_model(pool, finetuning=FineTuning("block8", 1, "cpu"))


def test_networks_are_judged_on_people_no_teacher_has_seen_or_the_labels_are_refused(
    labelled: EmbeddingSet, others: EmbeddingSet, extra: Path
) -> None:
    pool = merge_sets([labelled, others, open_set(extra)])
    is_other = pool.table["root"].eq("/others").to_numpy()
    q_parity = pool.people % 2
    fold = np.where(pool.real, np.where(is_other, q_parity, 2), -1)
    job = Job(pool, Plan(fold, np.flatnonzero(pool.real), 3, np.flatnonzero(pool.real)), Settings())
    factors = np.ones(len(pool))
    part = _part(job, 0, factors)
    assert is_other[part.held_out].all()
    assert (~pool.real[part.fit]).sum() == 10
    assert not np.isin(pool.people[part.fit], pool.people[part.held_out]).any()
    assert pool.real[_part(job, 2, factors).fit].all(), "its teacher has seen all people of fold 2"
    only = Job(
        pool, Plan(np.where(is_other, 0, fold), np.flatnonzero(is_other), 1, np.flatnonzero(is_other)), Settings()
    )
    with pytest.raises(MaskclsError, match=r"12 of the 12 people of the training of fold 0, a tenth of which"):
        _part(only, 0, factors)
    alone = Job(merge_sets([labelled]), plan(merge_sets([labelled]), [], folds=2), Settings())
    assert len(_part(alone, 0, factors).held_out)


@pytest.fixture
def seen_in_folds(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """``face_id`` of what the models of a cross-validation are built from, in order."""
    found: list[set[str]] = []
    original = build_model

    def build(pool: FaceSet, *arguments: object, **named: object) -> object:
        found.append(set(pool.table["face_id"]))
        return original(pool, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(crossval, "build_model", build)
    return found


def test_pseudo_labels_train_only_folds_whose_people_the_teacher_has_not_seen_and_are_never_scored(
    labelled: EmbeddingSet, others: EmbeddingSet, extra: Path, seen_in_folds: list[set[str]]
) -> None:
    pool = merge_sets([labelled, others, open_set(extra)])
    chosen = plan(pool, [], folds=2)
    assert set(chosen.scored) == set(np.flatnonzero(pool.real))
    apart = replace(chosen, fold=np.where(pool.table["root"] == "/labelled", 0, np.where(pool.real, 1, -1)))
    done = evaluate(pool, apart, EvaluationSettings(rounds=20))
    pseudo = set(pool.table["face_id"][~pool.real])
    knows, does_not = seen_in_folds
    assert not knows & pseudo, "fold 0 is scored on people the teacher has seen"
    assert does_not >= pseudo
    assert set(done.predictions["face_id"]) == set(pool.table["face_id"][pool.real])
    assert any("train 1 of 2 folds" in note for note in done.summary["data"]["notes"])
    mixed = replace(chosen, fold=np.where(pool.real, np.arange(len(pool)) // 2 % 2, -1))
    with pytest.raises(MaskclsError, match=r"people of every fold .* --unlabelled"):
        fold_notes(pool, mixed.fold, [0, 1])
    with pytest.raises(MaskclsError, match="--known"):
        fold_notes(merge_sets([others, open_set(extra)]), np.arange(OTHERS + 10) % 2, [0, 1])


def test_faces_that_await_labels_get_them_in_every_fold_from_a_teacher_that_has_not_seen_its_people(
    labelled: EmbeddingSet, others: EmbeddingSet, near_copy: EmbeddingSet, seen_in_folds: list[set[str]]
) -> None:
    pool = merge_sets([labelled, others, without_labels(near_copy, ALL)])
    chosen = plan(pool, [], folds=2)
    tables = cross_validate(pool, chosen.fold, chosen.scored, BuildSettings(self_training=SelfTraining(ALL)))
    assert set(tables) == {MASKCLS, WITHOUT_PSEUDO_LABELS}
    waiting = set(near_copy.table["face_id"])
    copy = near_copy.table["face_id"].iloc[0]
    fold = chosen.fold[np.flatnonzero(pool.table["person"] == "q0")[0]]
    for number, (teacher, student) in enumerate(zip(seen_in_folds[::2], seen_in_folds[1::2], strict=True)):
        asked = set(pool.table["face_id"].iloc[chosen.scored[chosen.fold[chosen.scored] == number]])
        assert not teacher & (asked | waiting)
        assert student - teacher == (waiting - {copy} if number == fold else waiting)
    ids = pool.table["face_id"].iloc[chosen.scored].tolist()
    assert all(table["face_id"].tolist() == ids for table in tables.values())


def test_choices_are_those_of_the_model_without_pseudo_labels(labelled: EmbeddingSet, extra: Path) -> None:
    alone, _ = build_model(merge_sets([labelled]))
    pool = merge_sets([labelled, open_set(extra)])
    taught, report = build_model(pool)
    assert taught.settings == alone.settings
    for task, head in taught.heads.items():
        assert (head.temperature, head.classes) == (alone.heads[task].temperature, alone.heads[task].classes)
        assert report.heads[task].faces == FACES + 10
    maps, embeddings = pool.maps(np.arange(4)), pool.embeddings[:4]
    assert not np.array_equal(
        taught.heads["gender"].logits(maps, embeddings).numpy(), alone.heads["gender"].logits(maps, embeddings).numpy()
    )
    again, _ = build_model(pool, first=build_model(pool.subset(np.flatnonzero(pool.real))))
    pd.testing.assert_frame_equal(again.table, taught.table)
    for name, tensor in taught.age_space.tensors().items():
        assert tensor.equal(again.age_space.tensors()[name])
    for task, head in taught.heads.items():
        assert all(a.equal(b) for a, b in zip(head.net.parameters(), again.heads[task].net.parameters(), strict=True))
