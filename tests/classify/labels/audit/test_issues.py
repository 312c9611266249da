from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from maskcls.classify.data.face_set import merge_sets
from maskcls.classify.labels.audit.issues import (
    ISSUES,
    LabelIssue,
    clearest,
    issue_table,
    read_issues,
    write_issues,
)
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.faceset.store import EmbeddingSet

FOUND = [
    LabelIssue("person", (0, 1), "gender", "male", "female", 0.9, 'a "quoted", text\nof two lines'),
    LabelIssue("label", (3,), "age", "30", "50-70", 0.6, "vote", f"{'b' * 16}:30-39:0.912 {'c' * 16}:41:0.8"),
    LabelIssue("no_face", (2,), "", "", "", 0.3, "short"),
]


@pytest.fixture
def faces(make_set: Callable[..., EmbeddingSet]) -> pd.DataFrame:
    return merge_sets([make_set(4, gender="male", age=30, person=["a\r", "NA", None, None])]).table


def rows_of(faces: pd.DataFrame) -> dict[str, int]:
    return {face_id: row for row, face_id in enumerate(faces["face_id"])}


def test_issues_are_read_as_they_were_written(faces: pd.DataFrame, tmp_path: Path) -> None:
    write_issues(tmp_path, FOUND, faces)
    assert read_issues(tmp_path, rows_of(faces)) == (FOUND, 0)
    write_issues(tmp_path, [], faces)
    assert read_issues(tmp_path, rows_of(faces)) == ([], 0)


def test_rows_are_those_of_the_faces_at_hand(faces: pd.DataFrame, tmp_path: Path) -> None:
    write_issues(tmp_path, FOUND, faces)
    here = {faces["face_id"][1]: 7, faces["face_id"][3]: 0}
    assert read_issues(tmp_path, here) == ([replace(FOUND[0], rows=(7,)), replace(FOUND[1], rows=(0,))], 1)


def test_issues_are_read_in_the_order_of_their_ranks(faces: pd.DataFrame, tmp_path: Path) -> None:
    many = [replace(FOUND[2], probability=round(1 - i / 20, 2)) for i in range(12)]
    write_issues(tmp_path, many, faces)
    table = pd.read_csv(tmp_path / ISSUES, dtype="str", keep_default_na=False)
    table.iloc[::-1].to_csv(tmp_path / ISSUES, index=False)
    assert read_issues(tmp_path, rows_of(faces)) == (many, 0)


def test_an_issue_shows_the_clearest_of_its_faces(faces: pd.DataFrame) -> None:
    faces.loc[1, "norm"] = 30.0
    (first, *_) = issue_table(FOUND, faces).to_dict("records")
    assert first["face_id"] == faces["face_id"][1]
    assert first["face_ids"].split() == faces["face_id"][:2].to_list()
    assert first["faces"] == 2
    assert clearest(faces, (0, 1)) == 1


def test_without_an_audit(tmp_path: Path) -> None:
    with pytest.raises(MaskclsError, match=r"issues\.csv: no such file; name a folder of `maskcls audit`"):
        read_issues(tmp_path, {})


def test_an_audit_of_an_older_version_asks_to_run_it_again(tmp_path: Path) -> None:
    (tmp_path / "findings.parquet").touch()
    with pytest.raises(MaskclsError, match="written by an older version; run `maskcls audit` again"):
        read_issues(tmp_path, {})


@pytest.mark.parametrize(
    ("column", "value"),
    [("kind", "odd"), ("field", "race"), ("probability", "much"), ("probability", "nan"), ("rank", "first")],
)
def test_a_damaged_file_is_refused(faces: pd.DataFrame, tmp_path: Path, column: str, value: str) -> None:
    write_issues(tmp_path, FOUND, faces)
    table = pd.read_csv(tmp_path / ISSUES, dtype="str", keep_default_na=False)
    table.assign(**{column: value}).to_csv(tmp_path / ISSUES, index=False)
    with pytest.raises(MaskclsError, match=r"issues\.csv: not a table of label issues; run `maskcls audit` again"):
        read_issues(tmp_path, rows_of(faces))


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "not a table"), (b"\xff\xfe\0", "not a table"), (b"rank\n1\n", "no column kind")]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / ISSUES).write_bytes(content)
    with pytest.raises(MaskclsError, match=reason) as caught:
        read_issues(tmp_path, {})
    assert "\n" not in str(caught.value)
