from __future__ import annotations

from itertools import combinations
from math import isnan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.data.face_set import open_face_set
from maskcls.classify.data.identity import infer_identities
from maskcls.classify.metrics.people_quality import Quality, b_cubed, pairwise

Cell = int | str | None


def shares(quality: Quality) -> tuple[float, float, float]:
    return quality.precision, quality.recall, quality.f1


def enumerated_pairs(inferred: list[int], truth: list[int]) -> tuple[int, int, int]:
    """Pairs put together rightly, put together, and truly together."""
    pairs = list(combinations(range(len(truth)), 2))
    joined = {(i, j) for i, j in pairs if inferred[i] == inferred[j]}
    same = {(i, j) for i, j in pairs if truth[i] == truth[j]}
    return len(joined & same), len(joined), len(same)


def enumerated_b_cubed(inferred: list[int], truth: list[int]) -> tuple[float, float]:
    faces = range(len(truth))
    precision, recall = [], []
    for i in faces:
        group = {j for j in faces if inferred[j] == inferred[i]}
        person = {j for j in faces if truth[j] == truth[i]}
        precision.append(len(group & person) / len(group))
        recall.append(len(group & person) / len(person))
    return float(np.mean(precision)), float(np.mean(recall))


@pytest.mark.parametrize(
    ("inferred", "truth", "pairs", "faces"),
    [
        pytest.param("aabb", "xxyy", (1, 1, 1, 2), (1, 1, 1), id="perfect"),
        pytest.param("aaaa", "xxyy", (1 / 3, 1, 1 / 2, 6), (1 / 2, 1, 2 / 3), id="all-in-one"),
        pytest.param("abab", "xxyy", (0, 0, 0, 2), (1 / 2, 1 / 2, 1 / 2), id="crossed"),
        pytest.param("aabbb", "xxxyy", (1 / 2, 1 / 2, 1 / 2, 4), (11 / 15, 11 / 15, 11 / 15), id="one-astray"),
        pytest.param("aab", "xxx", (1, 1 / 3, 1 / 2, 1), (1, 5 / 9, 5 / 7), id="split-up"),
    ],
)
def test_by_hand(
    inferred: str, truth: str, pairs: tuple[float, float, float, int], faces: tuple[float, float, float]
) -> None:
    by_pair, by_face = pairwise(list(inferred), list(truth)), b_cubed(list(inferred), list(truth))
    assert shares(by_pair) == pytest.approx(pairs[:3])
    assert shares(by_face) == pytest.approx(faces)
    assert by_pair.pairs == by_face.pairs == pairs[3]


@pytest.mark.parametrize(
    ("inferred", "truth", "expected"),
    [
        pytest.param("abc", "xxy", (None, 0, 0), id="nothing-joined"),
        pytest.param("aab", "xyz", (0, None, 0), id="everyone-once"),
        pytest.param("abc", "xyz", (None, None, None), id="no-pairs-at-all"),
        pytest.param("", "", (None, None, None), id="no-faces"),
    ],
)
def test_shares_of_nothing_are_nan(inferred: str, truth: str, expected: tuple[float | None, ...]) -> None:
    found = shares(pairwise(list(inferred), list(truth)))
    assert tuple(None if isnan(share) else share for share in found) == expected


def test_b_cubed_of_no_faces_is_nan() -> None:
    assert all(map(isnan, shares(b_cubed([], []))))


@pytest.mark.parametrize("measure", [pairwise, b_cubed])
@pytest.mark.parametrize(
    "truth",
    [
        pytest.param(["x", None, "x", "y", float("nan")], id="list"),
        pytest.param(pd.Series(["x", None, "x", "y", None], index=[5, 4, 3, 2, 1], dtype="str"), id="series"),
    ],
)
def test_unknown_people_count_nowhere(measure: object, truth: object) -> None:
    assert measure([0, 0, 0, 1, 1], truth) == measure([0, 0, 1], ["x", "x", "y"])  # type: ignore[operator]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_like_counting_one_by_one(faces: list[tuple[int, int]]) -> None:
    inferred, truth = [group for group, _ in faces], [person for _, person in faces]
    right, joined, same = enumerated_pairs(inferred, truth)
    by_pair, by_face = pairwise(inferred, truth), b_cubed(inferred, truth)
    nothing = float("nan")
    assert shares(by_pair) == pytest.approx(
        (
            right / joined if joined else nothing,
            right / same if same else nothing,
            2 * right / (joined + same) if joined + same else nothing,
        ),
        nan_ok=True,
    )
    assert by_pair.pairs == by_face.pairs == joined
    precision, recall = enumerated_b_cubed(inferred, truth)
    assert shares(by_face) == pytest.approx((precision, recall, 2 * precision * recall / (precision + recall)))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_turned_round_precision_is_recall(faces: list[tuple[int, int]]) -> None:
    inferred, truth = np.array(faces).T
    for measure in (pairwise, b_cubed):
        one, other = measure(inferred, truth), measure(truth, inferred)
        assert (one.precision, one.f1) == pytest.approx((other.recall, other.f1), nan_ok=True)


def test_a_million_faces_are_not_counted_pair_by_pair(rng: np.random.Generator) -> None:
    truth = rng.integers(0, 100_000, 1_000_000)
    assert pairwise(truth % 50_000, truth).recall == 1
    assert b_cubed(truth, truth // 2).precision == 1


def test_real_groups_with_names_join_all_faces_of_a_name(contest_faces: Path) -> None:
    pool = open_face_set([contest_faces])
    quality = pairwise(pool.people, pool.table["person"])
    assert quality.recall == 1
    assert quality.precision > 0.9
    assert b_cubed(pool.people, pool.table["person"]).recall == 1


@pytest.mark.parametrize(
    ("masked", "least_recall"), [pytest.param(False, 0.6, id="bare"), pytest.param(True, 0.3, id="masked")]
)
def test_real_groups_without_names_are_nearly_pure(contest_faces: Path, masked: bool, least_recall: float) -> None:
    pool = open_face_set([contest_faces])
    rows = np.flatnonzero((pool.table["mask"] == "wear").to_numpy() == masked)
    table = pool.table.iloc[rows].reset_index(drop=True)
    groups = infer_identities(pool.embeddings[rows], pd.Series([None] * len(rows), dtype="str"), table["mask"])
    quality = pairwise(groups, table["person"])
    assert quality.precision > 0.9
    assert quality.recall > least_recall
    assert b_cubed(groups, table["person"]).precision > 0.95
