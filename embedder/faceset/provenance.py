"""Where pseudo-labels come from: which model gave each, how sure it was, and which people that model was built from."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import MaskclsError
from ..photo import shown
from ..storage.atomic import write_json
from ..storage.manifest import key_of

PSEUDO_LABELS = "pseudo_labels.parquet"
TEACHER = "teacher.json"
CONFIDENCES = {"mask": "p_mask", "gender": "p_gender", "age": "p_age"}
"""Task -> column of how sure the teacher was."""
COLUMNS = {"face_id": "str", "teacher": "str"} | dict.fromkeys(CONFIDENCES.values(), "float32")
"""Of the provenance: whose row it is, the model that labelled it, and its probability (0-1) of each label that it gave;
NaN where the row's label of that task, if any, is not the model's."""
KEY_LENGTH = 16

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SeenPeople:
    """People that a model was built from, known by salted hashes of their photos alone.

    Attributes:
        salt: text, another one for every list.
        people: the photos of each person, as the first 16 hexadecimal digits of SHA-256 over salt and file's SHA-256.
    """

    salt: str
    people: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, groups: npt.ArrayLike, photos: Sequence[str]) -> SeenPeople:
        """The list of people ``groups`` (n,), shown by photos with the SHA-256 ``photos`` (n,); the same each time."""
        salt = key_of(*sorted(set(photos)))
        keys = pd.Series([_key(salt, photo) for photo in photos], dtype="str").groupby(np.asarray(groups))
        return cls(salt, tuple(frozenset(mine) for _, mine in keys))

    def persons(self, photos: Iterable[str]) -> Ints:
        """Which of :attr:`people` each photo (n SHA-256) shows; -1 for none of them."""
        place = {key: number for number, keys in enumerate(self.people) for key in keys}
        return np.array([place.get(_key(self.salt, photo), -1) for photo in photos], np.int64)

    def without(self, photos: Collection[str]) -> SeenPeople:
        """The list without some photos (SHA-256)."""
        gone = {_key(self.salt, photo) for photo in photos}
        left = (keys - gone for keys in self.people)
        return replace(self, people=tuple(keys for keys in left if keys))

    def content(self) -> dict[str, Any]:
        """As JSON values."""
        return {"salt": self.salt, "people": [" ".join(sorted(keys)) for keys in self.people]}


@dataclass(frozen=True)
class Teacher:
    """A model that gave pseudo-labels.

    Attributes:
        fingerprint: of the model, see :attr:`maskcls.classify.model.model.Model.fingerprint`.
        seen: everybody it was built from; those a teacher of its own was built from too, as lists of their own.
    """

    fingerprint: str
    seen: tuple[SeenPeople, ...]


@dataclass(frozen=True)
class PseudoLabels:
    """Provenance of an embedding set whose labels a model gave; row i belongs to face i (:data:`COLUMNS`)."""

    teacher: Teacher
    rows: pd.DataFrame

    def without(self, gone: npt.NDArray[np.bool_], photos: Collection[str]) -> PseudoLabels:
        """The provenance without the rows that are ``gone`` (n,), the teacher's list without some photos (SHA-256)."""
        teacher = replace(self.teacher, seen=tuple(one.without(photos) for one in self.teacher.seen))
        return PseudoLabels(teacher, self.rows[~gone].reset_index(drop=True))

    def save(self, folder: Path) -> None:
        """Write both files into a folder."""
        self.rows.to_parquet(folder / PSEUDO_LABELS, index=False)
        write_json(folder / TEACHER, {"fingerprint": self.teacher.fingerprint, "seen": seen_content(self.teacher.seen)})


def read_pseudo_labels(folder: Path, face_ids: Sequence[str]) -> PseudoLabels:
    """The provenance of an embedding set that holds these faces.

    Raises:
        MaskclsError: the files are damaged, or are about other faces.
    """
    try:
        content = json.loads((folder / TEACHER).read_text(encoding="utf-8"))
        teacher = Teacher(str(content["fingerprint"]), read_seen(content["seen"]))
        rows = pd.read_parquet(folder / PSEUDO_LABELS)[list(COLUMNS)].astype(COLUMNS)
        if rows["face_id"].tolist() != list(face_ids):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # pyarrow's errors are ValueErrors
        raise MaskclsError(
            f"{shown(folder)}: {PSEUDO_LABELS} or {TEACHER} is missing or damaged; "
            "make the set again with `maskcls pseudo-label`"
        ) from None
    return PseudoLabels(teacher, rows)


def seen_content(seen: Iterable[SeenPeople]) -> list[dict[str, Any]]:
    """Lists of people as JSON values, for :func:`read_seen`."""
    return [one.content() for one in seen]


def read_seen(content: Sequence[Mapping[str, Any]]) -> tuple[SeenPeople, ...]:
    """Lists of people of JSON values; raises KeyError, TypeError or AttributeError where they are none."""
    return tuple(
        SeenPeople(str(one["salt"]), tuple(frozenset(keys.split()) for keys in one["people"])) for one in content
    )


def _key(salt: str, photo: str) -> str:
    return key_of(salt, photo)[:KEY_LENGTH]
