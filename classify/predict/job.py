"""The ``predict`` job: one answer a photo, in order, whatever became of it; a killed job resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.detection.finder import FaceFinder, FaceMode
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
from .notes import OWN_PERSON, UNLIKE_A_FACE, frequency_note, low_probabilities, missing_tasks

FORMAT = 1
"""Of the steps that a killed job leaves."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PredictedPhotos:
    """The answers in the order of the photos, and the aligned crops wanted for a report.

    ``crops`` maps a number of a photo to RGB pixels (160, 160, 3).
    """

    answers: list[Answer]
    crops: Mapping[int, npt.NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """One row a photo, columns :data:`~..tasks.PREDICTION_COLUMNS`."""
        return answer_table(self.answers, PREDICTION_COLUMNS)


def predict_photos(
    paths: Sequence[Path],
    names: Sequence[str],
    model: Model,
    encoder: Encoder,
    finder: FaceFinder,
    *,
    mode: FaceMode = "auto",
    min_confidence: float = 0.0,
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
        min_confidence: an answer less sure than this (0-1), or about something that is probably not a face, is marked
            ``unsure``; 0 marks none.
        steps: folder where finished batches are kept; a killed job with the same model and settings resumes there, and
            the caller removes it once the answers are safe.
        keep_crops: crops of this many first photos are returned for a report (their photos are read again if
            their answers come from a killed job).
        explain: list all voters of every answer, not only the nearest.
    """
    settings = (mode, min_confidence, explain, PREDICTION_COLUMNS)
    cache = StepCache(steps, "predict", FORMAT, model.fingerprint, encoder.info.fingerprint, *settings)
    known = dict(_finished(cache))
    todo = [
        i
        for i, (path, name) in enumerate(zip(paths, names, strict=True))
        if i < keep_crops or name not in known or known[name][0] != file_state(path)
    ]
    crops = {}
    done = 0
    progress(0, len(todo))
    with encode_photos(
        [paths[i] for i in todo], finder, encoder, mode=mode, jobs=jobs, batch_size=batch_size
    ) as batches:
        for batch in batches:
            numbers = todo[done : done + len(batch)]
            answers = answer_photos(batch, [names[i] for i in numbers], model, min_confidence, explain)
            finished = [(photo.state, answer) for photo, answer in zip(batch, answers, strict=True)]
            cache.append(notes=[[state.size, state.mtime_ns, to_json(answer)] for state, answer in finished])
            for number, photo, step in zip(numbers, batch, finished, strict=True):
                known[names[number]] = step
                if number < keep_crops and photo.face is not None:
                    crops[number] = photo.face.crop
            done += len(batch)
            progress(done, len(todo))
    return PredictedPhotos([known[name][1] for name in names], crops)


def answer_photos(
    photos: Sequence[EncodedPhoto],
    names: Sequence[str],
    model: Model,
    min_confidence: float = 0.0,
    explain: bool = False,
) -> list[Answer]:
    """The answers about encoded photos, called ``names``; other arguments as of :func:`predict_photos`."""
    answers = [_unanswered(photo, name) for photo, name in zip(photos, names, strict=True)]
    found = [(i, photo.face) for i, photo in enumerate(photos) if photo.face is not None]
    if not found:
        return answers
    own = np.array([model.own_group(face.file_sha256) for _, face in found], np.int64)
    embeddings = np.stack([face.embedding for _, face in found])
    maps = np.stack([face.map for _, face in found])
    ages = model.ages(embeddings, maps, own)
    predicted = answer_faces(model, ages, embeddings, maps, model.settings.voters if explain else VOTERS_LISTED)
    for (i, face), answer, group in zip(found, predicted, own, strict=True):
        doubtful = low_probabilities(answer, min_confidence)
        unlike = face.norm < model.least_norm
        notes = [
            *doubtful,
            frequency_note(answer),
            UNLIKE_A_FACE if unlike else None,
            f"{face.found.faces} faces found; the largest is predicted" if face.found.faces > 1 else None,
            OWN_PERSON if group != NOBODY else None,
            missing_tasks(answer),
        ]
        unsure = bool(doubtful) or (unlike and min_confidence > 0)
        answers[i] = replace(
            answer,
            path=names[i],
            status="unsure" if unsure else "ok",
            face=_face(face),
            notes=tuple(note for note in notes if note),
        )
    return answers


def _unanswered(photo: EncodedPhoto, name: str) -> Answer:
    status = "no_face" if photo.reason == NO_FACE else "unreadable"
    return Answer(name, status, notes=(photo.reason,) if photo.reason else ())


def _face(face: EncodedFace) -> Face:
    found = face.found
    box = tuple(round(v, 2) for v in found.box.tolist())
    return Face(face_id(face.file_sha256, box), box, float(found.score), found.how, found.faces)


def _finished(cache: StepCache) -> Iterator[tuple[str, tuple[FileState, Answer]]]:
    """Photo -> its file's size and time, and the answer, as far as a killed job came."""
    for _, step in cache.steps():
        for size, mtime_ns, content in step.notes:
            answer = from_json(content)
            yield answer.path, (FileState(size, mtime_ns), answer)
