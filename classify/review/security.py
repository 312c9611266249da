"""Who may speak to the review page: whoever holds the token, through a page of this very server."""

from __future__ import annotations

import re
import secrets
import socket
from ipaddress import ip_address

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+)(?::[0-9]{1,5})?")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_READING = frozenset({"GET", "HEAD"})
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cache-Control": "private, no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
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

    def __init__(self, app: ASGIApp, token: str, host: str, port: int) -> None:
        self._app = app
        self._token = token
        self._host = host.lower()
        self._loopback = is_loopback(host)
        self._cookie = f"maskcls_review_{port}"  # cookies do not tell ports apart

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
        host = request.headers.get("host", "")
        if not self._is_ours(host):
            return PlainTextResponse("This server answers under its own address only.", 421)
        if request.method not in _READING and not _same_origin(request, host):
            return PlainTextResponse("Only the review page itself may change something.", 403)
        if request.method in _READING and request.url.path == "/" and "token" in request.query_params:
            if self._holds(request.query_params["token"]):
                return self._welcome()
        elif self._holds(request.cookies.get(self._cookie, "")):
            return None
        return PlainTextResponse("Open the address that `maskcls review` has printed.", 403)

    def _welcome(self) -> Response:
        response = RedirectResponse("/", 303)
        response.set_cookie(self._cookie, self._token, path="/", httponly=True, samesite="strict")
        return response

    def _holds(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self._token.encode())

    def _is_ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if not match:
            return False
        name = match[1].strip("[]").lower()
        if name == self._host or (self._loopback and name in _LOOPBACK_NAMES):
            return True
        return not self._loopback and (name == socket.gethostname().lower() or _is_address(name))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server on ``host``."""
    return host.lower() == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _same_origin(request: Request, host: str) -> bool:
    fetched = request.headers.get("sec-fetch-site", "same-origin")
    return request.headers.get("origin") == f"http://{host}" and fetched == "same-origin"
