from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from maskcls.classify.labels.review.findings import COLUMNS, read_findings
from maskcls.embedder.errors import MaskclsError

ROWS = {"a" * 16: 0, "b" * 16: 1}


def written(folder: Path, *rows: dict[str, object]) -> Path:
    defaults = {"rank": 1, "kind": "label", "face_id": "a" * 16, "path": "a.jpg", "faces": 1}
    pd.DataFrame([{**dict.fromkeys(COLUMNS), **defaults, **row} for row in rows]).to_parquet(
        folder / "findings.parquet"
    )
    return folder


def test_findings_in_order_of_rank(tmp_path: Path) -> None:
    near = f"{'b' * 16}:30-39:0.912 {'c' * 16}:41:0.8 broken"
    label = {
        "field": "age",
        "label": "71",
        "proposal": "37",
        "probability": 0.9,
        "evidence": "says\nso",
        "neighbours": near,
    }
    audit = written(
        tmp_path, {"rank": 2, "kind": "no_face", "faces": 3}, {"rank": 1, **label}, {"rank": 3, "face_id": "d" * 16}
    )
    found, elsewhere = read_findings(audit, ROWS)
    assert elsewhere == 1
    assert found == [
        {
            "rank": 1, "kind": "label", "row": 0, "field": "age", "label": "71", "proposal": "37", "probability": 0.9,
            "faces": 1, "evidence": "says\\nso", "neighbours": [[1, "30-39", "0.912"], [-1, "41", "0.8"]],
        },
        {
            "rank": 2, "kind": "no_face", "row": 0, "field": "", "label": "", "proposal": "", "probability": None,
            "faces": 3, "evidence": "", "neighbours": [],
        },
    ]  # fmt: skip


def test_no_audit(tmp_path: Path) -> None:
    with pytest.raises(MaskclsError, match="no such file; make it with `maskcls audit"):
        read_findings(tmp_path, ROWS)


@pytest.mark.parametrize("what", ["text", "columns"])
def test_what_is_no_audit(tmp_path: Path, what: str) -> None:
    path = tmp_path / "findings.parquet"
    if what == "text":
        path.write_text("no table")
    else:
        pd.DataFrame({"rank": [1]}).to_parquet(path)
    with pytest.raises(MaskclsError, match=r"findings\.parquet: (cannot be read|no column)") as caught:
        read_findings(tmp_path, ROWS)
    assert "\n" not in str(caught.value)
