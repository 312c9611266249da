"""The answer about one face or photo, and its forms: a row of ``predictions.csv``, a table, a JSON object.

An :class:`Answer` holds what a model predicts for a face of a photo and the voters behind the age. Whatever
writes answers (tables, HTML, JSON, the web API) converts them here or at its own edge; a file is read back by
:func:`read_answer`, and nothing else parses its cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from ..embedder.labels import age_text, class_id, parse_age
from .tasks import ANSWER_COLUMNS, PREDICTION_COLUMNS, PROBABILITIES

PREDICTED = ("ok", "unsure")
STATUSES = (*PREDICTED, "no_face", "unreadable", "failed")
"""``failed`` is of the web API alone: the server failed, and the photo may be a good one."""
VOTERS_LISTED = 10
"""Nearest voters in a row of ``predictions.csv``, at most."""
ROUNDING = 5e-4
"""Probabilities of a task add up to 1 within this much: they are rounded to four decimals."""


@dataclass(frozen=True, slots=True)
class Face:
    """The face of a photo that an answer is about.

    Attributes:
        face_id: as an embedding set would call it, 16 hexadecimal digits.
        box: x0, y0, x1, y1 in pixels of the upright photo; may reach beyond it.
        score: how sure the detector is that it is a face (0-1).
        how: ``detect``, or ``whole`` where the whole photo was taken as the face.
        faces_in_photo: faces found.
        number: of this face among them, by size: 1 is the largest.
        quality: how well the face can be judged, 0-1; None where it was not measured.
        quality_reason: what lowers it.
        turn: degrees counter-clockwise by which the photo must be turned to see the face upright.
    """

    face_id: str
    box: tuple[float, ...]
    score: float
    how: Literal["detect", "whole"]
    faces_in_photo: int
    number: int = 1
    quality: float | None = None
    quality_reason: str | None = None
    turn: int = 0


@dataclass(frozen=True, slots=True)
class ClassPrediction:
    """The predicted class of one task.

    Attributes:
        label: the class.
        probabilities: class -> probability (0-1) of all classes; empty where a file does not have them.

    Raises:
        ValueError: the class has no probability, or they do not add up to 1.
    """

    label: str
    probabilities: Mapping[str, float]

    def __post_init__(self) -> None:
        values = self.probabilities.values()
        if values and self.label not in self.probabilities:
            raise ValueError(f"class {self.label!r} without its probability")
        if values and not (all(0 <= p <= 1 for p in values) and abs(sum(values) - 1) <= ROUNDING):
            raise ValueError(f"probabilities of {', '.join(self.probabilities)} do not add up to 1")

    @property
    def probability(self) -> float | None:
        """Of the predicted class."""
        return self.probabilities.get(self.label)


@dataclass(frozen=True, slots=True)
class AgePrediction(ClassPrediction):
    """The predicted age; the class is its band.

    Attributes:
        years: median.
        low, high: ends of the 80 % interval in years. All three are None where a model predicts bands alone.

    Raises:
        ValueError: the age lies outside its interval.
    """

    years: float | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        ClassPrediction.__post_init__(self)
        ages = [self.low, self.years, self.high]
        known = [age for age in ages if age is not None]
        if known and (len(known) < 3 or known != sorted(known)):
            raise ValueError(f"age {self.years} with the interval {self.low} to {self.high}")

    @property
    def band(self) -> str:
        """``<30``, ``30-59`` or ``>=60``."""
        return self.label


@dataclass(frozen=True, slots=True)
class Voter:
    """A face (or prototype) of the gallery that voted on the age.

    Attributes:
        face_id: in the gallery.
        age_low, age_high: years, equal where the age is exact.
        similarity: cosine in the age space.
        weight: share of the whole vote (0-1); None where a file does not have it.
        person: number of the person in the gallery.
        members: people that a prototype is the centroid of; None for a face.
        mask, gender: labels, where known.
        path, root: photo and the folder it lies in, where known.
    """

    face_id: str
    age_low: float
    age_high: float
    similarity: float
    weight: float | None
    person: int | None = None
    members: int | None = None
    mask: str | None = None
    gender: str | None = None
    path: str | None = None
    root: str | None = None

    @property
    def age(self) -> str:
        """Years or a band of years: ``37``, ``30-39``."""
        return age_text(self.age_low, self.age_high)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is predicted for one photo.

    Attributes:
        path: of the photo, or what else it is called.
        status: one of :data:`STATUSES`.
        face: None where there is none, or where a file does not have it.
        mask, gender, age: None where the model does not predict it, or no face was found.
        voters: on the age, nearest first; the nearest :data:`VOTERS_LISTED`, or all of them where that was asked for.
        voter_count: of all voters, listed or not.
        notes: why there is no answer, or what is to be noted about it.

    Raises:
        ValueError: the status is unknown, or something is predicted though there is no face.
    """

    path: str = ""
    status: str = "ok"
    face: Face | None = None
    mask: ClassPrediction | None = None
    gender: ClassPrediction | None = None
    age: AgePrediction | None = None
    voters: tuple[Voter, ...] = ()
    voter_count: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status {self.status!r} is none of {', '.join(STATUSES)}")
        if self.status not in PREDICTED and any(self.tasks.values()):
            raise ValueError(f"a prediction, but the status is {self.status}")

    @property
    def tasks(self) -> dict[str, ClassPrediction | None]:
        """The prediction of each task, in the order of :data:`~.tasks.PROBABILITIES`."""
        return {"mask": self.mask, "gender": self.gender, "age_band": self.age}

    @property
    def class_id(self) -> int | None:
        """The contest's class, see :func:`~..embedder.labels.class_id`; None unless all tasks are predicted."""
        if self.mask is None or self.gender is None or self.age is None:
            return None
        return class_id(self.mask.label, self.gender.label, self.age.label)

    @property
    def reason(self) -> str | None:
        """All notes in one line."""
        return "; ".join(self.notes) or None

    def __getitem__(self, column: str) -> Any:
        """The value of one of :data:`~.tasks.PREDICTION_COLUMNS`."""
        return self.row()[column]

    def row(self) -> dict[str, Any]:
        """The answer as a row of ``predictions.csv`` (:data:`~.tasks.PREDICTION_COLUMNS`): plain values or None."""
        row = dict.fromkeys(PREDICTION_COLUMNS) | {"path": self.path, "status": self.status, "reason": self.reason}
        for task, prediction in self.tasks.items():
            if prediction is not None:
                columns = PROBABILITIES[task]
                row[task] = prediction.label
                row |= {columns[name]: p for name, p in prediction.probabilities.items()}
        if self.age is not None:
            row |= {"age": self.age.years, "age_low": self.age.low, "age_high": self.age.high}
        if self.face is not None:
            row |= {"face": self.face.number, "box": " ".join(f"{value:.1f}" for value in self.face.box)}
            row |= {"quality": self.face.quality, "quality_reason": self.face.quality_reason}
        return row | {"class_id": self.class_id} | voter_cells(self.voters, self.voter_count)


