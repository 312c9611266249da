"""Edit a model's gallery without training anything: faces come in, faces go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ...embedder.errors import MaskclsError
from ...embedder.facenet.encoder import Encoder
from ...embedder.faceset.crops import check_photos
from ...embedder.faceset.store import EmbeddingSet
from ...embedder.photo import shown
from ...embedder.storage.lock import locked
from ...embedder.table import gallery_ids
from ..age.space import fill_gallery
from ..age.tuning import with_age
from ..age.vote import Ints
from ..data.face_set import FaceSet, Progress, merge_sets
from ..data.identity import original_photos, person_keys, sharing
from ..data.provenance import seen_of
from .gallery_list import counts_of
from .model import Model
from .storage import GALLERY_COLUMNS

Report = TypeVar("Report")


@dataclass(frozen=True)
class Added:
    """What :func:`add_faces` did.

    Attributes:
        faces: that are in the gallery now and were not before.
        joined: people among them that the gallery knew already; ``people`` are the others.
        merged: people of the gallery that are one with another one now.
        known: faces that were in already, an exact copy of a photo being the same face.
        ageless: faces left out since their age is unknown.
        compared: gallery faces that the new ones were compared with by their looks.
    """

    faces: int
    people: int
    joined: int
    merged: int
    known: int
    ageless: int
    compared: int


def edit_model(folder: Path, edit: Callable[[Model], tuple[Model, Report]]) -> Report:
    """Change a model on disk with nobody else writing to it; a kill leaves the old or the new one.

    Raises:
        MaskclsError: it is no model, another run is writing there, or what ``edit`` raises.
    """
    Model.load(folder)  # so that no lock is laid into something else, and a cut replacement is put right
    with locked(folder):
        model, report = edit(Model.load(folder))
        model.write(folder)
    return report


def check_addable(model: Model, folder: Path, sets: Sequence[tuple[Path, EmbeddingSet]]) -> None:
    """Make sure, before any work, that the faces of embedding sets can be brought into a model's age space.

    A fine-tuned model sees photos through its own backbone, so that they are read again: the photos must still be
    there.

    Raises:
        MaskclsError: the sets were made by another encoder or hold pseudo-labels, or a photo is gone or changed.
    """
    for name, one in sets:
        if one.pseudo is not None:
            raise MaskclsError(f"{shown(name)}: holds pseudo-labels, and only faces whose age somebody gave may vote")
        tuned = model.tuned is not None and one.encoder.preprocessing == model.encoder.preprocessing
        if not tuned and one.encoder != model.encoder:
            raise MaskclsError(
                f"{shown(name)}: made with encoder {one.encoder.name} ({one.encoder.fingerprint}), but {shown(folder)} "
                f"with {model.encoder.name} ({model.encoder.fingerprint}); embed it again with the weights of the model"
            )
        if tuned:
            aged = one.table["age_low"].notna() & ~one.table["face_id"].isin(model.table["face_id"])
            check_photos(one.table[aged].assign(root=one.settings["root"]))


def add_faces(
    model: Model,
    sets: Sequence[EmbeddingSet],
    known: Sequence[EmbeddingSet] = (),
    *,
    encoder: Encoder | None = None,
    progress: Progress = lambda done, total: None,
) -> tuple[Model, Added]:
    """The model with the faces of known age of some embedding sets in its gallery; nothing is trained.

    A new face belongs to a gallery person if it has the same name within the same data set, shows the same photo (or a
    mask drawn on it), or if they look alike (:func:`..data.identity.infer_identities`). Looks are compared among the
    new faces and with the gallery faces that the ``known`` sets hold: the gallery has their age-space vectors only,
    which do not identify anybody. Two gallery people that a new face belongs to are one from now on: a person who votes
    twice, or for their own photo, does more harm than one who is missing.

    Args:
        sets: checked by :func:`check_addable`.
        known: sets that the model was built from, of the same encoder.
        encoder: the model's own, where it is fine-tuned.

    Raises:
        MaskclsError: there is nothing to add, or a photo is gone.
    """
    pool = merge_sets([*sets, *known])
    names = pd.concat([one.table["face_id"] for one in sets])
    offered = pool.table["face_id"].isin(names).to_numpy(bool)
    inside = pool.table["face_id"].isin(model.table["face_id"]).to_numpy(bool)
    aged = np.zeros(len(pool), bool)
    aged[with_age(pool)] = True
    fresh = np.flatnonzero(offered & aged & ~inside)
    if not len(fresh):
        raise MaskclsError("nothing to add: every face is in the gallery already or has no age")
    new = pool.subset(fresh)
    groups = _people(model.table, new, pd.Series(pool.people, index=pool.table["face_id"]))
    if model.tuned is not None:
        if encoder is None:
            raise ValueError("a fine-tuned model needs its own encoder")
        new = new.encoded_by(encoder, progress)
    more = fill_gallery(model.age_space, new, gallery_ids(new.table["face_id"]))
    gallery = model.gallery.copy()
    gallery.add(more.vectors(more.ids), more.ids)
    rows = new.table[list(GALLERY_COLUMNS)]
    table = pd.concat([model.table.drop(columns="group"), rows], ignore_index=True).assign(group=groups)
    theirs = np.unique(groups[len(model.table) :])
    joined = int(np.isin(theirs, groups[: len(model.table)]).sum())
    added = Added(
        len(new),
        len(theirs) - joined,
        joined,
        model.table["group"].nunique() - len(np.unique(groups[: len(model.table)])),
        int((offered & inside).sum()),
        int((offered & ~aged).sum()),
        int(inside.sum()),
    )
    note = {
        "faces": added.faces,
        "people": len(theirs),
        "merged": added.merged,
        "compared_with": added.compared,
        "counts": counts_of(rows),
    }
    card, seen = _noted(model, "added", note), (*model.seen, *seen_of(new)) if model.seen else ()
    return replace(model, gallery=gallery, table=table, card=card, fingerprint="", seen=seen), added


def without(model: Model, rows: Ints) -> Model:
    """The model as it answers without some faces of its gallery.

    Whoever is next nearest moves up, another photo of the same person included, so that as many people vote as before
    where there are that many; the shares of the bands in the gallery are those of the faces left. Age space, settings
    and heads stay as they were fitted.

    Args:
        rows: of ``model.table``; negative ones are ignored. The rows of the new model's table are numbered anew.
    """
    left = np.setdiff1d(np.arange(len(model.table)), rows)
    table = model.table.iloc[left].reset_index(drop=True)
    gallery = model.gallery.copy()
    gallery.remove(np.setdiff1d(gallery.ids, gallery_ids(table["face_id"])))
    return replace(model, gallery=gallery, table=table, fingerprint="")


def drop_faces(model: Model, rows: Ints, what: str) -> Model:
    """The model without some rows of its table, its people numbered anew; ``what`` is noted in the data card."""
    left = without(model, rows)
    people = np.unique(left.table["group"].to_numpy(np.int64), return_inverse=True)[1]
    note = {"faces": len(model.table) - len(left.table)}
    return replace(left, table=left.table.assign(group=people.astype(np.int64)), card=_noted(model, what, note))


def _people(table: pd.DataFrame, new: FaceSet, found: pd.Series[int]) -> Ints:
    """Person number of the gallery's faces, then of the new ones, given who was ``found`` to be who by ``face_id``."""
    faces = pd.concat([table, new.table], ignore_index=True)
    is_new = np.arange(len(faces)) >= len(table)
    name = person_keys(faces)
    looks = faces["face_id"].map(found)
    keys = [
        pd.Series([*table["group"], *[None] * len(new)], dtype="object"),
        looks.where(looks.isin(looks[is_new])),
        name.where(name.isin(name[is_new])),
        original_photos(faces),
    ]
    return np.unique(sharing(keys), return_inverse=True)[1].astype(np.int64)


def _noted(model: Model, what: str, note: Mapping[str, Any]) -> dict[str, Any]:
    """The data card with one more edit on it."""
    entry = {"what": what, "when": datetime.now(UTC).isoformat(timespec="seconds"), **note}
    return {**model.card, "edits": [*model.card.get("edits", ()), entry]}
