from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.model.model import Model
from maskcls.classify.privacy.forget import Forgetting, forget_person
from maskcls.classify.privacy.person import Wanted
from maskcls.classify.privacy.receipt import WITHHELD, is_about
from maskcls.classify.privacy.scanner import Scanner
from maskcls.classify.privacy.traces import Traces
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.faceset.forgotten import read_forgotten
from maskcls.embedder.faceset.store import open_set
from maskcls.embedder.storage.manifest import checksums, write_manifest

ANNA = Wanted(person="anna")


def forget(world: Any, wanted: Wanted = ANNA, **options: Any) -> Forgetting:
    return forget_person(wanted, [world.folder], world.folder.parent / "receipt.json", **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def proven(done: Forgetting) -> bool:
    return done.proof is not None and done.proof.holds


def test_everything_of_the_person_goes_and_nothing_else(world: Any) -> None:
    before, former, answers = files(world.folder), Model.load(world.model), pd.read_csv(world.out / "predictions.csv")
    vectors = np.concatenate([np.array(open_set(one).embeddings[:3]) for one in world.sets])
    done = forget(world)
    assert proven(done)
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
        *("out/report.html", "out/named.html", "out/evidence.jsonl", "out/.predictions.csv.partial", f"out/{anna}.jpg"),
        *("out/.scores.json.folds/key.json", "out/.scores.json.folds/fold-0.json"),
        "out/.scores.json.folds/fold-0.maskcls.parquet",
        *("out/cases/index.html", "out/cases/error_gallery.json", f"out/cases/faces/{anna}.jpg"),
        ".model.views/0-00000000.step",
        *(".model.finetune/training.step", "sets/named/.steps/00000000.step"),
    }
    left = pd.read_csv(world.out / "predictions.csv")
    assert not left["path"].str.startswith("anna/").any()
    assert not left["neighbours"].str.contains("|".join(world.faces)).any()
    kept = answers[answers["path"].isin(left["path"])].reset_index(drop=True)
    same = [name for name in answers if name not in ("neighbours", "weights")]
    pd.testing.assert_frame_equal(left[same], kept[same], check_dtype=False)
    for near, weights in zip(left["neighbours"], left["weights"].astype(str), strict=True):
        assert len(near.split()) == len(weights.split())
    assert len(pd.read_parquet(world.out / "answers.parquet")) == len(pd.read_csv(world.out / "split.csv")) == 42

    scanner = Scanner(Traces(world.faces, world.hashes, frozenset(), {"embeddings/x": vectors}))
    for path in world.folder.rglob("*"):
        assert not path.is_file() or not scanner.in_file(path), path


def test_the_proof_is_of_real_searches_and_real_files(world: Any) -> None:
    proof = forget(world).proof
    assert proof is not None
    asked = proof.models[world.model]
    assert (asked.queries, asked.own, asked.in_gallery, asked.same) == (14, 0, 0, 0)
    assert asked.looked_at == 14 * 42
    assert proof.files > 20
    assert proof.patterns["vector"] >= 2 * 2 * 7  # float32 and float16 of embeddings and maps
    assert proof.patterns["face id"] == 7


def test_the_receipt_names_nobody_but_can_be_checked(world: Any) -> None:
    forget(world)
    path = world.folder.parent / "receipt.json"
    text = path.read_text()
    assert not Scanner(Traces(world.faces, world.hashes, frozenset({("", "anna/1.jpg")}))).in_bytes(text.encode())
    assert "anna" not in text
    content = json.loads(text)
    assert content["proof"]["holds"]
    assert {one["what"] for one in content["removed"]} == {
        *("faces of an embedding set", "faces of a gallery", "rows of tables", "pages", "error gallerys", "thumbnails"),
        "kept work of unfinished runs",
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
    assert planned.proof is None
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
    assert (proven(done), done.deleted, done.photos) == (True, 3, ())
    assert not (world.folder / "moved.jpg").exists()
    assert mine[2].exists()
    assert len(list(world.photos.rglob("*.jpg"))) == 22


def test_a_label_file_of_the_user_is_named_and_stays(world: Any) -> None:
    labels = world.photos / "labels.csv"
    labels.write_text("path,person,age\nanna/0.jpg,anna,20\n")
    done = forget(world)
    assert done.proof is not None
    assert (proven(done), list(done.proof.mentions)) == (True, [labels])
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
def test_what_no_command_wrote_is_left_and_the_proof_fails_until_it_is_gone(
    world: Any, name: str, put: Callable[[Path, Any], None], kind: str
) -> None:
    stray = world.folder / "mine" / name
    stray.parent.mkdir()
    put(stray, world)
    done = forget(world)
    assert done.proof is not None
    assert not proven(done)
    assert done.proof.left == {stray: [kind]}
    assert done.pending.exists()
    assert not json.loads((world.folder.parent / "receipt.json").read_text())["proof"]["holds"]
    stray.unlink()
    again = forget(world)
    assert proven(again)
    assert again.removed == done.removed
    assert not again.pending.exists()


def test_a_face_of_another_name_with_the_same_vector_is_no_proof(world: Any) -> None:
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
    assert done.proof is not None
    assert folder / "embeddings.npy" in done.proof.left


@pytest.mark.parametrize("place", ["set", "model"])
def test_a_face_stands_for_all_that_is_grouped_with_it(world: Any, place: str) -> None:
    if place == "model":
        shutil.rmtree(world.folder / "sets")
    face = sorted(world.faces)[3]
    done = forget(world, Wanted(face=face))
    assert (proven(done), done.faces) == (True, 7)
    assert is_about(world.folder.parent / "receipt.json", face)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        pytest.param(Wanted(person="Anna"), "--person Anna: in none of", id="unknown name"),
        pytest.param(Wanted(person="anna", source="contest"), "--person anna --source contest: in none", id="source"),
        pytest.param(Wanted(face="0" * 16), "--face 0000000000000000: in none of", id="unknown face"),
    ],
)
def test_who_is_unknown_is_one_line(world: Any, wanted: Wanted, message: str) -> None:
    before = contents(world.folder)
    with pytest.raises(MaskclsError, match=message):
        forget(world, wanted)
    assert contents(world.folder).keys() == before.keys()
    assert not list(world.folder.parent.glob("*receipt*"))


def test_a_name_of_two_sources_must_be_told_apart(world: Any) -> None:
    table = Model.load(world.model).table
    table.loc[table["source"] == "csv", "person"] = "anna"
    replace(Model.load(world.model), table=table).save(world.model)
    with pytest.raises(MaskclsError, match="a name in csv, folders; choose one with --source"):
        forget(world)


def test_everybody_can_be_forgotten_one_by_one(world: Any) -> None:
    for person in ("anna", *(f"person {i}" for i in range(1, 8))):
        assert proven(forget(world, Wanted(person=person)))
    assert len(Model.load(world.model).gallery) == 0
    assert [len(open_set(folder)) for folder in world.sets] == [0, 0]


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MaskclsError, match="no such folder"):
        forget_person(ANNA, [tmp_path / "nowhere"], tmp_path / "receipt.json")


def test_another_forgetting_that_was_cut_short_is_not_lost(world: Any) -> None:
    put_ids(world.folder / "thoughts.txt", world)
    assert not proven(forget(world))
    with pytest.raises(MaskclsError, match="left by another `forget`"):
        forget(world, Wanted(person="person 1"))
