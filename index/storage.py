"""Where the vectors of a model are stored: in a file of its folder, or on a server that a file of its folder names.

A table on a server belongs to one folder: the one whose file :data:`SERVER` was written with it. The table keeps the
number of that file (its inode), which stays the same when the folder is moved or replaces another one, and is another
one in a copy. A copy of the folder reads the table of its original and never drops it; when it is saved, it gets a
table of its own.
"""

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
from .pgvector import SCHEMES, PostgresGallery, connect, drop, new_table, owner_of

FILE, SERVER = "gallery.faiss", "gallery.json"

Tables = Sequence[tuple[str, str]]
"""Addresses of servers, and names of tables there."""


def check_kind(kind: str) -> None:
    """Check that a gallery can be saved: ``auto``, a kind of FAISS gallery or the address of a server.

    Raises:
        MaskclsError: it is none of these, the address cannot be stored, or the server cannot be reached.
    """
    if kind.startswith(SCHEMES):
        connect(kind).close()
    elif kind not in ("auto", *KINDS):
        raise MaskclsError(f"gallery {shown(kind)}: choose auto, {', '.join(KINDS)} or postgresql://…")


def kind_in_memory(kind: str) -> Kind | Literal["auto"]:
    """The kind of FAISS gallery to fill before it is saved; one that goes to a server is only carried there."""
    return "exact" if kind.startswith(SCHEMES) else cast(Kind, kind)


def save_gallery(gallery: VectorGallery, folder: Path, kind: str, replaced: Tables) -> str:
    """Save the vectors of a model in the making; returns the name of the file that holds or names them.

    On a server they go to a new table, so that the former model can be used until the new one has replaced it.

    Args:
        folder: that the model is written to.
        kind: see :func:`check_kind`.
        replaced: :func:`owned_tables` of the model that it will replace; they are this model's to drop from then on.

    Raises:
        MaskclsError: the server cannot be reached or refuses.
    """
    ids = gallery.ids
    if not kind.startswith(SCHEMES):
        one = gallery if isinstance(gallery, Gallery) else Gallery.of(gallery.vectors(ids), ids, "exact")
        one.fitting(kind_in_memory(kind)).save(folder / FILE)
        return FILE
    path, table = folder / SERVER, new_table()
    write_json(path, {"address": kind, "table": table, "replaced": list(map(list, replaced))})
    vectors = PostgresGallery.create(kind, gallery.dimension, table, _owner(path))
    vectors.add(gallery.vectors(ids), ids)
    vectors.index()
    vectors.close()
    return SERVER


def load_gallery(folder: Path) -> VectorGallery:
    """Open the gallery of a model.

    Raises:
        MaskclsError: its file is damaged, or the server cannot be reached or lacks the table.
    """
    if not (folder / SERVER).exists():
        return Gallery.load(folder / FILE)
    address, table, _ = _read(folder / SERVER)
    return PostgresGallery(address, table)


def owned_tables(folder: Path) -> Tables:
    """Tables on servers that belong to a model's folder, which may not exist; none if it is a copy of another folder.

    They are its own, and those of models that it has replaced, as far as a killed run has not dropped them.

    Raises:
        MaskclsError: its file is damaged, or the server cannot be reached.
    """
    path = folder / SERVER
    if not path.exists():
        return []
    address, table, replaced = _read(path)
    if owner_of(address, table) != _owner(path):
        return []
    return [(address, table), *(one for one in replaced if owner_of(*one) is not None)]


def drop_tables(tables: Tables) -> None:
    """Drop tables that no model needs any more.

    Raises:
        MaskclsError: a server cannot be reached or refuses.
    """
    for address, table in tables:
        drop(address, table)


def drop_replaced(folder: Path) -> None:
    """Drop what a killed replacement left: the tables of the models that the one in a folder has replaced.

    Raises:
        MaskclsError: see :func:`owned_tables`.
    """
    drop_tables(owned_tables(folder)[1:])


def _owner(path: Path) -> str:
    return str(path.stat().st_ino)


def _read(path: Path) -> tuple[str, str, Tables]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        address, table = str(content["address"]), str(content["table"])
        return address, table, [(str(one), str(other)) for one, other in content["replaced"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MaskclsError(f"{shown(path)}: does not name a gallery on a server; build the model again") from error
