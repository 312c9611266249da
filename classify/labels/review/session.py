"""A review of embedding sets, opened: faces, findings, and the decisions so far."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ....embedder.photo import shown
from ...data.face_set import open_sets
from .app import Review
from .decisions import Decisions
from .faces import Faces
from .findings import read_findings
from .thumbs import Thumbnails

DECISIONS = "decisions.csv"


class OpenReview(NamedTuple):
    """A review, and what there is to say about it."""

    review: Review
    lines: tuple[str, ...]


def open_review(folders: Sequence[Path], audit: Path | None = None, patch: Path | None = None) -> OpenReview:
    """Open everything that a review needs.

    Args:
        audit: folder of `maskcls audit`.
        patch: file of the decisions, by default ``decisions.csv`` in the first set.

    Raises:
        MaskclsError: a set, the audit or the decisions cannot be used.
    """
    faces = Faces(folders, open_sets(folders))
    findings, elsewhere = read_findings(audit, faces.rows()) if audit else ([], 0)
    path = patch or folders[0] / DECISIONS
    decisions = Decisions(path, faces.table)
    command = shlex.join(["maskcls", "relabel", *map(str, folders), "--patch", str(path)])
    counts = ", ".join(f"{number} {state}" for state, number in decisions.counts().items())
    lines = [f"{len(faces)} faces", f"{shown(path)}: {counts}"]
    if audit:
        lines.insert(1, f"{shown(audit)}: {len(findings)} findings" + f", {elsewhere} of other faces" * bool(elsewhere))
    if decisions.passed_over:
        lines.append(f"{shown(path)}: {decisions.passed_over} lines about other faces or labels stay as they are")
    return OpenReview(Review(faces, decisions, Thumbnails(faces.places()), findings, shown(command)), tuple(lines))
