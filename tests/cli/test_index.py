from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from maskcls.classify.model.model import Model
from maskcls.cli.main import app
from maskcls.embedder.faceset.store import open_set

PERSON = "000001"
UTKFACE = 240
"""Photos of the fixture."""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("maskcls: ")
    for word in words:
        assert word in line


@pytest.fixture
def model(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "place" / "model"))


@pytest.fixture
def faces(contest_faces: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(contest_faces, tmp_path / "place" / "faces"))


def test_list_counts_and_rows(model: Path) -> None:
    done = run("index", "list", model)
    assert done.exit_code == 0, done.output
    table = Model.load(model).table
    contest = int(table["source"].eq("contest").sum())  # exact copies are left out
    assert f"{contest + UTKFACE} faces of {table['group'].nunique()} people" in done.stdout
    assert f"source: contest {contest}, utkface {UTKFACE}" in done.stdout
    assert len(done.stdout.splitlines()) == 6
    listed = run("index", "list", model, "--person", PERSON, "--limit", "3")
    assert sum(PERSON in line for line in listed.stdout.splitlines()) == 3
    assert "4 more" in listed.stdout
    utkface = table.loc[table["source"].eq("utkface"), "dataset"].iloc[0]
    found = json.loads(run("index", "list", model, "--dataset", utkface, "--json").stdout)
    assert (found["faces"], len(found["rows"]), found["rows"][0]["person"]) == (contest + UTKFACE, 20, None)
    fails(run("index", "list", model, "--person", "nobody"), "no such face")


def test_a_person_goes_and_comes_back(model: Path, faces: Path) -> None:
    removed = run("index", "remove", model, "--person", PERSON)
    assert removed.exit_code == 0, removed.output
    assert "7 faces removed" in removed.stdout
    assert PERSON not in set(Model.load(model).table["person"].dropna())
    added = run("index", "add", model, faces, "--known", faces)
    assert added.exit_code == 0, added.output
    assert "7 faces added, of 1 new people and 0 known ones; " in added.stdout
    assert [edit["what"] for edit in Model.load(model).card["edits"]] == ["removed", "added"]
    fails(run("index", "add", model, faces), "nothing to add")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param((), ["choose what to remove"], id="nothing chosen"),
        pytest.param(("--person", "000001", "--face", "x"), ["choose what to remove"], id="two things chosen"),
        pytest.param(("--face", "0" * 16), ["nothing in the gallery matches"], id="unknown face"),
        pytest.param(("--person", "000001", "--dataset", "f" * 16), ["nothing in the gallery"], id="another data set"),
        pytest.param(("--from", "nowhere.csv"), ["nowhere.csv: cannot be read"], id="no file"),
    ],
)
def test_what_cannot_be_removed_is_one_line(model: Path, options: tuple[str, ...], words: list[str]) -> None:
    before = (model / "model.json").read_bytes()
    fails(run("index", "remove", model, *options), *words)
    assert (model / "model.json").read_bytes() == before


def test_the_whole_gallery_is_not_removed(model: Path, tmp_path: Path) -> None:
    Model.load(model).table[["face_id"]].to_csv(tmp_path / "all.csv", index=False)
    fails(run("index", "remove", model, "--from", tmp_path / "all.csv"), "the whole gallery")


def test_forget_end_to_end(model: Path, faces: Path, contest_photos: Path, tmp_path: Path) -> None:
    place, receipt = model.parent, tmp_path / "receipt.json"
    person = next(contest_photos.glob(f"{PERSON}_*"))
    out = place / "answers.csv"
    assert run("predict", person.parent, "--model", model, "--out", out).exit_code == 0
    planned = run("index", "forget", "--person", PERSON, "--in", place, "--receipt", receipt, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert "would be removed: 7 faces of a gallery" in planned.stdout
    assert not receipt.exists()
    done = run("index", "forget", "--person", PERSON, "--in", place, "--receipt", receipt)
    assert done.exit_code == 0, done.output
    for line in ("removed: 7 faces of an embedding set", "not unlearned", "0 of 700 neighbours are theirs"):
        assert line in done.stdout
    assert done.stdout.count("photo that still exists: ") == 7
    assert "0 of them hold anything" in done.stdout
    assert not pd.read_csv(out)["path"].str.contains(f"{PERSON}_").any()
    assert PERSON not in receipt.read_text()
    assert run("index", "check-receipt", receipt, "--person", PERSON).exit_code == 0
    fails(run("index", "check-receipt", receipt, "--person", "000004"), "about another person")
    fails(run("index", "forget", "--person", PERSON, "--in", place), PERSON, "in none of the embedding sets")

    again = run("embed", contest_photos, "--out", faces)
    assert again.exit_code == 0, again.output
    assert not open_set(faces).table["person"].eq(PERSON).any()
    assert open_set(faces).rejects["reason"].eq("forgotten").sum() == 7
    fails(run("index", "add", model, faces), "nothing to add")


def test_forget_finds_a_name_in_either_unicode_form(contest_photos: Path, tmp_path: Path) -> None:
    nfc, nfd = (unicodedata.normalize(form, "홍길동") for form in ("NFC", "NFD"))
    photos = tmp_path / "photos"
    photos.mkdir()
    rows = []
    for number, photo in enumerate(sorted(contest_photos.rglob("*.jpg"))[:35:7]):
        shutil.copy(photo, photos / f"{number}.jpg")
        rows.append(f"{number}.jpg,{(nfd, nfd, nfc, 'other', 'another')[number]},{30 + number}")
    (photos / "labels.csv").write_text("\n".join(["path,person,age", *rows]) + "\n")
    assert run("embed", photos, "--out", tmp_path / "e", "--face", "whole").exit_code == 0
    receipt = tmp_path / "receipt.json"
    done = run("index", "forget", "--person", nfc, "--in", tmp_path / "e", "--receipt", receipt)
    assert done.exit_code == 0, done.output
    assert len(open_set(tmp_path / "e")) == 2
    assert run("index", "check-receipt", receipt, "--person", nfd).exit_code == 0


def test_a_failed_verification_names_the_file_and_exits_1(model: Path, tmp_path: Path) -> None:
    face = Model.load(model).table["face_id"].iloc[0]
    (model.parent / "notes.txt").write_text(str(face))
    command = ("index", "forget", "--face", face, "--in", model.parent, "--receipt", tmp_path / "receipt.json")
    fails(run(*command), "not verified, no receipt", "notes.txt holds face id", "run the same command again")
    (model.parent / "notes.txt").unlink()
    assert run(*command).exit_code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param((), "--person or by --face", id="nobody"),
        pytest.param(("--person", "a", "--face", "b"), "--person or by --face", id="both"),
        pytest.param(("--face", "b", "--dataset", "0"), "--dataset: only with --person", id="data set of a face"),
    ],
)
def test_the_person_must_be_named_once(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    fails(run("index", "forget", "--in", tmp_path, *options), words)


def test_a_file_that_is_no_receipt_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{}")
    fails(run("index", "check-receipt", tmp_path / "r.json", "--person", "a"), "not a receipt")
    fails(run("index", "check-receipt", tmp_path / "none.json", "--person", "a"), "no such file")


@pytest.mark.parametrize("command", ["list", "add", "remove", "forget", "check-receipt"])
def test_help(command: str) -> None:
    assert run("index", command, "--help").exit_code == 0
