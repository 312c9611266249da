"""The age space and the vote as scikit-learn estimators, for embeddings of any kind."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ...index.flat import Gallery
from .space import BIN_YEARS, SHRINKAGE
from .vote import NOBODY, RAW_PER_VOTER, Floats, Ints, age_distribution, one_vote_a_person, voter_weights

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
        people = np.arange(len(X)) if groups is None else np.asarray(groups)
        if people.shape != (len(X),):
            raise ValueError(f"groups {people.shape}: one for each of {len(X)} samples")
        self._people = np.unique(people, return_inverse=True)[1].astype(np.int64)
        self._mean = X.mean(axis=0)
        self._matrix = _discriminants(X, kinds) if self.space == "lda" else None
        vectors = self._project(X)
        self._gallery = Gallery(vectors.shape[1])
        self._gallery.add(vectors, np.arange(len(X)))

    def _project(self, X: Floats) -> Floats:  # noqa: N803
        if self._matrix is None:  # a vector of zeros has no direction; beside others the constant is nothing
            return np.asarray(np.column_stack([X, np.full(len(X), 1e-6)]), np.float32)
        return np.asarray(np.column_stack([(X - self._mean) @ self._matrix, np.full(len(X), LIFT)]), np.float32)

    def _voters(self, X: npt.ArrayLike) -> tuple[Ints, Floats]:  # noqa: N803
        """Gallery rows and similarities (n, k) of the nearest people."""
        check_is_fitted(self)
        checked = validate_data(self, X, reset=False)
        found = self._gallery.search(self._project(checked), min(len(self._gallery), self.n_voters * RAW_PER_VOTER))
        nobody = np.full(len(checked), NOBODY)
        return one_vote_a_person(found.ids, found.similarities, self._people, nobody, self.n_voters)


class AgeVoteClassifier(ClassifierMixin, _Vote):  # type: ignore[misc]
    """Age bands, or any classes, by a vote of the nearest people in a space in which near means alike in class.

    Args:
        n_voters: people who vote, the nearest ones.
        temperature: of the softmax over cosine similarities; small: the nearest decide.
        correction: exponent of the class-prior correction, 0 (as voted) to 1 (as if all classes were equally common).
        space: ``lda`` (linear discriminants with shrinkage) or ``cosine`` (the vectors as they are).

    Attributes:
        classes_: (c,) sorted classes.

    ``fit`` takes ``groups`` (n,), the person of each sample: several photos of one person have one vote.
    """

    def __init__(
        self, n_voters: int = 30, temperature: float = 0.07, correction: float = 0.0, space: str = "lda"
    ) -> None:
        super().__init__(n_voters, temperature, space)
        self.correction = correction

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Self:  # noqa: N803
        """Learn the space and fill the gallery: X (n, d) numbers, y (n,) classes.

        Raises:
            ValueError: wrong shapes or settings, or y is no set of classes.
        """
        checked, labels = validate_data(self, X, y)
        check_classification_targets(labels)
        self.classes_, kinds = np.unique(labels, return_inverse=True)
        self._fit(checked, kinds, groups)
        self._ballots = np.eye(len(self.classes_), dtype=np.float32)[kinds]
        first = np.unique(self._people, return_index=True)[1]
        self._prior = self._ballots[first].mean(axis=0)
        return self

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:  # noqa: N803
        """Share of the vote of each class (n, c), corrected by how common it is; rows sum to 1."""
        rows, similarities = self._voters(X)
        votes = age_distribution(rows, similarities, self._ballots, self.temperature).astype(np.float64)
        votes /= np.maximum(self._prior, np.finfo(np.float32).tiny) ** self.correction
        return np.asarray(votes / votes.sum(axis=1, keepdims=True))

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:  # noqa: N803
        """The class with the largest share (n,)."""
        shares = self.predict_proba(X)
        return np.asarray(self.classes_[shares.argmax(axis=1)])


class AgeVoteRegressor(RegressorMixin, _Vote):  # type: ignore[misc]
    """Ages in years by a vote of the nearest people: their weighted median, in a space in which near means near in age.

    Args:
        n_voters: people who vote, the nearest ones.
        temperature: of the softmax over cosine similarities; small: the nearest decide.
        space: ``lda`` (linear discriminants of bins of five years, with shrinkage) or ``cosine`` (the vectors as they
            are).

    ``fit`` takes ``groups`` (n,), the person of each sample: several photos of one person have one vote.
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
        ages = np.where(rows < 0, np.inf, self._ages[rows])  # who is missing weighs nothing
        order = np.argsort(ages, axis=1, kind="stable")
        below = np.cumsum(np.take_along_axis(weights, order, 1), axis=1)
        places = [(below < q * below[:, -1:]).sum(axis=1) for q in quantiles]
        return np.asarray(np.take_along_axis(np.take_along_axis(ages, order, 1), np.stack(places, 1), 1))


def _discriminants(X: Floats, kinds: Ints) -> npt.NDArray[np.float64]:  # noqa: N803
    """A matrix (d, k) in whose space the spread within a kind is 1; all of one spread where the kinds tell nothing."""
    usable = np.isin(kinds, np.flatnonzero(np.bincount(kinds) >= MIN_BIN))
    spread = float(X.std())
    whole: npt.NDArray[np.float64] = np.eye(X.shape[1]) / (spread or 1.0)
    if len(np.unique(kinds[usable])) < 2:
        return whole
    lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE)
    try:
        lda.fit(X[usable], kinds[usable])
    except np.linalg.LinAlgError:  # nothing varies within the kinds
        return whole
    return np.asarray(lda.scalings_[:, : len(lda.classes_) - 1], np.float64)
