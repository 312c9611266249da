"""The embedding set on disk: one table, its vectors and feature maps, saved all together or not at all."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import MaskclsError
from ..facenet.encoder import EMBEDDING_DIM, MAP_SHAPE, EncoderInfo
from ..photo import shown
from ..storage.atomic import reserve, write_csv
from ..storage.manifest import checksums, parsing, read_manifest, write_manifest
from ..table import COLUMNS, check_rows
from .forgotten import FORGOTTEN, Forgotten
from .provenance import PSEUDO_LABELS, TEACHER, PseudoLabels, read_pseudo_labels

FORMAT = 3
KIND = "maskcls-embedding-set"
MANIFEST = "encoder.json"
REJECTS = "rejects.csv"
MAKE = "maskcls embed PHOTOS --out FACES"
CORRECTIONS = "corrections.csv"
FILES = ("faces.parquet", "embeddings.npy", "maps.npy", REJECTS)
OPTIONAL_FILES = (CORRECTIONS, FORGOTTEN, PSEUDO_LABELS, TEACHER)
NEXT = ".next"
PATCH_COLUMNS = {
    "face_id": "str",
    "path": "str",
    "field": "str",
    "old": "str",
    "new": "str",
    "reason": "str",
    "probability": "str",
}
LOG_COLUMNS = {"batch": "int64", "time": "str"} | PATCH_COLUMNS
"""Of the corrections: number and time (UTC) of the patch, and its lines, see :mod:`.corrections`."""
REJECT_COLUMNS = {"path": "str", "reason": "str", "file_size": "int64", "file_mtime_ns": "int64"}


def new_dataset_id() -> str:
    """16 random hexadecimal digits."""
    return secrets.token_hex(8)


@dataclass(frozen=True)
class EmbeddingSet:
    """Faces of one folder of photos, row i of every part belonging together.

    Attributes:
        table: (n rows) see :data:`~..table.COLUMNS`; paths are relative to ``root``.
        embeddings: (n, 512) float32, unit length, memory-mapped.
        maps: (n, 896, 4, 4) float16, memory-mapped.
        rejects: photos without a face: path, reason, size and time of the file.
        encoder: what the vectors were made with.
        settings: how the photos were read: ``root``, ``layout``, ``face``.
        corrections: corrections of labels that ``table`` holds, in order (:data:`LOG_COLUMNS`).
        pseudo: where the labels come from if a model gave them; None for labels that somebody gave.
        dataset: the id of the data set, drawn once and kept by every later run; a person's name means one person within
            it, and nothing outside it.
    """

    table: pd.DataFrame
    embeddings: npt.NDArray[np.float32]
    maps: npt.NDArray[np.float16]
    rejects: pd.DataFrame
    encoder: EncoderInfo
    settings: dict[str, str]
    corrections: pd.DataFrame
    pseudo: PseudoLabels | None = None
    dataset: str = field(default_factory=new_dataset_id)

    def __len__(self) -> int:
        return len(self.table)


def open_set(folder: Path) -> EmbeddingSet:
    """Open an embedding set after checking every file's SHA-256.

    Raises:
        MaskclsError: one line saying which part is missing, damaged or of another format.
    """
    if (folder / NEXT / MANIFEST).exists():
        raise MaskclsError(f"{shown(folder)}: the last run was interrupted while saving; run `{MAKE}` again")
    manifest = read_manifest(folder, MANIFEST, KIND, FORMAT, MAKE, FILES)
    with parsing(folder, MAKE):
        return _parsed(folder, manifest)


def _parsed(folder: Path, manifest: Mapping[str, Any]) -> EmbeddingSet:
    """The set of a folder whose files have the right checksums.

    Raises:
        MaskclsError, ValueError, TypeError, KeyError, …: they are not what they should be all the same.
    """
    table = pd.read_parquet(folder / "faces.parquet").astype(COLUMNS)
    embeddings = np.load(folder / "embeddings.npy", mmap_mode="r", allow_pickle=False)
    maps = np.load(folder / "maps.npy", mmap_mode="r", allow_pickle=False)
    rejects = pd.read_csv(folder / REJECTS, dtype=REJECT_COLUMNS, keep_default_na=False)
    corrections = pd.DataFrame(columns=list(LOG_COLUMNS)).astype(LOG_COLUMNS)
    if CORRECTIONS in manifest["files"]:
        corrections = pd.read_csv(folder / CORRECTIONS, dtype=LOG_COLUMNS, keep_default_na=False)
    if not len(table) == len(embeddings) == len(maps):
        raise MaskclsError(f"{shown(folder)}: its files hold different numbers of faces; make it again with `{MAKE}`")
    check_rows(table, ("face_id", "path", "box", "landmarks", "file_sha256"))
    for array, dtype, shape in ((embeddings, "<f4", (EMBEDDING_DIM,)), (maps, "<f2", MAP_SHAPE)):
        if array.dtype != np.dtype(dtype) or array.shape[1:] != shape:
            raise ValueError(f"an array of {array.dtype} {array.shape}")
    if not np.isfinite(embeddings).all():
        raise ValueError("an embedding that is not finite")
    for name, frame, columns in (("rejects", rejects, REJECT_COLUMNS), ("corrections", corrections, LOG_COLUMNS)):
        if list(frame.columns) != list(columns):
            raise ValueError(f"other columns of {name}")
    settings = {name: str(manifest["settings"][name]) for name in ("root", "layout", "face")}
    pseudo = read_pseudo_labels(folder, table["face_id"].tolist()) if PSEUDO_LABELS in manifest["files"] else None
    dataset = _dataset_of(manifest)
    return EmbeddingSet(table, embeddings, maps, rejects, encoder_of(manifest), settings, corrections, pseudo, dataset)


def _dataset_of(manifest: Mapping[str, Any]) -> str:
    dataset = manifest["dataset"]
    if not isinstance(dataset, str) or not re.fullmatch("[0-9a-f]{16}", dataset):
        raise TypeError("no dataset id")
    return dataset


def encoder_of(manifest: Mapping[str, Any]) -> EncoderInfo:
    """What the vectors of a folder were made with.

    Raises:
        TypeError: the manifest does not say it as it should.
    """
    info = EncoderInfo(**manifest["encoder"])
    if not (
        isinstance(info.name, str) and isinstance(info.weights_sha256, str) and isinstance(info.preprocessing, dict)
    ):
        raise TypeError("not an encoder")
    return info


class SetWriter:
    """Stage a complete new state of an embedding set, then put it in place.

    The new files are written to a folder inside the set, the manifest last; the commit moves them over the old
    ones, the manifest last. A run killed before the commit changes nothing, one killed during it is finished by
    :func:`finish_interrupted`.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder = folder
        staging = _fresh_staging(folder)
        self.embeddings = _mapped(staging / "embeddings.npy", np.dtype("<f4"), (rows, EMBEDDING_DIM))
        self.maps = _mapped(staging / "maps.npy", np.dtype("<f2"), (rows, *MAP_SHAPE))

    def commit(
        self,
        table: pd.DataFrame,
        rejects: pd.DataFrame,
        encoder: EncoderInfo,
        settings: dict[str, str],
        corrections: pd.DataFrame | None = None,
        forgotten: Forgotten | None = None,
        pseudo: PseudoLabels | None = None,
        dataset: str | None = None,
    ) -> None:
        """Save the table beside the arrays filled by the caller and replace the old state.

        ``corrections``, ``forgotten`` and ``pseudo`` are new lists of corrected labels, of photos that must not come
        back, and of where labels come from; without one the set keeps its own. ``dataset`` is the id of the data set
        whose people it shows, if that is another set's; without one the set keeps its own.
        """
        self.embeddings.flush()
        self.maps.flush()
        _commit(self.folder, table, rejects, encoder, settings, corrections, forgotten, pseudo, dataset)


