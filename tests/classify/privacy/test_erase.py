from __future__ import annotations

import hashlib
import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.data.face_set import open_face_set
from maskcls.classify.model.build import build_model
from maskcls.classify.model.model import Model
from maskcls.classify.privacy.erase import Erasure, erase_person
from maskcls.classify.privacy.person import PersonSelector
from maskcls.classify.privacy.receipt import WITHHELD, is_about
from maskcls.embedder.erasure.search import Search
from maskcls.embedder.erasure.traces import Traces
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.faceset.erasure import StoredSet
from maskcls.embedder.faceset.forgotten import read_forgotten
from maskcls.embedder.faceset.store import SetTables, SetWriter, open_set, replace_tables
from maskcls.embedder.storage.manifest import checksums, write_manifest

ANNA = PersonSelector(name="anna")


def forget(world: Any, selector: PersonSelector = ANNA, **options: Any) -> Erasure:
    return erase_person(selector, [world.folder], world.folder.parent / "receipt.json", **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_everything_of_the_person_goes_and_nothing_else(world: Any) -> None:
    before, former, answers = files(world.folder), Model.load(world.model), pd.read_csv(world.out / "predictions.csv")
    vectors = np.concatenate([np.array(open_set(one).embeddings[:3]) for one in world.sets])
    done = forget(world)
    assert done.verified
    assert done.faces == len(world.faces) == 7

    for folder, faces in zip(world.sets, (21, 21), strict=True):
        one = open_set(folder)
        assert len(one) == faces
        assert not set(one.table["face_id"]) & world.faces
        assert all(photo in read_forgotten(folder) for photo in world.hashes)
    model = Model.load(world.model)
    assert set(model.table["face_id"]) == set(former.table["face_id"]) - world.faces
    assert sorted(model.table["group"].unique()) == list(range(7))
    assert model.card["edits"][-1]["what"] == "forgotten"
    hashes = sorted(world.hashes)
    assert (former.seen[0].persons(hashes) >= 0).all()
    assert (model.seen[0].persons(hashes) < 0).all()
    assert len(model.seen[0].people) == len(former.seen[0].people) - 1

    gone = before - files(world.folder)
    anna = sorted(world.faces)[0]
    assert gone == {
        *("out/report.html", "out/named.html", "out/.answers.parquet.12345678.tmp", f"out/{anna}.jpg"),
        *("out/cases/index.html", "out/cases/error_gallery.json", f"out/cases/faces/{anna}.jpg"),
        *("out/.scores.json.folds/fold-0.step", ".model.finetune/0.step", ".model.augmented/fold-0/0.step"),
        "sets/named/.steps/00000000.step",
    }
    evidence = [json.loads(line) for line in (world.out / "evidence.jsonl").read_text().splitlines()]
    assert [(row["path"], len(row["voters"])) for row in evidence] == [("x.jpg", 1), ("y.jpg", 0)]
    left = pd.read_csv(world.out / "predictions.csv")
    assert not left["path"].str.startswith("anna/").any()
    assert not left["neighbours"].str.contains("|".join(world.faces)).any()
    kept = answers[answers["path"].isin(left["path"])].reset_index(drop=True)
    same = [name for name in answers if name not in ("neighbours", "weights")]
    pd.testing.assert_frame_equal(left[same], kept[same], check_dtype=False)
    for near, weights in zip(left["neighbours"], left["weights"].astype(str), strict=True):
        assert len(near.split()) == len(weights.split())
    assert len(pd.read_parquet(world.out / "answers.parquet")) == len(pd.read_csv(world.out / "split.csv")) == 42

    search = Search(Traces(world.faces, world.hashes, frozenset(), {"embeddings/x": vectors}))
    for path in world.folder.rglob("*"):
        assert not path.is_file() or not search.in_file(path), path


def test_verification_searches_models_and_files(world: Any) -> None:
    found = forget(world).verification
    assert found is not None
    searched = found.models[world.model]
    assert (searched.queries, searched.of_person, searched.in_gallery, searched.same) == (14, 0, 0, 0)
    assert searched.neighbours == 14 * 42
    assert found.faces == 0
    assert found.files > 20
    assert found.patterns["vector"] >= 2 * 2 * 7  # float32 and float16 of embeddings and maps
    assert found.patterns["face id"] == 7


def test_the_receipt_names_nobody_but_can_be_checked(world: Any) -> None:
    forget(world)
    path = world.folder.parent / "receipt.json"
    text = path.read_text()
    assert not Search(Traces(world.faces, world.hashes, frozenset({("", "anna/1.jpg")}))).in_bytes(text.encode())
    assert "anna" not in text
    content = json.loads(text)
    assert content["verification"]["files_with_traces"] == content["verification"]["faces_left"] == 0
    assert {one["what"] for one in content["removed"]} == {
        *("faces of an embedding set", "faces of a gallery", "rows of predictions", "rows of splits", "thumbnails"),
        *("rows of explanations", "pages, removed whole"),
        *("error galleries, removed whole", "kept work of unfinished runs", "leftovers of killed runs"),
    }
    assert content["not_unlearned"]["models"] == [str(world.model)]
    assert is_about(path, "anna")
    assert not is_about(path, "person 1")
    assert [one.name for one in path.parent.iterdir() if one.name.startswith(".")] == []


def test_a_folder_called_like_the_person_is_withheld_in_the_receipt(world: Any) -> None:
    shutil.copytree(world.out, world.folder / "of_anna_2")
    forget(world)
    text = (world.folder.parent / "receipt.json").read_text()
    assert WITHHELD in text
    assert "anna" not in text


def test_a_dry_run_changes_nothing_and_counts_the_same(world: Any) -> None:
    before = contents(world.folder)
    planned = forget(world, dry_run=True)
    assert contents(world.folder) == before
    assert planned.verification is None
    assert not (world.folder.parent / "receipt.json").exists()
    assert forget(world).removed == planned.removed


def test_photos_are_named_and_only_deleted_on_demand(world: Any) -> None:
    mine = [world.photos / "anna" / f"{i}.jpg" for i in range(3)]
    (world.folder / "moved.jpg").write_bytes(mine[0].read_bytes())
    (world.photos / "anna" / "2.jpg").write_bytes(b"another photo lies here now")
    assert forget(world, dry_run=True, delete_photos=True).photos == tuple(
        sorted([*mine[:2], world.folder / "moved.jpg"])
    )
    done = forget(world, delete_photos=True)
    assert (done.verified, done.deleted, done.photos) == (True, 3, ())
    assert not (world.folder / "moved.jpg").exists()
    assert mine[2].exists()
    assert len(list(world.photos.rglob("*.jpg"))) == 22


def test_a_label_file_of_the_user_is_named_and_stays(world: Any) -> None:
    labels = world.photos / "labels.csv"
    labels.write_text("path,person,age\nanna/0.jpg,anna,20\n")
    done = forget(world)
    assert done.verification is not None
    assert (done.verified, list(done.verification.mentions)) == (True, [labels])
    assert "anna/0.jpg" in labels.read_text()


def put_ids(path: Path, world: Any) -> None:
    path.write_text(f"why does {sorted(world.faces)[0]} come first?\n")


def put_vector(path: Path, world: Any) -> None:
    np.save(path, open_set(world.sets[0]).embeddings[:5].astype(np.float16))


def put_hash(path: Path, world: Any) -> None:
    pd.DataFrame({"digest": sorted(world.hashes)}).to_parquet(path)


@pytest.mark.parametrize(
    ("name", "put", "kind"),
    [
        pytest.param("thoughts.txt", put_ids, "face id", id="an id in a text"),
        pytest.param("export.npy", put_vector, "vector", id="a float16 vector in an array"),
        pytest.param("hashes.parquet", put_hash, "photo hash", id="hashes in a compressed table"),
    ],
)
def test_what_no_command_wrote_stays_and_there_is_no_receipt_until_it_is_gone(
    world: Any, name: str, put: Callable[[Path, Any], None], kind: str
) -> None:
    stray = world.folder / "mine" / name
    stray.parent.mkdir()
    put(stray, world)
    done = forget(world)
    assert done.verification is not None
    assert not done.verified
    assert done.verification.left == {stray: [kind]}
    assert done.pending.exists()
    assert not (world.folder.parent / "receipt.json").exists()
    stray.unlink()
    again = forget(world)
    assert again.verified
    assert again.removed == done.removed
    assert not again.pending.exists()


def test_a_face_of_another_name_with_the_same_vector_is_left_and_reported(world: Any) -> None:
    folder = world.sets[0]
    one = open_set(folder)
    embeddings = np.array(one.embeddings)
    embeddings[-1] = embeddings[0]
    np.save(folder / "embeddings.npy", embeddings)
    manifest = json.loads((folder / "encoder.json").read_text())
    manifest["files"] |= checksums(folder, ["embeddings.npy"])
    write_manifest(folder / "encoder.json", manifest)
    done = forget(world)
    assert (done.faces, done.others) == (7, 6)  # the other's photos and drawings are grouped with her, and stay
    assert done.verification is not None
    assert folder / "embeddings.npy" in done.verification.left


@pytest.mark.parametrize("place", ["set", "model"])
def test_a_face_stands_for_all_that_is_grouped_with_it(world: Any, place: str) -> None:
    if place == "model":
        shutil.rmtree(world.folder / "sets")
    face = sorted(world.faces)[3]
    done = forget(world, PersonSelector(face=face))
    assert (done.verified, done.faces) == (True, 7)
    assert is_about(world.folder.parent / "receipt.json", face)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        pytest.param(PersonSelector(name="Anna"), "person Anna: in none of", id="unknown name"),
        pytest.param(PersonSelector(name="anna", dataset="0" * 16), "person anna of data set 0{16}: in", id="data set"),
        pytest.param(PersonSelector(face="0" * 16), "face 0{16}: in none of", id="unknown face"),
    ],
)
def test_an_unknown_person_is_one_line(world: Any, selector: PersonSelector, message: str) -> None:
    before = contents(world.folder)
    with pytest.raises(MaskclsError, match=message):
        forget(world, selector)
    assert contents(world.folder).keys() == before.keys()
    assert not list(world.folder.parent.glob("*receipt*"))


