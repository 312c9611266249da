"""What Prometheus may read of a server: counts and times, nothing about any photo."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .engine import Engine

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_PHOTOS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The figures of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "maskcls_requests", "Requests, by route and status.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "maskcls_request_seconds",
            "From a request's head to the end of its response.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.photos = Counter("maskcls_photos", "Photos, by what became of them.", ["status"], registry=self.registry)
        self.batches = Histogram(
            "maskcls_batch_photos", "Photos of a pass of the networks.", buckets=_PHOTOS, registry=self.registry
        )
        self.waiting = Gauge("maskcls_waiting_photos", "Photos without an answer yet.", registry=self.registry)

    def watch(self, engine: Engine) -> None:
        """Show how many photos wait for an engine."""
        self.waiting.set_function(lambda: engine.waiting)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)


class Measured:
    """Counts and times the requests of an app; routes that it does not have are ``other``."""

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: frozenset[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        path = scope["path"]
        route = path if path in self._routes else "other"
        try:
            await self._app(scope, receive, noted)
        finally:
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)
