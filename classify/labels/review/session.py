"""Open a review of embedding sets, with the issues of an audit and earlier decisions, and serve its page."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ....embedder.photo import shown
from ...data.face_set import open_sets
from ...serving.guard import Guard
from ...serving.local import serve_app
from ..audit.issues import read_issues
from .app import Review, create_app
from .decisions import Decisions
from .faces import Faces
from .thumbs import Thumbnails

DECISIONS = "decisions.csv"


class OpenReview(NamedTuple):
    """A review, and lines that describe what was opened."""

    review: Review
    lines: tuple[str, ...]


def open_review(folders: Sequence[Path], audit: Path | None = None, patch: Path | None = None) -> OpenReview:
    """Open everything that a review needs.

    Args:
        audit: folder that :func:`..audit.issues.write_issues` wrote to.
        patch: file of the decisions, by default ``decisions.csv`` in the first set.

    Raises:
        MaskclsError: a set, the audit or the decisions cannot be used.
    """
    faces = Faces(folders, open_sets(folders))
    issues, elsewhere = read_issues(audit, faces.rows()) if audit else ([], 0)
    path = patch or folders[0] / DECISIONS
    decisions = Decisions(path, faces.table)
    command = shlex.join(["maskcls", "relabel", *map(str, folders), "--patch", str(path)])
    counts = ", ".join(f"{number} {state}" for state, number in decisions.counts().items())
    lines = [f"{len(faces)} faces", f"{shown(path)}: {counts}"]
    if audit:
        others = f", {elsewhere} more about other faces" if elsewhere else ""
        lines.insert(1, f"{shown(audit)}: {len(issues)} label issues{others}")
    if decisions.passed_over:
        lines.append(f"{shown(path)}: {decisions.passed_over} lines about other faces or former labels are kept")
    return OpenReview(Review(faces, decisions, Thumbnails(faces.places()), issues, shown(command)), tuple(lines))


def serve(review: Review, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page until SIGINT, then stop its threads and let other reviews have the decisions.

    Args:
        host: to listen on.
        port: to listen on, 0 for any free one.
        ready: called with the page's address, token included, once it can be opened.

    Raises:
        MaskclsError: the address cannot be listened on.
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