def rename(folder: Path, name: Callable[[int, str | None], str | None]) -> None:
    """Give the faces of a set other names of people."""
    one = open_set(folder)
    people = [name(row, None if old != old else old) for row, old in enumerate(one.table["person"])]
    table = one.table.assign(person=pd.Series(people, dtype="str"))
    replace_tables(folder, SetTables(table, one.rejects, one.encoder, one.settings))


def test_a_name_of_two_data_sets_is_ambiguous_and_lists_them(strangers: Any) -> None:
    before = contents(strangers.folder)
    ids = [open_set(strangers.folder / "sets" / name).dataset for name in ("named", "strangers")]
    with pytest.raises(MaskclsError, match="person anna: a name in several data sets") as error:
        forget(strangers, delete_photos=True)
    assert all(one in str(error.value) for one in ids)
    assert contents(strangers.folder) == before


@pytest.mark.parametrize("chosen", ["named", "strangers"])
def test_a_stranger_of_the_same_name_in_another_data_set_stays(strangers: Any, chosen: str) -> None:
    dataset = open_set(strangers.folder / "sets" / chosen).dataset
    done = forget(strangers, PersonSelector(name="anna", dataset=dataset), delete_photos=True)
    assert done.verified
    assert done.faces == (7 if chosen == "named" else 3)
    left = open_set(strangers.folder / "sets" / "strangers").table["person"]
    assert left.tolist() == (["anna", "anna", "ben", "anna"] if chosen == "named" else ["ben"])
    assert len(list((strangers.folder / "others").iterdir())) == (4 if chosen == "named" else 1)
    assert len(list((strangers.photos / "anna").iterdir())) == (0 if chosen == "named" else 3)


