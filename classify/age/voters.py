"""Whose faces vote: the nearest people of a query, each with their most similar face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...index.base import VectorGallery
from .vote import NOBODY, Floats, Ints

RAW_PER_VOTER = 10
"""Neighbours fetched per voter wanted, since several photos of one person give one vote."""


@dataclass(frozen=True)
class VoterGallery:
    """A gallery of m faces that is searched for people.

    Attributes:
        gallery: their vectors.
        people: (m,) person of each row.
        row_of_id: row of each id of the gallery; None where the ids are the row numbers.
    """

    gallery: VectorGallery
    people: Ints
    row_of_id: pd.Series[int] | None = None

    def nearest(
        self, vectors: Floats, voters: int, own: Ints | None = None, reach: int | None = None
    ) -> tuple[Ints, Floats]:
        """The nearest people of n queries.

        Args:
            vectors: (n, d) of the queries.
            voters: people to find, k.
            own: (n,) person of each query, who must not vote; :data:`~.vote.NOBODY` where unknown, as by default.
            reach: nearest faces among which people are looked for, by default :data:`RAW_PER_VOTER` per person.

        Returns:
            See :func:`one_vote_a_person`.
        """
        found = self.gallery.search(vectors, min(len(self.gallery), reach or voters * RAW_PER_VOTER))
        rows = found.ids
        if self.row_of_id is not None:
            known = self.row_of_id.reindex(rows.ravel()).to_numpy().reshape(rows.shape)
            rows = np.where(rows < 0, NOBODY, known).astype(np.int64)
        if own is None:
            own = np.full(len(vectors), NOBODY, np.int64)
        return one_vote_a_person(rows, found.similarities, self.people, own, voters)


def one_vote_a_person(rows: Ints, similarities: Floats, people: Ints, own: Ints, voters: int) -> tuple[Ints, Floats]:
    """Keep each person's most similar face, leave out the query's own person, and cut to the nearest people.

    Args:
        rows: (n, k) gallery rows, most similar first, negative where there is none.
        similarities: (n, k) cosine similarities.
        people: (m,) person of each gallery row.
        own: (n,) person of each query, :data:`~.vote.NOBODY` where unknown.
        voters: people to keep.

    Returns:
        Gallery rows (n, min(k, voters)), :data:`~.vote.NOBODY` where there are fewer people, and similarities, -inf
        there.
    """
    missing = rows < 0
    person = np.where(missing, NOBODY, people[rows])
    allowed = ~missing & ((person != own[:, None]) | (own[:, None] == NOBODY))
    order = np.argsort(person, axis=1, kind="stable")
    ordered = np.take_along_axis(person, order, 1)
    repeated = np.zeros_like(allowed)
    np.put_along_axis(repeated, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    keep = allowed & ~repeated
    first = np.argsort(~keep, axis=1, kind="stable")[:, :voters]
    kept = np.take_along_axis(keep, first, 1)
    voter_rows = np.where(kept, np.take_along_axis(rows, first, 1), NOBODY)
    voter_similarities = np.where(kept, np.take_along_axis(similarities, first, 1), -np.inf)
    return voter_rows.astype(np.int64), voter_similarities.astype(np.float32)
