"""The files of a page, read once."""

from __future__ import annotations

from importlib.resources import files

from starlette.responses import Response

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def static_files(package: str) -> dict[str, Response]:
    """The files of the folder ``static`` of a package, by name; nothing else of a disk is ever served by its name."""
    return {
        item.name: Response(item.read_bytes(), media_type=TYPES["." + item.name.rpartition(".")[2]])
        for item in (files(package) / "static").iterdir()
        if "." + item.name.rpartition(".")[2] in TYPES
    }
