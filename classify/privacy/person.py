"""Who is meant, and what of theirs lies in embedding sets and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.errors import MaskclsError
from ...embedder.faceset.store import EmbeddingSet
from ...embedder.photo import shown, stored
from ...embedder.table import gallery_ids
from ..data.face_set import merge_sets
from ..model.model import Model
from .traces import Traces, Vectors

_COLUMNS = ["face_id", "person", "source", "path", "root", "file_sha256", "drawn_on"]

Sets = Mapping[Path, EmbeddingSet]
Models = Mapping[Path, Model]


@dataclass(frozen=True)
class Wanted:
    """The person: the name that a source gives, or one face; exactly one of ``person`` and ``face`` is given.

    Attributes:
        source: the layout the name comes from; needed where several sources have the name.
    """

    person: str | None = None
    source: str | None = None
    face: str | None = None

    @property
    def text(self) -> str:
        """What a receipt can be checked with."""
        return str(self.person if self.face is None else self.face)


@dataclass(frozen=True)
class Found:
    """A person's traces, and how many faces are grouped with them that have another name and are left alone."""

    traces: Traces
    others: int


def find_person(sets: Sets, models: Models, wanted: Wanted, known: Traces = Traces()) -> Found:
    """All faces of a person.

    Those of the name (or the one face), every exact copy of their photos, every mask drawn on them, and what is grouped
    with them as the same person: by the looks of the faces of all sets of one encoder, and as the models have it.
    Whoever has a name is found by it: grouped faces of another name are left alone, unless a face was named.

    Args:
        known: found by a former run that was cut short.

    Raises:
        MaskclsError: no such person, or a name of several sources.
    """
    faces = pd.concat([_set_faces(sets), _model_faces(models)], ignore_index=True)
    asked_for = faces["face_id"] == wanted.face if wanted.face else _of_name(faces, wanted)
    taken = (faces["face_id"].isin(known.faces) | asked_for).to_numpy(bool)
    if not taken.any():
        if known:
            return Found(known, 0)
        raise MaskclsError(f"{_said(wanted)}: in none of the embedding sets and models of the given folders")
    joinable = np.ones(len(faces), bool) if wanted.face else _nobodys(faces, taken)
    while True:
        grouped = faces["group"].isin(faces["group"][taken].dropna()).to_numpy(bool)
        hashes = {*faces["file_sha256"][taken], *faces["drawn_on"][taken].dropna(), *known.hashes}
        more = taken | (grouped & joinable) | faces["face_id"].isin(faces["face_id"][taken]).to_numpy(bool)
        more = more | (faces["file_sha256"].isin(hashes) | faces["drawn_on"].isin(hashes)).to_numpy(bool)
        if (more == taken).all():
            break
        taken = more
    mine = faces[taken]
    ids = frozenset(mine["face_id"])
    photos = frozenset(zip(mine["root"], mine["path"], strict=True))
    found = Traces(ids, frozenset(hashes), photos, _vectors(sets, models, ids))
    return Found(known | found, int(faces["face_id"][grouped & ~taken].nunique()))


def _nobodys(faces: pd.DataFrame, taken: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Faces (n,) without a name of their own, by way of the photo that was copied or drawn on neither."""
    photo, named = faces["drawn_on"].fillna(faces["file_sha256"]), faces["person"].notna()
    of_others = set(photo[named & ~taken]) - set(photo[taken])
    return (~named & ~photo.isin(of_others)).to_numpy(bool)


def _of_name(faces: pd.DataFrame, wanted: Wanted) -> pd.Series[bool]:
    named = faces["person"] == wanted.person
    if wanted.source is not None:
        return named & (faces["source"] == wanted.source)
    if len(sources := sorted(faces["source"][named].dropna().unique())) > 1:
        raise MaskclsError(f"{_said(wanted)}: a name in {', '.join(map(shown, sources))}; choose one with --source")
    return named


def _said(wanted: Wanted) -> str:
    if wanted.face:
        return f"--face {shown(wanted.face)}"
    return f"--person {shown(str(wanted.person))}" + (f" --source {shown(wanted.source)}" if wanted.source else "")


def _set_faces(sets: Sets) -> pd.DataFrame:
    parts = [pd.DataFrame([], columns=[*_COLUMNS, "group"])]
    encoders: dict[str, list[EmbeddingSet]] = {}
    for one in filter(len, sets.values()):
        encoders.setdefault(one.encoder.fingerprint, []).append(one)
    for encoder, alike in encoders.items():
        pool = merge_sets(alike)
        group = pd.Series([f"{encoder} {number}" for number in pool.people], pool.table["face_id"])
        for one in alike:
            table = one.table.assign(root=one.settings["root"])[_COLUMNS]
            parts.append(table.assign(group=table["face_id"].map(group)))
    return pd.concat(parts)


def _model_faces(models: Models) -> pd.DataFrame:
    parts: Sequence[pd.DataFrame] = [
        model.table[_COLUMNS].assign(group=[f"model {number} {group}" for group in model.table["group"]])
        for number, model in enumerate(models.values())
    ]
    return pd.concat(parts) if parts else pd.DataFrame([], columns=[*_COLUMNS, "group"])


def _vectors(sets: Sets, models: Models, ids: frozenset[str]) -> dict[str, Vectors]:
    """See :attr:`.traces.Traces.vectors`."""
    vectors: dict[str, Vectors] = {}
    for one in sets.values():
        rows: npt.NDArray[np.int64] = np.flatnonzero(one.table["face_id"].isin(ids))
        if not len(rows):
            continue
        for name, part in (("embeddings", one.embeddings[rows]), ("maps", one.maps[rows].reshape(len(rows), -1))):
            key = f"{name}/{one.encoder.fingerprint}"
            vectors[key] = np.concatenate([vectors[key], part]) if key in vectors else np.array(part)
    for folder, model in models.items():
        own = model.table["face_id"][model.table["face_id"].isin(ids)]
        if len(own):
            vectors[f"gallery/{stored(folder)}"] = model.gallery.vectors(gallery_ids(own))
    return vectors
