"""Photos in memory to answers, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...embedder.detection.finder import FaceFinder, FaceMode
from ...embedder.facenet.encoder import Encoder
from ...embedder.photo import Photo, PhotoError
from ...embedder.pipeline import encode_read
from ..answer import Answer
from ..model.model import Model
from ..predict.job import answer_photos


@dataclass(frozen=True)
class Answerer:
    """A model with what it needs to read photos.

    Attributes:
        model: predicts.
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

    def answer(self, names: Sequence[str], photos: Sequence[Photo | PhotoError]) -> list[Answer]:
        """The answer about each photo, whatever became of it: the same as that of ``maskcls predict``."""
        encoded = encode_read(photos, self.finder, self.encoder, self.mode)
        return answer_photos(encoded, names, self.model, self.min_confidence)
