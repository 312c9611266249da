"""The audit: doubts of all kinds ranked into findings, and the patch that would mend them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ....embedder.errors import MaskclsError
from ....embedder.faceset.corrections import labels_of
from ....embedder.faceset.store import PATCH_COLUMNS
from ....embedder.storage.atomic import replacing, write_csv
from ....embedder.storage.step_cache import StepCache
from ...data.face_set import FaceSet, Rows
from ...evaluation.cross_validation import Progress
from .conflicts import label_conflicts, named_people, near_copies, odd_folders, swapped
from .doubts import Doubt, age_doubts, best_seen, gender_doubts, gender_neighbours, mask_doubts
from .opinions import opinions
from .photos import photo_doubts

FINDINGS = "findings.parquet"
PATCH = "patch.csv"
MIN_PROBABILITY = 0.05
"""Doubts below are no findings."""
COLUMNS = (
    *("rank", "kind", "face_id", "path", "root", "source", "person", "field", "label", "proposal", "probability"),
    *("faces", "evidence", "neighbours", "face_ids"),
)
_TAKEN_AWAY = {"no_face": ("mask", "gender", "age"), "swapped": ("gender", "age")}
"""Labels that a photo loses in the patch, by kind of finding."""


def audit(
    pool: FaceSet,
    fold: Rows,
    audited: Rows,
    seed: int = 0,
    *,
    cache: StepCache = StepCache(None),
    progress: Progress = lambda what, done, total: None,
) -> list[Doubt]:
    """All doubts about the audited faces, the likeliest first; ``rows`` of a doubt are positions in ``audited``.

    Args:
        pool: faces to learn from, the audited ones among them.
        fold: (n,) fold of every face of the pool; faces of one person must share it.
        audited: rows of the pool.
        cache: of finished folds.

    Raises:
        MaskclsError: some labels are a model's, which may have learnt the very labels that are doubted.
    """
    if not pool.real.all():
        raise MaskclsError("an audit learns from labels that somebody gave; leave sets with pseudo-labels out")
    said = opinions(pool, fold, audited, seed, cache=cache, progress=progress)
    faces, random = pool.subset(audited), np.random.default_rng(seed)
    labels = labels_of(faces.table)
    doubts = [
        *mask_doubts(said, labels["mask"], random),
        *gender_doubts(faces, said, labels["gender"], gender_neighbours(pool, audited)),
        *age_doubts(faces, said, labels["age"], random),
    ]
    doubted = {(row, doubt.field): doubt.probability for doubt in doubts for row in doubt.rows}
    doubts += label_conflicts(faces, labels, named_people(faces), "person", doubted)
    doubts += label_conflicts(faces, labels, near_copies(faces), "copies", doubted)
    doubts += odd_folders(faces, said, labels["mask"])
    doubts += swapped(faces, random)
    doubts += photo_doubts(faces.table)
    return sorted(_joined(doubts), key=lambda doubt: (-doubt.probability, doubt.rows))


def findings_of(faces: FaceSet, doubts: list[Doubt], confirmed: Collection[tuple[str, str, str]] = ()) -> pd.DataFrame:
    """Doubts of at least :data:`MIN_PROBABILITY` as a table (:data:`COLUMNS`), in the same order.

    A finding about several faces names the one that shows most; ``face_ids`` are all of them.

    Args:
        faces: the audited faces.
        confirmed: labels that somebody has looked at, as ``(face_id, field, label)``; they are not found again.
    """
    rows: list[dict[str, Any]] = []
    table = faces.table
    for doubt in doubts:
        ids = table["face_id"].iloc[list(doubt.rows)].to_list()
        if doubt.probability < MIN_PROBABILITY or all((i, doubt.field, doubt.label) in confirmed for i in ids):
            continue
        shown = table.iloc[best_seen(table, doubt.rows)]
        place = {name: shown[name] for name in ("face_id", "path", "root", "source", "person")}
        said = {name: getattr(doubt, name) for name in ("kind", "field", "label", "proposal", "evidence")}
        probability = round(doubt.probability, 4)
        rows.append(
            {"rank": len(rows) + 1, **place, **said, "probability": probability, "faces": len(ids)}
            | {"neighbours": doubt.neighbours, "face_ids": " ".join(ids)}
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def patch_of(faces: FaceSet, findings: pd.DataFrame, min_probability: float = 0.5) -> pd.DataFrame:
    """The patch that makes what the findings propose; of two about one label the likelier counts.

    A photo without a face loses its labels, one of a stranger its gender and age.
    """
    labels = labels_of(faces.table).set_index(faces.table["face_id"])
    labels = labels[~labels.index.duplicated()]
    paths = faces.table.set_index("face_id")["path"]
    paths = paths[~paths.index.duplicated()]
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for finding in findings[findings["probability"] >= min_probability].to_dict("records"):
        kind = finding["kind"]
        changes = [(finding["field"], finding["proposal"])] if finding["field"] else []
        changes += [(field, "") for field in _TAKEN_AWAY.get(kind, ())]
        for face_id in finding["face_ids"].split():
            for field, new in changes:
                old = labels.loc[face_id, field]
                if old and old != new:
                    reason = f"{'reject: ' if kind == 'no_face' else ''}{kind}: {finding['evidence']}"
                    line = {"face_id": face_id, "path": paths[face_id], "field": field, "old": old, "new": new}
                    told = {"reason": reason, "probability": f"{finding['probability']:.3f}"}
                    lines.setdefault((face_id, field), line | told)
    return pd.DataFrame(list(lines.values()), columns=list(PATCH_COLUMNS))


def write_audit(folder: Path, findings: pd.DataFrame, patch: pd.DataFrame) -> None:
    """Write ``findings.parquet``, ``findings.csv`` and ``patch.csv``, each atomically."""
    with replacing(folder / FINDINGS) as temporary:
        findings.to_parquet(temporary, index=False)
    for name, table in (("findings.csv", findings), (PATCH, patch)):
        with replacing(folder / name) as temporary:
            write_csv(temporary, table)


def _joined(doubts: list[Doubt]) -> list[Doubt]:
    """Doubts about one label of the same faces become the likeliest of them, with the evidence of all."""
    same: dict[tuple[object, ...], list[Doubt]] = {}
    for doubt in doubts:
        same.setdefault((doubt.rows, doubt.field or doubt.kind), []).append(doubt)
    found = []
    for several in same.values():
        several.sort(key=lambda doubt: -doubt.probability)
        found.append(replace(several[0], evidence="; ".join(doubt.evidence for doubt in several)))
    return found
