"""The ``pseudo-label`` job: an embedding set becomes another one whose labels are a model's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ....embedder.errors import MaskclsError
from ....embedder.facenet.encoder import Encoder
from ....embedder.faceset.forgotten import FORGOTTEN, read_forgotten
from ....embedder.faceset.provenance import COLUMNS, CONFIDENCES, PSEUDO_LABELS, PseudoLabels, Teacher
from ....embedder.faceset.store import MANIFEST, REJECT_COLUMNS, EmbeddingSet, SetTables, SetWriter
from ....embedder.labels import age_band
from ....embedder.photo import shown
from ....embedder.storage.atomic_folder import NEXT, OWN, recover
from ....embedder.storage.lock import locked
from ....embedder.table import COLUMNS as TABLE
from ...data.face_set import Progress, merge_sets
from ...model.model import Model
from .labels import LABELS, UNTAUGHT, Thresholds, pseudo_labels

CHUNK = 4096


@dataclass(frozen=True)
class Labelled:
    """What was labelled.

    Attributes:
        faces: of the unlabelled set, exact copies left out.
        own: faces left out since the model was built from their photos.
        forgotten: faces left out since the set has been told to forget their photos.
        table: of the faces that got a label.
        pseudo: where their labels come from.
    """

    faces: int
    own: int
    forgotten: int
    table: pd.DataFrame
    pseudo: PseudoLabels

    def counts(self, task: str) -> dict[str, int]:
        """Faces by class, or by band of years, that got a label of a task."""
        mine = self.table[self.pseudo.rows[CONFIDENCES[task]].notna()]
        said = mine["age_low"].map(age_band) if task == "age" else mine[task]
        return {str(name): int(count) for name, count in said.value_counts().items()}


def check_teacher(model: Model, folder: Path, found: EmbeddingSet, unlabelled: Path) -> None:
    """Make sure that a model can label an embedding set.

    Raises:
        MaskclsError: the model does not say who it was built from, another encoder made the set, another model
            labelled it, or it holds no face.
    """
    if not len(found):
        raise MaskclsError(f"{shown(unlabelled)}: no faces in there")
    if found.pseudo is not None:
        raise MaskclsError(f"{shown(unlabelled)}: holds pseudo-labels; name the set that they were made for")
    if not model.seen:
        raise MaskclsError(f"{shown(folder)}: does not say whom it was built from; build it again")
    if found.encoder.preprocessing != model.encoder.preprocessing or (
        model.tuned is None and found.encoder != model.encoder
    ):
        raise MaskclsError(
            f"{shown(unlabelled)}: made with encoder {found.encoder.name} ({found.encoder.fingerprint}), but "
            f"{shown(folder)} with {model.encoder.name} ({model.encoder.fingerprint}); embed it again"
        )


def check_out(out: Path) -> None:
    """Make sure that pseudo-labels may be written to a folder: a new or empty one, or one that holds such.

    Raises:
        MaskclsError: it holds something else.
    """
    if out.is_file():
        raise MaskclsError(f"{shown(out)}: a file, not a folder; choose another --out")
    if (out / PSEUDO_LABELS).exists() or (out / NEXT / PSEUDO_LABELS).exists() or not out.exists():
        return
    if (out / MANIFEST).exists():
        raise MaskclsError(f"{shown(out)}: holds labels that somebody gave; choose another --out")
    if {path.name for path in out.iterdir()} - OWN - {FORGOTTEN}:
        raise MaskclsError(f"{shown(out)}: not empty and not an embedding set; choose another --out")


def label_set(
    model: Model,
    unlabelled: EmbeddingSet,
    out: Path,
    least: Thresholds,
    encoder: Encoder | None = None,
    progress: Progress = lambda done, total: None,
) -> Labelled:
    """Write the faces that a model is sure enough about, with its labels, as an embedding set.

    Labels of the tasks in ``least`` that the set has already are forgotten, those of other tasks are kept. Photos that
    the model was built from are left out: they have better labels.

    Args:
        unlabelled: checked by :func:`check_teacher`.
        out: checked by :func:`check_out`; a former set of pseudo-labels is replaced.
        encoder: the model's own, where it is fine-tuned; photos are then read again.

    Raises:
        MaskclsError: another run is writing there, no face is left, the model is sure of none, or a photo is gone.
    """
    with locked(out):
        recover(out)
        pool = merge_sets([unlabelled])
        forgotten = read_forgotten(out)
        photos = [pool.table["file_sha256"], pool.table["drawn_on"]]
        refused = np.any([photo.map(lambda one: one in forgotten).to_numpy(bool) for photo in photos], axis=0)
        own = np.any([one.persons(photos[0]) >= 0 for one in model.seen], axis=0) & ~refused
        asked = pool.subset(np.flatnonzero(~own & ~refused))
        if not len(asked):
            raise MaskclsError("nothing to label: the model was built from all of these photos, or they are forgotten")
        seen = asked if encoder is None else asked.encoded_by(encoder, progress)
        labels = pseudo_labels(model, seen, least)
        sure = np.flatnonzero(labels[list(CONFIDENCES.values())].notna().any(axis=1))
        if not len(sure):
            raise MaskclsError("no face that the model is so sure about; see --min-confidence")
        chosen, labels = asked.subset(sure), labels.iloc[sure].reset_index(drop=True)
        table = _unlabelled(chosen.table, least)
        for name in LABELS:
            table[name] = table[name].where(labels[name].isna(), labels[name])
        rows = labels.assign(face_id=table["face_id"], teacher=model.fingerprint)[list(COLUMNS)].astype(COLUMNS)
        pseudo = PseudoLabels(Teacher(model.fingerprint, model.seen), rows)
        writer = SetWriter(out, len(table))
        for start in range(0, len(table), CHUNK):
            part = np.arange(start, min(start + CHUNK, len(table)))
            writer.embeddings[part] = chosen.embeddings[part]
            writer.maps[part] = chosen.maps(part)
        nothing = pd.DataFrame(columns=list(REJECT_COLUMNS)).astype(REJECT_COLUMNS)
        tables = SetTables(table[list(TABLE)], nothing, unlabelled.encoder, unlabelled.settings, pseudo=pseudo)
        writer.commit(tables)
        return Labelled(len(pool), int(own.sum()), int(refused.sum()), table, pseudo)


def awaiting(found: EmbeddingSet, least: Thresholds) -> EmbeddingSet:
    """A set without labels of the tasks in ``least``, for a teacher that is still to be built."""
    rows = pd.DataFrame({"face_id": found.table["face_id"]}).assign(teacher=UNTAUGHT)
    empty = dict.fromkeys(CONFIDENCES.values(), np.nan)
    pseudo = PseudoLabels(Teacher(UNTAUGHT, ()), rows.assign(**empty).astype(COLUMNS))
    return replace(found, table=_unlabelled(found.table, least), pseudo=pseudo)


def _unlabelled(table: pd.DataFrame, least: Thresholds) -> pd.DataFrame:
    gone = [name for name in LABELS if name.removesuffix("_low").removesuffix("_high") in least]
    return table.assign(**{name: pd.Series(None, table.index, TABLE[name]) for name in gone})
