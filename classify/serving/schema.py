"""What the API says, as its OpenAPI document describes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from ...embedder.pipeline import EncodedFace
from ..model.model import Model
from ..predict.evidence import read_voters
from ..predict.explain import Evidence, flip_line
from ..predict.job import EVIDENCE
from ..tasks import PROBABILITIES
from .answerer import Answered

VOTERS = 10
Share = Field(ge=0, le=1)


class Voter(BaseModel):
    """A face of the gallery that voted on the age."""

    id: str = Field(description="The face's id in the model's gallery, as `maskcls index list` shows it.")
    people: int | None = Field(description="How many people a prototype is the centroid of; null for a face.")
    age: str = Field(description="Years, or a band such as 30-39.")
    similarity: float = Field(ge=-1.001, le=1.001, description="Cosine in the space that votes.")
    weight: float = Field(ge=0, le=1, description="Share of the whole vote.")


class Face(BaseModel):
    """The face that is answered for."""

    box: list[float] = Field(
        min_length=4, max_length=4, description="x0, y0, x1, y1 in pixels of the upright photo; may reach beyond it."
    )
    score: float = Field(ge=0, le=1, description="How sure the finder is that it is a face.")
    how: Literal["detect", "whole"] = Field(description="Found in the photo, or the photo as a whole.")
    faces_in_photo: int = Field(ge=1, description="The largest one is answered for.")


class Answer(BaseModel):
    """What is said of a photo. Fields that cannot be said are null."""

    name: str = Field(description="As the photo was called by the request.")
    status: Literal["ok", "unsure", "no_face", "unreadable", "failed"]
    reason: str | None = Field(description="Why there is no answer, or what is doubtful about it.")
    mask: Literal["wear", "incorrect", "normal"] | None
    gender: Literal["male", "female"] | None
    age_band: Literal["<30", "30-59", ">=60"] | None
    class_id: int | None = Field(ge=0, le=17, description="6 * mask + 3 * gender + age band.")
    age: float | None = Field(ge=0, description="Years, median.")
    age_low: float | None = Field(ge=0, description="Lower end of the 80 % interval.")
    age_high: float | None = Field(ge=0, description="Upper end of the 80 % interval.")
    probabilities: dict[str, dict[str, float]] = Field(
        description="Of every class of `mask`, `gender` and `age_band`, as far as the model answers; each add up to 1."
    )
    voters: list[Voter] = Field(max_length=VOTERS, description="The nearest of those who voted on the age.")
    voters_in_all: int = Field(ge=0)
    hangs_on: str | None = Field(description="The smallest set of voters without whom another band would be said.")
    face: Face | None


class Refusal(BaseModel):
    """Why a request is not answered."""

    error: str


class Health(BaseModel):
    """Whether the server answers."""

    status: Literal["ok", "down"]


class About(BaseModel):
    """What answers, and what it takes."""

    version: str
    model: str = Field(description="First digits of the SHA-256 of the model's manifest.")
    encoder: str
    tasks: list[str] = Field(description="Of `mask`, `gender` and `age_band`: those that the model answers.")
    gallery_faces: int
    prototypes: bool = Field(description="Whether these are prototypes, each of several people, and nobody's face.")
    voters: int
    photo_bytes: int = Field(description="Largest photo.")
    photos: int = Field(description="Of a batch, at most.")
    request_bytes: int = Field(description="Largest batch.")


def said(answered: Answered, model: Model) -> Answer:
    """An answer of a model as the API puts it."""
    row, face = answered
    evidence = row.get(EVIDENCE)
    return Answer(
        name=row["path"],
        status=row["status"],
        reason=row["reason"],
        **{name: row[name] for name in (*PROBABILITIES, "class_id", "age", "age_low", "age_high")},
        probabilities={
            task: {name: row[column] for name, column in columns.items()}
            for task, columns in PROBABILITIES.items()
            if row[task] is not None
        },
        voters=_voters(row, evidence, model),
        voters_in_all=row["voters"] or 0,
        hangs_on=flip_line(Evidence(**evidence)) if evidence else None,
        face=None if face is None else _face(face),
    )


def _voters(row: Mapping[str, Any], evidence: Mapping[str, Any] | None, model: Model) -> list[Voter]:
    near = read_voters(row, VOTERS)
    people: list[int | None] = [None] * len(near)
    if evidence and "members" in model.table:
        people = model.table["members"].iloc[evidence["voters"][: len(near)]].tolist()
    return [Voter(**voter, people=members) for voter, members in zip(near, people, strict=True)]


def _face(face: EncodedFace) -> Face:
    found = face.found
    return Face(
        box=[round(float(value), 1) for value in found.box],
        score=min(1.0, round(float(found.score), 4)),
        how=found.how,
        faces_in_photo=found.faces,
    )
