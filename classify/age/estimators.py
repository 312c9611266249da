"""The age space and the vote as scikit-learn estimators, for embeddings of any kind.

They are made of what a model is made of: :mod:`.space`, :mod:`.voters` and :mod:`.vote`.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ...index.flat import Gallery
from .space import BIN_YEARS, LinearSpace, discriminant_space
from .vote import Floats, Ints, age_distribution, prior_corrected, quantile, voter_weights
from .voters import VoterGallery

LIFT = 1.0
"""Length of a constant coordinate beside the space's own, whose spread within a class is 1: cosines then tell how far
two vectors are apart, also along one line, and no vector is zero."""
MIN_BIN = 2
"""Samples of a bin of years below which the bin takes no part in fitting the space."""


class _Vote(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: the space, the gallery in it, and who votes."""

    def __init__(self, n_voters: int = 30, temperature: float = 0.07, space: str = "lda") -> None:
        self.n_voters = n_voters
        self.temperature = temperature
        self.space = space

    def _fit(self, X: Floats, kinds: Ints, groups: npt.ArrayLike | None) -> None:  # noqa: N803
        if self.n_voters < 1 or self.temperature <= 0 or self.space not in ("lda", "cosine"):
            raise ValueError("n_voters is at least 1, temperature above 0, space 'lda' or 'cosine'")
        self._space = None
        if self.space == "lda":
            alike = LinearSpace(X.mean(axis=0), np.eye(X.shape[1]) / (float(X.std()) or 1.0))
            self._space = discriminant_space(X, kinds, MIN_BIN, 2) or alike
        vectors = self._project(X)
        gallery = Gallery.of(vectors, np.arange(len(X)), "exact")
        self._gallery = VoterGallery(gallery, people_of_groups(groups, len(X)))

    def _project(self, X: Floats) -> Floats:  # noqa: N803
        if self._space is None:  # a vector of zeros has no direction; beside others the constant is nothing
            return np.asarray(np.column_stack([X, np.full(len(X), 1e-6)]), np.float32)
        return np.asarray(np.column_stack([self._space.transform(X), np.full(len(X), LIFT)]), np.float32)

    def _voters(self, X: npt.ArrayLike) -> tuple[Ints, Floats]:  # noqa: N803
        """Gallery rows and similarities (n, k) of the nearest people."""
        check_is_fitted(self)
        return self._gallery.nearest(self._project(validate_data(self, X, reset=False)), self.n_voters)


class AgeVoteClassifier(ClassifierMixin, _Vote):  # type: ignore[misc]
    """Age bands, or any classes, by a vote of the nearest people in a space in which near means alike in class.

    Args:
        n_voters: people who vote, the nearest ones.
        temperature: of the softmax over cosine similarities; the smaller, the more the nearest decide.
        correction: exponent of the class-frequency correction, 0 (none) to 1 (as if all classes were equally common).
        space: ``lda`` (linear discriminants with shrinkage) or ``cosine`` (the vectors as they are).

    Attributes:
        classes_: (c,) sorted classes.

    ``fit`` takes ``groups`` (n,), the person of each sample: several photos of one person have one vote. A sample of
    unknown person (None, NaN) is a person of its own.
    """

    def __init__(
        self, n_voters: int = 30, temperature: float = 0.07, correction: float = 0.0, space: str = "lda"
    ) -> None:
        super().__init__(n_voters, temperature, space)
        self.correction = correction

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Self:  # noqa: N803
        """Learn the space and fill the gallery: X (n, d) numbers, y (n,) classes.

        Raises:
            ValueError: wrong shapes or settings, or y does not hold classes.
        """
        checked, labels = validate_data(self, X, y)
        check_classification_targets(labels)
        self.classes_, kinds = np.unique(labels, return_inverse=True)
        self._fit(checked, kinds, groups)
        self._profiles = np.eye(len(self.classes_), dtype=np.float32)[kinds]
        first = np.unique(self._gallery.people, return_index=True)[1]
        self._prior = np.maximum(self._profiles[first].mean(axis=0), np.finfo(np.float32).tiny)
        return self

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:  # noqa: N803
        """Share of the vote of each class (n, c), corrected for its frequency; rows sum to 1."""
        rows, similarities = self._voters(X)
        shares = age_distribution(rows, similarities, self._profiles, self.temperature).astype(np.float64)
        with np.errstate(divide="ignore"):
            return np.asarray(softmax(prior_corrected(np.log(shares), self._prior, self.correction), axis=1))

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:  # noqa: N803
        """The class with the largest share (n,)."""
        shares = self.predict_proba(X)
        return np.asarray(self.classes_[shares.argmax(axis=1)])


class AgeVoteRegressor(RegressorMixin, _Vote):  # type: ignore[misc]
    """Ages in years by a vote of the nearest people: their weighted median, in a space in which near means near in age.

    Args:
        n_voters: people who vote, the nearest ones.
        temperature: of the softmax over cosine similarities; the smaller, the more the nearest decide.
        space: ``lda`` (linear discriminants of bins of five years, with shrinkage) or ``cosine`` (the vectors as they
            are).

    ``fit`` takes ``groups`` (n,), the person of each sample: several photos of one person have one vote. A sample of
    unknown person (None, NaN) is a person of its own.
    """

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Self:  # noqa: N803
        """Learn the space and fill the gallery: X (n, d) numbers, y (n,) years.

        Raises:
            ValueError: wrong shapes or settings.
        """
        checked, ages = validate_data(self, X, y, y_numeric=True)
        self._fit(checked, np.unique(np.floor(ages / BIN_YEARS), return_inverse=True)[1], groups)
        self._ages = np.asarray(ages, np.float64)
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:  # noqa: N803
        """Years (n,)."""
        return self.predict_quantiles(X, (0.5,))[:, 0]

    def predict_quantiles(
        self,
        X: npt.ArrayLike,  # noqa: N803
        quantiles: tuple[float, ...] = (0.1, 0.5, 0.9),
    ) -> npt.NDArray[np.float64]:
        """Years (n, q) below which these shares of the vote lie."""
        rows, similarities = self._voters(X)
        weights = voter_weights(similarities, self.temperature).astype(np.float64)
        ages = np.where(rows < 0, np.inf, self._ages[rows])  # a missing voter has no weight
        order = np.argsort(ages, axis=1, kind="stable")
        ages, weights = np.take_along_axis(ages, order, 1), np.take_along_axis(weights, order, 1)
        return np.stack([quantile(ages, weights, q) for q in quantiles], axis=1)


def people_of_groups(groups: npt.ArrayLike | None, samples: int) -> Ints:
    """Number of the person of each sample (n,); an unknown person (None, NaN) is a person of their own.

    Raises:
        ValueError: ``groups`` does not have one entry per sample.
    """
    names = np.asarray([None] * samples if groups is None else groups, object)
    if names.shape != (samples,):
        raise ValueError(f"groups {names.shape}: one for each of {samples} samples")
    people = pd.factorize(names)[0].astype(np.int64)
    unknown = people < 0
    people[unknown] = len(people) + np.arange(unknown.sum())
    return people
