from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from maskcls.classify.age.vote import NOBODY
from maskcls.classify.data.face_set import FaceSet
from maskcls.classify.model.model import Ages, Model
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.storage import atomic_folder
from maskcls.embedder.storage.atomic_folder import COMMIT, NEXT
from maskcls.embedder.storage.lock import locked
from maskcls.embedder.storage.manifest import write_manifest

FILES = ["age_space.safetensors", "gallery.faiss", "gallery.parquet", "heads.safetensors", "model.json", "seen.json"]
LISTED = [name for name in FILES if name != "model.json"]


def ask(model: Model, pool: FaceSet, rows: npt.NDArray[np.int64]) -> Ages:
    return model.ages(pool.embeddings[rows], pool.maps(rows), np.full(len(rows), NOBODY))


def one_line(error: MaskclsError, *parts: object) -> None:
    assert "\n" not in str(error)
    for part in parts:
        assert str(part) in str(error)


@pytest.fixture
def copied(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "copy"))


def edit_manifest(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / "model.json").read_text())
    write_manifest(folder / "model.json", manifest | changes)


def test_saved_model_gives_the_same_answers(model: Model, pool: FaceSet, tmp_path: Path) -> None:
    model.save(tmp_path / "new" / "model")
    loaded = Model.load(tmp_path / "new" / "model")
    rows = np.arange(0, len(pool), 7)
    first, second = ask(model, pool, rows), ask(loaded, pool, rows)
    np.testing.assert_array_equal(first.voters, second.voters)
    np.testing.assert_array_equal(first.votes.bands, second.votes.bands)
    np.testing.assert_array_equal(first.votes.age, second.votes.age)
    for task, head in model.heads.items():
        expected = head.probabilities(pool.maps(rows), pool.embeddings[rows])
        np.testing.assert_array_equal(
            loaded.heads[task].probabilities(pool.maps(rows), pool.embeddings[rows]), expected
        )
    assert (loaded.settings, loaded.encoder, loaded.face) == (model.settings, model.encoder, model.face)
    assert loaded.card == model.card
    assert sorted(p.name for p in (tmp_path / "new" / "model").iterdir()) == FILES
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["model"]


def test_fingerprint_tells_models_apart(model: Model, model_folder: Path, tmp_path: Path) -> None:
    replace(model, face="whole").save(tmp_path / "other")
    assert Model.load(model_folder).fingerprint == model.fingerprint != ""
    assert Model.load(tmp_path / "other").fingerprint != model.fingerprint


def test_gallery_face_finds_itself_unless_its_person_is_left_out(model: Model, pool: FaceSet) -> None:
    rows = np.arange(0, len(pool), 50)
    near = ask(model, pool, rows)
    ids = model.table["face_id"].to_numpy()
    assert ids[near.voters[:, 0]].tolist() == pool.table["face_id"].iloc[rows].tolist()
    np.testing.assert_allclose(near.similarities[:, 0], 1, atol=1e-4)

    own = np.array([model.own_group(sha) for sha in pool.table["file_sha256"].iloc[rows]])
    assert own.tolist() == pool.people[rows].tolist()
    without = model.ages(pool.embeddings[rows], pool.maps(rows), own)
    groups = model.table["group"].to_numpy()
    for group, voters in zip(own, without.voters, strict=True):
        assert group not in groups[voters[voters >= 0]]


def test_own_group_of_a_strange_photo(model: Model) -> None:
    assert model.own_group("0" * 64) == NOBODY


def test_no_queries(model: Model, pool: FaceSet) -> None:
    answers = ask(model, pool, np.empty(0, np.int64))
    assert answers.votes.age.shape == (0,)
    assert answers.votes.bands.shape == (0, 3)


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("what", ["missing", "damaged"])
def test_missing_or_damaged_part_is_named(copied: Path, name: str, what: str) -> None:
    data = (copied / name).read_bytes()
    (copied / name).unlink()
    if what == "damaged":
        (copied / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(MaskclsError, match=f"is {what}") as caught:
        Model.load(copied)
    one_line(caught.value, copied, name, "build-index")


def swap_galleries(folder: Path) -> None:
    """Both files whole, but not of one gallery."""
    from maskcls.embedder.storage.manifest import checksums
    from maskcls.index.flat import Gallery

    gallery = Gallery.load(folder / "gallery.faiss")
    gallery.remove(gallery.ids[:1])
    gallery.save(folder / "gallery.faiss")
    edit_manifest(folder, files=checksums(folder, LISTED))


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        pytest.param(lambda folder: shutil.rmtree(folder), "no such folder", id="no folder"),
        pytest.param(lambda folder: (folder / "model.json").unlink(), "no model.json", id="no manifest"),
        pytest.param(lambda folder: (folder / "model.json").write_text("{"), "model.json", id="torn manifest"),
        pytest.param(lambda folder: (folder / "model.json").write_text("[]"), "model.json", id="no object"),
        pytest.param(lambda folder: edit_manifest(folder, kind="maskcls-embedding-set"), "not a", id="embedding set"),
        pytest.param(lambda folder: edit_manifest(folder, format=99), "format 99", id="other format"),
        pytest.param(swap_galleries, "differ", id="gallery and table differ"),
    ],
)
def test_what_is_no_model_is_one_line(copied: Path, damage: Callable[[Path], object], part: str) -> None:
    damage(copied)
    with pytest.raises(MaskclsError) as caught:
        Model.load(copied)
    one_line(caught.value, copied, part, "build-index")


