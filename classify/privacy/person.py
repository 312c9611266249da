"""The person to erase: who is meant, and what identifies them in embedding sets and models."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.erasure.traces import Traces, Vectors
from ...embedder.errors import MaskclsError
from ...embedder.faceset.erasure import StoredSet
from ...embedder.faceset.store import EmbeddingSet
from ...embedder.photo import normal_form, shown
from ..data.face_set import merge_sets
from ..data.identity import original_photos, person_keys, sharing
from ..model.erasure import StoredModelFolder

Bools = npt.NDArray[np.bool_]
_COLUMNS = ["face_id", "dataset", "person", "path", "root", "file_sha256", "drawn_on"]


@dataclass(frozen=True)
class PersonSelector:
    """The name of a person, or one face of theirs; exactly one of the two is given.

    Attributes:
        name: in any Unicode form.
        face: a ``face_id``: it and all that is grouped with it.
        dataset: id of the data set that the name is of; needed where several data sets have the name.
    """

    name: str | None = None
    face: str | None = None
    dataset: str | None = None

    @property
    def text(self) -> str:
        """What a receipt is checked with, in normal form."""
        return normal_form(str(self.name if self.face is None else self.face))

    def __str__(self) -> str:
        kind, within = ("face", "") if self.face else ("person", f" of data set {self.dataset}" if self.dataset else "")
        return f"{kind} {shown(self.text)}{shown(within)}"


@dataclass(frozen=True)
class FoundPerson:
    """A person's traces, and how many faces are grouped with them that have another name and stay."""

    traces: Traces
    others: int


def find_person(
    sets: Collection[StoredSet],
    models: Collection[StoredModelFolder],
    selector: PersonSelector,
    known: Traces = Traces(),
) -> FoundPerson:
    """All faces of a person.

    An identity is a name (compared in normal form) within one data set. Data sets in which that name shows one and the
    same photo, or a mask drawn on it, have the same person. To the person belong the faces of these identities, or the
    one face; every exact copy of their photos and every mask drawn on them, whatever its name; and faces without a name
    that are grouped with them, by looks among the sets of one encoder and as the models have it. With a face given,
    grouped faces of any name belong to the person. A photo with other people's faces goes with these, since it must not
    come back; their other photos stay.

    Args:
        known: found by an earlier run that was killed.

    Raises:
        MaskclsError: no such person, or a name of several data sets none of which was chosen.
    """
    opened = {stored: one for stored in sets if (one := stored.open()) is not None}
    faces = pd.concat([_set_faces(opened), _model_faces(models)], ignore_index=True)
    crowded = _of_several(faces)
    faces["group"] = faces["group"].mask(_grouped_by_photo(faces, crowded))
    keys = person_keys(faces)
    selected = (faces["face_id"] == selector.face) if selector.face else _of_name(faces, keys, selector)
    taken = ((faces["face_id"].isin(known.faces) & ~crowded) | selected | keys.isin(known.identities)).to_numpy(bool)
    if not taken.any():
        if known:
            return FoundPerson(known, 0)
        raise MaskclsError(f"{selector}: in none of the embedding sets and models of the given folders")
    joinable = np.ones(len(faces), bool) if selector.face else _unnamed(faces, taken, crowded)
    while True:
        grouped = faces["group"].isin(faces["group"][taken].dropna()).to_numpy(bool)
        hashes = {*faces["file_sha256"][taken].dropna(), *faces["drawn_on"][taken].dropna(), *known.hashes}
        more = taken | (grouped & joinable) | faces["face_id"].isin(faces["face_id"][taken]).to_numpy(bool)
        photo = (faces["file_sha256"].isin(hashes) | faces["drawn_on"].isin(hashes)).to_numpy(bool)
        more = more | (photo & ~crowded)
        if selector.face:
            more = more | keys.isin(keys[taken].dropna()).to_numpy(bool)
        if (more == taken).all():
            break
        taken = more
    identities = frozenset(keys[selected if selector.name else taken].dropna())
    others = int(faces["face_id"][grouped & ~taken & ~photo].nunique())
    mine = faces[taken | photo]
    ids = frozenset(mine["face_id"])
    photos = frozenset(zip(mine["root"], mine["path"], strict=True))
    found = Traces(ids, frozenset(hashes), photos, _vectors(opened.values(), models, ids), identities)
    return FoundPerson(known | found, others)


