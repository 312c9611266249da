"""Show that nothing of a forgotten person is left: ask the models, and read every file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...embedder.facenet.encoder import MAP_SHAPE
from ...embedder.photo import stored
from ...index.base import normalised
from ..age.vote import Floats, Ints
from ..model.gallery_list import of_faces
from ..model.model import Model
from .places import all_files
from .scanner import PATH, Scanner
from .traces import Traces

ASKED = 50
"""Nearest faces looked at for each of the person's vectors."""
SAME = 0.999999
"""Cosine similarity from which two vectors are one."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Asked:
    """What a model answered to the person's own vectors.

    Attributes:
        queries: vectors asked with: those that were in its gallery, and the person's faces brought into its age space.
        looked_at: neighbours that came back, :data:`ASKED` at most for each.
        own: neighbours among them that are faces of the person.
        in_gallery: faces of the person in the whole gallery.
        same: vectors asked with that equal one of the gallery.
        nearest: highest cosine similarity that came back, -1 where nothing did.
    """

    queries: int
    looked_at: int
    own: int
    in_gallery: int
    same: int
    nearest: float


@dataclass(frozen=True)
class Proof:
    """What was found after everything was removed.

    Attributes:
        models: by folder.
        files, size: files read, and their bytes.
        patterns: how many ids, hashes, vectors and paths were looked for.
        left: files that hold an id, a hash or a vector of the person, and which.
        mentions: other files that name a photo of the person: a label file, for instance.
        unread: files that could not be read.
    """

    models: Mapping[Path, Asked]
    files: int
    size: int
    patterns: Mapping[str, int]
    left: Mapping[Path, Collection[str]]
    mentions: Sequence[Path]
    unread: Sequence[Path]

    @property
    def holds(self) -> bool:
        """Whether nothing is left, as far as everything could be read."""
        return not (
            self.left or self.unread or any(one.own or one.in_gallery or one.same for one in self.models.values())
        )


def prove(
    folders: Sequence[Path],
    models: Sequence[Path],
    traces: Traces,
    skip: Collection[Path],
    progress: Progress = lambda done, total: None,
) -> Proof:
    """Search the models, read anew, and scan every file of the folders.

    Args:
        skip: files not to be read, resolved: the user's photos, and what the run itself still needs.
    """
    asked = {folder: _ask(Model.load(folder), folder, traces) for folder in models}
    scanner = Scanner(traces)
    left: dict[Path, Collection[str]] = {}
    mentions, unread, size = [], [], 0
    paths = list(all_files(folders, skip))
    for done, path in enumerate(paths):
        progress(done, len(paths))
        try:
            found = scanner.in_file(path)
            size += path.stat().st_size
        except OSError:
            unread.append(path)
            continue
        if found - {PATH}:
            left[path] = sorted(found - {PATH})
        elif found:
            mentions.append(path)
    progress(len(paths), len(paths))
    return Proof(asked, len(paths), size, scanner.patterns, left, mentions, unread)


def _ask(model: Model, folder: Path, traces: Traces) -> Asked:
    queries: list[Floats] = []
    if (own := traces.vectors.get(f"gallery/{stored(folder)}")) is not None:
        queries.append(own)
    embeddings = traces.vectors.get(f"embeddings/{model.encoder.fingerprint}")
    if embeddings is not None:
        maps = traces.vectors[f"maps/{model.encoder.fingerprint}"].reshape(-1, *MAP_SHAPE)
        queries.append(model.age_space.project(embeddings, maps))
    asked = np.concatenate([part[part.any(axis=1)] for part in queries] or [np.empty((0, 1), np.float32)])
    found = model.gallery.search(asked, min(len(model.gallery), ASKED)) if len(model.gallery) else None
    inside = model.table["face_id"].iloc[of_faces(model.table, traces.faces)]
    if found is None or not found.ids.size:
        return Asked(len(asked), 0, 0, len(inside), 0, -1.0)
    ids = {int(face, 16) for face in traces.faces}
    return Asked(
        queries=len(asked),
        looked_at=found.ids.size,
        own=int(np.isin(found.ids, list(ids)).sum()),
        in_gallery=len(inside),
        same=int((_cosines(model, asked, found.ids[:, 0]) >= SAME).sum()),
        nearest=round(float(found.similarities.max()), 4),
    )


def _cosines(model: Model, asked: Floats, nearest: Ints) -> Floats:
    """Of vectors (n, d) and the nearest that came back (n,), -1 where nothing did. A search may know these to half
    precision only, in which one that equals another is not quite as long."""
    there = nearest >= 0
    found = model.gallery.vectors(nearest[there])
    return np.asarray((normalised(asked[there]) * found).sum(axis=1), np.float32)
