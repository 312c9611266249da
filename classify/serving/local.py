"""Serve an app on this machine until Ctrl-C."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from ...embedder.errors import MaskclsError

_SHUTDOWN_SECONDS = 2


def serve_app(make: Callable[[int], ASGIApp], host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answer until SIGINT or SIGTERM.

    Args:
        make: called with the port that is listened on, makes the app.
        host: to listen on.
        port: to listen on, 0 for any that is free.
        ready: called with the page's address, such as ``http://127.0.0.1:8000/``, once it can be opened.

    Raises:
        MaskclsError: nobody can listen there.
    """
    try:
        with _listening(host, port) as listener:
            port = listener.getsockname()[1]
            config = uvicorn.Config(
                make(port),
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            )
            name = f"[{host}]" if ":" in host else host
            ready(f"http://{name}:{port}/")
            uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:  # the usual end; uvicorn has shut down by then
        pass


def open_browser(url: str) -> None:
    """Show a page in the default browser, where there is a desktop to show it on."""
    if sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(url)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        raise MaskclsError(f"{host}:{port}: cannot listen there ({reason}); name another --host or --port") from None
