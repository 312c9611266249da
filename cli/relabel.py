"""``maskcls relabel``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .terminal import one_line_errors, tell

LINES_SHOWN = 20


def relabel(
    faces: Annotated[list[Path], typer.Argument(help="Embedding sets made by `maskcls embed`.")],
    patch: Annotated[
        Path | None, typer.Option(help="CSV with face_id, field, old, new, from `maskcls audit` or `maskcls review`.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take each set's last patch back.")] = False,
) -> None:
    """Correct labels of embedding sets.

    The sets log every correction, and `maskcls embed` keeps them. Lines that do not fit are named and passed over.
    Models are not touched: build them again.
    """
    with one_line_errors():
        from ..embedder.errors import MaskclsError
        from ..embedder.faceset.corrections import apply_patch, read_patch, undo_patch
        from ..embedder.photo import shown, stored

        if (patch is None) != undo:
            raise MaskclsError("name either --patch FILE or --undo")
        if patch is None:
            undone = {}
            for folder in faces:
                undone[stored(folder)] = count = undo_patch(folder)
                typer.echo(f"{shown(folder)}: {count} labels are what they were before the last patch")
            tell(undone=undone)
            return
        found = apply_patch(faces, read_patch(patch))
        for number, reason in list(found.refused.items())[:LINES_SHOWN]:
            typer.echo(f"{shown(patch)}: line {number}: {reason}; passed over", err=True)
        if len(found.refused) > LINES_SHOWN:
            typer.echo(f"{shown(patch)}: {len(found.refused) - LINES_SHOWN} more lines passed over", err=True)
        tell(changed=len(found.changed), confirmed=len(found.confirmed), done=len(found.done), refused=found.refused)
        typer.echo(
            f"{len(found.changed)} labels changed, {len(found.confirmed)} confirmed, {len(found.done)} as wanted "
            f"already, {len(found.refused)} lines passed over"
        )
        if found.refused and not (found.changed or found.confirmed or found.done):
            raise typer.Exit(1)
