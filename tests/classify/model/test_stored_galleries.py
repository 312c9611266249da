"""A model over every kind of gallery: built, saved, loaded, edited."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from maskcls.classify.age.vote import NOBODY
from maskcls.classify.data.face_set import merge_sets, open_face_set
from maskcls.classify.model.build import build_model
from maskcls.classify.model.gallery_edit import add_faces, drop_faces, edit_model
from maskcls.classify.model.model import Model
from maskcls.classify.privacy.erase import erase_person
from maskcls.classify.privacy.person import PersonSelector
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.faceset.store import EmbeddingSet, SetTables, SetWriter, open_set
from maskcls.index.storage import drop_tables, owned_tables

MakeSet = Callable[..., EmbeddingSet]


@pytest.fixture(params=["exact", "ivf", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def asked(kind: str, request: pytest.FixtureRequest) -> str:
    """What ``build-index --gallery`` is given."""
    return str(request.getfixturevalue("postgres")) if kind == "postgresql" else kind


@pytest.fixture
def faces(make_set: MakeSet) -> EmbeddingSet:
    return make_set(30, seed=1, person=[f"p{i // 2}" for i in range(30)], age=[20 + 2 * i for i in range(30)])


def tables(address: str) -> set[str]:
    with psycopg.connect(address) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'maskcls%'")
        return {row[0] for row in rows}


def ages(model: Model, faces: EmbeddingSet) -> Any:
    nobody = np.full(len(faces), NOBODY, np.int64)
    return model.ages(np.array(faces.embeddings), np.array(faces.maps), nobody)


def test_built_saved_loaded_edited(
    kind: str, asked: str, faces: EmbeddingSet, make_set: MakeSet, tmp_path: Path
) -> None:
    before = tables(asked) if kind == "postgresql" else set()
    exact, _ = build_model(merge_sets([faces]))
    built, _ = build_model(merge_sets([faces]), gallery_kind=asked)
    folder = tmp_path / "model"
    built.save(folder)
    model = Model.load(folder)
    assert (model.gallery.kind, model.gallery_kind) == (kind, asked)
    for name in ("age", "low", "high", "bands"):
        found, expected = (getattr(ages(one, faces).votes, name) for one in (model, exact))
        np.testing.assert_allclose(found, expected, atol=0.3)
    np.testing.assert_array_equal(ages(model, faces).voters[:, 0], np.arange(30))

    new = make_set(4, seed=2, age=[30, 40, 50, 60])
    edit_model(folder, lambda loaded: add_faces(loaded, [new]))
    grown = Model.load(folder)
    assert (len(grown.gallery), grown.gallery.kind, grown.gallery_kind) == (34, kind, asked)
    assert ages(grown, new).voters[:, 0].tolist() == [30, 31, 32, 33]

    edit_model(folder, lambda loaded: (drop_faces(loaded, np.array([0, 31]), "removed"), None))
    less = Model.load(folder)
    assert (len(less.gallery), less.gallery.kind) == (32, kind)
    assert ages(less, new).similarities[1, 0] < 0.99
    assert ages(less, faces).similarities[0, 0] < 0.99
    assert len(Model.load(folder).table) == 32
    if kind == "postgresql":
        assert tables(asked) - before == {name for _, name in owned_tables(folder)}
        drop_tables(owned_tables(folder))


def test_editing_a_copy_leaves_the_original_its_table(postgres: str, faces: EmbeddingSet, tmp_path: Path) -> None:
    before = tables(postgres)
    built, _ = build_model(merge_sets([faces]), gallery_kind=postgres)
    original, copy = tmp_path / "original", tmp_path / "copy"
    built.save(original)
    shutil.copytree(original, copy)
    for rows in ([0], [1]):  # the second edit replaces the copy's own table
        edit_model(copy, lambda model, rows=rows: (drop_faces(model, np.array(rows), "removed"), None))  # type: ignore[misc]
    assert (len(Model.load(original).gallery), len(Model.load(copy).gallery)) == (30, 28)
    assert len(tables(postgres) - before) == 2
    edit_model(original, lambda model: (drop_faces(model, np.array([0]), "removed"), None))
    assert (len(Model.load(original).gallery), len(Model.load(copy).gallery)) == (29, 28)
    assert len(tables(postgres) - before) == 2
    drop_tables([*owned_tables(original), *owned_tables(copy)])


def test_a_gallery_moves_when_the_model_is_built_again(postgres: str, faces: EmbeddingSet, tmp_path: Path) -> None:
    before = tables(postgres)
    model, _ = build_model(merge_sets([faces]))
    for asked, kind in ((postgres, "postgresql"), ("auto", "exact"), (postgres, "postgresql"), ("ivf", "ivf")):
        replace(model, gallery_kind=asked).save(tmp_path / "model")
        assert Model.load(tmp_path / "model").gallery.kind == kind
        assert len(tables(postgres) - before) == (kind == "postgresql")


def test_a_person_is_forgotten_in_every_kind(kind: str, asked: str, faces: EmbeddingSet, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    settings = faces.settings | {"root": str(photos)}
    writer = SetWriter(tmp_path / "place" / "faces", len(faces))
    writer.embeddings[:], writer.maps[:] = faces.embeddings, faces.maps
    writer.commit(SetTables(faces.table, faces.rejects, faces.encoder, settings))
    model, _ = build_model(open_face_set([tmp_path / "place" / "faces"]), gallery_kind=asked)
    model.save(tmp_path / "place" / "model")
    done = erase_person(PersonSelector(name="p3"), [tmp_path / "place"], tmp_path / "receipt.json")
    assert done.verification is not None
    assert done.verified
    (found,) = done.verification.models.values()
    assert (found.of_person, found.same, found.in_gallery) == (0, 0, 0)
    assert found.nearest < 0.99
    assert len(Model.load(tmp_path / "place" / "model").gallery) == 28
    assert len(open_set(tmp_path / "place" / "faces")) == 28
    drop_tables(owned_tables(tmp_path / "place" / "model"))


def test_a_server_that_is_gone_is_one_line(postgres: str, faces: EmbeddingSet, tmp_path: Path) -> None:
    model, _ = build_model(merge_sets([faces]), gallery_kind=postgres)
    model.save(tmp_path / "model")
    drop_tables(owned_tables(tmp_path / "model"))
    with pytest.raises(MaskclsError, match=r"holds no table .*build the model again") as caught:
        Model.load(tmp_path / "model")
    assert "\n" not in str(caught.value)
    shutil.rmtree(tmp_path / "model")
    away = replace(model, gallery_kind="postgresql:///x?host=/nowhere")
    with pytest.raises(MaskclsError, match="No such file"):
        away.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
