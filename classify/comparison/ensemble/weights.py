"""Weights of an ensemble: convex combinations with the least loss on faces of people they are not used for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog, minimize
from scipy.sparse import diags_array, hstack, vstack

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST = 5e-5
"""A probability written as 0.0000 may be this large: answers have four decimals."""


def log_loss_weights(probabilities: Floats, truth: Ints) -> Floats:
    """Weights (m,), none negative, sum 1, whose mixture of m models has the least log loss.

    A linear opinion pool (Stone 1961); the loss is convex in the weights, so that there is one minimum.

    Args:
        probabilities: (m, n, k) of k classes.
        truth: (n,) class numbers; without any face all weights are equal.
    """
    count = len(probabilities)
    right = probabilities[:, np.arange(len(truth)), truth] + LEAST

    def loss(weights: Floats) -> tuple[float, Floats]:
        mixed = weights @ right
        return float(-np.log(mixed).mean()), -(right / mixed).mean(axis=1)

    equal = np.full(count, 1 / count)
    if count == 1 or not len(truth):
        return equal
    constraint = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(count)}
    found = minimize(
        loss,
        equal,
        jac=True,
        bounds=[(0, 1)] * count,
        constraints=constraint,
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    ).x
    return _on_simplex(found)


def absolute_error_weights(ages: Floats, low: Floats, high: Floats) -> Floats:
    """Weights (m,), none negative, sum 1, whose mixture of m ages has the least mean distance from the true ages.

    A linear program, solved exactly (least absolute deviations; Charnes, Cooper & Ferguson 1955).

    Args:
        ages: (m, n) predicted years.
        low, high: (n,) true ages or bands; within a band the distance is 0.
    """
    count, faces = ages.shape
    if count == 1 or not faces:
        return np.full(count, 1 / count)
    off = -diags_array(np.ones(faces))
    years = np.asarray(ages.T, np.float64)
    found = linprog(
        np.concatenate([np.zeros(count), np.full(faces, 1 / faces)]),
        A_ub=vstack([hstack([years, off]), hstack([-years, off])], format="csr"),
        b_ub=np.concatenate([high, -low]),
        A_eq=np.concatenate([np.ones(count), np.zeros(faces)])[None],
        b_eq=[1],
        method="highs",
    )
    return _on_simplex(found.x[:count])


def _on_simplex(weights: Floats) -> Floats:
    """Without the optimiser's rounding."""
    kept = np.where(weights < 1e-9, 0, weights)
    return np.asarray(kept / kept.sum(), np.float64)
