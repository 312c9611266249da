"""What lies in folders where a person may have left traces."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...embedder.datasets.layouts import LABELS
from ...embedder.errors import MaskclsError
from ...embedder.faceset import forgotten, store
from ...embedder.faceset import provenance as pseudo_labels
from ...embedder.masks import render as rendering
from ...embedder.photo import shown
from ...embedder.storage import shards, step_cache
from ...embedder.storage.atomic_folder import COMMIT, NEXT
from ...index import storage as stored
from ..evaluation import error_gallery_folder as error_gallery_folder
from ..model import checkpoint
from ..model import storage as stored_model

_KEPT = re.compile(r"\..+\.(folds|finetune|views)")
_UNFINISHED = re.compile(r"\..+\.(partial|\d+\.tmp)")
_SET_FILES = {
    *("faces.parquet", "embeddings.npy", "maps.npy", ".lock"),
    *(store.MANIFEST, store.REJECTS, store.CORRECTIONS, forgotten.FORGOTTEN),
    *(pseudo_labels.PSEUDO_LABELS, pseudo_labels.TEACHER),
}
_MODEL_FILES = {
    *(stored.FILE, stored.SERVER, "gallery.parquet", ".lock"),
    *("age_space.safetensors", "heads.safetensors", "backbone.safetensors", stored_model.SEEN),
    stored_model.MANIFEST,
}
_STAGED = {
    *(*_SET_FILES, *_MODEL_FILES, COMMIT, error_gallery_folder.MANIFEST),
    *(error_gallery_folder.FACES, *error_gallery_folder.PAGES),
}


@dataclass
class Places:
    """What :func:`find_places` found, each thing once.

    Attributes:
        sets: embedding sets, unfinished ones too.
        models: models.
        error_galleries: folders of ``maskcls evaluate --error-gallery``.
        drawings: folders of ``maskcls render-masks``.
        garbage: folders that a killed run left in the set, model or error gallery it was about to write.
        kept: folders where a run keeps its work to go on with.
        unfinished: files of the same kind: journals, batches, what was being written.
        files: all other files.
    """

    sets: list[Path] = field(default_factory=list)
    models: list[Path] = field(default_factory=list)
    error_galleries: list[Path] = field(default_factory=list)
    drawings: list[Path] = field(default_factory=list)
    garbage: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    unfinished: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


def find_places(folders: Sequence[Path], skip: Collection[Path]) -> Places:
    """Look through folders and all below them, hidden ones too; links to folders are not followed.

    Args:
        skip: files to pass over, resolved.

    Raises:
        MaskclsError: one of the folders is none.
    """
    places = Places()
    seen: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise MaskclsError(f"{shown(folder)}: no such folder")
        for here, subfolders, names in os.walk(folder.resolve()):
            path = Path(here)
            if path in seen:
                subfolders.clear()
                continue
            seen.add(path)
            own = _sort_in(places, path, subfolders, set(names))
            places.files += [path / name for name in sorted(set(names) - own) if path / name not in skip]
    places.unfinished += [file for file in places.files if _UNFINISHED.fullmatch(file.name)]
    places.files = [file for file in places.files if not _UNFINISHED.fullmatch(file.name)]
    return places


def all_files(folders: Sequence[Path], skip: Collection[Path]) -> Iterator[Path]:
    """Every file in folders and below, each once, in order; ``skip`` as in :func:`find_places`."""
    found = {Path(here, name) for folder in folders for here, _, names in os.walk(folder.resolve()) for name in names}
    yield from sorted(path for path in found if path not in skip and (path.is_file() or path.is_symlink()))


def _sort_in(places: Places, path: Path, subfolders: list[str], names: set[str]) -> set[str]:
    """Put a folder where it belongs; the names of the files that are dealt with as part of it."""
    subfolders.sort()
    for name in list(subfolders):
        is_kept = _KEPT.fullmatch(name)
        if (is_kept or name == NEXT) and _made_by_us(path / name):
            (places.kept if is_kept else places.garbage).append(path / name)
            subfolders.remove(name)
    is_set = store.MANIFEST in names and _kind(path / store.MANIFEST) == store.KIND
    if is_set or shards.SHARDS in subfolders:
        places.sets.append(path)
        if shards.SHARDS in subfolders:
            places.unfinished += sorted((path / shards.SHARDS).iterdir())
        subfolders[:] = [name for name in subfolders if name != shards.SHARDS]
        return _SET_FILES
    if (path / NEXT / store.MANIFEST).exists():  # cut while it was being saved for the first time
        places.sets.append(path)
        return _SET_FILES
    if stored_model.MANIFEST in names and _kind(path / stored_model.MANIFEST) == stored_model.KIND:
        places.models.append(path)
        return _MODEL_FILES
    if (
        error_gallery_folder.MANIFEST in names
        and _kind(path / error_gallery_folder.MANIFEST) == error_gallery_folder.KIND
    ):
        places.error_galleries.append(path)
        subfolders.clear()
        return names
    if LABELS in names and _columns(path / LABELS) == rendering.COLUMNS:
        places.drawings.append(path)
    return set()


def _made_by_us(folder: Path) -> bool:
    """Whether a folder that is called like one of a running command holds nothing else."""
    names = {path.name for path in folder.iterdir() if not _UNFINISHED.fullmatch(path.name)}
    work = any(name in (checkpoint.FILE, shards.SHARDS) or name.endswith(step_cache.SUFFIX) for name in names)
    return names <= _STAGED or work


def _kind(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("kind")
    except (OSError, ValueError, AttributeError):
        return None


def _columns(path: Path) -> tuple[str, ...]:
    with path.open(encoding="utf-8", errors="replace") as file:
        return tuple(file.readline().strip().replace('"', "").split(","))
