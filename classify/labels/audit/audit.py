"""The audit: label issues of all kinds, ranked, and the patch that would correct them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ....embedder.errors import MaskclsError
from ....embedder.faceset.corrections import labels_of
from ....embedder.faceset.store import PATCH_COLUMNS
from ....embedder.storage.atomic import replacing, write_csv
from ....embedder.storage.step_cache import StepCache
from ...data.face_set import FaceSet, Rows
from ...data.identity import person_keys, rows_by_value
from ...evaluation.cross_validation import Progress
from .conflicts import label_conflicts, near_copies, odd_folders
from .issues import LabelIssue
from .label_quality import age_issues, gender_issues, gender_neighbours, mask_issues
from .photos import photo_issues, swapped_photos
from .predictions import out_of_fold_predictions

PATCH = "patch.csv"
MIN_PROBABILITY = 0.05
"""Issues less likely than this are not reported."""
_EMPTIED = {"no_face": ("mask", "gender", "age"), "swapped": ("gender", "age")}
"""Labels that the patch empties, by kind of issue."""


def find_label_issues(
    pool: FaceSet,
    fold: Rows,
    audited: Rows,
    seed: int = 0,
    *,
    cache: StepCache = StepCache(None),
    progress: Progress = lambda what, done, total: None,
) -> list[LabelIssue]:
    """All issues of the audited faces, the likeliest first, however unlikely; ``rows`` are positions in ``audited``.

    Args:
        pool: faces to learn from, the audited ones among them.
        fold: (n,) fold of every face of the pool; faces of one person must share it.
        audited: rows of the pool.
        cache: of finished folds.

    Raises:
        MaskclsError: some labels are pseudo-labels, whose model may have learnt the very labels in question.
    """
    if not pool.real.all():
        raise MaskclsError("an audit learns from labels given by people; leave sets with pseudo-labels out")
    predicted = out_of_fold_predictions(pool, fold, audited, seed, cache=cache, progress=progress)
    faces, random = pool.subset(audited), np.random.default_rng(seed)
    labels = labels_of(faces.table)
    issues = [
        *mask_issues(predicted, labels["mask"], random),
        *gender_issues(faces, predicted, labels["gender"], gender_neighbours(pool, audited)),
        *age_issues(faces, predicted, labels["age"], random),
    ]
    wrong = {(row, issue.field): issue.probability for issue in issues for row in issue.rows}
    issues += label_conflicts(faces, labels, rows_by_value(person_keys(faces.table)), "person", wrong)
    issues += label_conflicts(faces, labels, near_copies(faces), "copies", wrong)
    issues += odd_folders(faces, predicted, labels["mask"])
    issues += swapped_photos(faces, random)
    issues += photo_issues(faces.table)
    return sorted(_merged(issues), key=lambda issue: (-issue.probability, issue.rows))


def reported(
    issues: Sequence[LabelIssue], faces: pd.DataFrame, confirmed: Collection[tuple[str, str, str]] = ()
) -> list[LabelIssue]:
    """Issues of at least :data:`MIN_PROBABILITY`, in the same order, without those about confirmed labels.

    Args:
        faces: the table that the issues' ``rows`` are positions in.
        confirmed: labels that somebody has looked at, as ``(face_id, field, label)``.
    """
    ids = faces["face_id"].to_list()

    def is_open(issue: LabelIssue) -> bool:
        return any((ids[row], issue.field, issue.given_label) not in confirmed for row in issue.rows)

    return [issue for issue in issues if issue.probability >= MIN_PROBABILITY and is_open(issue)]


def correcting_patch(faces: pd.DataFrame, issues: Sequence[LabelIssue], min_probability: float = 0.5) -> pd.DataFrame:
    """The patch that makes the proposed changes; of two issues about one label the first counts.

    A photo without a face loses its labels, one of somebody else its gender and age.

    Args:
        faces: the table that the issues' ``rows`` are positions in.
        issues: the likeliest first.
        min_probability: less likely issues are left out.

    Returns:
        One row a label, columns :data:`~maskcls.embedder.faceset.store.PATCH_COLUMNS`.
    """
    labels = labels_of(faces)
    lines: dict[tuple[int, str], tuple[str, ...]] = {}
    for issue in issues:
        if issue.probability < min_probability:
            continue
        changes = dict.fromkeys(_EMPTIED.get(issue.kind, ()), "")
        if issue.field:
            changes[issue.field] = issue.proposed_label
        reason = f"{'reject: ' if issue.kind == 'no_face' else ''}{issue.kind}: {issue.evidence}"
        for row in issue.rows:
            face_id, path = faces["face_id"].iloc[row], faces["path"].iloc[row]
            for field, new in changes.items():
                old = labels[field].iloc[row]
                if old and old != new:
                    line = (face_id, path, field, old, new, reason, f"{issue.probability:.3f}")
                    lines.setdefault((row, field), line)
    return pd.DataFrame(list(lines.values()), columns=list(PATCH_COLUMNS))


def write_patch(folder: Path, patch: pd.DataFrame) -> None:
    """Write ``patch.csv`` to a folder, atomically."""
    with replacing(folder / PATCH) as temporary:
        write_csv(temporary, patch)


def _merged(issues: Sequence[LabelIssue]) -> list[LabelIssue]:
    """Issues about one label of the same faces become the likeliest of them, with the evidence of all."""
    same: dict[tuple[object, ...], list[LabelIssue]] = {}
    for issue in issues:
        same.setdefault((issue.rows, issue.field or issue.kind), []).append(issue)
    merged = []
    for several in same.values():
        several.sort(key=lambda issue: -issue.probability)
        merged.append(replace(several[0], evidence="; ".join(issue.evidence for issue in several)))
    return merged
