"""Erase a person from what ``predict`` writes: tables of predictions, submissions, and explanations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...embedder.erasure.files import Tables
from ...embedder.erasure.protocol import Artefact, Listing, Plain
from ...embedder.erasure.traces import Traces
from ...embedder.storage.atomic import replacing

VOTERS = {"neighbours": "weights"}
"""Column of voters -> column of their weights, in every table of predictions."""
predictions = Tables("rows of predictions", ("path", "status", "reason"), lists=VOTERS)
voters = Tables("rows of predictions", ("neighbours",), lists=VOTERS)
rejects = Tables("rows of predictions", ("path", "reason"), exact=True)
submissions = Tables("rows of a submission", ("ImageID", "ans"))


def explanations(listing: Listing) -> Iterator[Artefact]:
    """Files of ``--explain``: JSON lines of a photo and its voters each."""
    for name in sorted(listing.files):
        if name.endswith(".jsonl") and any(row is not None for _, row in _lines(listing.path / name)):
            listing.claim(name)
            yield Plain("rows of explanations", listing.path / name, _erase)


def _erase(path: Path, traces: Traces, dry_run: bool) -> int:
    """Lines about the person go; from others the person's faces among the voters."""
    changed, lines = 0, []
    for line, row in _lines(path):
        if row is None:
            lines.append(line)
        elif traces.calls(row["path"]) or row.get("face_id") in traces.faces:
            changed += 1
        else:
            kept = [voter for voter in row["voters"] if voter.get("face_id") not in traces.faces]
            if len(kept) < len(row["voters"]):
                changed += 1
                line = json.dumps({**row, "voters": kept}) + "\n"
            if not any(face in line for face in traces.faces):  # named in some other place: the line goes
                lines.append(line)
    if changed and not dry_run:
        with replacing(path) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")
    return changed


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Lines of a file, and the explanation in each; None where there is none."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            known = isinstance(row, dict) and {"path", "voters"} <= row.keys() and isinstance(row["voters"], list)
            yield line, row if known else None
