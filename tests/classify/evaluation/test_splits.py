from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maskcls.classify.data.face_set import FaceSet, Rows, merge_sets, open_face_set
from maskcls.classify.evaluation.splits import (
    fold_counts,
    labels_of,
    person_folds,
    pool_folds,
    read_split,
    scarce_classes,
    strata_of,
    write_split,
)
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.faceset.store import EmbeddingSet
from maskcls.embedder.labels import AGE_BANDS

MakeSet = Callable[..., EmbeddingSet]


@st.composite
def labelled_people(draw: st.DrawFn) -> tuple[Rows, npt.NDArray[np.int64], int]:
    """People, strata and a number of folds that is not above the number of people."""
    folds = draw(st.integers(2, 6))
    numbers = draw(st.lists(st.integers(-3, 50), min_size=folds, max_size=15, unique=True))
    faces = numbers + draw(st.lists(st.sampled_from(numbers), max_size=40))
    strata = draw(st.lists(st.integers(0, 5), min_size=len(faces), max_size=len(faces)))
    return np.array(faces, np.int64), np.array(strata, np.int64), folds


@settings(deadline=None)
@given(labelled_people(), st.integers(0, 2**32 - 1))
@example(
    (np.array([0, 1, 2, 3, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0]), np.array([1, 1, 2, 2, 3, 4, 3, 2, 0, 0, 1, 5, 1, 3]), 4), 0
)
def test_every_face_has_a_fold_and_every_person_one(given: tuple[Rows, Rows, int], seed: int) -> None:
    people, strata, folds = given
    fold = person_folds(people, strata, folds, seed)
    assert fold.shape == people.shape
    assert fold.dtype == np.int64
    assert set(fold.tolist()) == set(range(folds))
    assert all(len(set(fold[people == person].tolist())) == 1 for person in people)


@settings(deadline=None)
@given(labelled_people(), st.integers(0, 99), st.randoms())
def test_same_seed_same_folds_in_any_row_order(given: tuple[Rows, Rows, int], seed: int, random: object) -> None:
    people, strata, folds = given
    fold = person_folds(people, strata, folds, seed)
    order = np.arange(len(people))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert person_folds(people[order], strata[order], folds, seed).tolist() == fold[order].tolist()
    words = np.array(["abcdef"[stratum] for stratum in strata])
    assert person_folds(people, words, folds, seed).tolist() == fold.tolist()


def test_another_seed_makes_other_folds() -> None:
    people = np.arange(100)
    assert person_folds(people, people % 3, 5, 0).tolist() != person_folds(people, people % 3, 5, 1).tolist()


@pytest.mark.parametrize(
    "strata",
    [
        pytest.param([None] * 30, id="no-label"),
        pytest.param(["a", None, float("nan")] * 10, id="some-missing"),
        pytest.param(list(range(30)), id="each-face-its-own"),
        pytest.param([0] * 29 + [1], id="one-rare"),
    ],
)
def test_odd_strata(strata: list[object], recwarn: pytest.WarningsRecorder) -> None:
    fold = person_folds(np.repeat(np.arange(10), 3), np.array(strata, object), 5, 0)
    assert np.bincount(fold).tolist() == [6] * 5
    assert not recwarn.list


def test_folds_keep_the_shares_of_strata(rng: np.random.Generator) -> None:
    people = np.repeat(np.arange(500), 4)
    strata = np.repeat(rng.choice(3, 500, p=[0.7, 0.25, 0.05]), 4)
    counts = pd.crosstab(person_folds(people, strata, 5, 0), strata)
    assert (counts.max() - counts.min() <= 4).all()


