from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from maskcls.classify.age.vote import NOBODY
from maskcls.classify.data.face_set import FaceSet
from maskcls.classify.model.model import Ages, Model
from maskcls.embedder.errors import MaskclsError
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
    assert sorted(p.name for p in (tmp_path / "new" / "model").iterdir() if p.name != ".lock") == FILES
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
    (copied / "stray").write_text("of the old model")
    replace(model, face="whole").save(copied)
    assert Model.load(copied).face == "whole"
    assert [p.name for p in copied.parent.iterdir()] == ["copy"]
    assert sorted(p.name for p in copied.iterdir() if p.name != ".lock") == FILES


def test_other_folder_is_not_overwritten(model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter1.txt").write_text("years of work")
    with pytest.raises(MaskclsError, match="not empty and not a model") as caught:
        model.save(folder)
    one_line(caught.value, folder)
    assert (folder / "chapter1.txt").read_text() == "years of work"
    assert [p.name for p in tmp_path.iterdir()] == ["thesis"]


def test_empty_folder_is_taken(model: Model, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    model.save(tmp_path / "empty")
    assert len(Model.load(tmp_path / "empty").gallery) == len(model.gallery)


def test_file_in_place_of_the_folder_is_refused(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises((MaskclsError, NotADirectoryError)):  # the command line prints either as one line
        model.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


class CutShortError(Exception):
    pass


def cut_at_rename(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """From the n-th rename on, nothing is renamed any more."""
    real, calls = Path.rename, [0]

    def rename(self: Path, target: Any) -> Path:
        calls[0] += 1
        if calls[0] >= number:
            raise CutShortError
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)


@pytest.mark.parametrize("number", [1, 2])
def test_cut_while_replacing_leaves_a_model(
    model: Model, copied: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with monkeypatch.context() as patch:
        cut_at_rename(patch, number)
        with pytest.raises(CutShortError):
            replace(model, face="whole").save(copied)
    assert Model.load(copied).face == model.face
    replace(model, face="whole").save(copied)
    assert Model.load(copied).face == "whole"
    assert [p.name for p in copied.parent.iterdir()] == ["copy"]


def test_cut_twice_in_a_row_leaves_a_model(model: Model, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (2, 1):
        with monkeypatch.context() as patch:
            cut_at_rename(patch, number)
            with pytest.raises(CutShortError):
                replace(model, face="whole").save(copied)
    assert Model.load(copied).face == model.face


def test_what_a_killed_replacement_left_is_removed(model: Model, copied: Path) -> None:
    backup, staging = copied.with_name(".copy.old"), copied.with_name(".copy.next")
    shutil.copytree(copied, backup)
    staging.mkdir()
    (staging / ".gallery.faiss.1.tmp").write_text("half of a gallery")
    assert Model.load(copied).face == model.face
    assert not backup.exists()
    replace(model, face="whole").save(copied)
    assert sorted(p.name for p in copied.iterdir()) == FILES
    assert [p.name for p in copied.parent.iterdir()] == ["copy"]


def test_nobody_puts_right_what_is_being_replaced(copied: Path) -> None:
    backup = copied.with_name(".copy.old")
    copied.rename(backup)
    with locked(copied.with_name(".copy.next")), pytest.raises(MaskclsError, match="no such folder"):
        Model.load(copied)
    assert backup.exists()
    Model.load(copied)
    assert [p.name for p in copied.parent.iterdir()] == ["copy"]


def test_model_in_the_current_folder(model: Model, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copied)
    assert len(Model.load(Path()).gallery) == len(model.gallery)


def test_save_into_the_current_folder(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    model.save(Path())
    assert len(Model.load(tmp_path / "here").gallery) == len(model.gallery)
