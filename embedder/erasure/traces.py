"""What identifies one person in embedding sets, models and outputs, by which all of it is found and verified gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from ..photo import normal_form, stored
from .search import Search

Vectors = npt.NDArray[Any]


@dataclass(frozen=True)
class Traces:
    """Everything that points at one person; paths are compared in normal form (NFC).

    Attributes:
        faces: ``face_id`` of the person's faces.
        hashes: SHA-256 of the person's photo files, and of originals that masks were drawn on.
        photos: folder of photos and path below it, as sets and models have them.
        vectors: by name: ``embeddings/E`` (n, 512) float32 and ``maps/E`` (n, 14336) float16 of the encoder with
            fingerprint E, row by row of the same face; ``gallery/F`` (n, d) float32 of the model in folder F.
        identities: the person's keys: ``<dataset id>:<name in NFC>``.
    """

    faces: frozenset[str] = frozenset()
    hashes: frozenset[str] = frozenset()
    photos: frozenset[tuple[str, str]] = frozenset()
    vectors: Mapping[str, Vectors] = field(default_factory=dict)
    identities: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.faces)

    def __or__(self, other: Traces) -> Traces:
        vectors = dict(self.vectors)
        for name, rows in other.vectors.items():
            vectors[name] = np.concatenate([vectors[name], rows]) if name in vectors else rows
        return Traces(
            self.faces | other.faces,
            self.hashes | other.hashes,
            self.photos | other.photos,
            vectors,
            self.identities | other.identities,
        )

    @cached_property
    def search(self) -> Search:
        """Finds them in files."""
        return Search(self)

    @cached_property
    def places(self) -> frozenset[str]:
        """Where the photos lie, whole paths as they are on disk."""
        return frozenset(stored(Path(root, path)) for root, path in self.photos)

    @cached_property
    def called(self) -> frozenset[str]:
        """What outputs may call the photos, in normal form: as their set does, or by an end of where they lie with a
        folder in it."""
        parts = [PurePath(place).parts for place in self.places]
        ends = {"/".join(part[start:]) for part in parts for start in range(1, len(part) - 1)}
        return frozenset(map(normal_form, ends | {path for _, path in self.photos} | self.places))

    def calls(self, path: object) -> bool:
        """Whether a path in a table of predictions is one of the photos; these are relative to an unknown folder.

        One that leads up first (``../set/anna/1.jpg``) is known by its rest.
        """
        if not isinstance(path, str):
            return False
        while path.startswith("../"):
            path = path.removeprefix("../")
        return normal_form(path) in self.called

    def lies_at(self, root: object, path: object) -> bool:
        """Whether a path below a folder of photos is one of the photos."""
        return normal_form(stored(Path(str(root), str(path)))) in self._lie_at

    @cached_property
    def _lie_at(self) -> frozenset[str]:
        return frozenset(map(normal_form, self.places))

    def paths_below(self, root: str) -> set[str]:
        """The photos as a set with this folder of photos calls them; some lie elsewhere."""
        return {path for folder, path in self.photos if folder == root} | set(self.places)