def voter_cells(voters: Sequence[Voter], count: int) -> dict[str, Any]:
    """The columns ``neighbours``, ``weights`` and ``voters`` of a row; all None without voters."""
    if not count:
        return dict.fromkeys(("neighbours", "weights", "voters"))
    near = voters[:VOTERS_LISTED]
    return {
        "neighbours": " ".join(f"{voter.face_id}:{voter.age}:{voter.similarity:.3f}" for voter in near),
        "weights": " ".join(f"{voter.weight:.3f}" for voter in near if voter.weight is not None),
        "voters": count,
    }


def read_voters(row: Mapping[Any, Any]) -> tuple[Voter, ...]:
    """The voters that a row with a column ``neighbours`` lists; weights are None where the row does not have them.

    Raises:
        ValueError: the cell is not what :func:`voter_cells` writes.
    """
    near = [cell.split(":") for cell in _words(row.get("neighbours"))]
    weights = [float(cell) for cell in _words(row.get("weights"))]
    shares = weights if len(weights) == len(near) else [None] * len(near)
    voters = []
    for (face_id, age, similarity), weight in zip(near, shares, strict=True):
        low, high = parse_age(age)
        ends = (math.nan, math.nan) if low is None or high is None else (low, high)
        voters.append(Voter(face_id, *ends, float(similarity), weight))
    return tuple(voters)


