"""What a model is made of, and its folder: gallery, age space, vote settings and heads, tied to one encoder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from safetensors.torch import load_file, save
from torch import Tensor

from ...embedder.errors import MaskclsError
from ...embedder.facenet.encoder import EncoderInfo
from ...embedder.faceset.provenance import SeenPeople, read_seen, seen_content
from ...embedder.faceset.store import encoder_of
from ...embedder.photo import shown
from ...embedder.storage.atomic import write_bytes, write_json
from ...embedder.storage.atomic_folder import NEXT, check_folder, commit, ensure_whole, is_interrupted, recover, stage
from ...embedder.storage.lock import locked
from ...embedder.storage.manifest import checksums, parsing, read_manifest, write_manifest
from ...embedder.table import check_rows, gallery_ids
from ...index.base import VectorGallery
from ...index.storage import FILE, SERVER, drop_tables, load_gallery, owned_tables, save_gallery
from ..age.space import AgeSpace, load_age_space, save_age_space
from ..age.vote import VoteSettings, read_settings
from ..heads.network import TrainedHead, head_settings, load_heads, save_heads

FORMAT = 4
KIND = "maskcls-model"
MANIFEST = "model.json"
MAKE = "maskcls build-index FACES --out MODEL"
FILES = ("gallery.parquet", "age_space.safetensors", "heads.safetensors")
BACKBONE = "backbone.safetensors"
SEEN = "seen.json"
"""People a model was built from, see :attr:`StoredModel.seen`."""
OPTIONAL_FILES = (BACKBONE, SEEN)
GALLERY_COLUMNS = (
    "face_id",
    "dataset",
    "person",
    "mask",
    "gender",
    "race",
    "age_low",
    "age_high",
    "path",
    "root",
    "box",
    "source",
    "file_sha256",
    "drawn_on",
)


@dataclass(frozen=True)
class StoredModel:
    """The parts of a model; :class:`.model.Model` answers with them.

    Attributes:
        gallery: vectors in age space, ids are the ``face_id`` of :data:`table`.
        table: one row a gallery face (:data:`GALLERY_COLUMNS` and ``group``, the number of the person); where
            prototypes are in the gallery also ``members``, how many people each is the centroid of.
        heads: ``mask`` and ``gender``, as far as the training data had labels for them.
        encoder: what queries must be encoded with.
        face: how photos were read when the gallery was made.
        least_norm: faces whose embedding is shorter than this before it is normalised are hardly faces.
        card: the training data card.
        tuned: FaceNet's fine-tuned tensors, in half precision; queries are encoded with them in place of its own.
        fingerprint: SHA-256 of the saved manifest, which names every file's; empty for a model never saved.
        seen: people it was built from, also those in prototypes, and people that the models which gave its
            pseudo-labels were built from.
        gallery_kind: how the gallery is to be saved, see :func:`~...index.storage.check_kind`.
    """

    gallery: VectorGallery
    table: pd.DataFrame
    age_space: AgeSpace
    settings: VoteSettings
    heads: Mapping[str, TrainedHead]
    encoder: EncoderInfo
    face: str
    least_norm: float = 0.0
    card: Mapping[str, Any] = field(default_factory=dict)
    tuned: Mapping[str, Tensor] | None = None
    fingerprint: str = ""
    seen: tuple[SeenPeople, ...] = ()
    gallery_kind: str = "auto"

    @property
    def reading(self) -> str:
        """How photos are read that are asked about: as the model's own, ``auto`` where these were read in many ways."""
        return "auto" if self.face == "mixed" else self.face

    def save(self, folder: Path) -> None:
        """Write the model; a former model in its place is replaced only when the new one is complete.

        Raises:
            MaskclsError: ``folder`` holds something that is not a model.
        """
        check_target(folder)
        with locked(folder):
            self.write(folder)

    def write(self, folder: Path) -> None:
        """Write the model, for a caller that holds the folder's lock; a kill leaves the old or the new model."""
        if not is_interrupted(folder):
            drop_tables(owned_tables(folder / NEXT))  # of a run that was killed
        recover(folder)
        replaced = owned_tables(folder)
        staging = stage(folder)
        try:
            stored = save_gallery(self.gallery, staging, self.gallery_kind, replaced)
            self.table.to_parquet(staging / "gallery.parquet", index=False)
            save_age_space(staging / "age_space.safetensors", self.age_space)
            save_heads(staging / "heads.safetensors", self.heads)
            if self.tuned is not None:
                write_bytes(staging / BACKBONE, save(dict(self.tuned)))
            if self.seen:
                write_json(staging / SEEN, {"seen": seen_content(self.seen)})
            write_manifest(staging / MANIFEST, self._manifest(staging, stored))
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        commit(folder, (FILE, SERVER, *FILES, *OPTIONAL_FILES))
        drop_tables(replaced)

    def _manifest(self, folder: Path, stored: str) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "kind": KIND,
            "encoder": asdict(self.encoder),
            "fingerprint": self.encoder.fingerprint,
            "face": self.face,
            "least_norm": self.least_norm,
            "vote": asdict(self.settings),
            "heads": head_settings(self.heads),
            "data": dict(self.card),
            "gallery": self.gallery_kind,
            "files": checksums(
                folder, [stored, *FILES, *(name for name in OPTIONAL_FILES if (folder / name).exists())]
            ),
        }

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a model after checking every file's SHA-256.

        Raises:
            MaskclsError: one line saying which part is missing, damaged or of another format.
        """
        ensure_whole(folder)
        manifest = read_manifest(folder, MANIFEST, KIND, FORMAT, MAKE, FILES)
        with parsing(folder, MAKE):
            return cls._parsed(folder, manifest)

    @classmethod
    def _parsed(cls, folder: Path, manifest: Mapping[str, Any]) -> Self:
        """The model of a folder whose files have the right checksums; any error where they are none all the same."""
        if not {FILE, SERVER} & manifest["files"].keys():
            raise MaskclsError(f"{shown(folder)}: has no gallery; run `{MAKE}` again")
        gallery = load_gallery(folder)
        table = pd.read_parquet(folder / "gallery.parquet")
        if not np.array_equal(gallery.ids, np.sort(gallery_ids(table["face_id"]))):
            raise MaskclsError(f"{shown(folder)}: the gallery and gallery.parquet differ; run `{MAKE}` again")
        check_rows(table, ("face_id", "age_low", "age_high", "group"))
        space = load_age_space(folder / "age_space.safetensors")
        if space.dimension != gallery.dimension:
            raise ValueError("gallery and age space of other dimensions")
        return cls(
            gallery,
            table,
            space,
            read_settings(manifest["vote"]),
            load_heads(folder / "heads.safetensors", manifest["heads"]),
            encoder_of(manifest),
            str(manifest["face"]),
            float(manifest["least_norm"]),
            dict(manifest["data"]),
            load_file(folder / BACKBONE) if BACKBONE in manifest["files"] else None,
            hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest(),
            _read_seen(folder) if SEEN in manifest["files"] else (),
            manifest.get("gallery", "auto"),
        )

    def check_encoder(self, encoder: EncoderInfo, folder: Path) -> None:
        """Refuse to answer about vectors of another encoder.

        Raises:
            MaskclsError: the encoders differ.
        """
        if encoder != self.encoder:
            raise MaskclsError(
                f"{shown(folder)}: built with encoder {self.encoder.name} ({self.encoder.fingerprint}), this run has "
                f"{encoder.name} ({encoder.fingerprint}); pass the --weights it was built with, or build it again"
            )


def check_target(folder: Path) -> None:
    """Make sure that a model may be saved to a folder: a new one, an empty one, or one that holds a model.

    Raises:
        MaskclsError: it is something else.
    """
    check_folder(folder, MANIFEST, None, "a model")


def _read_seen(folder: Path) -> tuple[SeenPeople, ...]:
    return read_seen(json.loads((folder / SEEN).read_text(encoding="utf-8"))["seen"])
