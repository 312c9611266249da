from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.data.face_set import merge_sets, open_face_set
from maskcls.classify.labels.pseudo_labels.label_set import check_out, check_teacher, label_set, without_labels
from maskcls.classify.labels.pseudo_labels.labels import NO_TEACHER
from maskcls.classify.model.build import build_model
from maskcls.classify.model.gallery_edit import check_addable
from maskcls.classify.model.model import Model
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import EncoderInfo
from maskcls.embedder.faceset.corrections import apply_patch, read_patch
from maskcls.embedder.faceset.provenance import CONFIDENCES, TEACHER
from maskcls.embedder.faceset.removal import forget_in_set
from maskcls.embedder.faceset.store import EmbeddingSet, open_set

MakeSet = Callable[..., EmbeddingSet]
WriteSet = Callable[[Path, EmbeddingSet], Path]
FACES = 24
"""Of the teacher's set."""
ALL = {"mask": 0.0, "gender": 0.0, "age": 0.0}


def test_every_row_names_its_teacher_and_probability_and_the_set_the_people_the_teacher_has_seen(
    extra: Path, teacher: Model, labelled: EmbeddingSet, unlabelled: EmbeddingSet
) -> None:
    found = open_set(extra)
    assert found.pseudo is not None
    rows = found.pseudo.rows
    assert rows["face_id"].tolist() == found.table["face_id"].tolist()
    assert set(rows["teacher"]) == {teacher.fingerprint} != {""}
    assert rows["p_mask"].between(0.4, 1).all()
    persons = found.pseudo.teacher.seen[0].persons(labelled.table["file_sha256"])
    assert persons.tolist() == [int(np.flatnonzero(persons == p)[0] // 2) for p in persons]
    assert (found.pseudo.teacher.seen[0].persons(unlabelled.table["file_sha256"]) == -1).all()


def test_labels_of_the_set_are_ignored_and_the_rest_is_unchanged(extra: Path, unlabelled: EmbeddingSet) -> None:
    found = open_set(extra)
    assert not set(found.table["mask"]) & {"incorrect"}
    assert not (found.table["age_low"] == 3).any()
    before = unlabelled.table.set_index("face_id").loc[found.table["face_id"]].reset_index()
    for column in ("path", "race", "source", "file_sha256"):
        assert found.table[column].tolist() == before[column].tolist()
    place = unlabelled.table["face_id"].isin(found.table["face_id"]).to_numpy()
    np.testing.assert_array_equal(found.embeddings, unlabelled.embeddings[place])
    np.testing.assert_array_equal(found.maps, unlabelled.maps[place])


def test_a_pseudo_labelled_set_shows_the_people_of_the_data_set_it_was_made_from(
    teacher: Model, unlabelled: EmbeddingSet, tmp_path: Path
) -> None:
    source = replace(unlabelled, dataset="0123456789abcdef", table=unlabelled.table.assign(person="anna"))
    out = tmp_path / "out"
    for _ in range(2):
        label_set(teacher, source, out, ALL)
        assert open_set(out).dataset == source.dataset


def test_labels_of_tasks_that_are_not_labelled_are_kept(
    teacher: Model, unlabelled: EmbeddingSet, tmp_path: Path
) -> None:
    done = label_set(teacher, unlabelled, tmp_path / "out", {"gender": 0.0})
    found = open_set(tmp_path / "out")
    assert set(found.table["mask"]) == {"incorrect"}
    assert set(found.table["age_low"]) == {3}
    assert found.pseudo is not None
    assert found.pseudo.rows["p_mask"].isna().all()
    assert sum(done.counts("gender").values()) == len(found) == done.faces
    assert done.counts("mask") == {}


def test_photos_the_model_was_built_from_and_forgotten_ones_are_left_out(
    teacher: Model, labelled: EmbeddingSet, unlabelled: EmbeddingSet, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    forget_in_set(out, [], [unlabelled.table["file_sha256"].iloc[4]], [])
    check_out(out)
    done = label_set(teacher, pool_set(labelled, unlabelled), out, {"mask": 0.0})
    assert (done.faces, done.own, done.forgotten) == (FACES + 10, FACES, 1)
    assert unlabelled.table["face_id"].iloc[4] not in set(open_set(out).table["face_id"])
    assert len(open_set(out)) == 9


def pool_set(*sets: EmbeddingSet) -> EmbeddingSet:
    """Several sets as one."""
    return replace(
        sets[0],
        table=pd.concat([one.table for one in sets], ignore_index=True),
        embeddings=np.concatenate([one.embeddings for one in sets]),
        maps=np.concatenate([one.maps for one in sets]),
    )


def test_nothing_is_written_without_a_confident_prediction(
    teacher: Model, unlabelled: EmbeddingSet, tmp_path: Path
) -> None:
    with pytest.raises(MaskclsError, match="minimum confidence"):
        label_set(teacher, unlabelled, tmp_path / "out", dict.fromkeys(CONFIDENCES, 1.01))
    assert not (tmp_path / "out" / "encoder.json").exists()


def test_labelling_again_gives_the_same_files_and_replaces_earlier_ones(
    teacher: Model, unlabelled: EmbeddingSet, extra: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    label_set(teacher, unlabelled, out, {"mask": 0.0})
    check_out(out)
    label_set(teacher, unlabelled, out, ALL)
    for name in ("faces.parquet", "embeddings.npy", "maps.npy", "pseudo_labels.parquet", TEACHER, "encoder.json"):
        assert (out / name).read_bytes() == (extra / name).read_bytes()


def test_sets_a_teacher_cannot_label_are_refused(
    teacher: Model, unlabelled: EmbeddingSet, extra: Path, make_set: MakeSet, tmp_path: Path
) -> None:
    check_teacher(teacher, tmp_path, unlabelled, tmp_path)
    other = make_set(2, encoder=EncoderInfo("facenet", "1" * 64, {"crop_size": 160}))
    cases = [
        (replace(teacher, seen=()), unlabelled, "no list of the people"),
        (teacher, other, "embed it again"),
        (teacher, open_set(extra), "holds pseudo-labels"),
    ]
    for model, faces, reason in cases:
        with pytest.raises(MaskclsError, match=reason):
            check_teacher(model, tmp_path / "model", faces, tmp_path / "faces")


def test_labels_given_by_people_and_other_files_are_not_overwritten(
    labelled: EmbeddingSet, write_set: WriteSet, tmp_path: Path
) -> None:
    write_set(tmp_path / "faces", labelled)
    with pytest.raises(MaskclsError, match="labels given by people"):
        check_out(tmp_path / "faces")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(MaskclsError, match="not empty"):
        check_out(tmp_path / "other")
    with pytest.raises(MaskclsError, match="a file"):
        check_out(tmp_path / "other" / "thesis.txt")


def test_a_damaged_list_of_seen_people_is_refused(extra: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(extra, copy)
    (copy / TEACHER).write_text("{}")
    with pytest.raises(MaskclsError, match="damaged"):
        open_set(copy)
    (copy / TEACHER).unlink()
    with pytest.raises(MaskclsError, match="missing"):
        open_set(copy)


def test_pseudo_labels_do_not_vote_are_not_corrected_and_not_added_to_a_gallery(
    extra: Path, labelled: EmbeddingSet, teacher: Model, write_set: WriteSet, tmp_path: Path
) -> None:
    faces = write_set(tmp_path / "faces", labelled)
    pool = open_face_set([faces, extra])
    model, report = build_model(pool)
    assert model.table["face_id"].tolist() == labelled.table["face_id"].tolist()
    assert report.faces == len(pool) > len(labelled)
    assert model.card["pseudo_labelled"] == {teacher.fingerprint: len(pool) - len(labelled)}
    with pytest.raises(MaskclsError, match="pseudo-labels"):
        check_addable(model, tmp_path, [(extra, open_set(extra))])
    patch = tmp_path / "patch.csv"
    face = open_set(extra).table["face_id"].iloc[0]
    patch.write_text(f"face_id,field,old,new\n{face},gender,male,female\n")
    with pytest.raises(MaskclsError, match="pseudo-labels"):
        apply_patch([extra], read_patch(patch))


def test_a_student_has_seen_its_photos_and_the_people_its_teacher_has_seen(
    extra: Path, labelled: EmbeddingSet, make_set: MakeSet, teacher: Model
) -> None:
    others = make_set(FACES, seed=9, mask=["wear", "normal"] * 12, gender=["male", "female"] * 12, age=40)
    model, _ = build_model(merge_sets([others, open_set(extra)]))

    def seen(table: object) -> bool:
        return any((one.persons(table) >= 0).all() for one in model.seen)  # type: ignore[arg-type]

    assert seen(others.table["file_sha256"])
    assert seen(open_set(extra).table["file_sha256"])
    assert seen(labelled.table["file_sha256"])
    assert len(model.seen) == 2


def test_a_forgotten_person_is_removed_from_rows_and_lists(extra: Path, labelled: EmbeddingSet, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(extra, copy)
    first, photo = open_set(copy).table["face_id"].iloc[0], labelled.table["file_sha256"].iloc[0]
    assert forget_in_set(copy, [first], [photo], []) == 1
    found = open_set(copy)
    assert found.pseudo is not None
    assert first not in set(found.pseudo.rows["face_id"])
    assert found.pseudo.teacher.seen[0].persons([photo]).tolist() == [-1]
    assert forget_in_set(copy, [], [labelled.table["file_sha256"].iloc[1]], []) == 0
    again = open_set(copy)
    assert again.pseudo is not None
    assert len(again.pseudo.teacher.seen[0].people) == FACES // 2 - 1


def test_faces_without_labels_wait_for_a_teacher(unlabelled: EmbeddingSet) -> None:
    waiting = without_labels(unlabelled, {"mask": 0.5, "age": 0.5})
    assert waiting.table[["mask", "age_low", "age_high"]].isna().all(axis=None)
    assert set(waiting.table["gender"]) == {"female"}
    assert waiting.table.dtypes.equals(unlabelled.table.dtypes)
    assert set(merge_sets([waiting]).table["teacher"]) == {NO_TEACHER}
