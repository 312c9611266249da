"""Do identities inferred from embeddings alone match the real people?

    python benchmarks/people.py faces/contest

The set must name people (contest layout). The names are hidden, identities are inferred, and the groups are compared
with the names: at the similarities in use, and over a sweep of each of the two while the other stays as it is. Some
people of the contest stand under two names; joining these counts as a mistake here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from sklearn.metrics.cluster import pair_confusion_matrix

from maskcls.classify.data import identity as people
from maskcls.classify.data.face_set import FaceSet, Rows, open_face_set

SWEEPS = {
    "BARE_SIMILARITY": ("bare", (0.65, 0.7, 0.75, 0.8, 0.85)),
    "MIXED_SIMILARITY": ("all", (0.55, 0.6, 0.65, 0.7, 0.8)),
    "MASKED_SIMILARITY": ("masked", (0.75, 0.8, 0.85, 0.9)),
}
"""Threshold -> the faces it is shown on, and its values."""
HEADER = "people | groups | largest | pairs | pairwise precision | recall | F1 | B-cubed precision | recall | F1 |"
LINE = "|---|" + "---:|" * 10


def main(faces: Path) -> None:
    """Run and print."""
    pool = open_face_set([faces])
    bare = pool.table["mask"].to_numpy() != "wear"
    kinds = {"all": np.arange(len(pool)), "bare": np.flatnonzero(bare), "masked": np.flatnonzero(~bare)}
    print(f"| faces | {HEADER}\n{LINE}")
    for kind, rows in kinds.items():
        print(f"| {kind} | {figures(pool, rows, inferred(pool, rows))}", flush=True)
    for threshold, (kind, values) in SWEEPS.items():
        print(f"\n| {threshold}, {kind} faces | {HEADER}\n{LINE}")
        for value in values:
            with patch.object(people, threshold, value):
                print(f"| {value:.2f} | {figures(pool, kinds[kind], inferred(pool, kinds[kind]))}", flush=True)
    named = pool.table["person"].groupby(pool.people).unique()
    several = named[named.map(len) > 1]
    print(f"\nwith names kept: {pool.table['person'].nunique()} names make {len(named)} groups; joined:")
    for names in several:
        print("  " + " ".join(sorted(names)))


def inferred(pool: FaceSet, rows: Rows) -> Rows:
    """Groups (len(rows),) of these faces, inferred from embedding and mask state alone."""
    nobody = pd.Series([None] * len(rows), dtype="str")
    return people.infer_identities(pool.embeddings[rows], nobody, pool.table["mask"].iloc[rows].reset_index(drop=True))


def figures(pool: FaceSet, rows: Rows, groups: Rows) -> str:
    """One line of a table: counts and both kinds of precision, recall and F1."""
    truth = pool.table["person"].iloc[rows]
    named = truth.notna().to_numpy(bool)
    pairs = pair_confusion_matrix(truth[named], groups[named])
    counts = (truth.nunique(), len(np.unique(groups)), np.bincount(groups).max(), pairs[:, 1].sum() // 2)
    shares = (*_shares(pairs[1, 1] / pairs[:, 1].sum(), pairs[1, 1] / pairs[1].sum()), *b_cubed(groups, truth))
    return " | ".join([*map(str, counts), *(f"{share:.3f}" for share in shares)]) + " |"


def b_cubed(groups: Rows, truth: pd.Series[str]) -> tuple[float, float, float]:
    """Precision, recall and F1 of each named face's own group, averaged over faces.

    Source:
        Bagga and Baldwin 1998, https://aclanthology.org/P98-1012.
    """
    cells = pd.DataFrame({"group": groups, "person": truth.to_numpy()}).value_counts()
    found, real = (cells.groupby(level=level).transform("sum") for level in ("group", "person"))
    return _shares((cells**2 / found).sum() / cells.sum(), (cells**2 / real).sum() / cells.sum())


def _shares(precision: float, recall: float) -> tuple[float, float, float]:
    return precision, recall, 2 * precision * recall / (precision + recall)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
