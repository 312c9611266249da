"""A PostgreSQL server: its address, connections to it, and its refusals as one line; needs the extra ``postgres``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..embedder.errors import MaskclsError
from ..embedder.photo import shown

if TYPE_CHECKING:
    import psycopg

SCHEMES = ("postgresql://", "postgres://")


def is_server(address: str) -> bool:
    """Whether a text means a server, and not a kind of FAISS gallery."""
    return address.startswith(SCHEMES)


def check_address(address: str) -> None:
    """Make sure that an address can be kept in a file, and that the server can be reached.

    Raises:
        MaskclsError: it holds a password, is no such address, or the server cannot be reached.
    """
    connect(address).close()


def connect(address: str) -> psycopg.Connection[Any]:
    """A connection that commits every statement by itself.

    Raises:
        MaskclsError: as :func:`check_address`, or the extra is not installed.
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
        raise MaskclsError("--gallery: not an address such as postgresql://user@host/database") from error
    if parts.get("password") or parts.get("sslpassword"):
        raise MaskclsError(
            "--gallery: an address is kept in the model, so it must hold no password; give that in PGPASSWORD or a "
            "password file"
        )
    with said(address):
        return psycopg.connect(address, autocommit=True, application_name="maskcls")


@contextmanager
def said(address: str) -> Iterator[None]:
    """The server's refusals as one line."""
    errors = connection_errors()
    try:
        yield
    except errors as error:
        raise MaskclsError(f"{shown(address)}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """What an error says first, or what it is called."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shown(lines[0]) if lines else type(error).__name__


def connection_errors() -> type[Exception]:
    """What psycopg raises."""
    import psycopg

    return psycopg.Error
