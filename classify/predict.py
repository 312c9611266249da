"""The ``predict`` job: one row a photo, in order, whatever became of it; resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..embedder.encoder import Encoder
from ..embedder.files import replacing, write_csv
from ..embedder.finder import FaceFinder, FaceMode
from ..embedder.labels import AGE_BANDS, class_id
from ..embedder.photo import file_state, stored
from ..embedder.pipeline import NO_FACE, EncodedPhoto, encode_photos
from .model import Ages, Model
from .vote import NOBODY

COLUMNS = (
    "path",
    "status",
    "reason",
    "mask",
    "gender",
    "age_band",
    "class_id",
    "p_wear",
    "p_incorrect",
    "p_normal",
    "p_male",
    "p_female",
    "p_lt30",
    "p_30_59",
    "p_ge60",
    "age",
    "age_low",
    "age_high",
    "neighbours",
)
"""Columns of ``predictions.csv``. ``status`` is ``ok``, ``no_face`` or ``unreadable``."""
BAND_COLUMNS = ("p_lt30", "p_30_59", "p_ge60")
NEIGHBOURS_SHOWN = 10

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Answers:
    """Rows in the order of the photos (:data:`COLUMNS`), and the aligned crops wanted for a report.

    ``crops`` maps a row number to RGB pixels (160, 160, 3).
    """

    table: pd.DataFrame
    crops: dict[int, Any] = field(default_factory=dict)


def predict_photos(
    paths: Sequence[Path],
    root: Path,
    model: Model,
    encoder: Encoder,
    finder: FaceFinder,
    *,
    mode: FaceMode = "auto",
    jobs: int = 2,
    batch_size: int = 64,
    partial: Path | None = None,
    keep_crops: int = 0,
    progress: Progress = lambda done, total: None,
) -> Answers:
    """Answer for every photo.

    Args:
        root: paths are reported relative to it.
        partial: where rows are saved as they come; a killed run with the same model goes on from there, and the
            file is left for the caller to remove once the answers are safe.
        keep_crops: crops of this many first photos are returned for a report (their photos are read again if
            their rows come from a former run).
    """
    journal = _Journal(partial, f"{model.fingerprint} {encoder.info.fingerprint} {mode}")
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
        rows = answer(batch, [names[i] for i in numbers], model)
        journal.add(
            [row | {"_file": [photo.state.size, photo.state.mtime_ns]} for row, photo in zip(rows, batch, strict=True)]
        )
        for number, photo in zip(numbers, batch, strict=True):
            if number < keep_crops and photo.face is not None:
                crops[number] = photo.face.crop
        done += len(batch)
        progress(done, len(todo))
    table = pd.DataFrame.from_records([known[name] for name in names], columns=list(COLUMNS))
    return Answers(table.astype({"class_id": "Int64"}), crops)


def write_answers(path: Path, answers: Answers) -> None:
    """Write the rows as CSV or, by suffix, Parquet, atomically."""
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            answers.table.to_parquet(temporary, index=False)
        else:
            write_csv(temporary, answers.table)


def answer(photos: Sequence[EncodedPhoto], names: Sequence[str], model: Model) -> list[dict[str, Any]]:
    """Rows (:data:`COLUMNS`) for encoded photos."""
    faces = [photo.face for photo in photos if photo.face is not None]
    rows = [_failed(photo, name) for photo, name in zip(photos, names, strict=True)]
    if not faces:
        return rows
    embeddings = np.stack([face.embedding for face in faces])
    maps = np.stack([face.map for face in faces])
    own = np.array([model.own_group(face.file_sha256) for face in faces], np.int64)
    ages = model.ages(embeddings, maps, own)
    heads = {task: head.probabilities(maps, embeddings) for task, head in model.heads.items()}
    position = 0
    for row, photo in zip(rows, photos, strict=True):
        if photo.face is None:
            continue
        notes = []
        if photo.face.found.faces > 1:
            notes.append(f"{photo.face.found.faces} faces; the largest is answered for")
        if own[position] != NOBODY:
            notes.append("this photo is in the gallery; its person did not vote")
        for task, head in model.heads.items():
            row[task] = head.classes[int(heads[task][position].argmax())]
            row |= {f"p_{name}": _number(p) for name, p in zip(head.classes, heads[task][position], strict=True)}
        row |= _age_cells(ages, position, model)
        unanswered = [task for task in ("mask", "gender", "age_band") if row[task] is None]
        if unanswered:
            notes.append(f"the model has no answer for {' and '.join(unanswered)}")
        else:
            row["class_id"] = class_id(row["mask"], row["gender"], row["age_band"])
        row |= {"status": "ok", "reason": "; ".join(notes) or None}
        position += 1
    return rows


def _age_cells(ages: Ages, position: int, model: Model) -> dict[str, Any]:
    votes = ages.votes
    if np.isnan(votes.age[position]):
        return {}
    bands = votes.bands[position]
    cells: dict[str, Any] = {"age_band": AGE_BANDS[int(bands.argmax())]}
    cells |= {column: _number(p) for column, p in zip(BAND_COLUMNS, bands, strict=True)}
    cells |= {name: round(float(getattr(votes, part)[position]), 1) for name, part in _AGE_PARTS.items()}
    nearest = [int(row) for row in ages.voters[position] if row >= 0][:NEIGHBOURS_SHOWN]
    faces = model.table.iloc[nearest].to_dict("records")
    voters = [
        f"{face['face_id']}:{_age_text(face['age_low'], face['age_high'])}:{similarity:.3f}"
        for face, similarity in zip(faces, ages.similarities[position], strict=False)
    ]
    return cells | {"neighbours": " ".join(voters)}


_AGE_PARTS = {"age": "age", "age_low": "low", "age_high": "high"}


def _age_text(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


def _failed(photo: EncodedPhoto, name: str) -> dict[str, Any]:
    status = "no_face" if photo.reason == NO_FACE else "unreadable"
    return dict.fromkeys(COLUMNS) | {"path": name, "status": status, "reason": photo.reason}


def _number(value: float) -> float:
    return round(float(value), 4)


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
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if lines and lines[0] == json.dumps({"key": key}):
            for line in lines[1:]:
                try:
                    row = json.loads(line)
                except ValueError:  # the line that was being written when the run was killed
                    continue
                self.known[row["path"]] = row
        content = [json.dumps({"key": key}), *(json.dumps(row) for row in self.known.values())]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line + "\n" for line in content), encoding="utf-8")

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        self.known |= {row["path"]: row for row in rows}
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(row) + "\n" for row in rows))
