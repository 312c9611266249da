"""From a score to the probability that a label is wrong, without knowing any wrong label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

Floats = npt.NDArray[np.float64]

START_SHARE = 0.02
MIN_SHARE = 1e-4
MAX_SHARE = 0.5
"""A set with more wrong labels than right ones cannot tell the two apart."""
WEAK_PENALTY = 100.0
ROUNDS = 8
SHARE_ROUNDS = 100


def error_probability(given: npt.ArrayLike, wrong: npt.ArrayLike) -> Floats:
    """Probability (n,), 0-1, that each of n labels is wrong.

    Scores of given labels are a mixture of scores of right and of wrong labels. Scores of wrong labels are known: they
    are made by giving faces other labels. Logistic regression between the two estimates the ratio of their densities at
    each score, and the share of wrong labels is the mean of the probabilities that follow from it (expectation
    maximisation, Dempster, Laird & Rubin 1977). Labels found to be wrong then count less as examples of right ones, and
    the ratio is fitted again, a few times.

    Args:
        given: (n,) or (n, f) scores of the given labels.
        wrong: (m,) or (m, f) scores of labels that are wrong on purpose.
    """
    first, second = (np.asarray(part, np.float64) for part in (given, wrong))
    if not len(first) or not len(second):
        return np.zeros(len(first))
    scores = np.concatenate([first.reshape(len(first), -1), second.reshape(len(second), -1)])
    scores = StandardScaler().fit_transform(scores)
    truth = np.repeat([0, 1], [len(first), len(second)])
    probability = np.zeros(len(first))
    for _ in range(ROUNDS):
        right = 1 - probability
        weight = np.concatenate([right / right.sum(), np.full(len(second), 1 / len(second))]) * len(first)
        model = LogisticRegression(C=WEAK_PENALTY).fit(scores, truth, weight)
        ratio = np.exp(model.decision_function(scores[: len(first)]).clip(-50, 50))
        share = START_SHARE
        for _ in range(SHARE_ROUNDS):
            probability = share * ratio / (share * ratio + 1 - share)
            share = float(np.clip(probability.mean(), MIN_SHARE, MAX_SHARE))
    return np.asarray(probability, np.float64)