def replace_tables(
    folder: Path,
    table: pd.DataFrame,
    rejects: pd.DataFrame,
    encoder: EncoderInfo,
    settings: dict[str, str],
    corrections: pd.DataFrame | None = None,
    forgotten: Forgotten | None = None,
    pseudo: PseudoLabels | None = None,
) -> None:
    """Replace the table, the rejects and, if given, the other lists of a set whose vectors stay as they are."""
    _fresh_staging(folder)
    _commit(folder, table, rejects, encoder, settings, corrections, forgotten, pseudo)


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """A new .npy file as an array to be filled, with all of its disk taken."""
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    with path.open("r+b") as file:
        reserve(file, path.stat().st_size)
    return array


def _fresh_staging(folder: Path) -> Path:
    staging = folder / NEXT
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    return staging


def _commit(
    folder: Path,
    table: pd.DataFrame,
    rejects: pd.DataFrame,
    encoder: EncoderInfo,
    settings: dict[str, str],
    corrections: pd.DataFrame | None,
    forgotten: Forgotten | None,
    pseudo: PseudoLabels | None,
    dataset: str | None = None,
) -> None:
    """Add tables and manifest to the staged files and move them all; what is not staged stays as it is."""
    staging = folder / NEXT
    table.to_parquet(staging / "faces.parquet", index=False)
    write_csv(staging / REJECTS, rejects)
    if corrections is not None:
        write_csv(staging / CORRECTIONS, corrections)
    if forgotten is not None:
        forgotten.save(staging / FORGOTTEN)
    if pseudo is not None:
        pseudo.save(staging)
    files: dict[str, str] = {}
    for name in (*FILES, *OPTIONAL_FILES):
        place = staging if (staging / name).exists() else folder
        if name not in OPTIONAL_FILES or (place / name).exists():
            files |= checksums(place, [name])
    content = {
        "format": FORMAT,
        "kind": KIND,
        "dataset": dataset or _kept_dataset(folder) or new_dataset_id(),
        "rows": len(table),
        "encoder": asdict(encoder),
        "fingerprint": encoder.fingerprint,
        "settings": settings,
        "versions": {name: version(name) for name in ("torch", "facenet-pytorch", "numpy", "pillow")},
        "files": files,
    }
    write_manifest(staging / MANIFEST, content)
    finish_interrupted(folder)


def _kept_dataset(folder: Path) -> str | None:
    """The id that the set already has."""
    try:
        return _dataset_of(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def finish_interrupted(folder: Path) -> None:
    """Finish a commit that was cut short, or drop a staging folder that never got its manifest."""
    staging = folder / NEXT
    if (staging / MANIFEST).exists():
        for name in (*FILES, *OPTIONAL_FILES, MANIFEST):
            if (staging / name).exists():
                os.replace(staging / name, folder / name)
    shutil.rmtree(staging, ignore_errors=True)
