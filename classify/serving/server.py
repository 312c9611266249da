"""Serve answers until Ctrl-C."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

from starlette.types import ASGIApp

from ...embedder.errors import MaskclsError
from .answerer import Answerer
from .app import OPEN_PATHS, ROUTES, create_app
from .engine import BATCH, Engine
from .guard import Guard, is_loopback
from .local import serve_app
from .metrics import Measured, Metrics
from .uploads import Limits

TOKEN = "MASKCLS_TOKEN"  # noqa: S105 - the name of the variable
MIN_TOKEN = 16


def token_for(host: str, allow_remote: bool) -> str | None:
    """The token that clients of a host need: ``$MASKCLS_TOKEN``, or a new one where others can reach the host.

    Returns:
        None where only this machine reaches the host and none is set.

    Raises:
        MaskclsError: others would reach the host though they were not allowed to, or the token is a weak one.
    """
    if not is_loopback(host) and not allow_remote:
        raise MaskclsError(f"--host {host}: other machines reach it; add --allow-remote if that is wanted")
    token = os.environ.get(TOKEN)
    if token is None:
        return None if is_loopback(host) else secrets.token_urlsafe(32)
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise MaskclsError(f"{TOKEN}: at least {MIN_TOKEN} printable ASCII characters without a space")
    return token


def guarded(engine: Engine, metrics: Metrics, limits: Limits, token: str | None, host: str, port: int) -> ASGIApp:
    """All of the server as one ASGI app."""
    app = create_app(engine, metrics, limits)
    guard = Guard(app, token, host, port, command="serve", programs=True, open_paths=OPEN_PATHS)
    return Measured(guard, metrics, ROUTES)


def serve(
    answerer: Answerer,
    host: str,
    port: int,
    ready: Callable[[str], None],
    *,
    token: str | None = None,
    limits: Limits | None = None,
    jobs: int = 2,
    batch: int = BATCH,
) -> None:
    """Answer until SIGINT; the networks have run once before anybody can connect.

    Args:
        host: to listen on.
        port: to listen on, 0 for any that is free.
        ready: called with the page's address once it can be opened.
        token: that clients need, see :func:`token_for`.
        limits: by default :class:`.uploads.Limits`.
        jobs: threads that decode photos.
        batch: photos of a pass of the networks at most.

    Raises:
        MaskclsError: nobody can listen there.
    """
    answerer.warm_up()
    metrics = Metrics()
    engine = Engine(answerer, jobs=jobs, batch=batch, passed=metrics.batches.observe)
    metrics.watch(engine)
    try:
        serve_app(lambda port: guarded(engine, metrics, limits or Limits(), token, host, port), host, port, ready)
    finally:
        engine.close()
