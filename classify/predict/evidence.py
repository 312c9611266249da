"""Who voted, with what share of the vote, and what would be said without some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...embedder.labels import age_text
from ...embedder.table import gallery_ids
from ..age.vote import Floats, Ints, voter_weights
from ..model.model import Ages, Model

NEIGHBOURS_SHOWN = 10


def shares(model: Model, ages: Ages) -> Floats:
    """Share of the vote (n, k) of every voter of ``ages``; rows sum to 1, missing voters have 0.

    An answer is these shares times what the voters say (:func:`..age.vote.year_profiles`), and nothing else.
    """
    return voter_weights(ages.similarities, model.settings.temperature)


def voter_cells(model: Model, voters: Ints, similarities: Floats, share: Floats) -> dict[str, Any]:
    """The columns of one answer that name its voters: ``neighbours``, ``weights`` and ``voters``.

    Args:
        voters: (k,) gallery rows, nearest first, negative where there is none.
        similarities: (k,) cosine similarities of the same.
        share: (k,) their :func:`shares`.
    """
    rows = voters[voters >= 0]
    faces = model.table.iloc[rows[:NEIGHBOURS_SHOWN]].to_dict("records")
    near = [
        f"{face['face_id']}:{age_text(face['age_low'], face['age_high'])}:{similarity:.3f}"
        for face, similarity in zip(faces, similarities, strict=False)
    ]
    weights = [f"{one:.3f}" for one in share[: len(near)]]
    return {"neighbours": " ".join(near), "weights": " ".join(weights), "voters": len(rows)}


def read_voters(row: Mapping[Any, Any], most: int) -> list[dict[str, Any]]:
    """The nearest voters of a row of answers, ``most`` at most: ``id``, ``age``, ``similarity``, ``weight``.

    All are text as in the row but ``weight`` (0-1), which is None where the row does not say it.
    """
    texts = [text.split(":") for text in str(row.get("neighbours") or "").split()]
    near = [dict(zip(("id", "age", "similarity"), text, strict=True)) for text in texts if len(text) == 3]
    weights = str(row.get("weights") or "").split()
    told = list(map(float, weights)) if len(weights) == len(near) else [None] * len(near)
    return [{**voter, "weight": weight} for voter, weight in zip(near, told, strict=True)][:most]


def share_line(row: Mapping[Any, Any], shown: list[dict[str, Any]]) -> str:
    """How much of the vote the ``shown`` voters are, such as ``7 of 50 voters, 41 % of the vote``; empty if unknown."""
    count = row.get("voters")
    if not shown or count is None or count != count or any(voter["weight"] is None for voter in shown):
        return ""
    return f"{len(shown)} of {int(count)} voters, {100 * sum(voter['weight'] for voter in shown):.0f} % of the vote"


def faces_of(model: Model, voters: Ints) -> Ints:
    """All gallery rows of the people of some gallery rows, for :func:`without`; negative ones are ignored."""
    groups = model.table["group"].to_numpy(np.int64)
    return np.flatnonzero(np.isin(groups, groups[voters[voters >= 0]]))


def without(model: Model, rows: Ints) -> Model:
    """The model as it answers without some faces of its gallery.

    Whoever is next nearest moves up, another photo of the same person included, so that as many people vote as before
    where there are that many; the shares of the bands in the gallery are those of the faces left. Age space, settings
    and heads stay as they were fitted: this is what an answer rests on, not what would have been learnt.

    Args:
        rows: of ``model.table``, such as some of :attr:`..model.model.Ages.voters`; negative ones are ignored. The
            rows of the new model's table are numbered anew.
    """
    left = np.setdiff1d(np.arange(len(model.table)), rows)
    table = model.table.iloc[left].reset_index(drop=True)
    gallery = model.gallery.copy()
    gallery.remove(np.setdiff1d(gallery.ids, gallery_ids(table["face_id"])))
    return replace(model, gallery=gallery, table=table, fingerprint="")
