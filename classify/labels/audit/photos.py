"""Issues of photos rather than labels: no face, too blurred, or of somebody else."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...data.face_set import FaceSet, Rows
from ...data.identity import person_keys
from .issues import LabelIssue
from .label_noise import Floats, error_probability

NO_FACE_NORMS = (8.6, 9.6, 10.2, 10.9, 12.1, 13.0, 13.9, 15.1, 16.4, 17.9)
"""Lengths of embeddings of squares cut from pictures without faces: quantiles .05, .15, … of ``benchmarks/no_face.py``.
Those of faces are about 22."""
BLURRED_SHARPNESS = (0.8, 0.9, 1.1, 1.3, 1.4, 1.6, 1.9, 2.2)
"""Sharpness of 160-pixel faces after Gaussian blur of three to eight pixels, see ``benchmarks/no_face.py``: their
embeddings have a cosine of .83 to .2 to those of the same faces unblurred."""
MIN_NORM = 15.0
"""Embeddings shorter than this before they are normalised do not identify a person."""
MIN_PHOTOS = 3
"""Photos of a person from which on a photo of somebody else can be found among them."""
CHUNK = 1024


def photo_issues(table: pd.DataFrame) -> list[LabelIssue]:
    """Two issues for each of n photos, no face and blurred, by the embedding's length and by sharpness.

    The probability of no face is scaled by one minus the detector's score. It is 0 for faces labelled as masked: their
    embeddings are short, and the detector misses some of them.

    Args:
        table: see :data:`maskcls.embedder.table.COLUMNS`.
    """
    norm, sharpness, score = (table[name].to_numpy(np.float64) for name in ("norm", "sharpness", "face_score"))
    no_face = error_probability(-norm, -np.array(NO_FACE_NORMS)) * (1 - score.clip(0, 1))
    no_face[table["mask"].isin(("wear", "incorrect")).to_numpy(bool)] = 0
    blurred = error_probability(-np.log(sharpness.clip(0.1)), -np.log(BLURRED_SHARPNESS))
    issues = []
    for row, (empty, soft) in enumerate(zip(no_face.tolist(), blurred.tolist(), strict=True)):
        text = f"embedding of length {norm[row]:.1f} (faces: 22, other things: 12), face detector {score[row]:.2f}"
        issues.append(LabelIssue("no_face", (row,), "", "", "", empty, text))
        text = f"sharpness {sharpness[row]:.1f} squared grey levels; at 2 and below a face is hardly recognisable"
        issues.append(LabelIssue("blurred", (row,), "", "", "", soft, text))
    return issues


def swapped_photos(faces: FaceSet, random: np.random.Generator) -> list[LabelIssue]:
    """One issue for each photo of a named person with three photos or more: it shows somebody else.

    Scores of photos in the wrong place are made by comparing each photo with a random other person's.
    """
    table = faces.table
    key = person_keys(table).where(table["norm"] >= MIN_NORM)
    rows = np.flatnonzero(key.notna() & (key.groupby(key).transform("size") >= MIN_PHOTOS).to_numpy())
    if not len(rows):
        return []
    person, names = pd.factorize(key.iloc[rows])
    if len(names) < 2:
        return []
    sums, counts = _sums(faces.embeddings[rows], person)
    own, other, nearest = _similarities(faces.embeddings[rows], person, sums, counts)
    stranger = (person + random.integers(1, len(names), len(rows))) % len(names)
    away = np.einsum("nd,nd->n", faces.embeddings[rows], sums[stranger]) / counts[stranger]
    probability = error_probability(other - own, np.maximum(own, other) - away)
    issues = []
    for i, row in enumerate(rows.tolist()):
        alike = table["person"].iloc[rows[np.flatnonzero(person == nearest[i])[0]]]
        text = f"similarity {own[i]:.2f} to this person's other photos, {other[i]:.2f} to those of {alike}"
        name = str(table["person"].iloc[row])
        issues.append(LabelIssue("swapped", (row,), "", name, "", float(probability[i]), text))
    return issues


def _similarities(embeddings: np.ndarray, person: Rows, sums: np.ndarray, counts: Rows) -> tuple[Floats, Floats, Rows]:
    """Mean similarity (n,) to the own person's other faces and to the most similar other person's, and its number."""
    own = np.einsum("nd,nd->n", embeddings, sums[person]) - 1
    other, nearest = np.empty(len(person)), np.empty(len(person), np.int64)
    for start in range(0, len(person), CHUNK):
        part = slice(start, start + CHUNK)
        near = embeddings[part] @ (sums / counts[:, None]).T
        near[np.arange(len(near)), person[part]] = -np.inf
        other[part], nearest[part] = near.max(axis=1), near.argmax(axis=1)
    return np.asarray(own / (counts[person] - 1), np.float64), other, nearest


def _sums(embeddings: np.ndarray, person: Rows) -> tuple[np.ndarray, Rows]:
    """Sum of the embeddings (people, 512) and number of faces (people,) of each person."""
    sums = np.zeros((person.max() + 1, embeddings.shape[1]), np.float64)
    np.add.at(sums, person, embeddings)
    return sums, np.bincount(person)
