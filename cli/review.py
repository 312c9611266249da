"""``maskcls review``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .terminal import announce, one_line_errors


def review(
    faces: Annotated[list[Path], typer.Argument(help="Embedding sets made by `maskcls embed`.")],
    audit: Annotated[
        Path | None, typer.Option(help="Folder of `maskcls audit`: its label issues are shown too.")
    ] = None,
    decisions: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Patch to write. Default: decisions.csv in the first set.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but the default lets other machines in.")
    ] = "127.0.0.1",
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
) -> None:
    """Look at every face in the browser and mark wrong labels; Ctrl-C ends it.

    Decisions are saved at once, as a patch for `maskcls relabel`. The page needs the address that is printed, and
    loads nothing from anywhere else.
    """
    with one_line_errors():
        from ..classify.labels.review.session import open_review, serve
        from ..classify.serving.guard import is_loopback
        from ..classify.serving.local import open_browser
        from ..embedder.photo import shown

        opened = open_review(faces, audit, decisions)
        for line in opened.lines:
            typer.echo(line)

        def ready(url: str) -> None:
            if not is_loopback(host):
                typer.echo(f"warning: whoever can reach {host} and has the address below sees all faces", err=True)
            announce(f"{url}  (Ctrl-C ends)", url=url, decisions=opened.review.decisions.path)
            if open_page:
                open_browser(url)

        serve(opened.review, host, port, ready)
        counts = opened.review.decisions.counts()
        typer.echo(f"{counts['changed']} faces changed, {counts['confirmed']} confirmed, {counts['rejected']} rejected")
        if any(counts.values()):
            typer.echo(f"{shown(opened.review.decisions.path)}: apply with `{opened.review.command}`")
