from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.comparison.ensemble.weights import LEAST, absolute_error_weights, log_loss_weights

shapes = st.tuples(st.integers(1, 4), st.integers(0, 40), st.integers(0, 2**32 - 1))


def on_simplex(weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    return bool((weights >= 0).all() and abs(weights.sum() - 1) < 1e-12)


@settings(max_examples=40, deadline=None)
@given(shapes)
def test_log_loss_weights_are_convex_and_no_other_weights_are_better(shape: tuple[int, int, int]) -> None:
    members, faces, seed = shape
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(3), (members, faces))
    truth = random.integers(0, 3, faces)
    weights = log_loss_weights(probabilities, truth)
    assert weights.shape == (members,)
    assert on_simplex(weights)
    if faces:
        right = probabilities[:, np.arange(faces), truth] + LEAST
        least = -np.log(weights @ right).mean()
        for other in [*np.eye(members), *random.dirichlet(np.ones(members), 20)]:
            assert least <= -np.log(other @ right).mean() + 1e-6


@settings(max_examples=40, deadline=None)
@given(shapes)
def test_absolute_error_weights_are_convex_and_no_other_weights_are_better(shape: tuple[int, int, int]) -> None:
    members, faces, seed = shape
    random = np.random.default_rng(seed)
    low = random.integers(0, 90, faces).astype(float)
    high = low + random.integers(0, 2, faces) * 9.0
    ages = low + 10 * random.standard_normal((members, faces))
    weights = absolute_error_weights(ages, low, high)
    assert on_simplex(weights)

    def error(other: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        predicted = other @ ages
        return float(np.maximum(low - predicted, predicted - high).clip(0).mean())

    if faces:
        for other in [*np.eye(members), *random.dirichlet(np.ones(members), 20)]:
            assert error(weights) <= error(other) + 1e-6


@pytest.mark.parametrize("members", [1, 2, 5])
def test_without_a_face_all_weights_are_equal(members: int) -> None:
    nothing = np.empty((members, 0, 3)), np.empty(0, np.int64)
    assert log_loss_weights(*nothing).tolist() == [1 / members] * members
    assert absolute_error_weights(np.empty((members, 0)), np.empty(0), np.empty(0)).tolist() == [1 / members] * members


def test_who_knows_gets_the_weight_and_copies_share_it() -> None:
    truth = np.arange(60) % 3
    knows = np.full((60, 3), 0.05)
    knows[np.arange(60), truth] = 0.9
    guesses = np.full((60, 3), 1 / 3)
    assert log_loss_weights(np.stack([guesses, knows]), truth).tolist() == pytest.approx([0, 1], abs=1e-6)
    ages = np.linspace(20, 70, 60)
    assert absolute_error_weights(np.stack([ages, ages + 7]), ages, ages).tolist() == [1, 0]
    assert absolute_error_weights(np.stack([ages - 2, ages + 6]), ages, ages) == pytest.approx([0.75, 0.25])
