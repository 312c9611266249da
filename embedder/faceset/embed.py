"""The ``embed`` job: a folder of photos becomes an embedding set; again, only what is new or changed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..datasets.layouts import Dataset, Listed
from ..detection.align import sharpness
from ..detection.finder import FaceFinder, FaceMode
from ..errors import MaskclsError
from ..facenet.encoder import EMBEDDING_DIM, MAP_SHAPE, Encoder, EncoderInfo
from ..labels import Labels
from ..photo import file_state, shown, stored, stored_below
from ..pipeline import EncodedFace, EncodedPhoto, encode_photos
from ..storage.atomic_folder import recover
from ..storage.lock import locked
from ..storage.shards import Shard, ShardFolder
from ..table import COLUMNS
from .corrections import corrected
from .forgotten import REASON, Forgotten, read_forgotten
from .known import OLD, Place, by_source, face_rows, known_photos, reject_rows
from .store import MANIFEST, REJECT_COLUMNS, EmbeddingSet, SetTables, SetWriter, open_set, replace_tables

Progress = Callable[[int, int], None]
"""Called with the number of photos done and the number to do."""
Encode = Callable[[Sequence[Path]], Iterator[list[EncodedPhoto]]]
"""Photos to what became of them, batch by batch, in order."""


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
    """Embed the photos of a dataset into the set ``out``, which is created, resumed or brought up to date.

    Photos are recognised by path, size and modification time. The set mirrors the folder: rows of photos that
    are gone are dropped, labels are read anew. The outcome does not depend on where a former run was cut. A photo
    that the set has been told to forget, or a mask drawn on it, becomes a reject.

    Args:
        encode: takes the place of :func:`..pipeline.encode_photos` on this machine, see :mod:`..ray`.

    Raises:
        MaskclsError: ``out`` belongs to another folder, encoder or face mode, is damaged or cannot be written.
    """
    settings = {"root": stored(root.resolve()), "layout": dataset.layout, "face": mode}
    with locked(out):
        recover(out)
        old = open_set(out) if (out / MANIFEST).exists() else None
        if old is not None:
            _check_same(out, old, encoder, settings)
        shards = ShardFolder(out, f"{encoder.info.fingerprint} {mode}", encoder.info.runtime)
        known = known_photos(old, shards)
        todo = [item for item in dataset.photos if item.refused is None and not _is_done(item.path, root, known)]
        if gone := _forgotten(todo, read_forgotten(out), root):
            shards.append(gone)
            refused_now = {row["path"] for row in gone.rejects}
            todo = [item for item in todo if stored_below(item.path, root) not in refused_now]
        progress(0, len(todo))
        done = 0
        paths = [item.path for item in todo]
        if encode is None:
            encode = partial(encode_photos, finder=finder, encoder=encoder, mode=mode, jobs=jobs, batch_size=batch_size)
        for batch in encode(paths):
            shards.append(_shard(batch, root))
            done += len(batch)
            progress(done, len(todo))
        del known
        return _save(dataset, root, out, encoder, settings, old, shards, embedded=len(todo))


def _check_same(out: Path, old: EmbeddingSet, encoder: Encoder, settings: dict[str, str]) -> None:
    if old.pseudo is not None:
        raise MaskclsError(f"{shown(out)}: holds pseudo-labels, which would be lost; choose another --out")
    if old.encoder != encoder.info:
        raise MaskclsError(
            f"{shown(out)}: made with encoder {old.encoder.name} ({old.encoder.fingerprint}), this run has "
            f"{encoder.info.name} ({encoder.info.fingerprint}); choose another --out"
        )
    for key in ("root", "face"):
        if old.settings[key] != settings[key]:
            option = "PHOTOS" if key == "root" else "--face"
            raise MaskclsError(
                f"{shown(out)}: made with {option} {shown(old.settings[key])}, not {shown(settings[key])}; "
                "choose another --out"
            )


def _is_done(path: Path, root: Path, known: Mapping[str, Place]) -> bool:
    place = known.get(stored_below(path, root))
    return place is not None and place.state == file_state(path)


def _forgotten(todo: Sequence[Listed], forgotten: Forgotten, root: Path) -> Shard | None:
    """The photos that must not come back, as rejects; None where there are none."""
    if not forgotten.keys:
        return None
    gone = [item.path for item in todo if item.labels.drawn_on in forgotten or forgotten.holds_file(item.path)]
    rejects = [
        {"path": stored_below(path, root), "reason": REASON, "file_size": state.size, "file_mtime_ns": state.mtime_ns}
        for path in gone
        for state in [file_state(path)]
    ]
    return Shard([], rejects, *_arrays([])) if rejects else None


def _shard(batch: Sequence[EncodedPhoto], root: Path) -> Shard:
    rows: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    faces = []
    for photo in batch:
        name = stored_below(photo.path, root)
        state = {"file_size": photo.state.size, "file_mtime_ns": photo.state.mtime_ns}
        face = photo.face
        if face is None:
            rejects.append({"path": name, "reason": photo.reason, **state})
            continue
        faces.append(face)
        box = [round(float(v), 2) for v in face.found.box]
        rows.append(
            {
                "face_id": face_id(face.file_sha256, box),
                "path": name,
                "box": box,
                "landmarks": [round(float(v), 2) for v in face.found.landmarks.reshape(-1)],
                "face": face.found.how,
                "face_score": face.found.score,
                "faces_in_photo": face.found.faces,
                "sharpness": sharpness(face.crop),
                "norm": face.norm,
                "file_sha256": face.file_sha256,
                **state,
            }
        )
    return Shard(rows, rejects, *_arrays(faces))


def _arrays(faces: Sequence[EncodedFace]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]]:
    embeddings = np.array([f.embedding for f in faces], np.float32).reshape(len(faces), EMBEDDING_DIM)
    return embeddings, np.array([f.map for f in faces], np.float16).reshape(len(faces), *MAP_SHAPE)


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
    old: EmbeddingSet | None,
    shards: ShardFolder,
    embedded: int,
) -> EmbedReport:
    known = known_photos(old, shards)
    labels: list[Labels] = []
    places: list[Place] = []
    rejects: list[dict[str, Any]] = []
    refused: dict[int, Place] = {}
    for item in dataset.photos:
        name = stored_below(item.path, root)
        if item.refused is not None:
            rejects.append(
                {"path": name, "reason": f"label refused: {item.refused}", "file_size": -1, "file_mtime_ns": -1}
            )
        elif known[name].refused:
            refused[len(rejects)] = known[name]
            rejects.append({})
        else:
            labels.append(item.labels)
            places.append(known[name])
    del known
    for position, row in zip(refused, reject_rows(list(refused.values()), old, shards), strict=True):
        rejects[position] = row
    table = _labelled(face_rows(places, old, shards), labels, dataset.layout)
    if old is not None:
        table = corrected(table, old.corrections)
    reject_table = pd.DataFrame(rejects, columns=list(REJECT_COLUMNS)).astype(REJECT_COLUMNS)
    if (
        old is not None
        and len(old) == len(places)
        and all(p.source == OLD and p.position == i for i, p in enumerate(places))
    ):
        if not (table.equals(old.table) and reject_table.equals(old.rejects) and settings == old.settings):
            replace_tables(out, SetTables(table, reject_table, old.encoder, settings))
    else:
        writer = SetWriter(out, len(places))
        _gather(writer, places, old, shards)
        writer.commit(SetTables(table, reject_table, _made_with(encoder, old, shards), settings))
    shards.clear()
    whole = int((table["face"] == "whole").sum())
    read = len(dataset.photos) - sum(item.refused is not None for item in dataset.photos)
    return EmbedReport(len(table), len(rejects), embedded, read - embedded, whole)


def _made_with(encoder: Encoder, old: EmbeddingSet | None, shards: ShardFolder) -> EncoderInfo:
    """The encoder, with every runtime that ever wrote to the set."""
    before = old.encoder.runtime.split(", ") if old is not None else []
    runtimes = {*before, *shards.runtimes} or {encoder.info.runtime}
    return replace(encoder.info, runtime=", ".join(sorted(runtimes)))


def _gather(writer: SetWriter, places: Sequence[Place], old: EmbeddingSet | None, shards: ShardFolder) -> None:
    """Copy every face's vectors to its row of the new set, shard by shard."""
    for number, rows, positions in by_source(places):
        if number == OLD:
            assert old is not None
            embeddings, maps = old.embeddings, old.maps
        else:
            shard = shards.read(number)
            embeddings, maps = shard.embeddings, shard.maps
        for start in range(0, len(rows), 4096):
            part = slice(start, start + 4096)
            writer.embeddings[rows[part]] = embeddings[positions[part]]
            writer.maps[rows[part]] = maps[positions[part]]


def _labelled(table: pd.DataFrame, labels: Sequence[Labels], layout: str) -> pd.DataFrame:
    """The table with these labels in place of those it has."""
    columns = {key.name: [getattr(label, key.name) for label in labels] for key in fields(Labels)}
    return table.assign(**columns, source=layout, split=None).astype(COLUMNS)
