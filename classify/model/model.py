"""The model in memory: finds the nearest people in the gallery, and lets them vote."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.table import gallery_ids
from ..age.vote import (
    NOBODY,
    AgeVotes,
    Floats,
    Ints,
    age_distribution,
    person_bands,
    prior_of,
    vote,
    year_profiles,
)
from ..age.voters import RAW_PER_VOTER, VoterGallery
from .storage import StoredModel


@dataclass(frozen=True)
class Ages:
    """Predictions for n queries with their evidence: gallery rows (n, k) and similarities (n, k) of the voters."""

    votes: AgeVotes
    voters: Ints
    similarities: Floats


@dataclass(frozen=True)
class Model(StoredModel):
    """Everything needed to predict; its parts and its folder are :class:`.storage.StoredModel`'s."""

    @cached_property
    def _groups(self) -> Ints:
        return self.table["group"].to_numpy(np.int64)

    @cached_property
    def _profiles(self) -> Floats:
        return year_profiles(*self._age_range, self.settings.softness)

    @cached_property
    def prior(self) -> Floats:
        """Share of each age band among the people of the gallery (3,)."""
        return prior_of(self.person_bands[1])

    @cached_property
    def person_bands(self) -> tuple[Ints, Ints]:
        """See :func:`..age.vote.person_bands`."""
        return person_bands(*self._age_range, self._groups, self.settings.starts)

    @cached_property
    def _age_range(self) -> tuple[Floats, Floats]:
        return self.table["age_low"].to_numpy(np.float32), self.table["age_high"].to_numpy(np.float32)

    @cached_property
    def _voters(self) -> VoterGallery:
        row_of_id = pd.Series(np.arange(len(self.table)), index=gallery_ids(self.table["face_id"]))
        return VoterGallery(self.gallery, self._groups, row_of_id)

    @cached_property
    def _group_of_file(self) -> dict[str, int]:
        return dict(zip(self.table["file_sha256"], self._groups.tolist(), strict=True))

    def own_group(self, file_sha256: str) -> int:
        """Person of a photo that is itself in the gallery, else :data:`~..age.vote.NOBODY`."""
        return self._group_of_file.get(file_sha256, NOBODY)

    def ages(self, embeddings: Floats, maps: npt.NDArray[np.float16], own: Ints) -> Ages:
        """The vote of the gallery on the age of n faces.

        Args:
            embeddings: (n, 512).
            maps: (n, 896, 4, 4).
            own: (n,) the group whose faces must not vote, or :data:`~..age.vote.NOBODY`.
        """
        vectors = self.age_space.project(embeddings, maps)
        people = self.settings.voters
        return self.vote(*self._voters.nearest(vectors, people, own, people * RAW_PER_VOTER))

    def vote(self, voters: Ints, similarities: Floats) -> Ages:
        """The vote of gallery rows (n, k) that were found already, nearest first."""
        return Ages(vote(voters, similarities, self._profiles, self.prior, self.settings), voters, similarities)

    def years(self, ages: Ages) -> Floats:
        """Distributions over whole years (n, 121) that the voters of n predictions give; NaN without voters."""
        return age_distribution(ages.voters, ages.similarities, self._profiles, self.settings.temperature)
