from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psycopg
import pytest

from maskcls.embedder.errors import MaskclsError
from maskcls.index import pgvector as module
from maskcls.index.base import normalised, recall
from maskcls.index.flat import Gallery
from maskcls.index.pgvector import PostgresGallery, connect, drop, new_table

Floats = npt.NDArray[np.float32]
Open = Callable[..., PostgresGallery]


def tables(address: str) -> set[str]:
    with psycopg.connect(address) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'maskcls%'")
        return {row[0] for row in rows}


@pytest.fixture
def create(postgres: str) -> Iterator[Open]:
    """``create(dimension)``: an empty gallery, whose table is dropped after the test."""
    made: list[PostgresGallery] = []

    def one(dimension: int) -> PostgresGallery:
        made.append(PostgresGallery.create(postgres, dimension))
        return made[-1]

    yield one
    for gallery in made:
        gallery.close()
        drop(postgres, gallery.table)


def test_edits_are_visible_to_other_connections(create: Open, postgres: str) -> None:
    vectors = normalised(np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32))
    gallery = create(8)
    other = PostgresGallery(postgres, gallery.table)
    assert (other.dimension, other.kind, len(other)) == (8, "postgresql", 0)
    gallery.add(vectors, np.arange(6))
    assert other.search(vectors, 1).ids.ravel().tolist() == list(range(6))
    other.remove(np.array([2]))
    assert gallery.ids.tolist() == [0, 1, 3, 4, 5]
    np.testing.assert_allclose(gallery.vectors(np.array([5, 0])), vectors[[5, 0]], atol=1e-6)
    other.close()


def test_recall_of_the_graph(create: Open, postgres: str, clustered: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 1000)
    ids, stored, asked = np.arange(3000), clustered[:3000], clustered[3000:3040]
    exact = Gallery.of(stored, ids, "exact")
    gallery = create(clustered.shape[1])
    gallery.add(stored, ids)
    assert gallery.index() >= 0.985
    with psycopg.connect(postgres) as connection:
        (kind,) = connection.execute("SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%%hnsw%%'").fetchone() or ()
    assert "vector_ip_ops" in kind
    reopened = PostgresGallery(postgres, gallery.table)
    for k in (20, 400, 2000):  # the last is more than the graph gives, and is answered exactly
        found, true = reopened.search(asked, k), exact.search(asked, k)
        assert recall(found.ids[:, :k], true.ids) >= 0.98
        assert (np.diff(found.similarities, axis=1) <= 1e-6).all()
    np.testing.assert_allclose(found.similarities, true.similarities, atol=1e-5)
    reopened.close()


def test_a_failed_addition_adds_nothing(create: Open) -> None:
    gallery = create(4)
    vectors = normalised(np.eye(4, dtype=np.float32))
    gallery.add(vectors[:1], np.array([7]))
    with pytest.raises(ValueError, match="ids must be new"):
        gallery.add(vectors, np.array([1, 2, 3, 7]))
    assert gallery.ids.tolist() == [7]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        pytest.param("postgresql://me:secret@/x", "must hold no password", id="password"),
        pytest.param("postgresql:///x?password=secret", "must hold no password", id="password as an option"),
        pytest.param("postgresql://[::bad", "not an address such as", id="no address"),
        pytest.param("postgresql:///x?sslmode=nonsense", "sslmode", id="bad option"),
        pytest.param("postgresql:///x?host=/nowhere", "No such file", id="no server"),
    ],
)
def test_an_unusable_address(address: str, message: str) -> None:
    for call in (connect, lambda one: PostgresGallery.create(one, 4), lambda one: drop(one, new_table())):
        with pytest.raises(MaskclsError, match=message) as caught:
            call(address)
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["pg_class", "maskcls_x; DROP TABLE y", 'maskcls_"', "maskcls_0123456789abcdeF"])
def test_other_tables_are_refused(postgres: str, name: str) -> None:
    with pytest.raises(MaskclsError, match="not the name of a gallery's table"):
        PostgresGallery(postgres, name)
    with pytest.raises(MaskclsError, match="not the name of a gallery's table"):
        drop(postgres, name)


def test_a_dropped_table(create: Open, postgres: str) -> None:
    gallery = create(4)
    assert gallery.table in tables(postgres)
    drop(postgres, gallery.table)
    drop(postgres, gallery.table)
    assert gallery.table not in tables(postgres)
    with pytest.raises(MaskclsError, match="holds no table"):
        PostgresGallery(postgres, gallery.table)
    with pytest.raises(MaskclsError, match="does not exist"):
        gallery.search(np.ones((1, 4), np.float32), 1)


def test_a_server_without_the_extension(postgres: str) -> None:
    """A guest may not create it: unless it is marked as trusted, only administrators create an extension."""
    bare = postgres.replace("/postgres?", "/bare?")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN")
        connection.execute("CREATE DATABASE bare")
    with pytest.raises(MaskclsError, match=r"has no extension vector .*let an administrator run CREATE EXTENSION"):
        PostgresGallery.create(bare.replace("//postgres:@", "//guest@"), 4)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MaskclsError, match=r"pip install 'maskcls\[postgres\]'"):
        connect("postgresql:///x")


def test_vectors_of_a_dropped_table_leave_the_server(create: Open, postgres: str) -> None:
    gallery = create(16)
    vectors = normalised(np.random.default_rng(3).standard_normal((50, 16)).astype(np.float32))
    gallery.add(vectors, np.arange(50))
    stored = gallery.vectors(np.array([20])).tobytes()
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        place = connection.execute("SELECT setting FROM pg_settings WHERE name = 'data_directory'").fetchone()
        file = connection.execute("SELECT pg_relation_filepath(%s::regclass)", [gallery.table]).fetchone()
    assert place
    assert file
    heap = Path(place[0], file[0])
    assert stored in heap.read_bytes()
    drop(postgres, gallery.table)
    assert not heap.exists() or not heap.read_bytes()
