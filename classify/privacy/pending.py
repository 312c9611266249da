"""What a forgetting needs to go on after a kill: what is known of the person, and what was to be removed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ...embedder.errors import MaskclsError
from ...embedder.photo import shown, stored
from ...embedder.storage.atomic import replacing
from .traces import Traces


@dataclass(frozen=True)
class Pending:
    """A forgetting under way.

    Attributes:
        traces: of the person.
        removed: how many of a kind are, or were, to be removed at a place.
        photos: that are, or were, to be deleted.
    """

    traces: Traces = field(default_factory=Traces)
    removed: Mapping[tuple[str, Path], int] = field(default_factory=dict)
    photos: frozenset[Path] = frozenset()

    def merged(self, traces: Traces, removed: Mapping[tuple[str, Path], int], photos: Iterable[Path]) -> Pending:
        """With what a later run found; ``traces`` are all that are known by then."""
        most = {**removed, **self.removed}
        most = {place: max(count, removed.get(place, 0)) for place, count in most.items()}
        return Pending(traces, most, self.photos.union(photos))

    def save(self, path: Path, key: str) -> None:
        """Write to one file, atomically, for :func:`read_pending` with the same key."""
        metadata = {
            "key": key,
            "faces": json.dumps(sorted(self.traces.faces)),
            "hashes": json.dumps(sorted(self.traces.hashes)),
            "seen": json.dumps(sorted(self.traces.photos)),
            "removed": json.dumps([[what, stored(where), count] for (what, where), count in self.removed.items()]),
            "photos": json.dumps(sorted(map(stored, self.photos))),
        }
        with replacing(path) as temporary:
            vectors = {name: np.ascontiguousarray(rows) for name, rows in self.traces.vectors.items()}
            save_file(vectors, temporary, metadata)


def read_pending(path: Path, key: str) -> Pending:
    """What :meth:`Pending.save` wrote, nothing where there is no file.

    Raises:
        MaskclsError: it was written under another key, or is damaged.
    """
    if not path.exists():
        return Pending()
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            vectors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        faces, hashes, seen, removed, photos = (
            json.loads(metadata[name]) for name in ("faces", "hashes", "seen", "removed", "photos")
        )
        traces = Traces(frozenset(faces), frozenset(hashes), frozenset(map(tuple, seen)), vectors)
        found = {(what, Path(where)): count for what, where, count in removed}
        theirs = metadata["key"]
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise MaskclsError(f"{shown(path)}: damaged; remove it and run the same command again") from error
    if theirs != key:
        raise MaskclsError(
            f"{shown(path)}: left by another `forget`, which is not done; run that command again first, or choose "
            "another --receipt"
        )
    return Pending(traces, found, frozenset(map(Path, photos)))
