"""Predictions and true labels of faces as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.detection.quality import Measures, judge
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
"""Columns of a table of predictions that :func:`scored_faces` reads."""

_TRIPLES = sorted(product(MASKS, GENDERS, AGE_BANDS), key=lambda names: class_id(*names))
JOINT_CLASSES = tuple(" ".join(names) for names in _TRIPLES)
"""``wear male <30`` and so on, in the order of :func:`~maskcls.embedder.labels.class_id`."""
_JOINT_IDS = np.array([class_id(*names) for names in product(MASKS, GENDERS, AGE_BANDS)]).reshape(3, 2, 3)


@dataclass(frozen=True)
class TaskPredictions:
    """Labels and predictions of one task with k classes for n faces.

    Attributes:
        classes: k names.
        truth: (n,) class number, :data:`UNKNOWN` where there is no label.
        predicted: (n,) class number, :data:`UNKNOWN` where the model predicts nothing.
        probabilities: (n, k), NaN where the model has none.
    """

    classes: tuple[str, ...]
    truth: Ints
    predicted: Ints
    probabilities: Floats

    @property
    def known(self) -> Bools:
        """(n,) whether the face has a label and a prediction; only such faces are scored."""
        return np.asarray((self.truth != UNKNOWN) & (self.predicted != UNKNOWN), bool)

    @property
    def correct(self) -> Floats:
        """(n,) 1 for a correct prediction, 0 for a wrong one, NaN where not :attr:`known`."""
        return np.where(self.known, self.truth == self.predicted, np.nan)

    @property
    def confidence(self) -> Floats:
        """(n,) probability of the predicted class, NaN where not :attr:`known` or without probability."""
        predicted = np.take_along_axis(self.probabilities, self.predicted.clip(0)[:, None], 1)[:, 0]
        return np.where(self.known, predicted, np.nan)

    @property
    def cells(self) -> Ints:
        """(n,) index into the flattened confusion matrix, truth * k + predicted; :data:`UNKNOWN` where not known."""
        return np.where(self.known, self.truth * len(self.classes) + self.predicted, UNKNOWN)

    def counts(self, among: Bools | None = None) -> Counts:
        """Confusion counts (k * k columns), of the faces ``among`` (n,) if given."""
        cells = self.cells if among is None else np.where(among, self.cells, UNKNOWN)
        return Counts.cells(cells, len(self.classes) ** 2)


@dataclass(frozen=True)
class ScoredFaces:
    """Labels and predictions of n faces, of all tasks.

    Attributes:
        people: (n,) person numbers.
        mask, gender, age_band, joint: the three tasks and the 18 classes made of them.
        true_age: (n,) exact age in years, NaN where unknown or only a band is known.
        age: (n,) predicted years.
        age_error: (n,) years between the predicted age and the nearest end of the true age or band, 0 within it.
        covered: (n,) 1 where the 80 % interval holds the exact age, 0 where not, NaN where either is missing.
        race, source: (n,) names, null where unknown.
        quality: (n,) how well the face can be judged, 0-1, NaN where unknown.
    """

    people: Ints
    mask: TaskPredictions
    gender: TaskPredictions
    age_band: TaskPredictions
    joint: TaskPredictions
    true_age: Floats
    age: Floats
    age_error: Floats
    covered: Floats
    race: npt.NDArray[np.object_]
    source: npt.NDArray[np.object_]
    quality: Floats

    @property
    def tasks(self) -> dict[str, TaskPredictions]:
        """The four tasks by name."""
        return {name: getattr(self, name) for name in (*CLASSES, "joint")}

    @property
    def bare(self) -> Bools:
        """(n,) faces truly without a mask."""
        return np.asarray(self.mask.truth == MASKS.index("normal"), bool)

    @property
    def masked(self) -> Bools:
        """(n,) faces that truly wear a mask correctly."""
        return np.asarray(self.mask.truth == MASKS.index("wear"), bool)


def scored_faces(predictions: pd.DataFrame) -> ScoredFaces:
    """Arrays of a table of predictions, one row a face.

    Args:
        predictions: :data:`COLUMNS`: ``person`` (number) and ``source``; true labels, null where unknown, ages in years
            from low to high, both ends included; ``box``, ``sharpness`` and ``norm`` where the quality is wanted;
            predictions as in ``predictions.csv``, null where there are none.

    A true age has a band only where both of its ends fall into the same one. A head that does not know one of the
    classes has no probability for it; that counts as 0.

    Raises:
        ValueError: an unknown class name.
    """
    true_low, true_high = _floats(predictions, "true_age_low"), _floats(predictions, "true_age_high")
    age, low, high = (_floats(predictions, name) for name in ("age", "age_low", "age_high"))
    exact = np.where(true_low == true_high, true_low, np.nan)
    truth = {
        "mask": class_numbers(predictions["true_mask"], MASKS),
        "gender": class_numbers(predictions["true_gender"], GENDERS),
        "age_band": _true_bands(true_low, true_high),
    }
    mask, gender, age_band = (
        TaskPredictions(
            classes, truth[name], class_numbers(predictions[name], classes), _probabilities(predictions, name)
        )
        for name, classes in CLASSES.items()
    )
    return ScoredFaces(
        people=predictions["person"].to_numpy(np.int64),
        mask=mask,
        gender=gender,
        age_band=age_band,
        joint=joined(mask, gender, age_band),
        true_age=exact,
        age=age,
        age_error=years_outside(age, true_low, true_high),
        covered=np.where(np.isnan(exact + low + high), np.nan, (low <= exact) & (exact <= high)),
        race=predictions["true_race"].to_numpy(object),
        source=predictions["source"].to_numpy(object),
        quality=_quality(predictions),
    )


def _quality(predictions: pd.DataFrame) -> Floats:
    """Of each face, without its brightness, which no embedding set has."""
    if not {"box", "sharpness", "norm"} <= set(predictions.columns):
        return np.full(len(predictions), np.nan)
    boxes = np.array([list(box) for box in predictions["box"]], np.float64).reshape(-1, 4)
    side = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
    unknown = np.full(len(side), np.nan)
    judged = judge(Measures(side, _floats(predictions, "sharpness"), _floats(predictions, "norm"), unknown))
    return np.array([one.value for one in judged], np.float64)


def joined(mask: TaskPredictions, gender: TaskPredictions, age_band: TaskPredictions) -> TaskPredictions:
    """The 18 classes: known where all three are, with the product of the three probabilities."""
    triples = (mask.truth, gender.truth, age_band.truth), (mask.predicted, gender.predicted, age_band.predicted)
    truth, predicted = (
        np.where(np.min(numbers, axis=0) == UNKNOWN, UNKNOWN, _JOINT_IDS[tuple(numbers)]) for numbers in triples
    )
    products = np.einsum("nm,ng,na->nmga", mask.probabilities, gender.probabilities, age_band.probabilities)
    probabilities = np.full((len(truth), len(JOINT_CLASSES)), np.nan)
    probabilities[:, _JOINT_IDS.ravel()] = products.reshape(len(truth), len(JOINT_CLASSES))
    return TaskPredictions(JOINT_CLASSES, truth, predicted, probabilities)


def class_numbers(names: pd.Series, classes: tuple[str, ...]) -> Ints:
    """(n,) position of each word in the classes, :data:`UNKNOWN` where it is null."""
    numbers = pd.Index(classes, dtype=object).get_indexer(pd.Index(names.to_numpy(object)))
    unknown_names = names[(numbers < 0) & names.notna().to_numpy()]
    if len(unknown_names):
        raise ValueError(f"{names.name} {unknown_names.iloc[0]!r} is not one of {', '.join(classes)}")
    return numbers.astype(np.int64)


def _true_bands(low: Floats, high: Floats) -> Ints:
    band = band_numbers(low)
    return np.where(~np.isnan(low + high) & (band == band_numbers(high)), band, UNKNOWN)


def _probabilities(predictions: pd.DataFrame, task: str) -> Floats:
    columns = np.stack([_floats(predictions, name) for name in PROBABILITIES[task].values()], axis=1)
    missing = np.isnan(columns)
    return np.where(missing & ~missing.all(axis=1, keepdims=True), 0, columns)


def _floats(predictions: pd.DataFrame, column: str) -> Floats:
    return np.asarray(pd.to_numeric(predictions[column]).to_numpy(np.float64, na_value=np.nan))
