"""maskcls as a library: a model in memory that predicts photos, images and arrays."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from ..embedder.detection.finder import FaceFinder, FaceMode
from ..embedder.errors import MaskclsError
from ..embedder.facenet.encoder import FaceNetEncoder
from ..embedder.photo import photo_of
from ..embedder.pipeline import MOST_FACES, Source, encode_photos
from .answer import STATUSES, Answer, answer_table
from .model.loading import open_model
from .model.model import Model
from .predict.job import answer_photos
from .predict.photos import photos_at
from .tasks import PREDICTION_COLUMNS

Item = str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8]
"""A photo's path, an image, or its pixels: uint8, (height, width, 3) RGB, (height, width, 4) RGBA, (height, width)."""
FACES = {"largest": 1, "all": MOST_FACES}
ARRAY_SHAPES = "(height, width), (height, width, 3) or (height, width, 4) of uint8"


@dataclass(frozen=True)
class Predictions:
    """The answers about photos or faces, in their order: a sequence of :class:`~.answer.Answer`."""

    answers: tuple[Answer, ...]

    def __len__(self) -> int:
        return len(self.answers)

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.answers)

    def __getitem__(self, number: int) -> Answer:
        return self.answers[number]

    def __repr__(self) -> str:
        counts = Counter(answer.status for answer in self)
        return f"Predictions({', '.join(f'{counts[name]} {name}' for name in STATUSES if counts[name]) or 'none'})"

    def to_frame(self) -> pd.DataFrame:
        """One row an answer, as ``maskcls predict`` writes it: columns :data:`~.tasks.PREDICTION_COLUMNS`."""
        return answer_table(self, PREDICTION_COLUMNS)

    def to_dict(self) -> dict[str, list[Any]]:
        """Column -> n values, plain Python, fit for JSON; None is missing."""
        rows = [answer.row() for answer in self]
        return {name: [row[name] for row in rows] for name in PREDICTION_COLUMNS}


class Classifier:
    """Predicts mask, gender and age of the faces in photos, as ``maskcls predict`` does.

    ::

        from maskcls import Classifier

        classifier = Classifier.load()  # the built-in model; or Classifier.load("model/")
        predictions = classifier.predict(["photo.jpg", image, array])
        predictions[0].age.years, predictions.to_frame()

    Loading takes seconds and predicting milliseconds: load once. One classifier serves one thread at a time. Pickled,
    it travels to a worker that was started by spawn or forkserver, and is loaded from its folder there when it is used;
    in a process forked from one that has loaded a model it raises MaskclsError.
    """

    def __init__(self, model: Model, encoder: FaceNetEncoder, finder: FaceFinder) -> None:
        self._loaded: tuple[Model, FaceNetEncoder, FaceFinder] | None = (model, encoder, finder)
        self._source: dict[str, Any] | None = None

    @property
    def model(self) -> Model:
        """The model that predicts."""
        return self._parts()[0]

    def _parts(self) -> tuple[Model, FaceNetEncoder, FaceFinder]:
        if self._loaded is None:
            self._loaded = open_model(**self._source or {})[:3]
        return self._loaded

    def __getstate__(self) -> dict[str, Any]:
        if self._source is None:
            raise TypeError("only a classifier from Classifier.load can be pickled")
        return {"_loaded": None, "_source": self._source}

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str] | None = None,
        *,
        device: str = "auto",
        weights: str | os.PathLike[str] | None = None,
    ) -> Classifier:
        """Load a model that ``maskcls build-index`` made; without a folder the built-in one.

        Args:
            device: ``auto``, ``cpu`` or ``cuda``.
            weights: FaceNet weights that the model was built with, where these are not the packaged ones.

        Raises:
            MaskclsError: one line: the model is missing or damaged, was built with other weights, or there is no GPU.
        """
        place, weights_file = (None if path is None else Path(path).absolute() for path in (folder, weights))
        source: dict[str, Any] = {"folder": place, "device": device, "weights": weights_file}
        classifier = cls(*open_model(**source)[:3])
        classifier._source = source
        return classifier

    def predict(
        self,
        photos: Item | Iterable[Item],
        *,
        min_confidence: float = 0.0,
        min_quality: float = 0.0,
        face: str | None = None,
        faces: str = "largest",
        batch_size: int = 64,
        jobs: int = 2,
    ) -> Predictions:
        """Predict one or many photos, in their order; one that cannot be read has an answer with the reason.

        Each photo has one answer, or with ``faces="all"`` one for each face, the largest first.

        Args:
            photos: paths, images and arrays, mixed as you like; a folder stands for all photos below it. Their names in
                the answers: a path as it is given; the photos of a folder alone by their paths below it, beside others
                with the folder before them; ``image N``.
            min_confidence: answers less sure than this (0-1) have the status ``unsure``.
            min_quality: so have answers about faces of lower quality (0-1).
            face: ``auto``, ``detect`` or ``whole``; by default as the model's own photos were read.
            faces: ``largest`` or ``all``.
            batch_size: photos per pass of the network.
            jobs: threads that decode photos.

        Raises:
            MaskclsError: a folder is empty, an array is no image, or this process was forked from one that has loaded
                a model.
        """
        if faces not in FACES:
            raise MaskclsError(f"faces={faces!r}: choose {' or '.join(FACES)}")
        names, sources = _sources(photos)
        model, encoder, finder = self._parts()
        mode = cast(FaceMode, face or model.reading)
        answers: list[Answer] = []
        done = 0
        with encode_photos(
            sources, finder, encoder, mode=mode, faces=FACES[faces], jobs=jobs, batch_size=batch_size
        ) as batches:
            for batch in batches:
                answers += answer_photos(batch, names[done : done + len(batch)], model, min_confidence, min_quality)
                done += len(batch)
        return Predictions(tuple(answers))


def _sources(photos: Item | Iterable[Item]) -> tuple[list[str], list[Source]]:
    """What the photos are called in the answers, and where they come from; a folder is what lies in it."""
    single = isinstance(photos, str | os.PathLike | Image.Image) or (isinstance(photos, np.ndarray) and photos.ndim < 4)
    names: list[str] = []
    sources: list[Source] = []
    items = [photos] if single else list(cast(Iterable[Item], photos))
    for item in items:
        if isinstance(item, Image.Image | np.ndarray):
            image = item if isinstance(item, Image.Image) else _image(item)
            names.append(f"image {len(names)}")
            sources.append(partial(photo_of, image))
        elif isinstance(item, str | os.PathLike):
            path = Path(item)
            found, _ = photos_at(path, is_alone=len(items) == 1)
            names += [photo.name for photo in found]
            sources += [photo.path for photo in found]
        else:
            raise MaskclsError(f"{type(item).__name__}: not a path, a PIL image or a numpy array")
    return names, sources


def _image(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    """An image of an array's pixels.

    Raises:
        MaskclsError: they are no image's.
    """
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise MaskclsError(f"an array {pixels.shape} of {pixels.dtype} is no image; it takes {ARRAY_SHAPES}")
    return Image.fromarray(np.ascontiguousarray(pixels))
