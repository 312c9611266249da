from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import psycopg
import pytest

from maskcls.embedder.errors import MaskclsError
from maskcls.index.base import normalised
from maskcls.index.flat import Gallery
from maskcls.index.storage import (
    FILE,
    SERVER,
    check_kind,
    drop_tables,
    kind_in_memory,
    load_gallery,
    save_gallery,
    tables_of,
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
def test_what_is_saved_is_loaded(tmp_path: Path, gallery: Gallery, postgres: str, where: str) -> None:
    asked = postgres if where == "server" else where
    check_kind(asked)
    name = save_gallery(gallery.fitting(kind_in_memory(asked)), tmp_path, asked, [])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    loaded = load_gallery(tmp_path)
    assert loaded.kind == {"auto": "exact", "server": "postgresql"}.get(where, where)
    assert loaded.ids.tolist() == sorted(IDS.tolist())
    np.testing.assert_allclose(loaded.vectors(IDS), gallery.vectors(IDS), atol=1e-3)
    drop_tables(tables_of(tmp_path))


def test_a_gallery_comes_back_from_a_server(tmp_path: Path, gallery: Gallery, postgres: str) -> None:
    save_gallery(gallery, tmp_path, postgres, [])
    away = load_gallery(tmp_path)
    assert save_gallery(away, tmp_path / "new", "ivf", []) == FILE
    assert load_gallery(tmp_path / "new").kind == "ivf"
    drop_tables(tables_of(tmp_path))
    assert tables_of(tmp_path / "new") == tables_of(tmp_path / "nowhere") == []


def test_no_cut_leaves_a_table_behind(tmp_path: Path, gallery: Gallery, postgres: str) -> None:
    before = tables(postgres)
    old, new = tmp_path / "old", tmp_path / "new"
    save_gallery(gallery, old, postgres, [])
    save_gallery(gallery, new, postgres, tables_of(old))
    assert len(tables(postgres) - before) == 2
    save_gallery(gallery, new, postgres, tables_of(old))  # as after a cut before the new model was in its place
    assert len(tables(postgres) - before) == 2
    assert load_gallery(old).ids.tolist() == sorted(IDS.tolist())
    load_gallery(new)  # as after a cut between putting it there and dropping the old table
    assert tables(postgres) - before == {tables_of(new)[0][1]}
    drop_tables(tables_of(new))
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


def test_a_file_cannot_name_other_tables(tmp_path: Path, gallery: Gallery, postgres: str) -> None:
    save_gallery(gallery, tmp_path, postgres, [])
    noted = json.loads((tmp_path / SERVER).read_text())
    (tmp_path / SERVER).write_text(json.dumps(noted | {"replaced": [[postgres, "pg_statistic"]]}))
    with pytest.raises(MaskclsError, match="not the name of a gallery's table"):
        load_gallery(tmp_path)
    drop_tables(tables_of(tmp_path))


@pytest.mark.parametrize("asked", ["hnsw", "", "mysql://x", "postgresql"])
def test_an_unknown_kind_is_refused(asked: str) -> None:
    with pytest.raises(MaskclsError, match=r"choose auto, exact, ivf or postgresql://"):
        check_kind(asked)
