"""A gallery in a PostgreSQL server with pgvector: many machines ask, none of them holds the vectors.

Needs the extra ``postgres`` and, on the server, the extension ``vector`` 0.8 or later (https://github.com/pgvector).
Searched exactly while vectors are few, and by pgvector's HNSW graph (Malkov & Yashunin 2016,
https://arxiv.org/abs/1603.09320) when they are many.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from ..embedder.errors import MaskclsError
from ..embedder.photo import shown
from .base import Ids, Neighbours, Vectors, check_new, no_neighbours, normalised, places, recall
from .flat import Gallery
from .ivf import NEAREST, RECALL, SAMPLE
from .postgres_server import connect, connection_errors, first_line, said

if TYPE_CHECKING:
    import psycopg

LARGE = 10_000
"""Vectors from which :meth:`PostgresGallery.index` makes a graph; an exact search of fewer takes milliseconds."""
MAX_WIDTH = 1000
"""pgvector's greatest ``hnsw.ef_search``; who asks for more neighbours is answered by an exact search."""
ASKED_AT_ONCE = 256
_TABLE = re.compile(r"maskcls_[0-9a-f]{16}")
_SEARCH = """
    SELECT q.row - 1, near.id, -near.away FROM unnest(%s::vector[]) WITH ORDINALITY AS q (v, row),
    LATERAL (SELECT id, v <#> q.v AS away FROM {table} ORDER BY v <#> q.v LIMIT %s) AS near ORDER BY q.row, near.away
"""


