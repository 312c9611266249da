"""From a score to the probability that a label is wrong, without knowing any wrong label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Floats = npt.NDArray[np.float64]

START = 0.02
LEAST = 1e-4
ROUNDS = 100


def wrong_probability(given: npt.ArrayLike, wrong: npt.ArrayLike) -> Floats:
    """How likely each of n labels is wrong (n,), 0-1.

    Scores of labels as given are a mixture of scores of right and of wrong labels. What wrong labels score is known:
    they are made, by giving faces other labels. Logistic regression between the two is the ratio of their densities
    at each score, and the share of wrong labels is the one that its own answers have on average (expectation
    maximisation, Dempster, Laird & Rubin 1977). Many wrong labels among the given ones make it cautious: they are
    taken for right ones when the ratio is fitted.

    Args:
        given: (n,) or (n, f) scores of the labels.
        wrong: (m,) or (m, f) scores that made-up wrong labels get.
    """
    first, second = (np.asarray(part, np.float64).reshape(len(np.asarray(part)), -1) for part in (given, wrong))
    if not len(first) or not len(second):
        return np.zeros(len(first))
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    model.fit(np.concatenate([first, second]), np.repeat([0, 1], [len(first), len(second)]))
    ratio = np.exp(model.decision_function(first).clip(-50, 50))
    share = START
    for _ in range(ROUNDS):
        probability = share * ratio / (share * ratio + 1 - share)
        share = max(float(probability.mean()), LEAST)
    return np.asarray(probability, np.float64)
