"""Take faces out of an embedding set, and keep their photos from coming back."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np

from ..storage.atomic_folder import recover
from ..storage.lock import locked
from ..storage.shards import SHARDS
from .forgotten import FORGOTTEN, read_forgotten
from .store import MANIFEST, SetTables, SetWriter, open_set, replace_tables

CHUNK = 4096


def forget_in_set(folder: Path, faces: Collection[str], photos: Collection[str], paths: Collection[str]) -> int:
    """Remove faces from the set, and put photos on its list of those that ``embed`` must refuse.

    The set is replaced as a whole, so that a kill leaves it as it was or as it shall be. Where faces go, batches of an
    unfinished ``embed`` go too: they are embedded again. A folder that has nothing but such batches gets the list.

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
            forgotten.save(folder / FORGOTTEN)
            return 0
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
            shutil.rmtree(folder / SHARDS, ignore_errors=True)
            writer = SetWriter(folder, len(kept))
            for start in range(0, len(kept), CHUNK):
                part = slice(start, start + CHUNK)
                writer.embeddings[part] = old.embeddings[kept[part]]
                writer.maps[part] = old.maps[kept[part]]
            writer.commit(tables)
        elif forgotten != former or len(rejects) < len(old.rejects) or corrections is not None:
            replace_tables(folder, tables)
        return int(gone.sum())
