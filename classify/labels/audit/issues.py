"""Label issues: what the audit finds, and the file that keeps it for the review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ....embedder.errors import MaskclsError
from ....embedder.faceset.corrections import FIELDS
from ....embedder.photo import shown
from ....embedder.storage.atomic import replacing, write_csv
from ...data.face_set import Rows

KINDS = ("label", "person", "copies", "swapped", "no_face", "blurred")
ISSUES = "issues.csv"
COLUMNS = (
    *("rank", "kind", "face_id", "path", "root", "source", "person", "field", "given_label", "proposed_label"),
    *("probability", "faces", "evidence", "neighbours", "face_ids"),
)
_OLD_FILE = "findings.parquet"


@dataclass(frozen=True)
class LabelIssue:
    """A label, or a photo, that may be wrong.

    Attributes:
        kind: ``label`` (a prediction disagrees), ``person`` (the person's other photos disagree), ``copies`` (a
            near-copy of the photo disagrees), ``swapped`` (the photo shows somebody else), ``no_face`` or ``blurred``.
        rows: positions, in a table of faces, of the faces that carry the label.
        field: ``mask``, ``gender`` or ``age``; empty where the photo itself is the issue.
        given_label: as :func:`~maskcls.embedder.faceset.corrections.labels_of` writes it; of a swapped photo, the
            person it is listed under.
        proposed_label: a better label; empty where there is none.
        probability: that the label is wrong, 0-1; one minus the label quality.
        evidence: one line.
        neighbours: voters on the age of the clearest of the faces, as in ``predictions.csv``.
    """

    kind: str
    rows: tuple[int, ...]
    field: str
    given_label: str
    proposed_label: str
    probability: float
    evidence: str
    neighbours: str = ""


def clearest(table: pd.DataFrame, rows: Sequence[int] | Rows) -> int:
    """Row of the clearest of some faces: the one with the longest embedding before it is normalised."""
    return int(rows[int(table["norm"].iloc[list(rows)].to_numpy().argmax())])


def issue_table(issues: Sequence[LabelIssue], faces: pd.DataFrame) -> pd.DataFrame:
    """Issues as a table (:data:`COLUMNS`), in the order given; ``face_id`` is the clearest of the ``face_ids``.

    Args:
        faces: the table that the issues' ``rows`` are positions in.
    """
    rows = []
    for rank, issue in enumerate(issues, start=1):
        face_ids = faces["face_id"].iloc[list(issue.rows)].to_list()
        face = faces.iloc[clearest(faces, issue.rows)]
        texts = (issue.field, issue.given_label, issue.proposed_label)
        place = (face["face_id"], face["path"], face["root"], face["source"], face["person"])
        measured = (round(issue.probability, 4), len(face_ids), issue.evidence, issue.neighbours, " ".join(face_ids))
        rows.append((rank, issue.kind, *place, *texts, *measured))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_issues(folder: Path, issues: Sequence[LabelIssue], faces: pd.DataFrame) -> None:
    """Write :func:`issue_table` to ``issues.csv`` in a folder, atomically."""
    with replacing(folder / ISSUES) as temporary:
        write_csv(temporary, issue_table(issues, faces))


def read_issues(folder: Path, rows: Mapping[str, int]) -> tuple[list[LabelIssue], int]:
    """Issues of an audit in the order of their ranks, and the number of those that are about other faces alone.

    Args:
        folder: that :func:`write_issues` wrote to.
        rows: ``face_id`` -> row of the faces at hand.

    Raises:
        MaskclsError: there is no such file, an older version wrote it, or it is damaged.
    """
    path = folder / ISSUES
    again = "run `maskcls audit` again"
    try:
        table = pd.read_csv(path, dtype="str", keep_default_na=False)
        if lacking := [name for name in COLUMNS if name not in table.columns]:
            raise MaskclsError(f"{shown(path)}: no column {', '.join(lacking)}; {again}")
        table = table.sort_values("rank", key=lambda ranks: ranks.astype("int64"), kind="stable")
        issues = [_issue(row, rows) for row in table.to_dict("records")]
    except FileNotFoundError:
        older = (folder / _OLD_FILE).exists()
        reason = f"written by an older version; {again}" if older else "no such file; name a folder of `maskcls audit`"
        raise MaskclsError(f"{shown(path.parent if older else path)}: {reason}") from None
    except (OSError, ValueError) as error:
        reason = str(error.strerror) if isinstance(error, OSError) else "not a table of label issues"
        raise MaskclsError(f"{shown(path)}: {reason}; {again}") from None
    here = [issue for issue in issues if issue.rows]
    return here, len(issues) - len(here)


def _issue(row: Mapping[object, str], rows: Mapping[str, int]) -> LabelIssue:
    """Raises ValueError where a cell is none of its column."""
    probability = float(row["probability"])
    if row["kind"] not in KINDS or row["field"] not in ("", *FIELDS) or not 0 <= probability <= 1:
        raise ValueError("not an issue")
    here = tuple(rows[face_id] for face_id in row["face_ids"].split() if face_id in rows)
    labels = (row["given_label"], row["proposed_label"])
    return LabelIssue(row["kind"], here, row["field"], *labels, probability, row["evidence"], row["neighbours"])
