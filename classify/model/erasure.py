"""Erase a person from a stored model, and search its gallery for what is left of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...embedder.erasure.protocol import Listing
from ...embedder.erasure.traces import Traces
from ...embedder.facenet.encoder import MAP_SHAPE
from ...embedder.photo import stored
from ...embedder.storage.lock import LOCK
from ...embedder.storage.manifest import kind_of
from ...embedder.table import gallery_ids
from ...index.base import normalised
from ...index.storage import FILE, SERVER, drop_replaced
from ..age.vote import Floats
from .gallery_edit import drop_faces, edit_model
from .gallery_list import of_faces
from .model import Model
from .storage import FILES, KIND, MANIFEST, OPTIONAL_FILES

NEIGHBOURS = 50
"""Nearest faces that are looked at for each of the person's vectors."""
SAME = 0.999999
"""Cosine similarity from which two vectors are one."""
MODEL_FILES = (*FILES, *OPTIONAL_FILES, FILE, SERVER, MANIFEST)


@dataclass(frozen=True)
class GallerySearch:
    """What a model's gallery returned for the person's own vectors.

    Attributes:
        queries: vectors searched with: those that were in the gallery, and the person's faces in its age space.
        neighbours: neighbours that came back, :data:`NEIGHBOURS` at most for each.
        of_person: those among them that are faces of the person.
        in_gallery: faces of the person in the whole gallery.
        same: queries that equal a vector of the gallery.
        nearest: highest cosine similarity that came back, -1 where nothing did.
    """

    queries: int
    neighbours: int
    of_person: int
    in_gallery: int
    same: int
    nearest: float

    @property
    def clean(self) -> bool:
        """Whether nothing of the person was found."""
        return not (self.of_person or self.in_gallery or self.same)


@dataclass(frozen=True)
class StoredModelFolder:
    """A model in a folder; see :class:`...embedder.erasure.protocol.Artefact`."""

    path: Path
    what: str = "faces of a gallery"

    @classmethod
    def find(cls, listing: Listing) -> Iterator[StoredModelFolder]:
        """See :data:`...embedder.erasure.protocol.Kind`."""
        if kind_of(listing.path / MANIFEST) == KIND:
            listing.claim(*MODEL_FILES, LOCK)
            yield cls(listing.path)

    def open(self) -> Model:
        """The model."""
        return Model.load(self.path)

    def erase(self, traces: Traces, *, dry_run: bool = False) -> int:
        """See :class:`...embedder.erasure.protocol.Artefact`; what heads and age space have learned stays learned."""
        model = self.open()
        count = len(of_faces(model.table, traces.faces))
        count = count or sum(int((one.persons(sorted(traces.hashes)) >= 0).sum()) for one in model.seen)
        if not dry_run:
            if count:
                edit_model(self.path, lambda model: (_without(model, traces), None))
            drop_replaced(self.path)  # tables on a server that a killed replacement left
        return count

    def vectors(self, faces: frozenset[str]) -> dict[str, Floats]:
        """The gallery's vectors of some faces, for :attr:`Traces.vectors`."""
        model = self.open()
        own = model.table["face_id"][model.table["face_id"].isin(faces)]
        return {f"gallery/{stored(self.path)}": model.gallery.vectors(gallery_ids(own))} if len(own) else {}

    def search(self, traces: Traces) -> GallerySearch:
        """Search the model, loaded anew, with the person's vectors."""
        model = self.open()
        parts: list[Floats] = []
        if (own := traces.vectors.get(f"gallery/{stored(self.path)}")) is not None:
            parts.append(own)
        if (embeddings := traces.vectors.get(f"embeddings/{model.encoder.fingerprint}")) is not None:
            maps = traces.vectors[f"maps/{model.encoder.fingerprint}"].reshape(-1, *MAP_SHAPE)
            parts.append(model.age_space.project(embeddings, maps))
        queries = np.concatenate([part[part.any(axis=1)] for part in parts] or [np.empty((0, 1), np.float32)])
        inside = len(of_faces(model.table, traces.faces))
        found = model.gallery.search(queries, min(len(model.gallery), NEIGHBOURS)) if len(model.gallery) else None
        if found is None or not found.ids.size:
            return GallerySearch(len(queries), 0, 0, inside, 0, -1.0)
        there = found.ids[:, 0] >= 0  # compared in full precision: a search may know vectors to half precision only
        cosines = (normalised(queries[there]) * model.gallery.vectors(found.ids[there, 0])).sum(axis=1)
        return GallerySearch(
            queries=len(queries),
            neighbours=found.ids.size,
            of_person=int(np.isin(found.ids, [int(face, 16) for face in traces.faces]).sum()),
            in_gallery=inside,
            same=int((cosines >= SAME).sum()),
            nearest=round(float(found.similarities.max()), 4),
        )


def _without(model: Model, traces: Traces) -> Model:
    rows = of_faces(model.table, traces.faces)
    left = drop_faces(model, rows, "forgotten") if len(rows) else model
    return replace(left, seen=tuple(one.without(traces.hashes) for one in model.seen))
