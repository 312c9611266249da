"""Verify that nothing of an erased person is left: search the models, and read every file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...embedder.erasure.search import PATH
from ...embedder.erasure.traces import Traces
from ...embedder.faceset.erasure import StoredSet
from ..model.erasure import GallerySearch, StoredModelFolder
from .person import faces_left


@dataclass(frozen=True)
class Verification:
    """What was found after everything was erased.

    Attributes:
        faces: of the person, by id or by identity, that sets and models still hold.
        models: by folder.
        files, size: files read, and their bytes.
        patterns: how many ids, hashes, vectors and paths were searched for.
        left: files that hold an id, a hash or a vector of the person, and which.
        mentions: other files that name a photo of the person: a label file, for instance.
        unread: files that could not be read.
    """

    faces: int
    models: Mapping[Path, GallerySearch]
    files: int
    size: int
    patterns: Mapping[str, int]
    left: Mapping[Path, Collection[str]]
    mentions: Sequence[Path]
    unread: Sequence[Path]

    @property
    def clean(self) -> bool:
        """Whether nothing is left, and everything could be read."""
        return not (self.faces or self.left or self.unread) and all(one.clean for one in self.models.values())

    @property
    def problems(self) -> list[tuple[Path, str]]:
        """Where something is left, or may be, and what."""
        return [
            *((path, f"holds {' and '.join(kinds)}") for path, kinds in self.left.items()),
            *((path, "cannot be read") for path in self.unread),
            *((path, "still finds their faces or vectors") for path, one in self.models.items() if not one.clean),
        ]


def verify(
    sets: Collection[StoredSet],
    models: Collection[StoredModelFolder],
    files: Sequence[Path],
    traces: Traces,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verification:
    """Read sets and models anew, search the models' galleries with the person's vectors, and search all files."""
    searched = {model.path: model.search(traces) for model in models}
    left: dict[Path, Collection[str]] = {}
    mentions, unread, size = [], [], 0
    for done, path in enumerate(files):
        progress(done, len(files))
        try:
            found = traces.search.in_file(path)
            size += path.stat().st_size
        except OSError:
            unread.append(path)
            continue
        if found - {PATH}:
            left[path] = sorted(found - {PATH})
        elif found:
            mentions.append(path)
    progress(len(files), len(files))
    faces = faces_left(sets, models, traces)
    return Verification(faces, searched, len(files), size, traces.search.patterns, left, mentions, unread)