def read_answer(row: Mapping[Any, Any]) -> Answer:
    """The answer that a row of ``predictions.csv`` (or of out-of-fold answers) holds; absent columns count as missing.

    All notes are one. The face and the photos of the voters are None, since a row has only a part of them.

    Raises:
        ValueError: the row holds what no answer can, such as probabilities that do not add up to 1.
    """
    cells = {str(name): plain(value) for name, value in row.items()}
    found: dict[str, tuple[str, dict[str, float]] | None] = {}
    for task, columns in PROBABILITIES.items():
        known = {name: cells[column] for name, column in columns.items() if cells.get(column) is not None}
        if (label := cells.get(task)) is not None and label not in columns:
            raise ValueError(f"{task} {label!r} is none of {', '.join(columns)}")
        if label is None and known:
            raise ValueError(f"probabilities of {task} without a class")
        found[task] = None if label is None else (label, known)
    mask, gender, band = found.values()
    voters = read_voters(cells)
    years = (cells.get(name) for name in ("age", "age_low", "age_high"))
    return Answer(
        path=cells.get("path") or "",
        status=cells.get("status") or "ok",
        mask=ClassPrediction(*mask) if mask else None,
        gender=ClassPrediction(*gender) if gender else None,
        age=AgePrediction(*band, *years) if band else None,
        voters=voters,
        voter_count=int(cells.get("voters") or len(voters)),
        notes=(cells["reason"],) if cells.get("reason") else (),
    )


def answer_table(answers: Iterable[Answer], columns: Sequence[str] = ANSWER_COLUMNS) -> pd.DataFrame:
    """Answers as a table of some of :data:`~.tasks.PREDICTION_COLUMNS`, one row each."""
    rows = [answer.row() for answer in answers]
    table = pd.DataFrame.from_records(rows, columns=list(PREDICTION_COLUMNS))[list(columns)]
    return table.astype({name: "Int64" for name in ("face", "class_id", "voters") if name in table})


def to_json(answer: Answer) -> dict[str, Any]:
    """An answer as an object that JSON can hold, floats unrounded; :func:`from_json` reads it."""
    return asdict(answer)


def from_json(content: Mapping[str, Any]) -> Answer:
    """The answer that :func:`to_json` made an object of, after it went through JSON.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    kinds = {"mask": ClassPrediction, "gender": ClassPrediction, "age": AgePrediction}
    parts: dict[str, Any] = {name: kind(**content[name]) for name, kind in kinds.items() if content[name] is not None}
    if (face := content["face"]) is not None:
        parts["face"] = Face(**{**face, "box": tuple(face["box"])})
    voters = tuple(Voter(**voter) for voter in content["voters"])
    return Answer(**{**content, **parts, "voters": voters, "notes": tuple(content["notes"])})


def vote_share(voters: Sequence[Voter], count: int) -> str:
    """How much of the vote some voters are, such as ``7 of 50 voters, 41 % of the vote``; empty if unknown."""
    weights = [voter.weight for voter in voters if voter.weight is not None]
    if not weights or len(weights) < len(voters):
        return ""
    return f"{len(voters)} of {count} voters, {100 * sum(weights):.0f} % of the vote"


def plain(value: Any) -> Any:
    """A cell as JSON has it: missing is None, numpy's numbers are Python's."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if value is None or value is pd.NA or value != value else value


def _words(cell: object) -> list[str]:
    return cell.split() if isinstance(cell, str) else []