def test_the_same_photos_in_another_data_set_go_whatever_the_name_there(world: Any) -> None:
    rename(world.sets[1], lambda row, old: f"p{row}" if row < 3 else old)  # masks drawn on the photos of anna
    assert forget(world).verified
    assert len(open_set(world.sets[1])) == 21


def test_one_name_that_shows_the_same_photo_in_two_data_sets_is_one_person(world: Any) -> None:
    rename(world.sets[1], lambda row, old: "anna" if row in (0, 10) else old)
    done = forget(world)
    assert done.verified
    assert done.faces == 7 + 2  # the other drawing called anna, and the photo that it was drawn on


def test_a_name_is_found_in_either_unicode_form(world: Any) -> None:
    name = "홍길동"
    nfc, nfd = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    rename(world.sets[0], lambda row, old: (nfd, nfc, nfd)[row] if row < 3 else old)
    for spelling, other in ((nfc, nfd), (nfd, nfc)):
        planned = forget(world, PersonSelector(name=spelling), dry_run=True)
        assert planned.faces == forget(world, PersonSelector(name=other), dry_run=True).faces == 7
    done = forget(world, PersonSelector(name=nfc))
    assert done.verified
    assert not set(open_set(world.sets[0]).table["face_id"]) & world.faces
    receipt = world.folder.parent / "receipt.json"
    assert is_about(receipt, nfc)
    assert is_about(receipt, nfd)


