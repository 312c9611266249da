"""The evidence behind every answer: all voters, and the smallest set without whom another age band would be said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...embedder.labels import AGE_BANDS
from ...embedder.storage.atomic import replacing
from ..age.vote import NOBODY, AgeVotes, Floats, Ints, prior_of, voter_weights
from ..model.model import Ages, Model
from ..tasks import PROBABILITIES
from .flips import Ballots, Flip, smallest_flip

VOTER_COLUMNS = ("face_id", "group", "members", "age_low", "age_high", "mask", "gender", "path", "root")
"""``members`` is there only where the gallery holds prototypes."""
ANSWER = (*PROBABILITIES, "class_id", *(p for names in PROBABILITIES.values() for p in names.values()))
YEARS = ("age", "age_low", "age_high")


@dataclass(frozen=True)
class Evidence:
    """What the age of one answer rests on. All is plain, so that it passes through JSON unchanged.

    Attributes:
        face_id: of the face asked about, as an embedding set would call it.
        voters: their gallery rows, nearest first.
        similarities: cosine of each in the age space.
        weights: share of the vote of each (0-1), adding up to 1.
        flip: places in ``voters`` of the smallest set found without whom another band would be said; see
            :mod:`.flips`. Empty where none was found.
        band: said then, None without such a set.
        age: said then, in years.
        safe: no set of this many voters or fewer changes the band.
    """

    face_id: str
    voters: Sequence[int]
    similarities: Sequence[float]
    weights: Sequence[float]
    flip: Sequence[int]
    band: str | None
    age: float | None
    safe: int

    @property
    def exact(self) -> bool:
        """Whether no smaller set can do it, or, where none was found, no set at all."""
        return self.safe == (len(self.flip) - 1 if self.flip else len(self.voters))

    @property
    def share(self) -> float:
        """Share of the vote (0-1) of the set that was found."""
        return sum(self.weights[place] for place in self.flip)


def evidence_of(
    model: Model, near: Ints, similarities: Floats, ages: Ages, face_ids: Sequence[str]
) -> list[Evidence | None]:
    """The evidence of n answers; None where nobody voted.

    Every set is counted again by the functions that answer, and one that did not change the band would be dropped.

    Args:
        near: (n, 2 * voters) gallery rows of the nearest people from :meth:`..model.model.Model.nearest`: the voters,
            and as many who move up where voters are thought away.
        similarities: (n, 2 * voters) of the same.
        ages: what the voters say.
        face_ids: of the n faces.
    """
    flips = _flips(model, near, similarities, ages.votes)
    again = _without(model, near, similarities, flips)
    shares = voter_weights(ages.similarities, model.settings.temperature)
    found: list[Evidence | None] = []
    for i, (face_id, flip) in enumerate(zip(face_ids, flips, strict=True)):
        rows = ages.voters[i][ages.voters[i] >= 0]
        if not len(rows):
            found.append(None)
            continue
        changed = again.said[i] not in (NOBODY, ages.votes.said[i])
        found.append(
            Evidence(
                face_id,
                rows.tolist(),
                _rounded(ages.similarities[i, : len(rows)]),
                _rounded(shares[i, : len(rows)]),
                list(flip.places) if changed else [],
                AGE_BANDS[again.said[i]] if changed else None,
                round(float(again.age[i]), 1) if changed else None,
                flip.safe,
            )
        )
    return found


def flip_line(evidence: Evidence) -> str:
    """What the smallest set is, such as ``without 3 of 50 voters (12 % of the vote) it would say 30-59``."""
    voters, size, fewest = len(evidence.voters), len(evidence.flip), evidence.safe + 1
    if evidence.band is None:
        return (
            f"no set of the {voters} voters changes the band"
            if evidence.exact
            else f"no set of up to {evidence.safe} of {voters} voters changes the band, and no larger one was found"
        )
    fewer = "" if evidence.exact else f"; {fewest}{f' to {size - 1}' if fewest < size - 1 else ''} may do"
    share = f"{100 * evidence.share:.0f} % of the vote"
    return f"without {size} of {voters} voters ({share}) it would say {evidence.band}{fewer}"


def write_evidence(path: Path, answers: pd.DataFrame, evidence: Mapping[int, Evidence], model: Model) -> None:
    """Write JSON Lines, one object for each row of answers that has evidence, in their order, atomically.

    Args:
        answers: see :data:`.job.COLUMNS`.
        evidence: by number of the row.
    """
    told = [name for name in VOTER_COLUMNS if name in model.table]
    faces = model.table[told].rename(columns={"group": "person"})
    sizes = np.bincount(faces["person"].to_numpy(np.int64))
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for number, row in enumerate(answers.to_dict("records")):
            if number in evidence:
                file.write(json.dumps(_card(row, evidence[number], faces, sizes), allow_nan=False) + "\n")


def _card(row: Mapping[Any, Any], evidence: Evidence, faces: pd.DataFrame, sizes: Ints) -> dict[str, Any]:
    voters = faces.iloc[list(evidence.voters)].to_dict("records")
    for voter, similarity, weight in zip(voters, evidence.similarities, evidence.weights, strict=True):
        voter |= {"similarity": similarity, "weight": weight}
    without = [voters[place] for place in evidence.flip]
    return {
        "path": row["path"],
        "face_id": evidence.face_id,
        "answer": {name: _plain(row[name]) for name in (*ANSWER, *YEARS)},
        "voters": [{name: _plain(value) for name, value in voter.items()} for voter in voters],
        "flips": {
            "voters": [voter["face_id"] for voter in without],
            "share": round(evidence.share, 6),
            "faces": int(sum(sizes[voter["person"]] for voter in without)),
            "to": evidence.band,
            "age": evidence.age,
            "exact": evidence.exact,
        }
        if evidence.flip
        else None,
        "safe_without": evidence.safe,
    }


def _flips(model: Model, near: Ints, similarities: Floats, votes: AgeVotes) -> list[Flip]:
    shares = voter_weights(similarities, model.settings.temperature)[..., None] * model.band_profiles[near]
    bands, people = model.person_bands
    wanted, whole = model.settings.voters, len(model.table) <= model.reach
    flips = []
    for i, found in enumerate((near >= 0).sum(axis=1).tolist()):
        voters = min(found, wanted)
        most = voters if whole else min(voters, found - wanted)
        if most < 1:
            flips.append(Flip((), 0))
            continue
        ballots = Ballots(shares[i, :found], bands[near[i, :found]], people, int(votes.said[i]), voters, most)
        flips.append(smallest_flip(ballots, model.settings))
    return flips


def _without(model: Model, near: Ints, similarities: Floats, flips: Sequence[Flip]) -> AgeVotes:
    """What is said without these voters' people, each query's next nearest having moved up."""
    bands, people = model.person_bands
    near, prior = near.copy(), np.tile(people, (len(near), 1))
    for i, flip in enumerate(flips):
        gone = list(flip.places)
        prior[i] -= np.bincount(bands[near[i, gone]], minlength=len(people))
        near[i, gone] = NOBODY
        near[i, model.settings.voters + len(gone) :] = NOBODY
    similarities = np.where(near < 0, -np.inf, similarities).astype(np.float32)
    return model.count(near, similarities, prior_of(prior)).votes


def _rounded(values: Floats) -> list[float]:
    return [round(value, 6) for value in values.tolist()]


def _plain(value: Any) -> Any:
    """A cell as JSON has it: missing is None, numpy's numbers are Python's."""
    return None if pd.isna(value) else value.item() if hasattr(value, "item") else value
