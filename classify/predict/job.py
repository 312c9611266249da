"""The ``predict`` job: an answer for every photo or face, in order, whatever became of it; a killed job resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.detection.finder import FaceFinder, FaceMode
from ...embedder.detection.quality import Quality
from ...embedder.facenet.encoder import Encoder
from ...embedder.faceset.embed import face_id
from ...embedder.photo import FileState, file_state
from ...embedder.pipeline import NO_FACE, EncodedFace, EncodedPhoto, encode_photos
from ...embedder.storage.step_cache import StepCache
from ..age.vote import NOBODY
from ..answer import VOTERS_LISTED, Answer, Face, answer_table, from_json, to_json
from ..model.answers import answer_faces
from ..model.model import Model
from ..tasks import PREDICTION_COLUMNS
from .notes import (
    OWN_PERSON,
    UNLIKE_A_FACE,
    frequency_note,
    low_probabilities,
    low_quality,
    missing_tasks,
    several_faces,
    turned,
)

FORMAT = 2
"""Of the steps that a killed job leaves."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PredictedPhotos:
    """The answers in the order of the photos, and the aligned crops wanted for a report.

    ``crops`` maps the number of an answer to RGB pixels (160, 160, 3).
    """

    answers: list[Answer]
    crops: Mapping[int, npt.NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """One row an answer, columns :data:`~..tasks.PREDICTION_COLUMNS`."""
        return answer_table(self.answers, PREDICTION_COLUMNS)


def predict_photos(
    paths: Sequence[Path],
    names: Sequence[str],
    model: Model,
    encoder: Encoder,
    finder: FaceFinder,
    *,
    mode: FaceMode = "auto",
    faces: int = 1,
    min_confidence: float = 0.0,
    min_quality: float = 0.0,
    jobs: int = 2,
    batch_size: int = 64,
    steps: Path | None = None,
    keep_crops: int = 0,
    explain: bool = False,
    progress: Progress = lambda done, total: None,
) -> PredictedPhotos:
    """Predict every photo.

    Args:
        names: what the photos are called in the answers, each by another name; valid Unicode (:func:`~.photo.stored`).
        faces: of a photo that are predicted at most, the largest first.
        min_confidence: an answer less sure than this (0-1), or about something that is probably not a face, is marked
            ``unsure``; 0 marks none.
        min_quality: an answer about a face of lower quality (0-1) is marked ``unsure``.
        steps: folder where finished batches are kept; a killed job with the same model and settings resumes there, and
            the caller removes it once the answers are safe.
        keep_crops: crops of this many first photos are returned for a report (their photos are read again if
            their answers come from a killed job).
        explain: list all voters of every answer, not only the nearest.
    """
    settings = (mode, faces, min_confidence, min_quality, explain, PREDICTION_COLUMNS)
    cache = StepCache(steps, "predict", FORMAT, model.fingerprint, encoder.info.fingerprint, *settings)
    known = dict(_finished(cache))
    todo = [
        i
        for i, (path, name) in enumerate(zip(paths, names, strict=True))
        if i < keep_crops or name not in known or known[name][0] != file_state(path)
    ]
    crops: dict[tuple[str, int], npt.NDArray[np.uint8]] = {}
    done = 0
    progress(0, len(todo))
    with encode_photos(
        [paths[i] for i in todo], finder, encoder, mode=mode, faces=faces, jobs=jobs, batch_size=batch_size
    ) as batches:
        for batch in batches:
            numbers = todo[done : done + len(batch)]
            names_here = [names[i] for i in numbers]
            answers = iter(answer_photos(batch, names_here, model, min_confidence, min_quality, explain))
            finished = [(photo.state, list(islice(answers, max(1, len(photo.faces))))) for photo in batch]
            cache.append(notes=[[state.size, state.mtime_ns, *map(to_json, mine)] for state, mine in finished])
            for number, photo, step in zip(numbers, batch, finished, strict=True):
                known[names[number]] = step
                if number < keep_crops:
                    crops |= {(names[number], i): face.crop for i, face in enumerate(photo.faces)}
            done += len(batch)
            progress(done, len(todo))
    listed = [(name, i, answer) for name in names for i, answer in enumerate(known[name][1])]
    kept = {number: crops[name, i] for number, (name, i, _) in enumerate(listed) if (name, i) in crops}
    return PredictedPhotos([answer for _, _, answer in listed], kept)


def answer_photos(
    photos: Sequence[EncodedPhoto],
    names: Sequence[str],
    model: Model,
    min_confidence: float = 0.0,
    min_quality: float = 0.0,
    explain: bool = False,
) -> list[Answer]:
    """The answers about encoded photos, called ``names``: one a face, and one for a photo without a face.

    Other arguments as of :func:`predict_photos`.
    """
    found = [
        (name, number, face)
        for photo, name in zip(photos, names, strict=True)
        for number, face in enumerate(photo.faces, start=1)
    ]
    predicted = iter(_predict(found, model, (min_confidence, min_quality), explain))
    return [
        answer
        for photo, name in zip(photos, names, strict=True)
        for answer in (islice(predicted, len(photo.faces)) if photo.faces else [_unanswered(photo, name)])
    ]


def _predict(
    found: Sequence[tuple[str, int, EncodedFace]], model: Model, least: tuple[float, float], explain: bool
) -> list[Answer]:
    """The answers about faces: name of the photo, number of the face in it, and the face.

    Args:
        least: confidence and quality below which an answer is ``unsure``.
    """
    if not found:
        return []
    own = np.array([model.own_group(face.file_sha256) for _, _, face in found], np.int64)
    embeddings = np.stack([face.embedding for _, _, face in found])
    maps = np.stack([face.map for _, _, face in found])
    ages = model.ages(embeddings, maps, own)
    predicted = answer_faces(model, ages, embeddings, maps, model.settings.voters if explain else VOTERS_LISTED)
    answers = []
    for (name, number, face), answer, group in zip(found, predicted, own, strict=True):
        quality = face.quality
        doubtful = [*low_probabilities(answer, least[0]), *low_quality(quality, least[1])]
        unlike = face.norm < model.least_norm
        notes = [
            *doubtful,
            frequency_note(answer),
            UNLIKE_A_FACE if unlike else None,
            several_faces(number, face.found.faces),
            turned(face.found.turn),
            OWN_PERSON if group != NOBODY else None,
            missing_tasks(answer),
        ]
        unsure = bool(doubtful) or (unlike and least[0] > 0)
        answers.append(
            replace(
                answer,
                path=name,
                status="unsure" if unsure else "ok",
                face=_face(face, number, quality),
                notes=tuple(note for note in notes if note),
            )
        )
    return answers


def _unanswered(photo: EncodedPhoto, name: str) -> Answer:
    status = "no_face" if photo.reason == NO_FACE else "unreadable"
    return Answer(name, status, notes=(photo.reason,) if photo.reason else ())


def _face(face: EncodedFace, number: int, quality: Quality) -> Face:
    found = face.found
    box = tuple(round(v, 2) for v in found.box.tolist())
    return Face(
        face_id(face.file_sha256, box),
        box,
        float(found.score),
        found.how,
        found.faces,
        number,
        quality.value,
        quality.reason,
        found.turn,
    )


def _finished(cache: StepCache) -> Iterator[tuple[str, tuple[FileState, list[Answer]]]]:
    """Photo -> its file's size and time, and its answers, as far as a killed job came."""
    for _, step in cache.steps():
        for size, mtime_ns, *contents in step.notes:
            answers = [from_json(content) for content in contents]
            yield answers[0].path, (FileState(size, mtime_ns), answers)
