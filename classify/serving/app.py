"""The routes of `maskcls serve`: the page, the API with its OpenAPI document, and what a monitor asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..tasks import PROBABILITIES
from .engine import BusyError, Engine, Upload
from .metrics import CONTENT_TYPE, Metrics
from .schema import About, Health, PhotoAnswer, Refusal, photo_answer
from .static_files import static_files
from .uploads import Intake, Limits

PAGE = "serve.html"
OPEN_PATHS = ("/healthz",)
"""Read without a token: they hold nothing about any person."""
ROUTES = frozenset({"/", "/predict", "/predict/batch", "/about", "/healthz", "/metrics", "/openapi.json"})
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": text}
    for status, text in {
        400: "The form is not as it should be.",
        403: "The token is missing or wrong, or the request comes from a foreign page.",
        408: "The request did not arrive in time.",
        413: "A photo or the request is too large.",
        415: "The request is no form.",
        421: "The `Host` is not this server's.",
        503: "Too many photos wait, or the answer takes too long; try again.",
    }.items()
}
NO_ANSWER = {"unreadable": 422, "failed": 500}
_UNANSWERED: dict[int | str, dict[str, Any]] = {
    422: {"model": Refusal, "description": "That is no photo."},
    500: {"model": Refusal, "description": "The server failed."},
}


def create_app(engine: Engine, metrics: Metrics, limits: Limits) -> FastAPI:
    """The app, which lets everybody in; :class:`.guard.Guard` stands before it."""
    app = FastAPI(
        title="maskcls",
        version=version("maskcls"),
        description="Mask state, gender and age of the faces in a photo, with the voters behind the age. "
        "Nothing that is sent is stored.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _refused},
    )
    intake = Intake(limits)
    static = static_files(__package__)

    async def photo(request: Request) -> AsyncIterator[Sequence[Upload]]:
        async with intake.receive(request, "photo", 1) as uploads:
            yield uploads

    async def photos(request: Request) -> AsyncIterator[Sequence[Upload]]:
        async with intake.receive(request, "photos", limits.photos) as uploads:
            yield uploads

    async def ask(uploads: Sequence[Upload]) -> list[PhotoAnswer]:
        try:
            async with asyncio.timeout(limits.answer_seconds):
                answers = [photo_answer(one) for one in await engine.ask(uploads)]
        except BusyError:
            reason = f"{engine.room} photos wait already; try again"
            raise HTTPException(503, reason, {"Retry-After": "1"}) from None
        except TimeoutError:
            reason = f"no answer within {limits.answer_seconds:g} seconds; try again"
            raise HTTPException(503, reason, {"Retry-After": "5"}) from None
        for one in answers:
            metrics.photos.labels(one.status).inc()
        return answers

    @app.post(
        "/predict",
        responses=_REFUSALS | _UNANSWERED,
        openapi_extra=_form("photo", {"type": "string", "format": "binary"}),
    )
    async def predict(uploads: Sequence[Upload] = Depends(photo)) -> PhotoAnswer:
        """Predict one photo: a form with a file `photo`. A photo without a face has the status `no_face`."""
        (answer,) = await ask(uploads)
        if answer.status in NO_ANSWER:
            raise HTTPException(NO_ANSWER[answer.status], answer.reason or "")
        return answer

    @app.post(
        "/predict/batch",
        responses=_REFUSALS,
        openapi_extra=_form(
            "photos",
            {
                "type": "array",
                "items": {"type": "string", "format": "binary"},
                "minItems": 1,
                "maxItems": limits.photos,
            },
        ),
    )
    async def predict_batch(uploads: Sequence[Upload] = Depends(photos)) -> list[PhotoAnswer]:
        """Predict several photos, in their order, whatever became of each: a form with files named `photos`."""
        return await ask(uploads)

    @app.get("/about", responses=_some(403, 421))
    async def about() -> About:
        """Say which model answers and what is taken."""
        model = engine.answerer.model
        return About(
            version=app.version,
            model=model.fingerprint[:16],
            encoder=model.encoder.name,
            tasks=[task for task in PROBABILITIES if task == "age_band" or task in model.heads],
            gallery_faces=len(model.table),
            prototypes="members" in model.table,
            voters=model.settings.voters,
            photo_bytes=limits.photo_bytes,
            photos=limits.photos,
            request_bytes=limits.request_bytes,
        )

    @app.get("/healthz", responses={**_some(421), 503: {"model": Health, "description": "It does not answer."}})
    async def healthz() -> Health:
        """Say whether photos are answered; needs no token."""
        if not engine.alive:
            return JSONResponse(Health(status="down").model_dump(), 503)  # type: ignore[return-value]
        return Health(status="ok")

    @app.get(
        "/metrics",
        response_class=Response,
        responses={**_some(403, 421), 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def figures() -> Response:
        """Counts and times in Prometheus' text format."""
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE})

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return static[PAGE]

    @app.get("/static/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        if name not in static:
            raise HTTPException(404, "no such file")
        return static[name]

    return app


def _form(field: str, schema: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI's description of a form with one field."""
    form = {"type": "object", "required": [field], "properties": {field: schema}, "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}}}


def _some(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _REFUSALS[status] for status in statuses}


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
