from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.estimator_checks import parametrize_with_checks

from maskcls import AgeVoteClassifier, AgeVoteRegressor
from maskcls.classify.age.estimators import people_of_groups

Floats = npt.NDArray[np.float64]


@parametrize_with_checks([AgeVoteClassifier(), AgeVoteRegressor(), AgeVoteRegressor(space="cosine")])  # type: ignore[untyped-decorator]
def test_scikit_learn_estimator_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture
def aged() -> tuple[Floats, Floats]:
    """300 unit vectors in whose first two numbers an age is hidden among noise."""
    random = np.random.default_rng(0)
    ages = random.uniform(10, 80, 300)
    vectors = random.normal(0, 0.3, (300, 16))
    vectors[:, 0] += ages / 20
    vectors[:, 1] += np.cos(ages / 20)
    return vectors, ages


def bands(ages: Floats) -> npt.NDArray[np.str_]:
    return np.array(["<30", "30-59", ">=60"])[np.digitize(ages, [30, 60])]


def test_ages_of_other_people(aged: tuple[Floats, Floats]) -> None:
    vectors, ages = aged
    fitted = AgeVoteRegressor().fit(vectors[:200], ages[:200])
    assert fitted.score(vectors[200:], ages[200:]) > 0.85
    low, middle, high = fitted.predict_quantiles(vectors[200:]).T
    assert ((low <= middle) & (middle <= high)).all()
    np.testing.assert_array_equal(middle, fitted.predict(vectors[200:]))
    assert np.isin(middle, ages[:200]).all()


def test_bands_of_other_people_and_shares_that_add_up(aged: tuple[Floats, Floats]) -> None:
    vectors, ages = aged
    fitted = AgeVoteClassifier().fit(vectors[:200], bands(ages[:200]))
    shares = fitted.predict_proba(vectors[200:])
    assert shares.shape == (100, 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert fitted.score(vectors[200:], bands(ages[200:])) > 0.75
    assert fitted.classes_[shares.argmax(axis=1)].tolist() == fitted.predict(vectors[200:]).tolist()


def test_a_person_has_one_vote() -> None:
    vectors = np.array([[1.0, 0.0]] * 8 + [[1.0, 0.1]] * 3 + [[0.0, 1.0]])
    labels = np.array(["young"] * 8 + ["old"] * 3 + ["young"])
    person = [0] * 8 + [1, 2, 3] + [4]
    asked = np.array([[1.0, 0.0]])
    alone = AgeVoteClassifier(space="cosine", temperature=1.0, n_voters=4).fit(vectors, labels)
    people = AgeVoteClassifier(space="cosine", temperature=1.0, n_voters=4).fit(vectors, labels, groups=person)
    assert alone.predict(asked) != people.predict(asked)
    assert people.predict_proba(asked)[0, 0] == pytest.approx(3 / 4, abs=0.01)  # old


def test_correction_for_class_frequency() -> None:
    vectors = np.tile([[1.0, 0.0]], (20, 1))
    labels = np.array(["common"] * 18 + ["rare"] * 2)
    shares = [
        AgeVoteClassifier(n_voters=20, correction=much, space="cosine").fit(vectors, labels).predict_proba(vectors[:1])
        for much in (0.0, 1.0)
    ]
    np.testing.assert_allclose(shares, [[[0.9, 0.1]], [[0.5, 0.5]]], atol=1e-5)


def test_pipelines_and_grid_search(aged: tuple[Floats, Floats]) -> None:
    vectors, ages = aged
    person = np.arange(300) // 2
    search = GridSearchCV(
        make_pipeline(Normalizer(), AgeVoteRegressor()), {"agevoteregressor__n_voters": [5, 20]}, cv=GroupKFold(3)
    )
    assert search.fit(vectors, ages, groups=person).best_score_ > 0.5
    assert cross_val_score(clone(AgeVoteClassifier()), vectors, bands(ages)).mean() > 0.7


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"n_voters": 0}, "n_voters is at least 1", id="nobody votes"),
        pytest.param({"temperature": 0.0}, "temperature above 0", id="absolute zero"),
        pytest.param({"space": "learned"}, "space 'lda' or 'cosine'", id="unknown space"),
    ],
)
def test_invalid_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AgeVoteClassifier(**settings).fit(np.eye(4), [0, 0, 1, 1])


@pytest.mark.parametrize(
    "groups",
    [
        pytest.param([np.nan] * 12, id="NaN"),
        pytest.param([None] * 12, id="None"),
        pytest.param([None, "a", np.nan, "b", *[None] * 8], id="None and text"),
        pytest.param(pd.Series(["a", *[pd.NA] * 11], dtype="string"), id="pandas"),
        pytest.param(None, id="no groups"),
    ],
)
def test_unknown_groups_are_people_of_their_own(groups: Any) -> None:
    vectors = np.array([[1.0, 0.0]] * 8 + [[1.0, 0.1]] * 3 + [[0.0, 1.0]])
    labels = np.array(["young"] * 8 + ["old"] * 3 + ["young"])
    fitted = AgeVoteClassifier(space="cosine", temperature=1e3, n_voters=12).fit(vectors, labels, groups=groups)
    assert fitted.predict_proba(vectors[:1])[0, 0] == pytest.approx(3 / 12, abs=1e-3)


def test_known_and_unknown_groups_together() -> None:
    assert people_of_groups(np.array(["a", None, "a", 3, None, np.nan], object), 6).tolist() == [0, 6, 0, 1, 7, 8]


def test_groups_have_to_fit() -> None:
    with pytest.raises(ValueError, match="groups"):
        AgeVoteRegressor().fit(np.eye(4), [1, 2, 3, 4], groups=[1, 2])
