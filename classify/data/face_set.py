"""Several embedding sets as one pool of faces to train on and to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.errors import MaskclsError
from ...embedder.facenet.encoder import MAP_SHAPE, Encoder, EncoderInfo
from ...embedder.faceset.store import EmbeddingSet, open_set
from ...embedder.photo import shown
from .augmentation import AugmentedFaces, reencode
from .identity import infer_identities, original_photos, person_keys
from .provenance import TeacherRecord, placed

Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FaceSet:
    """Faces of one or more sets; row i of ``table``, ``embeddings`` and ``people`` belong together.

    Attributes:
        table: see :data:`maskcls.embedder.table.COLUMNS`, plus ``root`` (folder of photos the path is relative to),
            ``dataset`` (id of the data set) and ``teacher`` (fingerprint of the model that gave the row's labels, null
            where somebody gave them).
        embeddings: (n, 512) float32.
        people: (n,) group of faces that stay on one side of a split, see :func:`.identity.infer_identities`.
        encoder: what all vectors were made with.
        face: how the photos were read (``auto``, ``detect``, ``whole`` or ``mixed``).
        copies: exact copies of a photo that were left out.
        teachers: who gave pseudo-labels, by fingerprint; the numbers of people are those of this pool.
        views: the same faces distorted, see :func:`.augmentation.augment`.
    """

    table: pd.DataFrame
    embeddings: npt.NDArray[np.float32]
    people: Rows
    encoder: EncoderInfo
    face: str
    copies: int
    _maps: tuple[npt.NDArray[np.float16], ...]
    _set: Rows
    _position: Rows
    teachers: Mapping[str, TeacherRecord] = field(default_factory=dict)
    views: tuple[AugmentedFaces, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    @property
    def real(self) -> npt.NDArray[np.bool_]:
        """(n,) rows whose labels are no model's: only they are scored, choose settings and vote."""
        return self.table["teacher"].isna().to_numpy(bool)

    def maps(self, rows: Rows) -> npt.NDArray[np.float16]:
        """Feature maps (len(rows), 896, 4, 4), read from disk."""
        out = np.empty((len(rows), *MAP_SHAPE), np.float16)
        for number, maps in enumerate(self._maps):
            mine = np.flatnonzero(self._set[rows] == number)
            out[mine] = maps[self._position[rows[mine]]]
        return out

    def to_train_on(
        self, rows: Rows, random: np.random.Generator
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]]:
        """Embeddings and maps of rows, each face as it is or as one of the views shows it, at random."""
        embeddings, maps = self.embeddings[rows], self.maps(rows)
        if self.views:
            shown_by = random.integers(len(self.views) + 1, size=len(rows))
            for number, view in enumerate(self.views, start=1):
                mine = np.flatnonzero(shown_by == number)
                embeddings[mine], maps[mine] = view.embeddings[rows[mine]], view.maps(rows[mine])
        return embeddings, maps

    def encoded_by(self, encoder: Encoder, progress: Progress = lambda done, total: None) -> FaceSet:
        """The same faces as another encoder sees them; their photos are read again.

        The maps lie in a temporary file. Who is who stays as it is.

        Raises:
            MaskclsError: a photo is gone or changed.
        """
        seen = reencode(self.table, encoder, progress=progress)
        return replace(
            self,
            table=self.table.assign(norm=seen.norms),
            embeddings=seen.embeddings,
            encoder=encoder.info,
            _maps=(seen.all_maps,),
            _set=np.zeros(len(self), np.int64),
            _position=np.arange(len(self)),
            views=(),
        )

    def subset(self, rows: Rows) -> FaceSet:
        """The same pool with some of its rows, in the order given."""
        return replace(
            self,
            table=self.table.iloc[rows].reset_index(drop=True),
            embeddings=self.embeddings[rows],
            people=self.people[rows],
            _set=self._set[rows],
            _position=self._position[rows],
            views=tuple(view.subset(rows) for view in self.views),
        )


def open_face_set(folders: Sequence[Path], known: Sequence[Path] = ()) -> FaceSet:
    """Open embedding sets as one pool.

    Args:
        known: sets that only tell who is who, and so whom the teachers of pseudo-labels have seen; their faces are not
            in the pool.

    Raises:
        MaskclsError: see :func:`open_sets`.
    """
    return merge_sets(open_sets([*folders, *known]), len(folders))


def open_sets(folders: Sequence[Path]) -> list[EmbeddingSet]:
    """Open embedding sets that can be pooled.

    Raises:
        MaskclsError: a set is missing or damaged, sets were made with different encoders, or hold no face.
    """
    sets = [open_set(folder) for folder in folders]
    for folder, other in zip(folders, sets, strict=True):
        if other.encoder != sets[0].encoder:
            raise MaskclsError(
                f"{shown(folder)}: made with encoder {other.encoder.name} ({other.encoder.fingerprint}), but "
                f"{shown(folders[0])} with {sets[0].encoder.name} ({sets[0].encoder.fingerprint}); embed it again"
            )
    if not any(len(item) for item in sets):
        raise MaskclsError(f"{', '.join(map(shown, folders))}: no faces in there")
    return sets


def merge_sets(sets: Sequence[EmbeddingSet], used: int | None = None) -> FaceSet:
    """Join opened sets of one encoder; of exact copies of a photo the first is kept, one with pseudo-labels last.

    Args:
        used: how many of the sets, the first ones, are in the pool; the others only tell who is who. All by default.
    """
    table = pd.concat([_rows(item) for item in sets], ignore_index=True)
    number = np.repeat(np.arange(len(sets)), [len(item) for item in sets])
    position = np.concatenate([np.arange(len(item)) for item in sets])
    embeddings = np.concatenate([item.embeddings for item in sets])
    best_first = table["face_id"].iloc[np.argsort(table["teacher"].notna().to_numpy(), kind="stable")]
    first = np.flatnonzero(~best_first.duplicated().sort_index().to_numpy())
    modes = {item.settings["face"] for item in sets}
    table = table.iloc[first].reset_index(drop=True)
    people = infer_identities(embeddings[first], person_keys(table), table["mask"], original_photos(table))
    teachers = {item.pseudo.teacher.fingerprint: item.pseudo.teacher for item in sets if item.pseudo is not None}
    pool = FaceSet(
        table,
        embeddings[first],
        people,
        sets[0].encoder,
        modes.pop() if len(modes) == 1 else "mixed",
        len(number) - len(first),
        tuple(item.maps for item in sets),
        number[first].astype(np.int64),
        position[first].astype(np.int64),
        {name: placed(teacher, table, people) for name, teacher in teachers.items()},
    )
    return pool if used is None else pool.subset(np.flatnonzero(number[first] < used))


def _rows(item: EmbeddingSet) -> pd.DataFrame:
    teacher = None if item.pseudo is None else item.pseudo.teacher.fingerprint
    return item.table.assign(
        root=item.settings["root"], dataset=item.dataset, teacher=pd.Series(teacher, item.table.index, "str")
    )
