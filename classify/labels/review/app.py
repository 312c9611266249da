"""The routes of the review page: its files, the faces and label issues as JSON, pictures, and decisions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ....embedder.photo import PhotoError, shown
from ...answer import read_voters
from ...serving.static_files import TYPES, static_files
from ..audit.issues import LabelIssue, clearest
from .changes import ChangeError, read_changes
from .decisions import Decisions
from .faces import Faces
from .thumbs import Thumbnails, placeholder

MAX_BODY = 4 * 2**20
NEAREST = 24
NEIGHBOURS_SHOWN = 8
_JSON = "application/json"
_PAGE = "review.html"


@dataclass(frozen=True)
class Review:
    """All that the page shows and writes.

    Attributes:
        issues: of an audit, the likeliest first; rows are those of ``faces``.
        command: that applies the decisions.
    """

    faces: Faces
    decisions: Decisions
    thumbnails: Thumbnails
    issues: Sequence[LabelIssue]
    command: str


def create_app(review: Review) -> Starlette:
    """The page as an ASGI app without access control, which :class:`...serving.guard.Guard` adds."""
    faces, decisions = review.faces, review.decisions
    static = static_files(__package__)
    columns = _json({**faces.columns(), "command": review.command, "decisions": str(decisions.path)})
    rows = faces.rows()
    issues = _json([_issue(issue, faces, rows) for issue in review.issues])

    async def page(_: Request) -> Response:
        return static[_PAGE]

    async def file(request: Request) -> Response:
        return static.get(request.path_params["name"]) or _refused(404, "no such file")

    async def table(_: Request) -> Response:
        return Response(columns, media_type=_JSON)

    async def audit(_: Request) -> Response:
        return Response(issues, media_type=_JSON)

    async def plane(_: Request) -> Response:
        return JSONResponse(await run_in_threadpool(faces.plane))

    async def near(request: Request) -> Response:
        row = request.path_params["row"]
        if row >= len(faces):
            return _refused(404, "no such face")
        return JSONResponse(await run_in_threadpool(faces.near, row, NEAREST))

    async def picture(request: Request) -> Response:
        try:
            data = await review.thumbnails.picture(request.path_params["face_id"], request.path_params["size"])
        except KeyError:
            return _refused(404, "no such face")
        except PhotoError as error:
            return Response(placeholder(str(error)), 404, media_type=TYPES[".svg"])
        return Response(data, media_type="image/jpeg")

    async def decided(_: Request) -> Response:
        return JSONResponse({"faces": decisions.all_verdicts(), "counts": decisions.counts()})

    async def saved(change: Callable[[], list[int] | None]) -> Response:
        try:
            rows = await run_in_threadpool(change)
        except OSError as error:
            return _refused(507, f"not saved: {decisions.path.name}: {error.strerror or error}")
        if rows is None:
            return _refused(409, "there is nothing to take back")
        return JSONResponse({"faces": {row: decisions.verdicts(row) for row in rows}, "counts": decisions.counts()})

    async def decide(request: Request) -> Response:
        try:
            changes = read_changes(json.loads(await _body(request)), len(faces))
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, ChangeError) else "a request holds JSON"
            return _refused(400, reason)
        return await saved(lambda: decisions.decide(changes))

    async def undo(request: Request) -> Response:
        await _body(request)
        return await saved(decisions.undo)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/static/{name}", file),
            Route("/api/faces", table),
            Route("/api/issues", audit),
            Route("/api/map", plane),
            Route("/api/near/{row:int}", near),
            Route("/api/decisions", decided),
            Route("/api/decisions", decide, methods=["POST"]),
            Route("/api/undo", undo, methods=["POST"]),
            Route("/faces/{face_id}/{size}", picture),
        ],
        exception_handlers={HTTPException: lambda _, error: _refused(error.status_code, error.detail)},
    )


async def _body(request: Request) -> bytes:
    """A request's JSON text, not read any further than :data:`MAX_BODY`.

    Raises:
        HTTPException: it is something else, or longer.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != _JSON:
        raise HTTPException(415, "a request holds JSON")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"a request holds {MAX_BODY // 2**20} MiB at most")
    return bytes(body)


def _issue(issue: LabelIssue, faces: Faces, rows: Mapping[str, int]) -> dict[str, Any]:
    """An issue as JSON values; ``row`` is its clearest face, a neighbour is ``[row or -1, age, similarity]``."""
    texts = ("kind", "field", "given_label", "proposed_label", "evidence")
    voters = read_voters({"neighbours": issue.neighbours})[:NEIGHBOURS_SHOWN]
    return {name: shown(getattr(issue, name)) for name in texts} | {
        "row": clearest(faces.table, issue.rows),
        "faces": len(issue.rows),
        "probability": issue.probability,
        "neighbours": [[rows.get(voter.face_id, -1), voter.age, f"{voter.similarity:.3f}"] for voter in voters],
    }


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)
