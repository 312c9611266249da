"""The embedding set on disk: one table, its vectors and feature maps, saved all together or not at all."""

from __future__ import annotations

import json
import re
import secrets
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
from ..storage.atomic_folder import NEXT, commit, ensure_whole, stage
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
STEPS = ".steps"
"""The folder where a run of ``embed`` keeps its batches until all of them are done."""
FILES = ("faces.parquet", "embeddings.npy", "maps.npy", REJECTS)
OPTIONAL_FILES = (CORRECTIONS, FORGOTTEN, PSEUDO_LABELS, TEACHER)
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
        settings: how the photos were read: ``root``, ``layout``, ``face``, and ``faces``, which is ``largest`` (of each
            photo one) or ``all`` (those that the label table names by boxes).
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
    """Open an embedding set after checking every file's SHA-256; a commit that was cut short is finished first.

    Raises:
        MaskclsError: one line saying which part is missing, damaged or of another format.
    """
    ensure_whole(folder)
    manifest = read_manifest(folder, MANIFEST, KIND, FORMAT, MAKE, FILES)
    with parsing(folder, MAKE):
        return _parsed(folder, manifest)


def _parsed(folder: Path, manifest: Mapping[str, Any]) -> EmbeddingSet:
    """The set of a folder whose files have the right checksums.

    Raises:
        MaskclsError, ValueError, TypeError, KeyError, …: they are not what they should be all the same.
    """
    table = pd.read_parquet(folder / "faces.parquet")
    if "label_box" not in table:  # made before a photo could have several faces
        table = table.assign(label_box=None)
    table = table.astype(COLUMNS)
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
    settings["faces"] = str(manifest["settings"].get("faces", "largest"))
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
        TypeError: the manifest does not have it in this form.
    """
    info = EncoderInfo(**manifest["encoder"])
    if not (
        isinstance(info.name, str) and isinstance(info.weights_sha256, str) and isinstance(info.preprocessing, dict)
    ):
        raise TypeError("not an encoder")
    return info


@dataclass(frozen=True)
class SetTables:
    """Everything of an embedding set but its arrays, see :class:`EmbeddingSet`.

    Attributes:
        corrections, forgotten, pseudo: new lists of corrected labels, of photos that must not come back, and of where
            labels come from; without one the set keeps its own.
        dataset: the id of the data set whose people it shows, if that is another set's; without one the set keeps its
            own.
    """

    table: pd.DataFrame
    rejects: pd.DataFrame
    encoder: EncoderInfo
    settings: dict[str, str]
    corrections: pd.DataFrame | None = None
    forgotten: Forgotten | None = None
    pseudo: PseudoLabels | None = None
    dataset: str | None = None


class SetWriter:
    """Stage new arrays of an embedding set, to be filled by the caller; nothing changes before :meth:`commit`.

    Attributes:
        embeddings, maps: as in :class:`EmbeddingSet`, writable.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self._folder = folder
        staging = stage(folder)
        self.embeddings = _mapped(staging / "embeddings.npy", np.dtype("<f4"), (rows, EMBEDDING_DIM))
        self.maps = _mapped(staging / "maps.npy", np.dtype("<f2"), (rows, *MAP_SHAPE))

    def commit(self, tables: SetTables) -> None:
        """Replace the set, if there is one, by the arrays and tables."""
        self.embeddings.flush()
        self.maps.flush()
        _commit(self._folder, tables)


def replace_tables(folder: Path, tables: SetTables) -> None:
    """Replace the tables of a set whose vectors stay as they are."""
    stage(folder)
    _commit(folder, tables)


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """A new .npy file as an array to be filled, with all of its disk taken."""
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    with path.open("r+b") as file:
        reserve(file, path.stat().st_size)
    return array


def _commit(folder: Path, tables: SetTables) -> None:
    staging = folder / NEXT
    tables.table.to_parquet(staging / "faces.parquet", index=False)
    write_csv(staging / REJECTS, tables.rejects)
    if tables.corrections is not None:
        write_csv(staging / CORRECTIONS, tables.corrections)
    if tables.forgotten is not None:
        tables.forgotten.save(staging / FORGOTTEN)
    if tables.pseudo is not None:
        tables.pseudo.save(staging)
    files: dict[str, str] = {}
    for name in (*FILES, *OPTIONAL_FILES):
        place = staging if (staging / name).exists() else folder
        if name not in OPTIONAL_FILES or (place / name).exists():
            files |= checksums(place, [name])
    content = {
        "format": FORMAT,
        "kind": KIND,
        "dataset": tables.dataset or _kept_dataset(folder) or new_dataset_id(),
        "rows": len(tables.table),
        "encoder": asdict(tables.encoder),
        "fingerprint": tables.encoder.fingerprint,
        "settings": tables.settings,
        "versions": {name: version(name) for name in ("torch", "facenet-pytorch", "numpy", "pillow")},
        "files": files,
    }
    write_manifest(staging / MANIFEST, content)
    commit(folder)


def _kept_dataset(folder: Path) -> str | None:
    """The id that the set already has."""
    try:
        return _dataset_of(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None
