"""Face sets: the faces of several embedding sets of one encoder, without exact copies, with their identities."""

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
from ...embedder.storage.manifest import key_of
from .augmentation import AugmentedFaces, reencode
from .identity import hardly_seen, infer_identities, kept_together, person_keys, photos_of_one
from .provenance import TeacherRecord, placed

Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]
MapsOf = Callable[[Rows], npt.NDArray[np.float16]]


@dataclass(frozen=True)
class FaceSet:
    """Faces of one or more embedding sets; row i of ``table``, ``embeddings`` and ``people`` belong together.

    Attributes:
        table: see :data:`maskcls.embedder.table.COLUMNS`, plus ``root`` (folder of photos the path is relative to),
            ``dataset`` (id of the data set) and ``teacher`` (fingerprint of the model that gave the row's
            pseudo-labels; null where the labels are given ones).
        embeddings: (n, 512) float32.
        people: (n,) number of the person on each face; the faces of a person stay on one side of a split, and never
            vote on each other. People who are in one photo have one number, see :func:`.identity.kept_together`.
        persons: (n,) the same with a number for every person, see :func:`.identity.infer_identities`.
        encoder: what all vectors were made with.
        face: how the photos were read (``auto``, ``detect``, ``whole`` or ``mixed``).
        copies: exact copies of a photo that were left out.
        set_number: (n,) number of the embedding set that each face comes from, in the order in which they were joined.
        teachers: the models that gave pseudo-labels, by fingerprint.
        augmentations: the same faces distorted, see :func:`.augmentation.augment`.
    """

    table: pd.DataFrame
    embeddings: npt.NDArray[np.float32]
    people: Rows
    persons: Rows
    encoder: EncoderInfo
    face: str
    copies: int
    set_number: Rows
    _maps: tuple[npt.NDArray[np.float16], ...]
    _map_file: Rows
    _position: Rows
    teachers: Mapping[str, TeacherRecord] = field(default_factory=dict)
    augmentations: tuple[AugmentedFaces, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    @property
    def real(self) -> npt.NDArray[np.bool_]:
        """(n,) rows without pseudo-labels: only they are scored, choose settings and vote."""
        return self.table["teacher"].isna().to_numpy(bool)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that changes what is learnt from these faces, for the keys of finished steps.

        That is the faces, their labels, identities and augmentations, the encoder, and the people teachers have seen.
        """
        plain = self.table.assign(**{name: self.table[name].map(str) for name in ("box", "landmarks")})
        return key_of(
            self.encoder.fingerprint,
            pd.util.hash_pandas_object(plain, index=False).to_numpy().tobytes(),
            self.embeddings.tobytes(),
            self.people.tobytes(),
            *(part for one in self.teachers.values() for part in (one.people.tobytes(), one.unplaced)),
            *(one.embeddings.tobytes() for one in self.augmentations),
        )

    @property
    def channels(self) -> int:
        """Of the feature maps: 896, or fewer, see :meth:`with_maps`."""
        return int(self._maps[0].shape[1])

    def maps(self, rows: Rows) -> npt.NDArray[np.float16]:
        """Feature maps (len(rows), channels, 4, 4) float16, read from disk; 896 channels if they are not reduced."""
        if len(self._maps) == 1:
            return np.asarray(self._maps[0][self._position[rows]])
        out = np.empty((len(rows), self.channels, *MAP_SHAPE[1:]), np.float16)
        for number, maps in enumerate(self._maps):
            mine = np.flatnonzero(self._map_file[rows] == number)
            out[mine] = maps[self._position[rows[mine]]]
        return out

    def training_batch(
        self, rows: Rows, random: np.random.Generator
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]]:
        """Embeddings and maps of rows, each face as it is or as one of the augmentations, at random."""
        embeddings, maps = self.embeddings[rows], self.maps(rows)
        if self.augmentations:
            drawn = random.integers(len(self.augmentations) + 1, size=len(rows))
            for number, one in enumerate(self.augmentations, start=1):
                mine = np.flatnonzero(drawn == number)
                embeddings[mine], maps[mine] = one.embeddings[rows[mine]], one.maps(rows[mine])
        return embeddings, maps

    def with_maps(self, change: Callable[[MapsOf], npt.NDArray[np.float16]]) -> FaceSet:
        """The same faces with other maps, which lie in memory.

        Args:
            change: gives the maps (n, channels, 4, 4) in place of those that a function gives for rows, see
                :meth:`maps`; called for the faces and for each of their augmentations.
        """
        everybody = np.arange(len(self))
        return replace(
            self,
            _maps=(change(self.maps),),
            _map_file=np.zeros(len(self), np.int64),
            _position=everybody,
            augmentations=tuple(
                replace(one, all_maps=change(one.maps), _position=everybody) for one in self.augmentations
            ),
        )

    def encoded_by(self, encoder: Encoder, progress: Progress = lambda done, total: None) -> FaceSet:
        """The same faces as another encoder sees them; their photos are read again.

        The maps are in a temporary file. Identities stay as they are.

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
            _map_file=np.zeros(len(self), np.int64),
            _position=np.arange(len(self)),
            augmentations=(),
        )

    def subset(self, rows: Rows) -> FaceSet:
        """Some of the faces, in the order given."""
        return replace(
            self,
            table=self.table.iloc[rows].reset_index(drop=True),
            embeddings=self.embeddings[rows],
            people=self.people[rows],
            persons=self.persons[rows],
            set_number=self.set_number[rows],
            _map_file=self._map_file[rows],
            _position=self._position[rows],
            augmentations=tuple(one.subset(rows) for one in self.augmentations),
        )


def open_face_set(folders: Sequence[Path], known: Sequence[Path] = ()) -> FaceSet:
    """Open embedding sets as one face set.

    Args:
        known: sets that only help to identify people, also those that the teachers of pseudo-labels have seen; their
            faces are left out.

    Raises:
        MaskclsError: see :func:`open_sets`.
    """
    return merge_sets(open_sets([*folders, *known]), len(folders))


def open_sets(folders: Sequence[Path]) -> list[EmbeddingSet]:
    """Open embedding sets that can be joined.

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
        used: number of sets whose faces are in the face set, the first ones; the others only help to identify people.
            All by default.
    """
    table = pd.concat([_rows(item) for item in sets], ignore_index=True)
    number = np.repeat(np.arange(len(sets)), [len(item) for item in sets])
    position = np.concatenate([np.arange(len(item)) for item in sets])
    embeddings = np.concatenate([item.embeddings for item in sets])
    best_first = table["face_id"].iloc[np.argsort(table["teacher"].notna().to_numpy(), kind="stable")]
    first = np.flatnonzero(~best_first.duplicated().sort_index().to_numpy())
    modes = {item.settings["face"] for item in sets}
    table = table.iloc[first].reset_index(drop=True)
    photo, vague = photos_of_one(table), hardly_seen(table)
    persons = infer_identities(embeddings[first], person_keys(table), table["mask"], photo, vague)
    people = kept_together(persons, table)
    teachers = {item.pseudo.teacher.fingerprint: item.pseudo.teacher for item in sets if item.pseudo is not None}
    pool = FaceSet(
        table,
        embeddings[first],
        people,
        persons,
        sets[0].encoder,
        modes.pop() if len(modes) == 1 else "mixed",
        len(number) - len(first),
        number[first].astype(np.int64),
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
