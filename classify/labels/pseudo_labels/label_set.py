"""The ``pseudo-label`` job: a copy of an embedding set whose labels are a model's predictions."""

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
from ....embedder.storage.atomic_folder import NEXT, check_folder, recover
from ....embedder.storage.lock import locked
from ....embedder.table import COLUMNS as TABLE
from ...data.face_set import Progress, merge_sets
from ...model.model import Model
from .labels import LABELS, NO_TEACHER, Thresholds, pseudo_labels

CHUNK = 4096


@dataclass(frozen=True)
class Labelled:
    """Result of :func:`label_set`.

    Attributes:
        faces: number of faces of the unlabelled set, without exact copies.
        own: number of faces left out because the model was built from their photos.
        forgotten: number of faces left out because the set must not hold their photos.
        table: of the labelled faces.
        pseudo: where their labels come from.
    """

    faces: int
    own: int
    forgotten: int
    table: pd.DataFrame
    pseudo: PseudoLabels

    def counts(self, task: str) -> dict[str, int]:
        """Number of faces with a label of a task, by class or by age band."""
        mine = self.table[self.pseudo.rows[CONFIDENCES[task]].notna()]
        labels = mine["age_low"].map(age_band) if task == "age" else mine[task]
        return {str(name): int(count) for name, count in labels.value_counts().items()}


def check_teacher(model: Model, folder: Path, found: EmbeddingSet, unlabelled: Path) -> None:
    """Check that a model can label an embedding set.

    Raises:
        MaskclsError: the model stores no list of the people it was built from, another encoder made the set, the set
            holds pseudo-labels, or it holds no face.
    """
    if not len(found):
        raise MaskclsError(f"{shown(unlabelled)}: no faces in there")
    if found.pseudo is not None:
        raise MaskclsError(f"{shown(unlabelled)}: holds pseudo-labels; name the set they were made from")
    if not model.seen:
        raise MaskclsError(f"{shown(folder)}: stores no list of the people it was built from; build it again")
    if found.encoder.preprocessing != model.encoder.preprocessing or (
        model.tuned is None and found.encoder != model.encoder
    ):
        raise MaskclsError(
            f"{shown(unlabelled)}: made with encoder {found.encoder.name} ({found.encoder.fingerprint}), but "
            f"{shown(folder)} with {model.encoder.name} ({model.encoder.fingerprint}); embed it again"
        )


def check_out(out: Path) -> None:
    """Check that pseudo-labels may be written to a folder: a new or empty one, or an earlier set of pseudo-labels.

    Raises:
        MaskclsError: it holds something else.
    """
    if (out / MANIFEST).exists() and not (out / PSEUDO_LABELS).exists() and not (out / NEXT / PSEUDO_LABELS).exists():
        raise MaskclsError(f"{shown(out)}: holds labels given by people; choose another folder")
    check_folder(out, PSEUDO_LABELS, None, "an embedding set", {FORGOTTEN})


def label_set(
    model: Model,
    unlabelled: EmbeddingSet,
    out: Path,
    thresholds: Thresholds,
    encoder: Encoder | None = None,
    progress: Progress = lambda done, total: None,
) -> Labelled:
    """Write the faces with a confident prediction, which become their labels, as an embedding set.

    Labels that the set has are replaced for the tasks in ``thresholds`` and kept for other tasks. Photos that the model
    was built from are left out: they have better labels. People and data set stay those of ``unlabelled``.

    Args:
        unlabelled: checked by :func:`check_teacher`.
        out: checked by :func:`check_out`; an earlier set of pseudo-labels is replaced.
        encoder: the model's own, where it is fine-tuned; photos are then read again.

    Raises:
        MaskclsError: another run is writing there, no face is left, no prediction is confident, or a photo is gone.
    """
    with locked(out):
        recover(out)
        pool = merge_sets([unlabelled])
        forgotten = read_forgotten(out)
        photos = [pool.table["file_sha256"], pool.table["drawn_on"]]
        unwanted = np.any([photo.map(lambda one: one in forgotten).to_numpy(bool) for photo in photos], axis=0)
        own = np.any([one.persons(photos[0]) >= 0 for one in model.seen], axis=0) & ~unwanted
        asked = pool.subset(np.flatnonzero(~own & ~unwanted))
        if not len(asked):
            raise MaskclsError("nothing to label: the model was built from all of these photos, or they were forgotten")
        encoded = asked if encoder is None else asked.encoded_by(encoder, progress)
        labels = pseudo_labels(model, encoded, thresholds)
        confident = np.flatnonzero(labels[list(CONFIDENCES.values())].notna().any(axis=1))
        if not len(confident):
            raise MaskclsError("no prediction reaches the minimum confidence; lower it")
        chosen, labels = asked.subset(confident), labels.iloc[confident].reset_index(drop=True)
        table = _without_labels(chosen.table, thresholds)
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
        source = (unlabelled.encoder, unlabelled.settings)
        writer.commit(SetTables(table[list(TABLE)], nothing, *source, pseudo=pseudo, dataset=unlabelled.dataset))
        return Labelled(len(pool), int(own.sum()), int(unwanted.sum()), table, pseudo)


def without_labels(found: EmbeddingSet, thresholds: Thresholds) -> EmbeddingSet:
    """A set without labels of the tasks in ``thresholds``, for a teacher that is still to be built."""
    rows = pd.DataFrame({"face_id": found.table["face_id"]}).assign(teacher=NO_TEACHER)
    empty = dict.fromkeys(CONFIDENCES.values(), np.nan)
    pseudo = PseudoLabels(Teacher(NO_TEACHER, ()), rows.assign(**empty).astype(COLUMNS))
    return replace(found, table=_without_labels(found.table, thresholds), pseudo=pseudo)


def _without_labels(table: pd.DataFrame, thresholds: Thresholds) -> pd.DataFrame:
    columns = [name for name in LABELS if name.removesuffix("_low").removesuffix("_high") in thresholds]
    return table.assign(**{name: pd.Series(None, table.index, TABLE[name]) for name in columns})
