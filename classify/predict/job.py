"""The ``predict`` job: one row a photo, in order, whatever became of it; resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...embedder.detection.finder import FaceFinder, FaceMode
from ...embedder.facenet.encoder import Encoder
from ...embedder.faceset.embed import face_id
from ...embedder.photo import file_state, stored
from ...embedder.pipeline import NO_FACE, EncodedPhoto, encode_photos
from ...embedder.storage.atomic import replacing, write_csv
from ..age.vote import NOBODY
from ..answer import answer_faces, doubts, weighed_up
from ..model.model import Model
from ..tasks import ANSWER_COLUMNS, PROBABILITIES
from .explain import Evidence, evidence_of

COLUMNS = ("path", "status", "reason", *ANSWER_COLUMNS)
"""Columns of ``predictions.csv``. ``status`` is ``ok``, ``unsure``, ``no_face`` or ``unreadable``; an unsure row has
its answers, and ``reason`` says what is doubtful."""
ANSWERED = ("ok", "unsure")
EVIDENCE = "_evidence"
"""Key of what becomes :attr:`Answers.evidence`; no column."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Answers:
    """Rows in the order of the photos (:data:`COLUMNS`), and the aligned crops wanted for a report.

    ``crops`` maps a row number to RGB pixels (160, 160, 3), ``evidence`` one to what its age rests on.
    """

    table: pd.DataFrame
    crops: dict[int, Any] = field(default_factory=dict)
    evidence: dict[int, Evidence] = field(default_factory=dict)


def predict_photos(
    paths: Sequence[Path],
    root: Path,
    model: Model,
    encoder: Encoder,
    finder: FaceFinder,
    *,
    mode: FaceMode = "auto",
    min_confidence: float = 0.0,
    jobs: int = 2,
    batch_size: int = 64,
    partial: Path | None = None,
    keep_crops: int = 0,
    explain: bool = False,
    progress: Progress = lambda done, total: None,
) -> Answers:
    """Answer for every photo.

    Args:
        root: paths are reported relative to it.
        min_confidence: an answer less sure than this (0-1), or about something that hardly is a face, is marked
            ``unsure``; 0 marks none.
        partial: where rows are saved as they come; a killed run with the same model goes on from there, and the
            file is left for the caller to remove once the answers are safe.
        keep_crops: crops of this many first photos are returned for a report (their photos are read again if
            their rows come from a former run).
        explain: also say what every age rests on.
    """
    key = f"{model.fingerprint} {encoder.info.fingerprint} {mode} {min_confidence} {explain} {' '.join(COLUMNS)}"
    journal = _Journal(partial, key)
    names = [stored(path.relative_to(root)) for path in paths]
    known = journal.known
    todo = [
        i
        for i, (path, name) in enumerate(zip(paths, names, strict=True))
        if i < keep_crops or name not in known or known[name]["_file"] != _file(path)
    ]
    crops: dict[int, Any] = {}
    done = 0
    progress(0, len(todo))
    for batch in encode_photos([paths[i] for i in todo], finder, encoder, mode=mode, jobs=jobs, batch_size=batch_size):
        numbers = todo[done : done + len(batch)]
        rows = answer(batch, [names[i] for i in numbers], model, min_confidence, explain)
        journal.add(
            [row | {"_file": [photo.state.size, photo.state.mtime_ns]} for row, photo in zip(rows, batch, strict=True)]
        )
        for number, photo in zip(numbers, batch, strict=True):
            if number < keep_crops and photo.face is not None:
                crops[number] = photo.face.crop
        done += len(batch)
        progress(done, len(todo))
    table = table_of([known[name] for name in names])
    evidence = {i: Evidence(**known[name][EVIDENCE]) for i, name in enumerate(names) if known[name].get(EVIDENCE)}
    return Answers(table, crops, evidence)


def table_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of :func:`answer` as a table of :data:`COLUMNS`."""
    table = pd.DataFrame.from_records([{name: row[name] for name in COLUMNS} for row in rows], columns=list(COLUMNS))
    return table.astype({"class_id": "Int64", "voters": "Int64"})


def write_answers(path: Path, table: pd.DataFrame) -> None:
    """Write rows of answers as CSV or, by suffix, Parquet, atomically."""
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            write_csv(temporary, table)


def answer(
    photos: Sequence[EncodedPhoto],
    names: Sequence[str],
    model: Model,
    min_confidence: float = 0.0,
    explain: bool = False,
) -> list[dict[str, Any]]:
    """Rows (:data:`COLUMNS`) for encoded photos; with ``explain`` also :data:`EVIDENCE`."""
    rows = [_failed(photo, name) for photo, name in zip(photos, names, strict=True)]
    found = [(row, photo.face) for row, photo in zip(rows, photos, strict=True) if photo.face is not None]
    if not found:
        return rows
    own = np.array([model.own_group(face.file_sha256) for _, face in found], np.int64)
    embeddings = np.stack([face.embedding for _, face in found])
    maps = np.stack([face.map for _, face in found])
    voters = model.settings.voters
    near, similarities = model.nearest(embeddings, maps, own, 2 * voters)
    ages = model.count(near[:, :voters], similarities[:, :voters])
    answers = answer_faces(model, ages, embeddings, maps)
    if explain:
        ids = [face_id(face.file_sha256, [round(v, 2) for v in face.found.box.tolist()]) for _, face in found]
        for (row, _), evidence in zip(found, evidence_of(model, near, similarities, ages, ids), strict=True):
            row[EVIDENCE] = evidence and asdict(evidence)
    for (row, face), given, group in zip(found, answers, own, strict=True):
        doubt = doubts(given, min_confidence)
        strange = face.norm < model.least_norm
        notes = list(doubt)
        if note := weighed_up(given):
            notes.append(note)
        if strange:
            notes.append("hardly a face, or none that the gallery knows")
        if face.found.faces > 1:
            notes.append(f"{face.found.faces} faces; the largest is answered for")
        if group != NOBODY:
            notes.append("this photo is in the gallery; its person did not vote")
        if unanswered := [task for task in PROBABILITIES if given[task] is None]:
            notes.append(f"the model has no answer for {' and '.join(unanswered)}")
        unsure = bool(doubt) or (strange and min_confidence > 0)
        row |= given | {"status": "unsure" if unsure else "ok", "reason": "; ".join(notes) or None}
    return rows


def _failed(photo: EncodedPhoto, name: str) -> dict[str, Any]:
    status = "no_face" if photo.reason == NO_FACE else "unreadable"
    return dict.fromkeys(COLUMNS) | {"path": name, "status": status, "reason": photo.reason}


def _file(path: Path) -> list[int]:
    state = file_state(path)
    return [state.size, state.mtime_ns]


class _Journal:
    """Rows answered so far, one JSON line each behind a header that names model and settings."""

    def __init__(self, path: Path | None, key: str) -> None:
        self._path = path
        self.known: dict[str, dict[str, Any]] = {}
        if path is None:
            return
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        if lines and lines[0] == json.dumps({"key": key}):
            for line in lines[1:]:
                try:
                    row = json.loads(line)
                except ValueError:  # the line that was being written when the run was killed
                    continue
                if isinstance(row, dict) and row.keys() >= {*COLUMNS, "_file"}:
                    self.known[row["path"]] = row
        content = [json.dumps({"key": key}), *(json.dumps(row) for row in self.known.values())]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line + "\n" for line in content), encoding="utf-8")

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        self.known |= {row["path"]: row for row in rows}
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(row) + "\n" for row in rows))