def faces_left(sets: Collection[StoredSet], models: Collection[StoredModelFolder], traces: Traces) -> int:
    """How many faces of a person, or of one of their identities, sets and models hold, all of them read anew."""
    tables = [found.table.assign(dataset=found.dataset) for one in sets if (found := one.open()) is not None]
    tables += [one.open().table[_COLUMNS] for one in models]
    return sum(
        int((table["face_id"].isin(traces.faces) | person_keys(table).isin(traces.identities)).sum())
        for table in tables
    )


def _of_name(faces: pd.DataFrame, keys: pd.Series[str], selector: PersonSelector) -> pd.Series[bool]:
    """Faces (n,) of the name, within the chosen data set and those that share a photo with it under that name."""
    named = faces["person"].map(normal_form, na_action="ignore") == selector.text
    identity = pd.Series(-1, faces.index)
    identity[named] = sharing([keys[named], original_photos(faces[named])])
    if selector.dataset is not None:
        return named & identity.isin(identity[named & (faces["dataset"] == selector.dataset)])
    if identity[named].nunique() > 1:
        first = faces[named].drop_duplicates("dataset")
        where = (f"{row['dataset']} ({shown(row['where'])})" for row in first.to_dict("records"))
        raise MaskclsError(f"{selector}: a name in several data sets: {', '.join(where)}; choose one by its id")
    return named


def _unnamed(faces: pd.DataFrame, taken: Bools, crowded: Bools) -> Bools:
    """Faces (n,) without a name of their own, by way of the photo that was copied or drawn on neither."""
    photo, named = original_photos(faces), faces["person"].notna()
    of_others = set(photo[named & ~taken & ~crowded]) - set(photo[taken])
    return (~named & ~photo.isin(of_others)).to_numpy(bool)


def _of_several(faces: pd.DataFrame) -> Bools:
    """Faces (n,) of photos, or of drawings on photos, that show several people of one set or model."""
    photo = original_photos(faces)
    several = faces.groupby(["where", "file_sha256"])["face_id"].transform("nunique") > 1
    return photo.isin(photo[several]).to_numpy(bool)


def _grouped_by_photo(faces: pd.DataFrame, crowded: Bools) -> Bools:
    """Faces (n,) of models in a group that joins the people of one photo, where an embedding set has the same face."""
    in_set = faces["in_set"].astype(bool)
    known = faces["face_id"].isin(faces["face_id"][in_set])
    return (~in_set & known & faces["group"].isin(faces["group"][crowded])).to_numpy(bool)


def _set_faces(sets: dict[StoredSet, EmbeddingSet]) -> pd.DataFrame:
    parts = [pd.DataFrame([], columns=[*_COLUMNS, "group", "where", "in_set"])]
    encoders: dict[str, list[StoredSet]] = {}
    for stored, found in sets.items():
        if len(found):
            encoders.setdefault(found.encoder.fingerprint, []).append(stored)
    for encoder, alike in encoders.items():
        pool = merge_sets([sets[stored] for stored in alike])
        group = pd.Series([f"{encoder} {number}" for number in pool.persons], pool.table["face_id"])
        for stored in alike:
            table = sets[stored].table.assign(root=sets[stored].settings["root"], dataset=sets[stored].dataset)
            parts.append(table[_COLUMNS].assign(group=table["face_id"].map(group), where=str(stored.path), in_set=True))
    return pd.concat(parts)


def _model_faces(models: Collection[StoredModelFolder]) -> pd.DataFrame:
    parts = [pd.DataFrame([], columns=[*_COLUMNS, "group", "where", "in_set"])]
    for stored in models:
        table = stored.open().table
        group = [f"{stored.path} {number}" for number in table["group"]]
        parts.append(table[_COLUMNS].assign(group=group, where=str(stored.path), in_set=False))
    return pd.concat(parts)


def _vectors(
    sets: Collection[EmbeddingSet], models: Collection[StoredModelFolder], ids: frozenset[str]
) -> dict[str, Vectors]:
    """See :attr:`Traces.vectors`."""
    vectors: dict[str, Vectors] = {}
    for one in sets:
        rows: npt.NDArray[np.int64] = np.flatnonzero(one.table["face_id"].isin(ids))
        if len(rows):
            for name, part in (("embeddings", one.embeddings[rows]), ("maps", one.maps[rows].reshape(len(rows), -1))):
                key = f"{name}/{one.encoder.fingerprint}"
                vectors[key] = np.concatenate([vectors[key], part]) if key in vectors else np.array(part)
    for stored in models:
        vectors |= stored.vectors(ids)
    return vectors