def test_faces_of_the_identity_that_stay_prevent_the_receipt(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoredSet, "erase", lambda self, traces, dry_run=False: 0)
    done = forget(world)
    assert done.verification is not None
    assert done.verification.faces == 7
    assert not done.verified
    assert not (world.folder.parent / "receipt.json").exists()


def test_everybody_can_be_forgotten_one_by_one(world: Any) -> None:
    for person in ("anna", *(f"person {i}" for i in range(1, 8))):
        assert forget(world, PersonSelector(name=person)).verified
    assert len(Model.load(world.model).gallery) == 0
    assert [len(open_set(folder)) for folder in world.sets] == [0, 0]


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MaskclsError, match="no such folder"):
        erase_person(ANNA, [tmp_path / "nowhere"], tmp_path / "receipt.json")


def test_another_forgetting_that_was_cut_short_is_not_lost(world: Any) -> None:
    put_ids(world.folder / "thoughts.txt", world)
    assert not forget(world).verified
    with pytest.raises(MaskclsError, match="left by an unfinished erasure of another person"):
        forget(world, PersonSelector(name="person 1"))


@pytest.fixture
def album(world: Any) -> Any:
    """The world after a set of all labelled faces: two photos of Anna and a neighbour, and the neighbour alone."""
    one = open_set(world.sets[0])
    table = one.table.iloc[[0, 3, 1, 4, 5]].reset_index(drop=True)
    photo = ["a.jpg", "a.jpg", "b.jpg", "b.jpg", "c.jpg"]
    table = table.assign(
        path=photo,
        file_sha256=[hashlib.sha256(name.encode()).hexdigest() for name in photo],
        face_id=[f"{number:016x}" for number in range(1, 6)],
        label_box=[f"{number} 0 99 99" for number in range(5)],
        person=pd.Series(["anna", None, "anna", None, None], dtype="str"),
    )
    folder = world.folder / "sets" / "album"
    writer = SetWriter(folder, 5)
    writer.embeddings[:], writer.maps[:] = one.embeddings[[0, 3, 1, 4, 5]], one.maps[[0, 3, 1, 4, 5]]
    for row in (3, 4):  # the neighbour again, looking a little different
        vector = one.embeddings[3] + 0.2 * one.embeddings[row + 1]
        writer.embeddings[row] = vector / np.linalg.norm(vector)
    writer.commit(SetTables(table, one.rejects.iloc[:0], one.encoder, one.settings | {"faces": "all"}))
    return folder


@pytest.mark.parametrize("with_model", [False, True])
@pytest.mark.parametrize(
    "selector",
    [pytest.param(PersonSelector(face=f"{1:016x}"), id="a face"), pytest.param(ANNA, id="a name")],
)
def test_others_in_the_photo_lose_that_photo_alone(
    album: Path, selector: PersonSelector, with_model: bool, tmp_path: Path
) -> None:
    folders = [album]
    if with_model:
        folders.append(tmp_path / "album-model")
        build_model(open_face_set([album]), seed=0)[0].save(folders[-1])
    done = erase_person(selector, folders, tmp_path / "receipt.json")
    assert (done.verified, done.faces) == (True, 4)
    assert open_set(album).table["path"].tolist() == ["c.jpg"]
    forgotten = read_forgotten(album)
    assert [hashlib.sha256(name).hexdigest() in forgotten for name in (b"a.jpg", b"b.jpg", b"c.jpg")] == [1, 1, 0]
    if with_model:
        assert Model.load(folders[-1]).table["path"].tolist() == ["c.jpg"]
