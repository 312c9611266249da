from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import psycopg
import pytest

from maskcls.embedder.errors import MaskclsError
from maskcls.index.base import normalised
from maskcls.index.flat import Gallery
from maskcls.index.pgvector import new_table
from maskcls.index.storage import (
    FILE,
    SERVER,
    check_kind,
    drop_replaced,
    drop_tables,
    kind_in_memory,
    load_gallery,
    owned_tables,
    save_gallery,
)

IDS = np.array([9, 4, 2**63 - 1])


@pytest.fixture
def gallery() -> Gallery:
    return Gallery.of(normalised(np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)), IDS)


def tables(address: str) -> set[str]:
    with psycopg.connect(address) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'maskcls%'")
        return {row[0] for row in rows}


@pytest.mark.parametrize("where", ["auto", "exact", "ivf", "server"])
def test_a_gallery_is_loaded_as_it_was_saved(tmp_path: Path, gallery: Gallery, postgres: str, where: str) -> None:
    asked = postgres if where == "server" else where
    check_kind(asked)
    name = save_gallery(gallery.fitting(kind_in_memory(asked)), tmp_path, asked, [])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    loaded = load_gallery(tmp_path)
    assert loaded.kind == {"auto": "exact", "server": "postgresql"}.get(where, where)
    assert loaded.ids.tolist() == sorted(IDS.tolist())
    np.testing.assert_allclose(loaded.vectors(IDS), gallery.vectors(IDS), atol=1e-3)
    drop_tables(owned_tables(tmp_path))


def test_a_gallery_comes_back_from_a_server(tmp_path: Path, gallery: Gallery, postgres: str) -> None:
    save_gallery(gallery, tmp_path, postgres, [])
    away = load_gallery(tmp_path)
    assert save_gallery(away, tmp_path / "new", "ivf", []) == FILE
    assert load_gallery(tmp_path / "new").kind == "ivf"
    drop_tables(owned_tables(tmp_path))
    assert owned_tables(tmp_path / "new") == owned_tables(tmp_path / "nowhere") == []


def test_a_killed_replacement_leaves_no_table(tmp_path: Path, gallery: Gallery, postgres: str) -> None:
    before = tables(postgres)
    old, new = tmp_path / "old", tmp_path / "new"
    save_gallery(gallery, old, postgres, [])
    save_gallery(gallery, new, postgres, owned_tables(old))
    assert len(tables(postgres) - before) == 2
    assert load_gallery(old).ids.tolist() == sorted(IDS.tolist())
    shutil.rmtree(old)  # killed between the replacement and dropping the former table
    assert len(owned_tables(new)) == 2
    drop_replaced(new)
    assert {(postgres, name) for name in tables(postgres) - before} == set(owned_tables(new))
    drop_tables(owned_tables(new))
    assert tables(postgres) == before


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="a list"),
        pytest.param('{"address": "postgresql:///x"}', id="no table"),
        pytest.param('{"address": "postgresql:///x", "table": "t", "replaced": [1]}', id="strange list"),
    ],
)
def test_a_file_that_names_no_gallery(tmp_path: Path, content: str) -> None:
    (tmp_path / SERVER).write_text(content)
    with pytest.raises(MaskclsError, match=r"gallery\.json: does not name a gallery on a server"):
        load_gallery(tmp_path)


def test_a_copy_owns_no_table_and_its_original_keeps_it(tmp_path: Path, gallery: Gallery, postgres: str) -> None:
    original, copy, moved = tmp_path / "original", tmp_path / "copy", tmp_path / "moved"
    save_gallery(gallery, original, postgres, [("postgresql:///x?host=/nowhere", new_table())])
    shutil.copytree(original, copy)
    assert owned_tables(copy) == []
    drop_replaced(copy)
    assert load_gallery(copy).ids.tolist() == load_gallery(original).ids.tolist() == sorted(IDS.tolist())
    save_gallery(gallery, copy, postgres, owned_tables(copy))
    ((_, own),) = owned_tables(copy)
    drop_tables(owned_tables(copy))
    original.rename(moved)
    assert load_gallery(moved).ids.tolist() == sorted(IDS.tolist())
    assert own not in tables(postgres)


def test_loading_drops_no_table(tmp_path: Path, gallery: Gallery, postgres: str) -> None:
    other, folder = tmp_path / "other", tmp_path / "folder"
    save_gallery(gallery, other, postgres, [])
    save_gallery(gallery, folder, postgres, owned_tables(other))
    before = tables(postgres)
    load_gallery(folder)
    assert tables(postgres) == before
    drop_tables(owned_tables(folder))


def test_a_file_cannot_name_other_tables(tmp_path: Path, gallery: Gallery, postgres: str) -> None:
    save_gallery(gallery, tmp_path, postgres, [])
    noted = json.loads((tmp_path / SERVER).read_text())
    (tmp_path / SERVER).write_text(json.dumps(noted | {"replaced": [[postgres, "pg_statistic"]]}))
    with pytest.raises(MaskclsError, match="not the name of a gallery's table"):
        owned_tables(tmp_path)
    drop_tables([(postgres, noted["table"])])


@pytest.mark.parametrize("asked", ["hnsw", "", "mysql://x", "postgresql"])
def test_an_unknown_kind_is_refused(asked: str) -> None:
    with pytest.raises(MaskclsError, match=r"choose auto, exact, ivf or postgresql://"):
        check_kind(asked)
