"""One suite for every backend: FAISS, exact and inverted file, and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskcls.index.base import VectorGallery, normalised, positions, recall

Floats = npt.NDArray[np.float32]
Make = Callable[[int], VectorGallery]
BIG_ID = 2**63 - 1
CLOSE = 1e-3
"""Half precision over vectors of unit length."""
quick = settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


def unit_rows(count: int, dimension: int, seed: int = 0) -> Floats:
    return normalised(np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32))


def filled(gallery: VectorGallery, vectors: Floats, ids: list[int]) -> VectorGallery:
    gallery.add(vectors, np.array(ids, np.int64))
    return gallery


@quick
@given(
    count=st.integers(1, 60),
    dimension=st.integers(2, 24),
    k=st.integers(1, 70),
    scale=st.sampled_from([1e-3, 1.0, 50.0]),
    seed=st.integers(0, 2**16),
)
def test_a_small_gallery_equals_brute_force(
    make: Make, count: int, dimension: int, k: int, scale: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    stored = random.standard_normal((count, dimension)).astype(np.float32)
    queries = random.standard_normal((5, dimension)).astype(np.float32)
    ids = random.permutation(10 * count)[:count].astype(np.int64)
    gallery = make(dimension)
    gallery.add(stored * np.float32(scale), ids)

    found = gallery.search(queries / np.float32(scale), k)

    exact = normalised(queries) @ normalised(stored).T
    present = min(k, count)
    assert found.ids.shape == found.similarities.shape == (5, k)
    best = np.sort(exact, axis=1)[:, ::-1][:, :k]
    np.testing.assert_allclose(found.similarities[:, :present], best, atol=CLOSE)
    for row in range(5):
        columns = [ids.tolist().index(number) for number in found.ids[row, :present].tolist()]
        assert len(set(columns)) == present
        np.testing.assert_allclose(exact[row, columns], found.similarities[row, :present], atol=CLOSE)
    assert (found.ids[:, present:] == -1).all()
    assert np.isneginf(found.similarities[:, present:]).all()


@quick
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 15)), max_size=30))
def test_any_order_of_edits_keeps_ids_and_vectors_together(make: Make, edits: list[tuple[bool, int]]) -> None:
    vectors = unit_rows(16, 6)
    gallery, expected = make(6), set[int]()
    for adding, number in edits:
        one = np.array([number])
        if adding and number not in expected:
            gallery.add(vectors[one], one)
            expected.add(number)
        elif not adding:
            assert gallery.remove(one) == (number in expected)
            expected.discard(number)
    assert gallery.ids.tolist() == sorted(expected)
    np.testing.assert_allclose(gallery.vectors(gallery.ids), vectors[sorted(expected)], atol=CLOSE)
    if expected:
        nearest = gallery.search(vectors[sorted(expected)], 1).ids[:, 0]
        assert nearest.tolist() == sorted(expected)


def test_recall_after_many_edits(make: Make, clustered: Floats) -> None:
    ids = np.random.default_rng(0).permutation(10**6)[: len(clustered)].astype(np.int64)
    gallery = make(clustered.shape[1])
    gallery.add(clustered[:6000], ids[:6000])
    gallery.add(clustered[6000:], ids[6000:])
    assert gallery.remove(np.append(ids[100:900], 10**7)) == 800
    left = np.delete(np.arange(len(clustered)), np.arange(100, 900))
    asked = clustered[left[::40]]
    exact = np.argsort(-(asked @ clustered[left].T), axis=1)[:, :20]
    found = gallery.search(asked, 20)
    assert recall(found.ids, ids[left[exact]]) >= 0.95
    assert len(gallery) == len(left)
    assert not np.isin(found.ids, ids[100:900]).any()
    np.testing.assert_allclose(gallery.vectors(ids[left[::90]]), clustered[left[::90]], atol=CLOSE)


def test_the_largest_id_and_zero(make: Make) -> None:
    vectors = unit_rows(3, 16)
    gallery = filled(make(16), vectors, [BIG_ID, 0, 12])
    assert gallery.ids.tolist() == [0, 12, BIG_ID]
    assert gallery.search(vectors, 1).ids.ravel().tolist() == [BIG_ID, 0, 12]
    np.testing.assert_allclose(gallery.vectors(np.array([12, BIG_ID])), vectors[[2, 0]], atol=CLOSE)
    assert gallery.remove(np.array([BIG_ID])) == 1
    assert gallery.ids.tolist() == [0, 12]


def test_similarities_stay_within_minus_one_and_one(make: Make) -> None:
    vectors = unit_rows(60, 128)
    gallery = filled(make(128), vectors, list(range(60)))
    for queries in (vectors, -vectors):
        similarities = gallery.search(queries, 60).similarities
        assert similarities.min() >= -1
        assert similarities.max() <= 1


def test_vectors_are_returned_as_unit_vectors_in_the_order_of_the_ids(make: Make) -> None:
    vectors = unit_rows(6, 8)
    gallery = filled(make(8), 3 * vectors, [50, 40, 30, 20, 10, 0])
    asked = gallery.vectors(np.array([0, 30, 50, 30]))
    np.testing.assert_allclose(asked, vectors[[5, 2, 0, 2]], atol=CLOSE)
    np.testing.assert_allclose(np.linalg.norm(asked, axis=1), 1, atol=1e-5)
    assert gallery.vectors(np.empty(0, np.int64)).shape == (0, 8)
    with pytest.raises(KeyError):
        gallery.vectors(np.array([0, 3]))


def test_a_copy_is_edited_alone(make: Make) -> None:
    vectors = unit_rows(5, 8)
    gallery = filled(make(8), vectors[:4], [4, 3, 2, 1])
    copy = gallery.copy()
    copy.remove(np.array([3]))
    copy.add(vectors[4:], np.array([9]))
    assert (gallery.ids.tolist(), copy.ids.tolist()) == ([1, 2, 3, 4], [1, 2, 4, 9])
    np.testing.assert_allclose(copy.vectors(np.array([4, 9])), vectors[[0, 4]], atol=CLOSE)
    assert gallery.search(vectors, 1).ids.ravel().tolist()[:4] == [4, 3, 2, 1]


def test_an_empty_gallery_finds_nothing(make: Make) -> None:
    gallery = make(4)
    for one in (gallery, gallery.copy()):
        found = one.search(unit_rows(2, 4), 3)
        assert (found.ids == -1).all()
        assert np.isneginf(found.similarities).all()
        assert len(one) == len(one.ids) == one.remove(np.array([1])) == 0
    gallery.add(np.empty((0, 4), np.float32), np.empty(0, np.int64))
    assert len(gallery) == 0


@pytest.mark.parametrize("count", [0, 3])
def test_no_queries_or_k_of_zero(make: Make, count: int) -> None:
    gallery = filled(make(4), unit_rows(count, 4), list(range(count)))
    assert gallery.search(unit_rows(2, 4), 0).ids.shape == (2, 0)
    assert gallery.search(np.empty((0, 4), np.float32), 2).similarities.shape == (0, 2)


@pytest.mark.parametrize(
    ("vectors", "ids"),
    [
        pytest.param(unit_rows(2, 4), [5, 5], id="repeated"),
        pytest.param(unit_rows(2, 4), [2, 1], id="already there"),
        pytest.param(unit_rows(2, 4), [2, -1], id="negative"),
        pytest.param(unit_rows(2, 4), [2], id="fewer ids than vectors"),
        pytest.param(unit_rows(2, 3), [2, 3], id="wrong dimension"),
        pytest.param(np.array([[0, 0, 0, 0]], np.float32), [2], id="zero vector"),
        pytest.param(np.array([[0, np.nan, 0, 1]], np.float32), [2], id="NaN"),
        pytest.param(np.array([[0, np.inf, 0, 1]], np.float32), [2], id="infinity"),
        pytest.param(np.array([1, 0, 0, 0], np.float32), [2], id="one-dimensional"),
    ],
)
def test_refused_additions_change_nothing(make: Make, vectors: Floats, ids: list[int]) -> None:
    gallery = filled(make(4), unit_rows(1, 4), [1])
    with pytest.raises(ValueError, match=r".+"):
        gallery.add(vectors, np.array(ids))
    assert gallery.ids.tolist() == [1]
    assert gallery.search(unit_rows(1, 4), 3).ids.tolist() == [[1, -1, -1]]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_query_without_direction_is_refused(make: Make, value: float) -> None:
    gallery = filled(make(4), unit_rows(1, 4), [1])
    with pytest.raises(ValueError, match="zero or not finite"):
        gallery.search(np.full((1, 4), value, np.float32), 1)


@settings(deadline=None)
@given(st.lists(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_places_are_where_ids_stand(ids: list[int], among: set[int]) -> None:
    ordered = sorted(among)
    expected = [ordered.index(number) if number in among else -1 for number in ids]
    assert positions(np.array(ids, np.int64), np.array(ordered, np.int64)).tolist() == expected


def test_recall_counts_true_neighbours() -> None:
    exact = np.array([[1, 2, 3], [4, 5, -1]])
    assert recall(np.array([[3, 9, 1], [5, -1, 4]]), exact) == 4 / 5
    assert recall(np.empty((0, 3), np.int64), np.empty((0, 3), np.int64)) == 0
