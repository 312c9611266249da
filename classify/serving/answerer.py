"""Photos in memory to answers, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from PIL import Image

from ...embedder.detection.finder import FaceFinder, FaceMode
from ...embedder.facenet.encoder import Encoder
from ...embedder.photo import Photo, PhotoError, photo_of
from ...embedder.pipeline import encode_read
from ..answer import Answer
from ..model.model import Model
from ..predict.job import answer_photos

MAX_FACES = 32
"""Of a photo; a photo of a crowd must not keep others waiting."""


@dataclass(frozen=True)
class Answerer:
    """A model with what it needs to read photos.

    Attributes:
        model: predicts.
        encoder: the model's own.
        finder: of faces.
        mode: how faces are looked for.
        faces: of a photo that are predicted at most, the largest.
        min_confidence: answers less sure than this (0-1) are ``unsure``.
        min_quality: so are answers about faces of lower quality (0-1).
    """

    model: Model
    encoder: Encoder
    finder: FaceFinder
    mode: FaceMode = "auto"
    faces: int = MAX_FACES
    min_confidence: float = 0.0
    min_quality: float = 0.0

    def answer(self, names: Sequence[str], photos: Sequence[Photo | PhotoError]) -> list[list[Answer]]:
        """The answers about the faces of each photo, the largest first; one where there is none.

        They are those of ``maskcls predict``.
        """
        encoded = encode_read(photos, self.finder, self.encoder, self.mode, self.faces)
        answers = iter(answer_photos(encoded, names, self.model, self.min_confidence, self.min_quality))
        return [list(islice(answers, max(1, len(photo.faces)))) for photo in encoded]

    def warm_up(self) -> None:
        """Run every network once: some are loaded when they are first used, and no client should wait for that."""
        photo = photo_of(Image.new("RGB", (160, 160), "grey"))
        self.finder.find_all([photo.image], "detect")
        answer_photos(encode_read([photo], self.finder, self.encoder, "whole"), [""], self.model)