class PostgresGallery:
    """A :class:`.base.VectorGallery` in one table; edits are seen at once by whoever searches it.

    Every method raises MaskclsError if the server cannot be reached or refuses.
    """

    kind = "postgresql"

    def __init__(self, address: str, table: str) -> None:
        """Open a table made by :meth:`create`.

        Args:
            address: ``postgresql://user@host/database``, without a password: libpq finds that in ``PGPASSWORD``, a
                password file or a service (https://www.postgresql.org/docs/current/libpq-pgpass.html).

        Raises:
            MaskclsError: the address holds a password, the server cannot be reached or has no such table, or the extra
                is not installed.
        """
        if not _TABLE.fullmatch(table):
            raise MaskclsError(f"{shown(table)}: not the name of a gallery's table")
        self.table = table
        self._address = address
        self._lock = RLock()
        self._connection = connect(address)
        with self._errors():
            comment = self._connection.execute("SELECT obj_description(to_regclass(%s))", [table]).fetchone()
        if comment is None or comment[0] is None:
            raise MaskclsError(f"{shown(address)}: holds no table {table}; build the model again")
        noted = json.loads(comment[0])
        self.dimension = int(noted["dimension"])
        """Length of a vector."""
        self._width = int(noted["width"])
        _registered(self._connection)

    @classmethod
    def create(cls, address: str, dimension: int, table: str | None = None) -> PostgresGallery:
        """Make an empty gallery in a new table."""
        table = table or new_table()
        connection = connect(address)
        with said(address), connection:
            try:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            except connection_errors() as error:
                raise MaskclsError(
                    f"{shown(address)}: has no extension vector and cannot make it; install pgvector there, and let "
                    f"an administrator run CREATE EXTENSION vector ({first_line(error)})"
                ) from error
            connection.execute(
                _sql(
                    "CREATE TABLE {table} (id bigint PRIMARY KEY CHECK (id >= 0), v vector({dimension}) NOT NULL)",
                    table,
                    dimension=dimension,
                )
            )
            connection.execute(_sql("ALTER TABLE {table} ALTER v SET STORAGE PLAIN", table))
            _note(connection, table, dimension, 0)
        return cls(address, table)

    @property
    def ids(self) -> Ids:
        """See :class:`.base.VectorGallery`."""
        with self._errors():
            rows = self._connection.execute(self._q("SELECT id FROM {table} ORDER BY id")).fetchall()
        return np.array([row[0] for row in rows], np.int64)

    def __len__(self) -> int:
        with self._errors():
            row = self._connection.execute(self._q("SELECT count(*) FROM {table}")).fetchone()
        return int(row[0]) if row else 0

    def add(self, vectors: Vectors, ids: Ids) -> None:
        """See :class:`.base.VectorGallery`; all come in or none."""
        check_new(vectors, ids, self.dimension)
        units = normalised(vectors)
        copy = self._q("COPY {table} (id, v) FROM STDIN WITH (FORMAT BINARY)")
        from psycopg.errors import UniqueViolation

        with self._errors(), self._connection.transaction(), self._connection.cursor() as cursor:
            try:
                with cursor.copy(copy) as rows:
                    rows.set_types(["int8", "vector"])
                    for number, vector in zip(ids.tolist(), units, strict=True):
                        rows.write_row((number, vector))
            except UniqueViolation as error:
                raise ValueError("ids must be new, unique and not negative") from error

    def remove(self, ids: Ids) -> int:
        """See :class:`.base.VectorGallery`.

        The server frees the place and reuses it, as databases do; its bytes are gone when the table is dropped.
        """
        with self._errors():
            done = self._connection.execute(self._q("DELETE FROM {table} WHERE id = ANY(%s)"), [ids.tolist()])
            self._connection.execute(self._q("VACUUM {table}"))
        return int(done.rowcount)

    def vectors(self, ids: Ids) -> Vectors:
        """See :class:`.base.VectorGallery`."""
        with self._errors():
            rows = self._connection.execute(
                self._q("SELECT id, v FROM {table} WHERE id = ANY(%s) ORDER BY id"), [ids.tolist()]
            ).fetchall()
        place = places(np.asarray(ids, np.int64), np.array([row[0] for row in rows], np.int64))
        if (place < 0).any():
            raise KeyError("an id is not in the gallery")
        stored = np.array([_floats(row[1]) for row in rows], np.float32).reshape(len(rows), self.dimension)
        return np.asarray(stored[place], np.float32)

    def search(self, queries: Vectors, k: int) -> Neighbours:
        """See :class:`.base.VectorGallery`."""
        found = no_neighbours(len(queries), k)
        if not found.ids.size:
            return found
        units = normalised(queries)
        for start in range(0, len(units), ASKED_AT_ONCE):
            part = Neighbours(found.ids[start:], found.similarities[start:])
            self._search(units[start : start + ASKED_AT_ONCE], k, part)
        return found

    def _search(self, units: Vectors, k: int, found: Neighbours) -> None:
        with self._errors(), self._connection.transaction():
            width = max(self._width, k)
            if not self._width or width > MAX_WIDTH:
                self._connection.execute("SET LOCAL enable_indexscan = off")
            else:
                self._connection.execute("SET LOCAL enable_seqscan = off")
                self._connection.execute(f"SET LOCAL hnsw.ef_search = {width}")
                self._connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            rows = self._connection.execute(self._q(_SEARCH), [list(units), k], binary=True).fetchall()
        if not rows:
            return
        query, ids, similarities = (np.array(column) for column in zip(*rows, strict=True))
        counts = np.bincount(query, minlength=len(units))
        place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        found.ids[query, place] = ids
        found.similarities[query, place] = similarities.astype(np.float32).clip(-1, 1)

    def index(self, seed: int = 0) -> float:
        """Make the search fast, if there are many vectors; to be called when most of them are in.

        Returns:
            Recall@100 on a sample of the stored vectors, 0 to 1.
        """
        ids = self.ids
        if len(ids) < LARGE:
            return 1.0
        sample = np.random.default_rng(seed).choice(ids, SAMPLE, replace=False)
        asked = self.vectors(sample)
        self._width = 0
        exact = self.search(asked, NEAREST)
        with self._errors():
            self._connection.execute(
                self._q("CREATE INDEX IF NOT EXISTS {graph} ON {table} USING hnsw (v vector_ip_ops)")
            )
        width, reached = 2 * NEAREST, 0.0
        while True:
            self._width = width
            reached = recall(self.search(asked, NEAREST).ids, exact.ids)
            if reached >= RECALL or 2 * width > MAX_WIDTH:
                break
            width *= 2
        with self._errors():
            _note(self._connection, self.table, self.dimension, width)
        return reached

    @property
    def size(self) -> int:
        """Bytes on the server, the graph among them."""
        with self._errors():
            row = self._connection.execute("SELECT pg_total_relation_size(%s::regclass)", [self.table]).fetchone()
        return int(row[0]) if row else 0

    def copy(self) -> Gallery:
        """See :class:`.base.VectorGallery`."""
        ids = self.ids
        return Gallery.of(self.vectors(ids), ids, "exact")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _q(self, text: str) -> Any:
        return _sql(text, self.table)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """One question at a time, whoever asks, and its refusal as one line."""
        with self._lock, said(self._address):
            yield


def new_table() -> str:
    """A name that no gallery has."""
    return f"maskcls_{secrets.token_hex(8)}"


def drop(address: str, table: str) -> None:
    """Drop the table of a gallery, if it is there; its file is deleted by the server.

    Raises:
        MaskclsError: the server cannot be reached or refuses, or the table is no gallery's by its name.
    """
    if not _TABLE.fullmatch(table):
        raise MaskclsError(f"{shown(table)}: not the name of a gallery's table")
    with said(address), connect(address) as connection:
        connection.execute(_sql("DROP TABLE IF EXISTS {table}", table))


def _registered(connection: psycopg.Connection[Any]) -> None:
    from pgvector.psycopg import register_vector

    register_vector(connection)


def _sql(text: str, table: str, **numbers: int) -> Any:
    from psycopg import sql

    literals = {name: sql.Literal(number) for name, number in numbers.items()}
    return sql.SQL(text).format(table=sql.Identifier(table), graph=sql.Identifier(f"{table}_graph"), **literals)


def _note(connection: psycopg.Connection[Any], table: str, dimension: int, width: int) -> None:
    from psycopg import sql

    noted = json.dumps({"maskcls": 1, "dimension": dimension, "width": width})
    connection.execute(_sql("COMMENT ON TABLE {table} IS ", table) + sql.Literal(noted))


def _floats(value: Any) -> Vectors:
    """A vector as pgvector's client gives it."""
    return np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value, np.float32)