@pytest.mark.parametrize(
    ("people", "folds", "words"),
    [
        pytest.param([0, 0, 1, 1], 3, "3 folds need 3 people, and there are 2", id="too-few-people"),
        pytest.param([], 2, "2 folds need 2 people, and there are 0", id="nobody"),
        pytest.param([0, 1, 2], 1, "at least 2 folds, not 1", id="one-fold"),
        pytest.param([0, 1, 2], 0, "at least 2 folds, not 0", id="no-fold"),
    ],
)
def test_folds_that_cannot_be_made(people: list[int], folds: int, words: str) -> None:
    with pytest.raises(MaskclsError, match=words) as caught:
        person_folds(np.array(people, np.int64), people, folds, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"mask": "wear", "gender": "male", "age": 29.0}, "wear/male/<30", id="all-known"),
        pytest.param({"mask": "normal", "gender": "female", "age": 60}, "normal/female/>=60", id="sixty"),
        pytest.param({"age_low": 25, "age_high": 34}, "unknown/unknown/<30", id="middle-29.5"),
        pytest.param({"age_low": 20, "age_high": 40}, "unknown/unknown/30-59", id="middle-30"),
        pytest.param({"age_low": 60, "age_high": 100}, "unknown/unknown/>=60", id="open-band"),
        pytest.param({"mask": "incorrect"}, "incorrect/unknown/unknown", id="mask-alone"),
        pytest.param({}, "unknown/unknown/unknown", id="nothing-known"),
    ],
)
def test_strata(make_set: MakeSet, labels: dict[str, object], expected: str) -> None:
    table = merge_sets([make_set(2, **labels)]).table
    assert strata_of(table).tolist() == [expected] * 2
    assert labels_of(table).notna().all(axis=None)


def test_scarce_classes(make_set: MakeSet) -> None:
    person = [f"p{i // 2}" for i in range(12)]
    mask = ["wear", "normal"] * 5 + ["incorrect", "normal"]
    pool = merge_sets([make_set(12, person=person, mask=mask, gender=["male"] * 6 + [None] * 6, age=40)])
    assert scarce_classes(pool, 3) == ["mask incorrect: fewer people (1) than folds (3), so some folds have none"]
    assert scarce_classes(pool, 4) == [
        "mask incorrect: fewer people (1) than folds (4), so some folds have none",
        "gender male: fewer people (3) than folds (4), so some folds have none",
    ]
    assert scarce_classes(pool.subset(np.arange(4)), 2) == []


def test_fold_counts(make_set: MakeSet) -> None:
    person = ["a", "a", "b", "c", None]
    pool = merge_sets([make_set(5, person=person, age=[20.0, 70.0, 30.0, None, None])])
    counts = fold_counts(pool, np.array([1, 1, 0, 1, 0]))
    assert list(counts.columns) == ["people", "faces", *AGE_BANDS, "unknown"]
    assert counts.to_numpy().tolist() == [[2, 2, 0, 1, 0, 1], [2, 3, 1, 0, 1, 1]]


def test_real_folds_are_alike_and_leak_nobody(pool: FaceSet, tmp_path: Path) -> None:
    fold = pool_folds(pool, 5, 0)
    assert (pd.Series(fold).groupby(pool.people).nunique() == 1).all()
    counts = fold_counts(pool, fold)
    assert counts["faces"].sum() == len(pool)
    assert counts["people"].sum() == len(set(pool.people.tolist()))
    spread = counts.max() - counts.min()
    assert (spread[["faces", *AGE_BANDS]] <= 15).all()
    write_split(tmp_path / "split.csv", pool, fold)
    assert read_split(tmp_path / "split.csv", pool).fold.tolist() == fold.tolist()


def test_folds_do_not_depend_on_the_order_of_sets(make_set: MakeSet) -> None:
    sets = [make_set(20, seed=seed, person=[f"p{i // 3}" for i in range(20)], age=30 * seed) for seed in (1, 2)]
    one, other = (
        dict(zip(pool.table["face_id"], pool_folds(pool, 4, 0).tolist(), strict=True))
        for pool in (merge_sets(sets), merge_sets(sets[::-1]))
    )
    assert one == other


def test_real_folds_do_not_depend_on_the_order_of_faces_or_sets(
    pool: FaceSet, contest_faces: Path, utkface_faces: Path, tmp_path: Path
) -> None:
    fold = pool_folds(pool, 5, 3)
    shuffled = np.random.default_rng(0).permutation(len(pool))
    assert pool_folds(pool.subset(shuffled), 5, 3).tolist() == fold[shuffled].tolist()
    turned = open_face_set([utkface_faces, contest_faces])
    for name, one in (("a.csv", pool), ("b.csv", turned)):
        write_split(tmp_path / name, one, pool_folds(one, 5, 3))
    first, second = (sorted((tmp_path / name).read_text().splitlines()) for name in ("a.csv", "b.csv"))
    assert first == second
