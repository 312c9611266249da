from __future__ import annotations

import json
import re
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.model.loading import BUILTIN, load_model, name_of
from maskcls.classify.model.model import Model
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.pipeline import encode_photos

MAX_BYTES = 6_000_000
MIN_PEOPLE = 5
OTHER_TEXT = ("prototypes", "male", "female", "wear", "incorrect", "normal")


@pytest.fixture(scope="module")
def builtin() -> Model:
    return load_model(None)


def test_the_built_in_model_lies_in_the_package_and_is_small() -> None:
    inside = files("maskcls.classify.model") / "builtin"
    assert {item.name for item in inside.iterdir()} == {path.name for path in BUILTIN.iterdir()}
    assert sum(path.stat().st_size for path in BUILTIN.iterdir()) < MAX_BYTES


def test_the_built_in_model_answers_everything(builtin: Model) -> None:
    assert {task: head.classes for task, head in builtin.heads.items()} == {
        "mask": ("wear", "incorrect", "normal"),
        "gender": ("male", "female"),
    }
    assert builtin.card["counts"]["source"].keys() == {"fairface", "csv"}  # photos, and masks drawn on them
    assert {"wear", "incorrect", "normal"} <= set(builtin.table["mask"])
    assert (builtin.person_bands[1] > 20).all()


def test_only_prototypes_of_several_people_are_in_the_gallery(builtin: Model) -> None:
    assert (builtin.table["members"] >= MIN_PEOPLE).all()
    assert len(builtin.table) == len(builtin.gallery) <= builtin.card["faces"] / MIN_PEOPLE
    assert builtin.table["group"].is_unique
    assert builtin.table["face_id"].tolist() == [f"{number + 1:016x}" for number in range(len(builtin.table))]


def test_no_shipped_file_names_a_photo_or_a_person(builtin: Model) -> None:
    pointing = ["dataset", "person", "race", "path", "root", "box", "file_sha256", "drawn_on"]
    table = pd.read_parquet(BUILTIN / "gallery.parquet")
    assert table[pointing].isna().all(axis=None)
    for column in set(table) - {"face_id", *pointing}:
        words = table[column]
        assert pd.api.types.is_numeric_dtype(words) or set(words.dropna()) <= set(OTHER_TEXT)
    for path in BUILTIN.iterdir():
        data = path.read_bytes()
        assert not re.search(rb"\.jpe?g|\.png|/work|/home|/root|shared/data", data), path.name
    card = json.loads((BUILTIN / "model.json").read_text(encoding="utf-8"))
    assert card.pop("files").keys() == {path.name for path in BUILTIN.iterdir()} - {"model.json"}
    hashes = set(re.findall(r"[0-9a-f]{64}", json.dumps(card)))
    assert hashes == {card["encoder"]["weights_sha256"], card["sha256"]}  # the latter is the manifest's own


def test_no_photo_of_fairface_is_its_own_prototype(
    builtin: Model, data: Path, encoder: FaceNetEncoder, finder: FaceFinder
) -> None:
    photos = sorted((data / "fairface" / "photos").iterdir())[::200]
    with encode_photos(photos, finder, encoder, mode=builtin.reading) as batches:  # type: ignore[arg-type]
        (batch,) = batches
    faces = [photo.face for photo in batch if photo.face]
    assert len(faces) > 25
    vectors = builtin.age_space.project(
        np.stack([face.embedding for face in faces]), np.stack([face.map for face in faces])
    )
    assert builtin.gallery.search(vectors, 1).similarities.max() < 0.9999
    assert all(builtin.own_group(face.file_sha256) < 0 for face in faces)


def test_the_packaged_weights_fit(builtin: Model, encoder: FaceNetEncoder) -> None:
    builtin.check_encoder(encoder.info, BUILTIN)
    assert builtin.tuned is None


@pytest.mark.parametrize("name", ["gallery.faiss", "gallery.parquet", "age_space.safetensors", "heads.safetensors"])
def test_a_damaged_file_is_noticed(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(BUILTIN, copy)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(MaskclsError, match=name):
        load_model(copy)


def test_a_folder_is_called_by_its_name() -> None:
    assert name_of(Path("my\nmodel")) == r"my\nmodel"
    assert "built-in" in name_of(None)
