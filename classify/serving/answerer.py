"""Photos in memory to answers, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ...embedder.detection.finder import FaceFinder, FaceMode
from ...embedder.facenet.encoder import Encoder
from ...embedder.photo import NO_FILE, Photo, PhotoError
from ...embedder.pipeline import EncodedFace, EncodedPhoto, encode_read
from ..model.model import Model
from ..predict.job import answer


class Answered(NamedTuple):
    """A row of :func:`..predict.job.answer`, with its evidence, and the face it is about, if there is one."""

    row: dict[str, Any]
    face: EncodedFace | None


@dataclass(frozen=True)
class Answerer:
    """A model with what it needs to look at photos.

    Attributes:
        model: answers.
        encoder: the model's own.
        finder: of faces.
        mode: how faces are looked for.
        min_confidence: answers less sure than this (0-1) are ``unsure``.
    """

    model: Model
    encoder: Encoder
    finder: FaceFinder
    mode: FaceMode = "auto"
    min_confidence: float = 0.0

    def answer(self, names: Sequence[str], photos: Sequence[Photo | PhotoError]) -> list[Answered]:
        """What is said of each photo, whatever became of it: the same as `maskcls predict` would say."""
        encoded = encode_read(photos, self.finder, self.encoder, self.mode)
        rows = answer(encoded, names, self.model, self.min_confidence, explain=True)
        return [Answered(row, photo.face) for row, photo in zip(rows, encoded, strict=True)]

    def failed(self, name: str, reason: str) -> Answered:
        """What is said of a photo that could not be answered for, though it may be a good one."""
        (row,) = answer([EncodedPhoto(Path(), NO_FILE, None, reason)], [name], self.model)
        return Answered(row | {"status": "failed"}, None)
