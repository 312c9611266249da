from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.labels.audit.label_noise import error_probability


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.3])
def test_the_mean_probability_is_the_share_of_wrong_labels(rng: np.random.Generator, share: float) -> None:
    wrong = rng.random(4000) < share
    scores = np.where(wrong, rng.normal(4, 1, 4000), rng.normal(-4, 1, 4000))
    found = error_probability(scores, rng.normal(4, 1, 4000))
    assert -0.02 < wrong.mean() - found.mean() < 0.08  # cautious where many are
    assert ((found > 0.5) == wrong).mean() > 0.97


def test_uninformative_scores_give_similar_probabilities(rng: np.random.Generator) -> None:
    found = error_probability(rng.normal(0, 1, 500), rng.normal(0, 1, 500))
    assert np.ptp(found) < 0.2


def test_an_informative_score_counts_more_than_noise(rng: np.random.Generator) -> None:
    useful, noise = np.r_[np.full(20, 3.0), np.full(480, -3.0)], rng.normal(0, 1, 500)
    found = error_probability(np.stack([useful, noise], axis=1), np.stack([np.full(500, 3.0), noise], axis=1))
    assert found[:20].min() > found[20:].max()


@settings(deadline=None)
@given(st.lists(st.floats(-50, 50), max_size=30), st.lists(st.floats(-50, 50), max_size=30))
def test_any_scores_give_probabilities(given_scores: list[float], wrong_scores: list[float]) -> None:
    found = error_probability(given_scores, wrong_scores)
    assert found.shape == (len(given_scores),)
    assert ((found >= 0) & (found <= 1)).all()


def test_without_examples_of_wrong_labels_probabilities_are_zero() -> None:
    assert error_probability([1.0, 2.0], []).tolist() == [0, 0]
