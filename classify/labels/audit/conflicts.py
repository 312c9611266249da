"""Labels that contradict each other: within a person, between near-copies, within a folder of a known make-up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ....embedder.labels import MASKS
from ....index.flat import Gallery
from ...data.face_set import FaceSet, Rows
from ...tasks import PROBABILITIES
from .doubts import LEAST, Doubt
from .label_noise import Floats, wrong_probability

FIELDS = ("gender", "age")
"""What is one for all photos of a named person, and for near-copies."""
NEAR_COPY = 0.95
"""Similarity from which two faces of one mask state are taken for one photo."""
SURE = {"person": 1.0, "copies": 0.95}
"""How likely faces that are listed as one person, or look like copies, are one person at one time."""
YEARS_APART = {"person": 1.0, "copies": 5.0}
"""Ages further apart than this contradict each other: look-alikes of one age pass for copies now and then."""
LINKS = 20
TYPICAL = 0.8
"""Share of a folder's people whose photos have the same make-up, from which on others are odd."""
ODD = 0.9
"""How likely an odd make-up is due to a wrong label."""
MIN_NORM = 15.0
"""Embeddings shorter than this before they are normalised do not tell one person from another."""
FEW = 3
"""Photos of a person from which on a stranger among them can be told."""


def label_conflicts(
    faces: FaceSet,
    labels: pd.DataFrame,
    groups: Iterable[Sequence[int]],
    kind: str,
    doubted: Mapping[tuple[int, str], float],
) -> list[Doubt]:
    """Doubts about the labels of faces that must have the same, and do not.

    Of several labels one is right: likelier the one that more faces carry and that is doubted less.

    Args:
        groups: rows of faces of one person.
        kind: ``person`` or ``copies``.
        doubted: probability that the label of a face is wrong, by row and field, as far as known.
    """
    low, high = (faces.table[name].to_numpy(np.float64) for name in ("age_low", "age_high"))
    found = []
    for group in groups:
        for field in FIELDS:
            rows = [row for row in group if labels[field].iloc[row]]
            carried: dict[str, list[int]] = {}
            for row in rows:
                carried.setdefault(labels[field].iloc[row], []).append(row)
            if len(carried) < 2 or (field == "age" and low[rows].max() <= high[rows].min() + YEARS_APART[kind]):
                continue
            odds = {
                label: len(mine) * (1 - float(np.mean([doubted.get((row, field), 0.0) for row in mine]))) + LEAST
                for label, mine in carried.items()
            }
            best = max(odds, key=lambda label: odds[label])
            said = ", ".join(f"{label} ({len(mine)})" for label, mine in sorted(carried.items()))
            what = "faces of this person" if kind == "person" else "copies of this photo"
            for label, mine in carried.items():
                wrong = SURE[kind] * (1 - odds[label] / sum(odds.values()))
                proposal = best if label != best else max(odds, key=lambda other: (other != label, odds[other]))
                found.append(Doubt(kind, tuple(mine), field, label, proposal, wrong, f"{what} say {field} {said}"))
    return found


def named_people(faces: FaceSet) -> list[list[int]]:
    """Rows of each named person."""
    named = faces.table[faces.table["person"].notna()]
    return [rows.to_list() for rows in named.groupby(["root", "person"]).groups.values()]


