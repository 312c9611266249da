"""A gallery in a table of PostgreSQL with pgvector: many machines search it, none of them holds the vectors.

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
from .base import Ids, Neighbours, Vectors, check_new, no_neighbours, normalised, positions, recall
from .flat import Gallery
from .ivf import NEAREST, RECALL, SAMPLE

if TYPE_CHECKING:
    import psycopg

SCHEMES = ("postgresql://", "postgres://")
LARGE = 10_000
"""Vectors from which :meth:`PostgresGallery.index` builds a graph; an exact search of fewer takes milliseconds."""
MAX_WIDTH = 1000
"""pgvector's greatest ``hnsw.ef_search``; a search for more neighbours is exact."""
QUERIES_AT_ONCE = 256
_TABLE = re.compile(r"maskcls_[0-9a-f]{16}")
_SEARCH = """
    SELECT q.row - 1, near.id, -near.away FROM unnest(%s::vector[]) WITH ORDINALITY AS q (v, row),
    LATERAL (SELECT id, v <#> q.v AS away FROM {table} ORDER BY v <#> q.v LIMIT %s) AS near ORDER BY q.row, near.away
"""


class PostgresGallery:
    """A :class:`.base.VectorGallery` in one table; edits are visible at once to every connection.

    Every method raises MaskclsError if the server cannot be reached or refuses.

    Attributes:
        table: name of the table.
        dimension: length of a vector.
        owner: what :meth:`create` was given.
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
        self.table, self._address, self._lock = _checked(table), address, RLock()
        self._connection = connect(address)
        with self._errors():
            comment = _comment(self._connection, table)
        if comment is None:
            self.close()
            raise MaskclsError(
                f"{shown(address)}: holds no table {table}; the model that owns it was changed or removed, build the "
                "model again"
            )
        self.dimension, self._width, self.owner = int(comment["dimension"]), int(comment["width"]), comment["owner"]
        from pgvector.psycopg import register_vector

        register_vector(self._connection)

    @classmethod
    def create(cls, address: str, dimension: int, table: str | None = None, owner: str = "") -> PostgresGallery:
        """Make an empty gallery in a new table.

        Args:
            table: from :func:`new_table`.
            owner: stored with the table, see :func:`owner_of`.
        """
        table = table or new_table()
        connection = connect(address)
        with server_errors(address), connection:
            import psycopg

            try:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            except psycopg.Error as error:
                raise MaskclsError(
                    f"{shown(address)}: has no extension vector and cannot make it; install pgvector there, and let "
                    f"an administrator run CREATE EXTENSION vector ({_first_line(error)})"
                ) from error
            text = "CREATE TABLE {table} (id bigint PRIMARY KEY CHECK (id >= 0), v vector({dimension}) NOT NULL)"
            with connection.transaction():
                connection.execute(_sql(text, table, dimension=dimension))
                connection.execute(_sql("ALTER TABLE {table} ALTER v SET STORAGE PLAIN", table))
                _set_comment(connection, table, dimension, 0, owner)
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
        """See :class:`.base.VectorGallery`; all are added or none."""
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

        The server frees the space and reuses it; the bytes are gone when the table is dropped.
        """
        with self._errors():
            done = self._connection.execute(self._q("DELETE FROM {table} WHERE id = ANY(%s)"), [ids.tolist()])
            self._connection.execute(self._q("VACUUM {table}"))
        return int(done.rowcount)

    def vectors(self, ids: Ids) -> Vectors:
        """See :class:`.base.VectorGallery`."""
        with self._errors():
            query = self._q("SELECT id, v FROM {table} WHERE id = ANY(%s) ORDER BY id")
            rows = self._connection.execute(query, [ids.tolist()]).fetchall()
        position = positions(np.asarray(ids, np.int64), np.array([row[0] for row in rows], np.int64))
        if (position < 0).any():
            raise KeyError("an id is not in the gallery")
        stored = np.array([_floats(row[1]) for row in rows], np.float32).reshape(len(rows), self.dimension)
        return np.asarray(stored[position], np.float32)

    def search(self, queries: Vectors, k: int) -> Neighbours:
        """See :class:`.base.VectorGallery`."""
        found = no_neighbours(len(queries), k)
        if not found.ids.size:
            return found
        units = normalised(queries)
        for start in range(0, len(units), QUERIES_AT_ONCE):
            part = Neighbours(found.ids[start:], found.similarities[start:])
            self._search(units[start : start + QUERIES_AT_ONCE], k, part)
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
        position = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        found.ids[query, position] = ids
        found.similarities[query, position] = similarities.astype(np.float32).clip(-1, 1)

    def index(self, seed: int = 0) -> float:
        """Build a graph if there are many vectors; to be called when most of them have been added.

        Returns:
            Recall@100 on a sample of the stored vectors, 0 to 1.
        """
        ids = self.ids
        if len(ids) < LARGE:
            return 1.0
        sample = self.vectors(np.random.default_rng(seed).choice(ids, SAMPLE, replace=False))
        self._width = 0
        exact = self.search(sample, NEAREST)
        with self._errors():
            self._connection.execute(
                self._q("CREATE INDEX IF NOT EXISTS {graph} ON {table} USING hnsw (v vector_ip_ops)")
            )
        self._width = 2 * NEAREST
        while (reached := recall(self.search(sample, NEAREST).ids, exact.ids)) < RECALL:
            if 2 * self._width > MAX_WIDTH:
                break
            self._width *= 2
        with self._errors():
            _set_comment(self._connection, self.table, self.dimension, self._width, self.owner)
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
        """One statement at a time, from whichever thread; the server's errors as one line."""
        with self._lock, server_errors(self._address):
            yield


