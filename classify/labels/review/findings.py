"""What `maskcls audit` found suspicious, as the review page shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ....embedder.errors import MaskclsError
from ....embedder.faceset.corrections import FIELDS
from ....embedder.photo import shown
from ...answer import read_voters

FILE = "findings.parquet"
COLUMNS = (
    "rank", "kind", "face_id", "path", "field", "label", "proposal", "probability", "faces", "evidence", "neighbours",
)  # fmt: skip
NEIGHBOURS_SHOWN = 8


def read_findings(audit: Path, rows: Mapping[str, int]) -> tuple[list[dict[str, Any]], int]:
    """Findings of an audit, most suspicious first, and how many more are about faces that are not there.

    Args:
        audit: folder that `maskcls audit` wrote.
        rows: ``face_id`` -> row of the faces that are reviewed.

    Returns:
        Dictionaries of JSON values: ``rank, kind, row, field, label, proposal, evidence, faces``, ``probability``
        (0-1 or None), ``neighbours`` (``[row or -1, age, similarity]`` each, texts as in the file).

    Raises:
        MaskclsError: there is no such file, or it is something else.
    """
    path = audit / FILE
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise MaskclsError(f"{shown(path)}: {reason}; make it with `maskcls audit FACES --out AUDIT`") from None
    if lacking := [name for name in COLUMNS if name not in table.columns]:
        raise MaskclsError(f"{shown(path)}: no column {', '.join(lacking)}; make it again with `maskcls audit`")
    here = table[table["face_id"].isin(rows.keys())].sort_values("rank", kind="stable")
    return [_finding(row, rows) for row in here[list(COLUMNS)].to_dict("records")], len(table) - len(here)


def _finding(row: dict[Any, Any], rows: Mapping[str, int]) -> dict[str, Any]:
    texts = {name: _text(row[name]) for name in ("kind", "field", "label", "proposal", "evidence")}
    voters = read_voters({"neighbours": _text(row["neighbours"])})[:NEIGHBOURS_SHOWN]
    probability = row["probability"]
    return texts | {
        "rank": int(row["rank"]),
        "row": rows[row["face_id"]],
        "field": texts["field"] if texts["field"] in FIELDS else "",
        "faces": 1 if pd.isna(row["faces"]) else int(row["faces"]),
        "probability": None if pd.isna(probability) or not math.isfinite(probability) else float(probability),
        "neighbours": [[rows.get(one.face_id, -1), one.age, f"{one.similarity:.3f}"] for one in voters],
    }


def _text(value: object) -> str:
    return shown(value) if isinstance(value, str) else ""
