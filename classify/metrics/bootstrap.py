"""Confidence intervals by resampling people, since the faces of one person are not independent of one another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Statistic = Callable[[Floats], Floats]
"""Figures (r, ...) of the column totals (r, width) of r resamples; NaN where a figure cannot be computed."""

LEVELS = (0.025, 0.975)
CHUNK = 128
"""Resamples computed at once; bounds the memory to CHUNK * (people + columns) numbers."""


@dataclass(frozen=True)
class Counts:
    """What each face adds to a few totals. Entry i adds ``amounts[i]`` of face ``faces[i]`` to ``columns[i]``.

    Attributes:
        faces: (entries,) row of the face.
        columns: (entries,) 0 to width - 1.
        amounts: (entries,).
        width: number of columns.
    """

    faces: Ints
    columns: Ints
    amounts: Floats
    width: int

    @classmethod
    def cells(cls, cells: Ints, width: int, amounts: Floats | None = None) -> Counts:
        """One entry a face: ``cells`` (n,) is its column, negative for none, ``amounts`` (n,) are 1 unless given."""
        faces = np.flatnonzero(cells >= 0)
        return cls(faces, cells[faces], np.ones(len(faces)) if amounts is None else amounts[faces], width)

    @classmethod
    def mean(cls, values: Floats) -> Counts:
        """Two columns, the sum of the values (n,) and their number; faces whose value is NaN take no part."""
        first = np.where(np.isnan(values), -1, 0)
        return cls.cells(first, 1, values).hstack(cls.cells(first, 1))

    def totals(self) -> Floats:
        """(width,) totals over all faces."""
        return np.bincount(self.columns, self.amounts, self.width).astype(np.float64)

    def hstack(self, other: Counts) -> Counts:
        """The columns of both, the other's after these."""
        return Counts(
            np.concatenate([self.faces, other.faces]),
            np.concatenate([self.columns, other.columns + self.width]),
            np.concatenate([self.amounts, other.amounts]),
            self.width + other.width,
        )


@dataclass(frozen=True)
class Estimate:
    """Figures with their 95 % intervals, all of one shape, and how many faces and people they rest on.

    NaN where a figure cannot be computed; an interval also needs two people.
    """

    value: Floats
    low: Floats
    high: Floats
    faces: int
    people: int

    def row(self) -> dict[str, Any]:
        """A single figure as JSON values."""
        interval = {name: number(getattr(self, name)) for name in ("value", "low", "high")}
        return interval | {"faces": self.faces, "people": self.people}


class Bootstrap:
    """Percentile bootstrap over people (cluster bootstrap; Davison & Hinkley 1997, section 3.8).

    A resample draws as many people as there are, with replacement, each with all of its faces. Statistics are
    functions of totals, so a resample is one row of draw counts times the people's totals. All estimates of one
    object share its resamples, so that differences of them are paired.
    """

    def __init__(self, people: npt.ArrayLike, rounds: int = 1000, seed: int = 0) -> None:
        """Draw the resamples; ``people`` (n,) is the number of each face's person."""
        names, person = np.unique(np.asarray(people, np.int64), return_inverse=True)
        self._person = person.astype(np.int64)
        count = len(names)
        random = np.random.default_rng(seed)
        self._draws = np.ones((1 + rounds, count), np.uint8)  # the first row is the data itself
        for draws in self._draws[1:] if count else ():
            draws[:] = np.bincount(random.integers(count, size=count), minlength=count)

    def estimate(self, counts: Counts, statistic: Statistic) -> Estimate:
        """A statistic of the totals over all faces, and its interval."""
        person = self._person[counts.faces]
        shape = (self._draws.shape[1], counts.width)
        totals = coo_array((counts.amounts, (person, counts.columns)), shape=shape).tocsr()
        chunks = (self._draws[start : start + CHUNK] for start in range(0, len(self._draws), CHUNK))
        samples = np.concatenate([statistic(chunk.astype(np.float64) @ totals) for chunk in chunks])
        people = len(np.unique(person))
        low, high = _interval(samples[1:] if people > 1 else samples[:0])
        return Estimate(samples[0], low, high, len(np.unique(counts.faces)), people)

    def difference(self, counts: Counts, base: Counts, statistic: Statistic) -> Estimate:
        """A statistic of the counts minus that of the base, both of one width, and its paired interval."""
        width = counts.width
        return self.estimate(
            counts.hstack(base), lambda totals: statistic(totals[:, :width]) - statistic(totals[:, width:])
        )

    def mean(self, values: Floats) -> Estimate:
        """Mean of the values (n,) over the faces where they are not NaN."""
        return self.estimate(Counts.mean(values), mean)


def mean(totals: Floats) -> Floats:
    """The statistic of :meth:`Counts.mean`."""
    return ratio(totals[..., 0], totals[..., 1])


def ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    """``part / whole`` of one shape, NaN where the whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.asarray(np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole != 0))


def number(value: npt.ArrayLike) -> float | None:
    """A JSON number, ``None`` for NaN."""
    return None if math.isnan(plain := float(np.asarray(value, np.float64))) else plain


def _interval(samples: Floats) -> tuple[Floats, Floats]:
    """2.5 % and 97.5 % quantiles over the resamples (r, ...) in which the figure exists."""
    shape = samples.shape[1:]
    bounds = np.full((2, math.prod(shape)), np.nan)
    for place, figures in enumerate(samples.reshape(len(samples), math.prod(shape)).T):
        if len(defined := figures[~np.isnan(figures)]):
            bounds[:, place] = np.quantile(defined, LEVELS)
    return bounds[0].reshape(shape), bounds[1].reshape(shape)
