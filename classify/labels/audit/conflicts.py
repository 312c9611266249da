"""Labels that contradict each other: of one person, of near-copies, and of a person whose folder is incomplete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from ....embedder.labels import MASKS
from ...data.face_set import FaceSet, Rows
from ...data.identity import connected, nearest_pairs, person_keys, rows_by_value
from ...tasks import PROBABILITIES
from .issues import LabelIssue
from .label_quality import MIN_PROBABILITY

FIELDS = ("gender", "age")
"""Labels that all photos of a named person share, and so do near-copies."""
NEAR_COPY = 0.95
"""Similarity from which two faces of one mask state count as the same photo."""
SAME_PERSON = {"person": 1.0, "copies": 0.95}
"""Probability that faces listed as one person, or near-copies, show one person at one time."""
MAX_YEARS_APART = {"person": 1.0, "copies": 5.0}
"""Ages further apart than this contradict each other: look-alikes of one age pass for copies now and then."""
USUAL_SHARE = 0.8
"""Share of the people of a data set with the same number of photos of each mask state, from which others are odd."""
ODD_IS_WRONG = 0.9
"""Probability that odd numbers of photos are due to a wrong label."""


def label_conflicts(
    faces: FaceSet,
    labels: pd.DataFrame,
    groups: Iterable[Rows],
    kind: str,
    wrong: Mapping[tuple[int, str], float],
) -> list[LabelIssue]:
    """Issues with the labels of faces that must have the same label, and do not.

    One of the labels is right: more likely one that more faces carry, and whose faces' labels are less likely wrong.

    Args:
        groups: rows of faces of one person.
        kind: ``person`` or ``copies``.
        wrong: probability that the label of a face is wrong, by row and field, as far as known.
    """
    low, high = (faces.table[name].to_numpy(np.float64) for name in ("age_low", "age_high"))
    issues = []
    for group in groups:
        for field in FIELDS:
            carriers: dict[str, list[int]] = {}
            for row in group.tolist():
                if label := labels[field].iloc[row]:
                    carriers.setdefault(label, []).append(row)
            rows = [row for mine in carriers.values() for row in mine]
            if len(carriers) < 2 or (field == "age" and low[rows].max() <= high[rows].min() + MAX_YEARS_APART[kind]):
                continue
            odds = {
                label: len(mine) * (1 - float(np.mean([wrong.get((row, field), 0.0) for row in mine])))
                + MIN_PROBABILITY
                for label, mine in carriers.items()
            }
            best = max(odds, key=lambda label: odds[label])
            counts = ", ".join(f"{label} ({len(mine)})" for label, mine in sorted(carriers.items()))
            text = f"{field} of {'photos of this person' if kind == 'person' else 'copies of this photo'}: {counts}"
            for label, mine in carriers.items():
                probability = SAME_PERSON[kind] * (1 - odds[label] / sum(odds.values()))
                better = best if label != best else max(odds, key=lambda other: (other != label, odds[other]))
                issues.append(LabelIssue(kind, tuple(mine), field, label, better, probability, text))
    return issues


def near_copies(faces: FaceSet) -> list[Rows]:
    """Rows of each set of two or more near-copies: faces of one mask state that are more alike than any two photos."""
    left, right, similarity = nearest_pairs(faces.embeddings)
    mask = faces.table["mask"].fillna("").to_numpy()
    near = (similarity >= NEAR_COPY) & (mask[left] == mask[right])
    return [rows for rows in rows_by_value(connected(left[near], right[near], len(faces))) if len(rows) > 1]


def odd_folders(faces: FaceSet, predicted: pd.DataFrame, labels: pd.Series[str]) -> list[LabelIssue]:
    """Issues with mask labels of named people who have one photo too many of a state and one too few of another.

    What is right is how many photos of each state most people of the same data set have, for instance five masks, one
    worn incorrectly and one bare face. The face that looks most like the missing state is the likeliest.

    Args:
        predicted: (n rows) of :func:`.predictions.out_of_fold_predictions`.
        labels: (n,) mask labels.
    """
    person = person_keys(faces.table)
    table = pd.DataFrame({"dataset": faces.table["dataset"], "person": person, "mask": labels})
    table = table[person.notna() & (labels != "")]
    issues: list[LabelIssue] = []
    for _, mine in table.groupby("dataset"):
        counts = pd.crosstab(mine["person"], mine["mask"]).reindex(columns=list(MASKS), fill_value=0)
        usual = counts.mode().iloc[0]
        if (counts == usual).all(axis=1).mean() < USUAL_SHARE:
            continue
        for name, excess in (counts - usual).iterrows():
            for many, few in ((a, b) for a in MASKS for b in MASKS if excess[a] > 0 > excess[b]):
                rows = mine.index[(mine["person"] == name) & (mine["mask"] == many)].to_numpy()
                columns = [PROBABILITIES["mask"][state] for state in (few, many)]
                shares = np.nan_to_num(predicted.loc[rows, columns].to_numpy(np.float64), nan=0.5)
                ratio = np.divide(*shares.clip(MIN_PROBABILITY, 1).T)
                text = f"{excess[many]:+d} {many} and {excess[few]:+d} {few} compared with most people's photos"
                for row, probability in zip(rows.tolist(), (ODD_IS_WRONG * ratio / ratio.sum()).tolist(), strict=True):
                    issues.append(LabelIssue("person", (row,), "mask", many, few, probability, text))
    return issues
