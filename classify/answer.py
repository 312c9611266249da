"""Answers about faces: one row each, with probabilities, the voters behind the age, and what is doubtful."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..embedder.labels import AGE_BANDS, BAND_STARTS, class_id
from .age.vote import NOBODY, Floats
from .model.model import Ages, Model
from .predict.evidence import shares, voter_cells
from .tasks import ANSWER_COLUMNS, BAND_COLUMNS, PROBABILITIES


def answer_faces(model: Model, ages: Ages, embeddings: Floats, maps: npt.NDArray[np.float16]) -> list[dict[str, Any]]:
    """A row (:data:`~.tasks.ANSWER_COLUMNS`) for each of n faces; what the model cannot say is None.

    Args:
        ages: what :meth:`.model.model.Model.ages` says of them.
        embeddings: (n, 512).
        maps: (n, 896, 4, 4).
    """
    heads = {task: head.probabilities(maps, embeddings) for task, head in model.heads.items()}
    share = shares(model, ages)
    rows = []
    for position in range(len(embeddings)):
        row: dict[str, Any] = dict.fromkeys(ANSWER_COLUMNS)
        for task, head in model.heads.items():
            row[task] = head.classes[int(heads[task][position].argmax())]
            row |= {f"p_{name}": _number(p) for name, p in zip(head.classes, heads[task][position], strict=True)}
        row |= _age_cells(model, ages, share, position)
        if all(row[task] is not None for task in PROBABILITIES):
            row["class_id"] = class_id(row["mask"], row["gender"], row["age_band"])
        rows.append(row)
    return rows


def doubts(row: Mapping[str, Any], min_confidence: float) -> list[str]:
    """Why an answer is not sure enough: one line a task whose probability is below ``min_confidence`` (0-1)."""
    found = []
    for task, columns in PROBABILITIES.items():
        said = row[task]
        if said is None or row[columns[said]] >= min_confidence:
            continue
        line = f"{task.removesuffix('_band')} {said} only {row[columns[said]]:.0%} sure"
        if task == "age_band":
            second = max((band for band in AGE_BANDS if band != said), key=lambda band: row[columns[band]])
            border = BAND_STARTS[max(AGE_BANDS.index(said), AGE_BANDS.index(second))]
            line += f": its neighbours straddle {border} ({second} {row[columns[second]]:.0%})"
        found.append(line)
    return found


def weighed_up(row: Mapping[str, Any]) -> str | None:
    """Why the band that is said is not the likeliest, where it is not: rare bands are weighed up."""
    said = row["age_band"]
    if said is None:
        return None
    likeliest = max(AGE_BANDS, key=lambda band: row[PROBABILITIES["age_band"][band]])
    return None if said == likeliest else f"age {likeliest} is likelier, but {said} is rarer and weighed up"


def _age_cells(model: Model, ages: Ages, share: Floats, position: int) -> dict[str, Any]:
    votes = ages.votes
    if votes.said[position] == NOBODY:
        return {}
    cells: dict[str, Any] = {"age_band": AGE_BANDS[votes.said[position]]}
    cells |= {column: _number(p) for column, p in zip(BAND_COLUMNS, votes.bands[position], strict=True)}
    cells |= {name: round(float(getattr(votes, part)[position]), 1) for name, part in _AGE_PARTS.items()}
    return cells | voter_cells(model, ages.voters[position], ages.similarities[position], share[position])


_AGE_PARTS = {"age": "age", "age_low": "low", "age_high": "high"}


def _number(value: float) -> float:
    return round(float(value), 4)
