from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.comparison.cnn.targets import order, sample_factors, sampling_weights
from maskcls.embedder.errors import MaskclsError

LABELS = [np.array([0] * 90 + [1] * 10)]
ONES = np.ones(100)


@pytest.mark.parametrize(
    ("balance", "rare"),
    [
        pytest.param(0.0, 0.1, id="as they come"),
        pytest.param(1.0, 0.5, id="all alike"),
        pytest.param(0.5, 0.25, id="in between"),
    ],
)
def test_share_of_a_rare_class(balance: float, rare: float) -> None:
    weights = sampling_weights(LABELS, balance, ONES)
    assert weights[90:].sum() / weights.sum() == pytest.approx(rare)


def test_kinds_are_made_of_all_tasks() -> None:
    two = [np.array([0, 0, 0, 1]), np.array([0, 0, 1, -1])]
    weights = sampling_weights(two, 1.0, np.ones(4))
    np.testing.assert_allclose(weights / weights[0], [1, 1, 2, 2])


def test_factors_of_race_and_source() -> None:
    table = pd.DataFrame({"race": ["Asian", "White", None], "source": ["contest", "fairface", "fairface"]}, dtype="str")
    factors = sample_factors(table, {"race:asian": 2, "source:fairface": 0.5})
    np.testing.assert_array_equal(factors, [2, 0.5, 0.5])
    with pytest.raises(MaskclsError, match=r"--weight race:martian: no face has this race; there are: Asian, White"):
        sample_factors(table, {"race:martian": 2})


def test_even_weights_show_every_face_once() -> None:
    rows = order(ONES, 0, 3)
    assert sorted(rows) == list(range(100))
    assert list(rows) == list(order(ONES, 0, 3))
    assert list(rows) != list(order(ONES, 0, 4))


def test_drawn_as_often_as_weighed() -> None:
    weights = sampling_weights(LABELS, 1.0, ONES)
    drawn = np.concatenate([order(weights, 0, epoch) for epoch in range(60)])
    assert (drawn >= 90).mean() == pytest.approx(0.5, abs=0.03)
