"""The ``embed`` job: a folder of photos becomes an embedding set; again, only what is new or changed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..datasets.box import Box
from ..datasets.dataset import Dataset
from ..detection.align import sharpness
from ..detection.finder import FaceFinder, FaceMode
from ..errors import MaskclsError
from ..facenet.encoder import EMBEDDING_DIM, MAP_SHAPE, Encoder
from ..labels import Labels
from ..photo import NO_FILE, FileState, file_state, shown, stored, stored_below
from ..pipeline import MOST_FACES, NO_FACE, EncodedFace, EncodedPhoto, encode_photos
from ..storage.atomic_folder import recover
from ..storage.lock import locked
from ..storage.step_cache import Step, StepCache
from ..table import COLUMNS
from .corrections import corrected
from .finished import OLD, Finished, Position, position_of
from .forgotten import REASON, read_forgotten
from .labelled import labelled_faces, no_face_at
from .store import FORMAT, MANIFEST, REJECT_COLUMNS, STEPS, EmbeddingSet, SetTables, SetWriter, open_set, replace_tables
from .todo import forgotten_photos, is_usable, photos_to_embed

Progress = Callable[[int, int], None]
"""Called with the number of photos done and the number to do."""
Encode = Callable[[Sequence[Path]], AbstractContextManager[Iterator[list[EncodedPhoto]]]]
"""Photos to what became of them, batch by batch, in order."""
_NO_STATE = {"file_size": NO_FILE.size, "file_mtime_ns": NO_FILE.mtime_ns}
"""Of a reject that is about a label, not about a file."""


@dataclass(frozen=True)
class EmbedReport:
    """What a run did: faces and rejects in the set now, photos embedded by this run and photos reused."""

    faces: int
    rejects: int
    embedded: int
    reused: int
    whole: int


def embed_folder(
    dataset: Dataset,
    root: Path,
    out: Path,
    encoder: Encoder,
    finder: FaceFinder,
    *,
    mode: FaceMode = "auto",
    jobs: int = 2,
    batch_size: int = 64,
    progress: Progress = lambda done, total: None,
    encode: Encode | None = None,
) -> EmbedReport:
    """Embed the photos of a data set into the set ``out``, which is created, resumed or brought up to date.

    Photos are recognised by path, size and modification time. The set mirrors the folder: rows of photos that are gone
    are dropped, labels are read anew. A photo that is in the set stays in it whatever is wrong with its labels, which
    are unknown then. The outcome does not depend on where a former run was killed. A photo that the set must forget,
    or a mask drawn on it, becomes a reject.

    Of a data set of all faces the set has those that its label table names; a photo is embedded again where the boxes
    of its faces are others now.

    Args:
        encode: takes the place of :func:`..pipeline.encode_photos` on this machine, see :mod:`..ray`.

    Raises:
        MaskclsError: ``out`` belongs to another folder, encoder, face mode or choice of faces, is damaged or cannot be
            written; or no label can be used, or no face of the set would be left, and nothing was changed.
    """
    settings = {"root": stored(root.resolve()), "layout": dataset.layout, "face": mode, "faces": dataset.faces}
    every = dataset.faces == "all"
    with locked(out):
        recover(out)
        old = open_set(out) if (out / MANIFEST).exists() else None
        if old is not None:
            _check_same(out, old, encoder, settings)
        key = [FORMAT, encoder.info.fingerprint, mode, settings["root"], *(["all"] if every else [])]
        steps = StepCache(out / STEPS, *key)
        for _ in steps.steps():  # reads all of them, so that damaged ones are dropped before their notes are believed
            pass
        finished = Finished(old, steps)
        known = finished.positions()
        todo = photos_to_embed(dataset, root, known)
        if gone := forgotten_photos(todo, read_forgotten(out)):
            rejects = [_reject(path, REASON, root, file_state(path)) for path in gone]
            steps.append(notes={"faces": [], "rejects": rejects, "runtime": encoder.info.runtime})
            todo = {path: items for path, items in todo.items() if path not in gone}
        boxes = {path: [item.box for item in items if item.box is not None] for path, items in todo.items()}
        progress(0, len(todo))
        done = 0
        if encode is None:
            encode = partial(
                encode_photos,
                finder=finder,
                encoder=encoder,
                mode=mode,
                faces=MOST_FACES if every else 1,
                jobs=jobs,
                batch_size=batch_size,
            )
        with encode(list(todo)) as batches:
            for batch in batches:
                step = _step(batch, boxes, root, encoder.info.runtime)
                steps.append(step.arrays, notes=step.notes)
                done += len(batch)
                progress(done, len(todo))
        del known
        report = _save(dataset, root, out, encoder, settings, finished, embedded=len(todo))
        steps.clear()
        return report


def _check_same(out: Path, old: EmbeddingSet, encoder: Encoder, settings: dict[str, str]) -> None:
    if old.pseudo is not None:
        raise MaskclsError(f"{shown(out)}: holds pseudo-labels, which would be lost; choose another --out")
    if old.encoder != encoder.info:
        raise MaskclsError(
            f"{shown(out)}: made with encoder {old.encoder.name} ({old.encoder.fingerprint}), this run has "
            f"{encoder.info.name} ({encoder.info.fingerprint}); choose another --out"
        )
    for key, option in (("root", "PHOTOS"), ("face", "--face"), ("faces", "--faces")):
        if old.settings[key] != settings[key]:
            raise MaskclsError(
                f"{shown(out)}: made with {option} {shown(old.settings[key])}, not {shown(settings[key])}; "
                "choose another --out"
            )


def _step(batch: Sequence[EncodedPhoto], boxes: Mapping[Path, Sequence[Box]], root: Path, runtime: str) -> Step:
    """A batch as :class:`~.finished.Finished` reads it: the labelled faces of its photos, or the largest ones."""
    rows: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    faces: list[EncodedFace] = []
    for photo in batch:
        wanted = boxes[photo.path]
        if photo.reason is not None and (not wanted or photo.reason != NO_FACE):
            rejects.append(_reject(photo.path, photo.reason, root, photo.state))
            continue
        chosen = labelled_faces(photo.faces, wanted) if wanted else [(None, photo.face)]
        for box, face in chosen:
            if face is None:
                rejects.append(_reject(photo.path, no_face_at(str(box)), root, photo.state))
            else:
                faces.append(face)
                rows.append(_row(photo, face, root) | ({"label_box": str(box)} if box else {}))
    arrays: dict[str, npt.NDArray[Any]] = {
        "embeddings": np.array([f.embedding for f in faces], np.float32).reshape(len(faces), EMBEDDING_DIM),
        "maps": np.array([f.map for f in faces], np.float16).reshape(len(faces), *MAP_SHAPE),
    }
    return Step(arrays, notes={"faces": rows, "rejects": rejects, "runtime": runtime})


def _reject(path: Path, reason: str, root: Path, state: FileState) -> dict[str, Any]:
    name = stored_below(path, root)
    return {"path": name, "reason": reason, "file_size": state.size, "file_mtime_ns": state.mtime_ns}


def _row(photo: EncodedPhoto, face: EncodedFace, root: Path) -> dict[str, Any]:
    box = [round(float(v), 2) for v in face.found.box]
    return {
        "face_id": face_id(face.file_sha256, box),
        "path": stored_below(photo.path, root),
        "box": box,
        "landmarks": [round(float(v), 2) for v in face.found.landmarks.reshape(-1)],
        "face": face.found.how,
        "face_score": face.found.score,
        "faces_in_photo": face.found.faces,
        "sharpness": sharpness(face.crop),
        "norm": face.norm,
        "file_sha256": face.file_sha256,
        "file_size": photo.state.size,
        "file_mtime_ns": photo.state.mtime_ns,
    }


def face_id(file_sha256: str, box: Sequence[float]) -> str:
    """16 hexadecimal digits below 2**63 from the photo's bytes and the face's box (whole pixels)."""
    text = file_sha256 + ",".join(str(math.floor(v + 0.5)) for v in box)
    return f"{int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) & (2**63 - 1):016x}"


def _save(
    dataset: Dataset,
    root: Path,
    out: Path,
    encoder: Encoder,
    settings: dict[str, str],
    finished: Finished,
    embedded: int,
) -> EmbedReport:
    known, old = finished.positions(), finished.old
    labels: list[Labels] = []
    positions: list[Position] = []
    rejects: list[dict[str, Any]] = []
    rejected: dict[int, Position] = {}
    photos: set[str] = set()
    seen: set[Position] = set()
    for item in dataset.photos:
        is_used = is_usable(item, root, known)
        name = stored_below(item.path, root)
        if is_used:
            position = position_of(known[name], item.box)
            assert position is not None, "a photo that can be used is finished by now"
            photos.add(name)
            if position.rejected:
                if position not in seen:  # a photo as a whole is one reject, however many faces are labelled
                    rejected[len(rejects)] = position
                    rejects.append({})
                seen.add(position)
                continue
            labels.append(item.labels)
            positions.append(position)
        if reason := item.problem(is_used=is_used):
            rejects.append({"path": name, "reason": reason, **_NO_STATE})
    del known
    for index, row in zip(rejected, finished.reject_rows(list(rejected.values())), strict=True):
        rejects[index] = row
    _check_any_left(out, old, positions, rejects, refused=not rejected)
    table = _labelled(finished.face_rows(positions), labels, dataset.layout)
    if old is not None:
        table = corrected(table, old.corrections)
    reject_table = pd.DataFrame(rejects, columns=list(REJECT_COLUMNS)).astype(REJECT_COLUMNS)
    if (
        old is not None
        and len(old) == len(positions)
        and all(p.step == OLD and p.row == i for i, p in enumerate(positions))
    ):
        if not (table.equals(old.table) and reject_table.equals(old.rejects) and settings == old.settings):
            replace_tables(out, SetTables(table, reject_table, old.encoder, settings))
    else:
        made_with = replace(encoder.info, runtime=", ".join(sorted(finished.runtimes() or {encoder.info.runtime})))
        writer = SetWriter(out, len(positions))
        finished.copy_arrays(positions, writer.embeddings, writer.maps)
        writer.commit(SetTables(table, reject_table, made_with, settings))
    whole = int((table["face"] == "whole").sum())
    return EmbedReport(len(table), len(rejects), embedded, len(photos) - embedded, whole)


def _check_any_left(
    out: Path,
    old: EmbeddingSet | None,
    positions: Sequence[Position],
    rejects: Sequence[Mapping[str, Any]],
    *,
    refused: bool,
) -> None:
    """Refuse to save a set without a face if that is due to the labels alone, or empties the old set."""
    if positions or not rejects or not (refused or (old is not None and len(old))):
        return
    what = "no label can be used" if refused else f"none of its {len(old or ())} faces would be left"
    first = f"{shown(rejects[0]['path'])}: {rejects[0]['reason']}"
    raise MaskclsError(f"{shown(out)}: not saved, since {what} ({len(rejects)} rejects, the first: {first})")


def _labelled(table: pd.DataFrame, labels: Sequence[Labels], layout: str) -> pd.DataFrame:
    """The table with these labels in place of those it has."""
    columns = {key.name: [getattr(label, key.name) for label in labels] for key in fields(Labels)}
    return table.assign(**columns, source=layout).astype(COLUMNS)
