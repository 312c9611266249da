"""The voters behind every answer as JSON Lines, for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...embedder.storage.atomic import replacing
from ..answer import Answer, Voter
from ..tasks import PROBABILITIES

ANSWER_KEYS = (
    *PROBABILITIES,
    "class_id",
    *(column for columns in PROBABILITIES.values() for column in columns.values()),
    *("age", "age_low", "age_high"),
)


def write_explanations(path: Path, answers: Sequence[Answer]) -> int:
    """Write one object for each answer with voters, in their order, atomically; return how many.

    Each holds ``path``, ``face_id``, ``answer`` (:data:`ANSWER_KEYS`) and ``voters``, nearest first: the fields of a
    :class:`~..answer.Voter`, with ``members`` where the gallery has prototypes.
    """
    explained = [answer for answer in answers if answer.voters and answer.face is not None]
    prototypes = any(voter.members is not None for answer in explained for voter in answer.voters)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for answer in explained:
            row = answer.row()
            content = {
                "path": answer.path,
                "face_id": answer.face.face_id if answer.face else None,
                "answer": {key: row[key] for key in ANSWER_KEYS},
                "voters": [_voter(voter, prototypes) for voter in answer.voters],
            }
            file.write(json.dumps(content, allow_nan=False) + "\n")
    return len(explained)


def _voter(voter: Voter, prototypes: bool) -> dict[str, Any]:
    content = asdict(voter) | {"similarity": round(voter.similarity, 6), "weight": round(voter.weight or 0.0, 6)}
    if not prototypes:
        del content["members"]
    return content
