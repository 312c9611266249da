"""Answers beside the truth, as arrays: what was said of each face, what is true, and how sure the model was."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.labels import AGE_BANDS, GENDERS, MASKS, band_numbers, class_id, years_outside
from ..tasks import CLASSES, PROBABILITIES
from .bootstrap import Counts, Floats, Ints

Bools = npt.NDArray[np.bool_]
UNKNOWN = -1
COLUMNS = (
    *("person", "source", "true_mask", "true_gender", "true_race", "true_age_low", "true_age_high"),
    *CLASSES,
    *(name for names in PROBABILITIES.values() for name in names.values()),
    *("age", "age_low", "age_high"),
)
"""What :func:`grade` reads of a table of answers."""

_TRIPLES = sorted(product(MASKS, GENDERS, AGE_BANDS), key=lambda names: class_id(*names))
JOINT_CLASSES = tuple(" ".join(names) for names in _TRIPLES)
"""``wear male <30`` and so on, in the order of :func:`~maskcls.embedder.labels.class_id`."""
_JOINT_IDS = np.array([class_id(*names) for names in product(MASKS, GENDERS, AGE_BANDS)]).reshape(3, 2, 3)


@dataclass(frozen=True)
class Task:
    """A question put to n faces, with k classes.

    Attributes:
        classes: k names.
        truth: (n,) class number, :data:`UNKNOWN` where the dataset does not say.
        said: (n,) class number, :data:`UNKNOWN` where the model has no answer.
        probabilities: (n, k), NaN where the model has none.
    """

    classes: tuple[str, ...]
    truth: Ints
    said: Ints
    probabilities: Floats

    @property
    def known(self) -> Bools:
        """(n,) whether the face is labelled and answered; only such faces are scored."""
        return np.asarray((self.truth != UNKNOWN) & (self.said != UNKNOWN), bool)

    @property
    def right(self) -> Floats:
        """(n,) 1 for a right answer, 0 for a wrong one, NaN where not :attr:`known`."""
        return np.where(self.known, self.truth == self.said, np.nan)

    @property
    def confidence(self) -> Floats:
        """(n,) probability of the class that was said, NaN where not :attr:`known` or without probability."""
        said = np.take_along_axis(self.probabilities, self.said.clip(0)[:, None], 1)[:, 0]
        return np.where(self.known, said, np.nan)

    @property
    def cells(self) -> Ints:
        """(n,) cell of the flattened confusion matrix, truth * k + said; :data:`UNKNOWN` where not :attr:`known`."""
        return np.where(self.known, self.truth * len(self.classes) + self.said, UNKNOWN)

    def counts(self, among: Bools | None = None) -> Counts:
        """Confusion counts (k * k columns), of the faces ``among`` (n,) if given."""
        cells = self.cells if among is None else np.where(among, self.cells, UNKNOWN)
        return Counts.cells(cells, len(self.classes) ** 2)


@dataclass(frozen=True)
class Graded:
    """Everything that scores are made of, for n faces.

    Attributes:
        people: (n,) person numbers.
        mask, gender, age_band, joint: the three questions and the 18 classes made of them.
        true_age: (n,) exact age in years, NaN where unknown or only a band is known.
        age: (n,) years said.
        age_error: (n,) years between the age said and the nearest end of the true age or band, 0 within it.
        covered: (n,) 1 where the 80 % interval holds the exact age, 0 where not, NaN where either is missing.
        race, source: (n,) words, null where unknown.
    """

    people: Ints
    mask: Task
    gender: Task
    age_band: Task
    joint: Task
    true_age: Floats
    age: Floats
    age_error: Floats
    covered: Floats
    race: npt.NDArray[np.object_]
    source: npt.NDArray[np.object_]

    @property
    def tasks(self) -> dict[str, Task]:
        """The four by name."""
        return {name: getattr(self, name) for name in (*CLASSES, "joint")}

    @property
    def bare(self) -> Bools:
        """(n,) faces truly without a mask."""
        return np.asarray(self.mask.truth == MASKS.index("normal"), bool)

    @property
    def masked(self) -> Bools:
        """(n,) faces that truly wear a mask properly."""
        return np.asarray(self.mask.truth == MASKS.index("wear"), bool)


def grade(answers: pd.DataFrame) -> Graded:
    """Arrays of a table of answers, one row a face.

    Args:
        answers: :data:`COLUMNS`: ``person`` (number) and ``source``; the truth, null where the dataset does not say,
            ages in years from low to high, both ends included; answers as in ``predictions.csv``, null where the
            model has none.

    A true age says the band only where both of its ends fall into the same one. A head that does not know one of the
    classes has no probability for it; that counts as 0.

    Raises:
        ValueError: a class name that is none.
    """
    true_low, true_high = _floats(answers, "true_age_low"), _floats(answers, "true_age_high")
    age, low, high = (_floats(answers, name) for name in ("age", "age_low", "age_high"))
    exact = np.where(true_low == true_high, true_low, np.nan)
    truth = {
        "mask": class_numbers(answers["true_mask"], MASKS),
        "gender": class_numbers(answers["true_gender"], GENDERS),
        "age_band": _true_bands(true_low, true_high),
    }
    mask, gender, age_band = (
        Task(classes, truth[name], class_numbers(answers[name], classes), _probabilities(answers, name))
        for name, classes in CLASSES.items()
    )
    return Graded(
        people=answers["person"].to_numpy(np.int64),
        mask=mask,
        gender=gender,
        age_band=age_band,
        joint=joined(mask, gender, age_band),
        true_age=exact,
        age=age,
        age_error=years_outside(age, true_low, true_high),
        covered=np.where(np.isnan(exact + low + high), np.nan, (low <= exact) & (exact <= high)),
        race=answers["true_race"].to_numpy(object),
        source=answers["source"].to_numpy(object),
    )


def joined(mask: Task, gender: Task, age_band: Task) -> Task:
    """The 18 classes: known where all three are, with the product of the three probabilities."""
    triples = (mask.truth, gender.truth, age_band.truth), (mask.said, gender.said, age_band.said)
    truth, said = (
        np.where(np.min(numbers, axis=0) == UNKNOWN, UNKNOWN, _JOINT_IDS[tuple(numbers)]) for numbers in triples
    )
    products = np.einsum("nm,ng,na->nmga", mask.probabilities, gender.probabilities, age_band.probabilities)
    probabilities = np.full((len(truth), len(JOINT_CLASSES)), np.nan)
    probabilities[:, _JOINT_IDS.ravel()] = products.reshape(len(truth), len(JOINT_CLASSES))
    return Task(JOINT_CLASSES, truth, said, probabilities)


def class_numbers(words: pd.Series, classes: tuple[str, ...]) -> Ints:
    """(n,) position of each word in the classes, :data:`UNKNOWN` where it is null."""
    numbers = pd.Index(classes, dtype=object).get_indexer(pd.Index(words.to_numpy(object)))
    strange = words[(numbers < 0) & words.notna().to_numpy()]
    if len(strange):
        raise ValueError(f"{words.name} {strange.iloc[0]!r} is none of {', '.join(classes)}")
    return numbers.astype(np.int64)


def _true_bands(low: Floats, high: Floats) -> Ints:
    band = band_numbers(low)
    return np.where(~np.isnan(low + high) & (band == band_numbers(high)), band, UNKNOWN)


def _probabilities(answers: pd.DataFrame, task: str) -> Floats:
    columns = np.stack([_floats(answers, name) for name in PROBABILITIES[task].values()], axis=1)
    missing = np.isnan(columns)
    return np.where(missing & ~missing.all(axis=1, keepdims=True), 0, columns)


def _floats(answers: pd.DataFrame, column: str) -> Floats:
    return np.asarray(pd.to_numeric(answers[column]).to_numpy(np.float64, na_value=np.nan))