def near_copies(faces: FaceSet) -> list[list[int]]:
    """Rows of each set of two or more near-copies: faces of one mask state that are more alike than any two photos."""
    gallery = Gallery(faces.embeddings.shape[1])
    gallery.add(faces.embeddings, np.arange(len(faces)))
    found = gallery.search(faces.embeddings, min(LINKS, len(faces)))
    left, right = np.repeat(np.arange(len(faces)), found.ids.shape[1]), found.ids.ravel()
    mask = faces.table["mask"].fillna("").to_numpy()
    near = (found.similarities.ravel() >= NEAR_COPY) & (right >= 0) & (left < right)
    near &= mask[left] == mask[right]
    graph = coo_array((np.ones(near.sum()), (left[near], right[near])), shape=(len(faces), len(faces)))
    component = connected_components(graph, directed=False)[1]
    order = np.argsort(component, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    return [part.tolist() for part in parts if len(part) > 1]


def odd_folders(faces: FaceSet, said: pd.DataFrame, labels: pd.Series[str]) -> list[Doubt]:
    """Doubts about mask states of named people who have one too many of a state and one too few of another.

    Such a make-up is told from that of most people of the same folder of photos, for instance five masks, one worn
    wrongly and one bare face. The face that looks most like the state that is lacking is doubted most.
    """
    table = pd.DataFrame({"root": faces.table["root"], "person": faces.table["person"], "mask": labels})
    table = table[table["person"].notna() & (labels != "")]
    found: list[Doubt] = []
    for _, mine in table.groupby("root"):
        counts = pd.crosstab(mine["person"], mine["mask"]).reindex(columns=list(MASKS), fill_value=0)
        usual, share = counts.mode().iloc[0], (counts == counts.mode().iloc[0]).all(axis=1).mean()
        if share < TYPICAL:
            continue
        for person, excess in (counts - usual).iterrows():
            for many, few in ((a, b) for a in MASKS for b in MASKS if excess[a] > 0 > excess[b]):
                rows = mine.index[(mine["person"] == person) & (mine["mask"] == many)].to_numpy()
                columns = [PROBABILITIES["mask"][name] for name in (few, many)]
                shares = np.nan_to_num(said.loc[rows, columns].to_numpy(np.float64), nan=0.5).clip(LEAST, 1)
                ratio = shares[:, 0] / shares[:, 1]
                text = f"{excess[many]:+d} {many} and {excess[few]:+d} {few} beside most people's photos"
                for row, wrong in zip(rows.tolist(), (ODD * ratio / ratio.sum()).tolist(), strict=True):
                    found.append(Doubt("person", (row,), "mask", many, few, wrong, text))
    return found


def swapped(faces: FaceSet, random: np.random.Generator) -> list[Doubt]:
    """Doubts whether a photo shows the person it is listed under, for named people with three photos or more.

    What a photo in the wrong place looks like is known: it is compared with another person's photos.
    """
    table = faces.table
    key = (table["root"] + "\0" + table["person"]).where(table["person"].notna())
    key = key.where(table["norm"] >= MIN_NORM)
    rows = np.flatnonzero(key.notna() & (key.groupby(key).transform("size") >= FEW).to_numpy())
    if not len(rows):
        return []
    person, names = pd.factorize(key.iloc[rows])
    if len(names) < 2:
        return []
    sums, counts = _sums(faces.embeddings[rows], person)
    own, other, who = _similarities(faces.embeddings[rows], person, sums, counts)
    stranger = (person + random.integers(1, len(names), len(rows))) % len(names)
    away = np.einsum("nd,nd->n", faces.embeddings[rows], sums[stranger]) / counts[stranger]
    doubt = wrong_probability(other - own, np.maximum(own, other) - away)
    found = []
    for i, row in enumerate(rows.tolist()):
        alike = table["person"].iloc[rows[np.flatnonzero(person == who[i])[0]]]
        text = f"similarity {own[i]:.2f} to this person's other photos, {other[i]:.2f} to those of {alike}"
        found.append(Doubt("swapped", (row,), "", str(table["person"].iloc[row]), "", float(doubt[i]), text))
    return found


def _similarities(embeddings: np.ndarray, person: Rows, sums: np.ndarray, counts: Rows) -> tuple[Floats, Floats, Rows]:
    """Mean similarity (n,) to the own person's other faces and to the most similar other person's, and who that is."""
    own = np.einsum("nd,nd->n", embeddings, sums[person]) - 1
    other, who = np.empty(len(person)), np.empty(len(person), np.int64)
    for start in range(0, len(person), 1024):
        part = slice(start, start + 1024)
        near = embeddings[part] @ (sums / counts[:, None]).T
        near[np.arange(len(near)), person[part]] = -np.inf
        other[part], who[part] = near.max(axis=1), near.argmax(axis=1)
    return np.asarray(own / (counts[person] - 1), np.float64), other, who


def _sums(embeddings: np.ndarray, person: Rows) -> tuple[np.ndarray, Rows]:
    """Sum of the embeddings (people, 512) and number of faces (people,) of each person."""
    sums = np.zeros((person.max() + 1, embeddings.shape[1]), np.float64)
    np.add.at(sums, person, embeddings)
    return sums, np.bincount(person)
