"""From faces to answers: the heads' classes, the vote on the age, and who voted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...embedder.labels import AGE_BANDS
from ..age.vote import NOBODY, Floats, Ints, voter_weights
from ..answer import VOTERS_LISTED, AgePrediction, Answer, ClassPrediction, Voter, plain
from ..tasks import ANSWER_COLUMNS
from .model import Ages, Model

VOTER_COLUMNS = ("face_id", "age_low", "age_high", "group", "members", "mask", "gender", "path", "root")


def answer_faces(
    model: Model, ages: Ages, embeddings: Floats, maps: npt.NDArray[np.float16], voters: int = VOTERS_LISTED
) -> list[Answer]:
    """An answer for each of n faces; what the model does not predict is None.

    Probabilities are rounded to four decimals, years to one.

    Args:
        ages: what :meth:`.model.Model.ages` gives for them.
        embeddings: (n, 512).
        maps: (n, 896, 4, 4).
        voters: listed with each answer, at most.
    """
    heads = {task: (head.classes, head.probabilities(maps, embeddings)) for task, head in model.heads.items()}
    shares = vote_shares(model, ages)
    faces = _gallery_faces(model, ages.voters[:, :voters])
    answers = []
    for i, rows in enumerate(ages.voters):
        classes = {task: _prediction(names, values[i]) for task, (names, values) in heads.items()}
        rows = rows[rows >= 0]
        listed = [
            Voter(**faces[row], similarity=similarity, weight=weight)
            for row, similarity, weight in zip(
                rows[:voters].tolist(), ages.similarities[i].tolist(), shares[i].tolist(), strict=False
            )
        ]
        answers.append(
            Answer(
                mask=classes.get("mask"),
                gender=classes.get("gender"),
                age=_age(ages, i),
                voters=tuple(listed),
                voter_count=len(rows),
            )
        )
    return answers


def vote_shares(model: Model, ages: Ages) -> Floats:
    """Share of the vote (n, k) of every voter of ``ages``; rows sum to 1, missing voters have 0.

    An answer is these shares times the voters' ages (:func:`..age.vote.year_profiles`), and nothing else.
    """
    return voter_weights(ages.similarities, model.settings.temperature)


def _prediction(classes: tuple[str, ...], probabilities: Floats) -> ClassPrediction:
    rounded = {name: round(p, 4) for name, p in zip(classes, probabilities.tolist(), strict=True)}
    return ClassPrediction(classes[int(probabilities.argmax())], rounded)


def _age(ages: Ages, i: int) -> AgePrediction | None:
    votes = ages.votes
    if votes.predicted[i] == NOBODY:
        return None
    probabilities = {band: round(p, 4) for band, p in zip(AGE_BANDS, votes.bands[i].tolist(), strict=True)}
    years, low, high = (round(float(part[i]), 1) for part in (votes.age, votes.low, votes.high))
    return AgePrediction(AGE_BANDS[votes.predicted[i]], probabilities, years, low, high)


def _gallery_faces(model: Model, rows: Ints) -> dict[int, dict[str, Any]]:
    """Row of the gallery -> fields of a :class:`~..answer.Voter`, of all rows that are there."""
    wanted = np.unique(rows[rows >= 0])
    table = model.table.iloc[wanted].reindex(columns=list(VOTER_COLUMNS)).rename(columns={"group": "person"})
    faces: dict[int, dict[str, Any]] = {}
    for row, face in zip(wanted.tolist(), table.to_dict("records"), strict=True):
        cells = {str(name): plain(value) for name, value in face.items()}
        faces[row] = cells | {"members": None if cells["members"] is None else int(cells["members"])}
    return faces


def answer_rows(model: Model, ages: Ages, embeddings: Floats, maps: npt.NDArray[np.float16]) -> list[dict[str, Any]]:
    """The answers of :func:`answer_faces` as rows of a table: columns :data:`~..tasks.ANSWER_COLUMNS`."""
    rows = (answer.row() for answer in answer_faces(model, ages, embeddings, maps))
    return [{name: row[name] for name in ANSWER_COLUMNS} for row in rows]
