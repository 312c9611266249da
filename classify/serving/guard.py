"""Who may speak to a page of this machine: whoever holds the token, through a page of this very server."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Collection
from ipaddress import ip_address

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+)(?::[0-9]{1,5})?")
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_READING = frozenset({"GET", "HEAD"})
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cache-Control": "private, no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every response, refusals too."""


class Guard:
    """Lets through what may pass to an app, and answers the rest itself.

    The token comes once in the address (``/?token=…``) and then in a cookie; both are compared in constant time. The
    ``Host`` must be one of this server's (against DNS rebinding), and a request that changes something must come from
    a page of the same origin.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str | None,
        host: str,
        port: int,
        *,
        command: str = "review",
        programs: bool = False,
        open_paths: Collection[str] = (),
    ) -> None:
        """Stand before an app.

        Args:
            token: None lets everybody in who speaks to the right host.
            host: listened on.
            port: listened on.
            command: of maskcls, named in refusals.
            programs: whether programs may speak to the app too: the token may come as ``Authorization: Bearer``, and
                a request without an ``Origin``, which every browser sends from a foreign page, is nobody's page.
            open_paths: may be read without the token.
        """
        self._app = app
        self._token = token
        self._host = host.lower()
        self._loopback = is_loopback(host)
        self._cookie = f"maskcls_{command}_{port}"  # cookies do not tell ports apart
        self._command = command
        self._programs = programs
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._refusal(Request(scope)) or self._app
        await answer(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        host, reading = request.headers.get("host", ""), request.method in _READING
        if not self._is_ours(host):
            return _refused(421, "This server answers under its own address only.")
        if not reading and not self._same_origin(request, host):
            return _refused(403, f"Only the page of `maskcls {self._command}` itself may change something.")
        if reading and request.url.path == "/" and "token" in request.query_params:
            if self._holds(request.query_params["token"]):
                return self._welcome()
        elif self._holds(request.cookies.get(self._cookie, "")) or self._bears(request):
            return None
        return None if reading and request.url.path in self._open else self._closed()

    def _closed(self) -> Response:
        how = f"Open the address that `maskcls {self._command}` has printed"
        return _refused(403, how + (", or send its token as `Authorization: Bearer`." if self._programs else "."))

    def _welcome(self) -> Response:
        response = RedirectResponse("/", 303)
        if self._token is not None:
            response.set_cookie(self._cookie, self._token, path="/", httponly=True, samesite="strict")
        return response

    def _bears(self, request: Request) -> bool:
        match = _BEARER.fullmatch(request.headers.get("authorization", ""))
        return self._programs and match is not None and self._holds(match[1])

    def _holds(self, token: str) -> bool:
        return self._token is None or secrets.compare_digest(token.encode(), self._token.encode())

    def _is_ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if not match:
            return False
        name = match[1].strip("[]").lower()
        if name == self._host or (self._loopback and name in _LOOPBACK_NAMES):
            return True
        return not self._loopback and (name == socket.gethostname().lower() or _is_address(name))

    def _same_origin(self, request: Request, host: str) -> bool:
        origin, fetched = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
        if origin is None:
            return self._programs and fetched in ("same-origin", "none")
        return origin == f"http://{host}" and fetched == "same-origin"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server on ``host``."""
    return host.lower() == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)