def new_table() -> str:
    """A name that no other gallery has."""
    return f"maskcls_{secrets.token_hex(8)}"


def owner_of(address: str, table: str) -> str | None:
    """The owner that the table of a gallery was created with; None if there is no such table.

    Raises:
        MaskclsError: the server cannot be reached or refuses, or no gallery's table has such a name.
    """
    with server_errors(address), connect(address) as connection:
        comment = _comment(connection, _checked(table))
    return None if comment is None else str(comment["owner"])


def drop(address: str, table: str) -> None:
    """Drop the table of a gallery, if it exists; its file is deleted by the server.

    Raises:
        MaskclsError: the server cannot be reached or refuses, or no gallery's table has such a name.
    """
    with server_errors(address), connect(address) as connection:
        connection.execute(_sql("DROP TABLE IF EXISTS {table}", _checked(table)))


def connect(address: str) -> psycopg.Connection[Any]:
    """A connection that commits every statement by itself.

    Raises:
        MaskclsError: the address holds a password or is invalid, the server cannot be reached, or the extra is not
            installed.
    """
    try:
        import pgvector  # noqa: F401
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise MaskclsError(
            f"a gallery in PostgreSQL needs an extra: pip install 'maskcls[postgres]' ({error.name})"
        ) from error
    try:
        parts = conninfo_to_dict(address)
    except psycopg.Error as error:
        raise MaskclsError("gallery: not an address such as postgresql://user@host/database") from error
    if parts.get("password") or parts.get("sslpassword"):
        raise MaskclsError(
            "gallery: an address is stored in the model and must hold no password; put that in PGPASSWORD or a "
            "password file"
        )
    with server_errors(address):
        return psycopg.connect(address, autocommit=True, application_name="maskcls")


@contextmanager
def server_errors(address: str) -> Iterator[None]:
    """Raise psycopg's errors as one line."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise MaskclsError(f"{shown(address)}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shown(lines[0]) if lines else type(error).__name__


def _checked(table: str) -> str:
    if not _TABLE.fullmatch(table):
        raise MaskclsError(f"{shown(table)}: not the name of a gallery's table")
    return table


def _sql(text: str, table: str, **numbers: int) -> Any:
    from psycopg import sql

    literals = {name: sql.Literal(number) for name, number in numbers.items()}
    return sql.SQL(text).format(table=sql.Identifier(table), graph=sql.Identifier(f"{table}_graph"), **literals)


def _comment(connection: psycopg.Connection[Any], table: str) -> dict[str, Any] | None:
    row = connection.execute("SELECT obj_description(to_regclass(%s))", [table]).fetchone()
    return None if row is None or row[0] is None else dict(json.loads(row[0]))


def _set_comment(connection: psycopg.Connection[Any], table: str, dimension: int, width: int, owner: str) -> None:
    from psycopg import sql

    comment = json.dumps({"maskcls": 2, "dimension": dimension, "width": width, "owner": owner})
    connection.execute(_sql("COMMENT ON TABLE {table} IS ", table) + sql.Literal(comment))


def _floats(value: Any) -> Vectors:
    """A vector as pgvector's client gives it."""
    return np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value, np.float32)
