"""Where the vectors of a model lie: in a file of its folder, or on a server that a file of its folder names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast

from ..embedder.errors import MaskclsError
from ..embedder.photo import shown
from ..embedder.storage.atomic import write_json
from .base import VectorGallery
from .flat import KINDS, Gallery, Kind
from .pgvector import PostgresGallery, drop, new_table
from .postgres_server import check_address, is_server

FILE, SERVER = "gallery.faiss", "gallery.json"

Tables = Sequence[tuple[str, str]]
"""Addresses of servers, and names of tables there."""


def check_kind(asked: str) -> None:
    """Make sure that a gallery can be saved as asked: ``auto``, a kind of FAISS gallery or a server's address.

    Raises:
        MaskclsError: it is none of these, or the server cannot be used.
    """
    if is_server(asked):
        check_address(asked)
    elif asked not in ("auto", *KINDS):
        raise MaskclsError(f"--gallery {shown(asked)}: choose auto, {', '.join(KINDS)} or postgresql://…")


def kind_in_memory(asked: str) -> Kind | Literal["auto"]:
    """The kind of gallery that is filled here; one that goes to a server is only carried there."""
    return "exact" if is_server(asked) else cast(Kind, asked)


def save_gallery(gallery: VectorGallery, folder: Path, asked: str, former: Tables) -> str:
    """Save the vectors of a model in the making; returns the name of the file that holds or names them.

    On a server they go to a table of their own, so that the former model answers until the new one is in its place.

    Args:
        folder: that the model is written to.
        former: tables of the model that it replaces, for :func:`load_gallery` to drop if this run is cut.

    Raises:
        MaskclsError: the server cannot be reached or refuses.
    """
    if not is_server(asked):
        one = gallery if isinstance(gallery, Gallery) else gallery.copy()
        one.fitting(kind_in_memory(asked)).save(folder / FILE)
        return FILE
    drop_tables(tables_of(folder))  # of a run that was cut
    table = new_table()
    write_json(folder / SERVER, {"address": asked, "table": table, "replaced": list(map(list, former))})
    vectors = PostgresGallery.create(asked, gallery.dimension, table)
    ids = gallery.ids
    vectors.add(gallery.vectors(ids), ids)
    vectors.index()
    vectors.close()
    return SERVER


def load_gallery(folder: Path) -> VectorGallery:
    """Open the gallery of a model that stands in its place; tables of the model it replaced are dropped.

    Raises:
        MaskclsError: its file is damaged, or the server cannot be reached or lacks the table.
    """
    if not (folder / SERVER).exists():
        return Gallery.load(folder / FILE)
    address, table, replaced = _read(folder / SERVER)
    gallery = PostgresGallery(address, table)
    drop_tables(replaced)
    return gallery


def tables_of(folder: Path) -> Tables:
    """Tables on servers that belong to a model's folder, which may not be there."""
    if not (folder / SERVER).exists():
        return []
    address, table, _ = _read(folder / SERVER)
    return [(address, table)]


def drop_tables(tables: Tables) -> None:
    """Drop tables that no model needs any more.

    Raises:
        MaskclsError: a server cannot be reached or refuses.
    """
    for address, table in tables:
        drop(address, table)


def _read(path: Path) -> tuple[str, str, Tables]:
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        address, table = str(noted["address"]), str(noted["table"])
        return address, table, [(str(one), str(other)) for one, other in noted["replaced"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MaskclsError(f"{shown(path)}: does not name a gallery on a server; build the model again") from error
