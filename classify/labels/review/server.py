"""Serve the review page on this machine until Ctrl-C."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from ...serving.guard import Guard
from ...serving.local import serve_app
from .app import Review, create_app


def serve(review: Review, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answer until SIGINT; then the threads and the decisions are closed.

    Args:
        host: to listen on.
        port: to listen on, 0 for any that is free.
        ready: called with the page's address, token included, once it can be opened.

    Raises:
        MaskclsError: nobody can listen there.
    """
    token = secrets.token_urlsafe(32)
    try:
        serve_app(
            lambda port: Guard(create_app(review), token, host, port),
            host,
            port,
            lambda url: ready(f"{url}?token={token}"),
        )
    finally:
        review.thumbnails.close()
        review.decisions.close()
