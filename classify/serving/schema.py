"""What the API sends, as its OpenAPI document describes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from .. import answer as answers
from ..answer import VOTERS_LISTED, Answer


class Voter(BaseModel):
    """A face of the gallery that voted on the age."""

    id: str = Field(description="The face's id in the model's gallery, as `maskcls index list` shows it.")
    people: int | None = Field(description="How many people a prototype is the centroid of; null for a face.")
    age: str = Field(description="Years, or a band such as 30-39.")
    similarity: float = Field(ge=-1.001, le=1.001, description="Cosine in the age space.")
    weight: float = Field(ge=0, le=1, description="Share of the whole vote.")


class Face(BaseModel):
    """The face that is predicted."""

    box: list[float] = Field(
        min_length=4, max_length=4, description="x0, y0, x1, y1 in pixels of the upright photo; may reach beyond it."
    )
    score: float = Field(ge=0, le=1, description="How sure the detector is that it is a face.")
    how: Literal["detect", "whole"] = Field(description="Found in the photo, or the photo as a whole.")
    faces_in_photo: int = Field(ge=1, description="Faces found.")
    number: int = Field(ge=1, description="Of this face among them, by size: 1 is the largest.")
    quality: float | None = Field(ge=0, le=1, description="How well the face can be judged.")
    quality_reason: str | None = Field(description="What lowers the quality.")
    turn: int = Field(description="Degrees counter-clockwise by which the photo was turned to see the face upright.")


class FaceAnswer(BaseModel):
    """What is predicted for a face. Fields without a prediction are null."""

    status: Literal["ok", "unsure", "no_face", "unreadable", "failed"]
    reason: str | None = Field(description="Why there is no answer, or what is to be noted about it.")
    mask: Literal["wear", "incorrect", "normal"] | None
    gender: Literal["male", "female"] | None
    age_band: Literal["<30", "30-59", ">=60"] | None
    class_id: int | None = Field(ge=0, le=17, description="6 * mask + 3 * gender + age band.")
    age: float | None = Field(ge=0, description="Years, median.")
    age_low: float | None = Field(ge=0, description="Lower end of the 80 % interval.")
    age_high: float | None = Field(ge=0, description="Upper end of the 80 % interval.")
    probabilities: dict[str, dict[str, float]] = Field(
        description="Of every class of `mask`, `gender` and `age_band` that the model predicts; each add up to 1."
    )
    voters: list[Voter] = Field(max_length=VOTERS_LISTED, description="The nearest of those who voted on the age.")
    voters_in_all: int = Field(ge=0)
    face: Face | None


class PhotoAnswer(FaceAnswer):
    """What is predicted for the largest face of a photo, and for the others."""

    name: str = Field(description="As the photo was called by the request.")
    other_faces: list[FaceAnswer] = Field(description="Of the photo, by size.")


class Refusal(BaseModel):
    """Why a request is not answered."""

    error: str


class Health(BaseModel):
    """Whether the server answers."""

    status: Literal["ok", "down"]


class About(BaseModel):
    """The model that predicts, and the limits of requests."""

    version: str
    model: str = Field(description="First digits of the SHA-256 of the model's manifest.")
    encoder: str
    tasks: list[str] = Field(description="Of `mask`, `gender` and `age_band`: those that the model predicts.")
    gallery_faces: int
    prototypes: bool = Field(description="Whether these are prototypes, each of several people, and nobody's face.")
    voters: int
    photo_bytes: int = Field(description="Largest photo.")
    photos: int = Field(description="Of a batch, at most.")
    request_bytes: int = Field(description="Largest batch.")


def photo_answer(answers: Sequence[Answer]) -> PhotoAnswer:
    """The answers about the faces of a photo as the API sends them."""
    others = [FaceAnswer(**_fields(answer)) for answer in answers[1:]]
    return PhotoAnswer(name=answers[0].path, other_faces=others, **_fields(answers[0]))


def _fields(answer: Answer) -> dict[str, Any]:
    row = answer.row()
    return dict(
        **{name: row[name] for name in _AS_IN_A_ROW},
        probabilities={task: dict(one.probabilities) for task, one in answer.tasks.items() if one is not None},
        voters=[
            Voter(
                id=voter.face_id,
                people=voter.members,
                age=voter.age,
                similarity=round(voter.similarity, 3),
                weight=round(voter.weight or 0.0, 3),
            )
            for voter in answer.voters[:VOTERS_LISTED]
        ],
        voters_in_all=answer.voter_count,
        face=None if answer.face is None else _face(answer.face),
    )


_AS_IN_A_ROW = ("status", "reason", "mask", "gender", "age_band", "class_id", "age", "age_low", "age_high")


def _face(face: answers.Face) -> Face:
    return Face(
        box=[round(value, 1) for value in face.box],
        score=min(1.0, round(face.score, 4)),
        how=face.how,
        faces_in_photo=face.faces_in_photo,
        number=face.number,
        quality=face.quality,
        quality_reason=face.quality_reason,
        turn=face.turn,
    )