def test_encoder_is_checked(model: Model) -> None:
    model.check_encoder(model.encoder, Path("m"))
    other = replace(model.encoder, weights_sha256="f" * 64)
    with pytest.raises(MaskclsError, match="--weights") as caught:
        model.check_encoder(other, Path("m"))
    one_line(caught.value, "m: ", other.fingerprint, model.encoder.fingerprint)


def test_old_model_is_replaced(model: Model, copied: Path) -> None:
    (copied / "notes.txt").write_text("mine")
    replace(model, face="whole").save(copied)
    assert Model.load(copied).face == "whole"
    assert [p.name for p in copied.parent.iterdir()] == ["copy"]
    assert sorted(p.name for p in copied.iterdir()) == sorted([*FILES, "notes.txt"])


def test_other_folder_is_not_overwritten(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter1.txt").write_text("years of work")
    with pytest.raises(MaskclsError, match="not empty and not a model") as caught:
        model.save(folder)
    one_line(caught.value, folder)
    assert (folder / "chapter1.txt").read_text() == "years of work"
    assert [p.name for p in tmp_path.iterdir()] == ["thesis"]


def test_a_model_with_a_damaged_manifest_is_replaced(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    (tmp_path / "model" / "model.json").write_text("{")
    model.save(tmp_path / "model")
    assert len(Model.load(tmp_path / "model").gallery) == len(model.gallery)


def test_empty_folder_is_taken(model: Model, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    model.save(tmp_path / "empty")
    assert len(Model.load(tmp_path / "empty").gallery) == len(model.gallery)


def test_file_in_place_of_the_folder_is_refused(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises((MaskclsError, NotADirectoryError)):  # the command line prints either as one line
        model.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_killed_save_leaves_a_model(model: Model, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 6):
        with monkeypatch.context() as patch:
            killed_at_move(patch, number)
            with pytest.raises(KeyboardInterrupt):
                replace(model, face="whole").save(copied)
        assert Model.load(copied).face == ("whole" if number > 1 else model.face)
        model.save(copied)
        assert sorted(p.name for p in copied.iterdir()) == FILES
        assert [p.name for p in copied.parent.iterdir()] == ["copy"]


def killed_at_move(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """From the n-th move on, nothing is moved any more; the first one is that of the commit's note."""
    real, moved = os.replace, [0]

    def move(source: Path, target: Path) -> None:
        moved[0] += Path(target).name == COMMIT or Path(source).parent.name == NEXT != Path(target).parent.name
        if moved[0] >= number:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", move)


def test_a_file_that_is_not_needed_any_more_goes(model: Model, copied: Path) -> None:
    (copied / "backbone.safetensors").write_text("of the old model")
    model.save(copied)
    assert sorted(p.name for p in copied.iterdir()) == FILES


def test_nobody_finishes_what_another_run_is_writing(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_folder, "PATIENCE", 0.0)
    (copied / NEXT).mkdir()
    (copied / "model.json").rename(copied / NEXT / "model.json")
    (copied / NEXT / COMMIT).write_text('{"remove": []}')
    with locked(copied), pytest.raises(MaskclsError, match="another maskcls run is writing here"):
        Model.load(copied)
    Model.load(copied)
    assert sorted(p.name for p in copied.iterdir()) == FILES


def test_model_in_the_current_folder(model: Model, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copied)
    assert len(Model.load(Path()).gallery) == len(model.gallery)


def test_save_into_the_current_folder(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    model.save(Path())
    assert len(Model.load(tmp_path / "here").gallery) == len(model.gallery)
