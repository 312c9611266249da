"""Take faces out of an embedding set, and keep their photos from coming back."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..erasure.files import Tables
from ..erasure.protocol import Listing
from ..erasure.traces import Traces
from ..storage.atomic_folder import recover
from ..storage.lock import LOCK, locked
from ..storage.manifest import kind_of
from .forgotten import FORGOTTEN, read_forgotten
from .store import (
    FILES,
    KIND,
    MANIFEST,
    OPTIONAL_FILES,
    STEPS,
    EmbeddingSet,
    SetTables,
    SetWriter,
    open_set,
    replace_tables,
)

CHUNK = 4096
patches = Tables("rows of label patches", ("face_id", "field", "old", "new"))
"""Patches of labels, decisions of a review among them."""


@dataclass(frozen=True)
class StoredSet:
    """An embedding set in a folder, or an unfinished one; see :class:`..erasure.protocol.Artefact`."""

    path: Path
    what: str = "faces of an embedding set"

    @classmethod
    def find(cls, listing: Listing) -> Iterator[StoredSet]:
        """See :data:`..erasure.protocol.Kind`."""
        here = listing.path
        if kind_of(here / MANIFEST) == KIND or STEPS in listing.folders:  # steps: of its first run
            listing.claim(*FILES, *OPTIONAL_FILES, MANIFEST, LOCK, STEPS)
            yield cls(here)

    def open(self) -> EmbeddingSet | None:
        """The set; None where no run has finished yet."""
        return open_set(self.path) if (self.path / MANIFEST).exists() else None

    def erase(self, traces: Traces, *, dry_run: bool = False) -> int:
        """See :class:`..erasure.protocol.Artefact`; every set refuses the person's photos from now on."""
        found = self.open()
        if dry_run:
            return 0 if found is None else int(found.table["face_id"].isin(traces.faces).sum())
        paths = traces.places if found is None else traces.paths_below(found.settings["root"])
        return forget_in_set(self.path, traces.faces, traces.hashes, paths)


def forget_in_set(folder: Path, faces: Collection[str], photos: Collection[str], paths: Collection[str]) -> int:
    """Remove faces from the set, and put photos on its list of those that ``embed`` must refuse.

    The set is replaced as a whole, so that a kill leaves it as it was or as it shall be. Batches of an unfinished
    ``embed`` go too: they are embedded again. A folder that has nothing but such batches gets the list.

    Args:
        faces: ``face_id`` of the rows to remove, of the corrections and of where pseudo-labels come from too.
        photos: SHA-256 of the photo files to refuse from now on, and to strike off the list of the photos that a
            teacher of pseudo-labels was built from.
        paths: photos, as the set calls them, whose rows of ``rejects.csv`` go too.

    Returns:
        How many faces were removed.

    Raises:
        MaskclsError: the set is damaged, or another run is writing there.
    """
    with locked(folder):
        recover(folder)
        former = read_forgotten(folder)
        forgotten = former.extended(photos)
        if not (folder / MANIFEST).exists():
            forgotten.save(folder / FORGOTTEN)  # before the batches go, by which the folder is known
            shutil.rmtree(folder / STEPS, ignore_errors=True)
            return 0
        shutil.rmtree(folder / STEPS, ignore_errors=True)
        old = open_set(folder)
        gone = old.table["face_id"].isin(list(faces)).to_numpy(bool)
        rejects = old.rejects[~old.rejects["path"].isin(list(paths))].reset_index(drop=True)
        log = old.corrections[~old.corrections["face_id"].isin(list(faces))].reset_index(drop=True)
        corrections = log if len(log) < len(old.corrections) else None
        pseudo = old.pseudo and old.pseudo.without(gone, photos)
        kept = np.flatnonzero(~gone)
        table = old.table.iloc[kept].reset_index(drop=True)
        tables = SetTables(table, rejects, old.encoder, old.settings, corrections, forgotten, pseudo)
        if gone.any():
            writer = SetWriter(folder, len(kept))
            for start in range(0, len(kept), CHUNK):
                part = slice(start, start + CHUNK)
                writer.embeddings[part] = old.embeddings[kept[part]]
                writer.maps[part] = old.maps[kept[part]]
            writer.commit(tables)
        elif forgotten != former or len(rejects) < len(old.rejects) or corrections is not None:
            replace_tables(folder, tables)
        return int(gone.sum())
