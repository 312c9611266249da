from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.embedder.errors import MaskclsError
from maskcls.index.gallery import Gallery, normalised

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
BIG_ID = 2**63 - 1


def unit_rows(count: int, dimension: int, seed: int = 0) -> Floats:
    return normalised(np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32))


def filled(vectors: Floats, ids: list[int] | Ints) -> Gallery:
    gallery = Gallery(vectors.shape[1])
    gallery.add(vectors, np.asarray(ids, np.int64))
    return gallery


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 60),
    dimension=st.integers(2, 24),
    k=st.integers(1, 70),
    scale=st.sampled_from([1e-3, 1.0, 50.0]),
    seed=st.integers(0, 2**16),
)
def test_search_equals_brute_force(count: int, dimension: int, k: int, scale: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    stored = random.standard_normal((count, dimension)).astype(np.float32)
    queries = random.standard_normal((5, dimension)).astype(np.float32)
    ids = random.permutation(10 * count)[:count].astype(np.int64)

    found = filled(stored * np.float32(scale), ids).search(queries / np.float32(scale), k)

    exact = normalised(queries) @ normalised(stored).T
    best = np.sort(exact, axis=1)[:, ::-1][:, :k]
    present = min(k, count)
    assert found.ids.shape == found.similarities.shape == (5, k)
    np.testing.assert_allclose(found.similarities[:, :present], best, atol=1e-5)
    column_of = {int(number): column for column, number in enumerate(ids)}
    for row in range(5):
        columns = [column_of[int(number)] for number in found.ids[row, :present]]
        assert len(set(columns)) == present
        np.testing.assert_allclose(exact[row, columns], found.similarities[row, :present], atol=1e-5)
    assert (found.ids[:, present:] == -1).all()
    assert np.isneginf(found.similarities[:, present:]).all()


def test_similarities_stay_within_minus_one_and_one() -> None:
    vectors = unit_rows(500, 512)
    gallery = filled(vectors, list(range(500)))
    for queries in (vectors, -vectors):
        similarities = gallery.search(queries, 500).similarities
        assert similarities.min() >= -1
        assert similarities.max() <= 1


def test_vectors_come_back_as_unit_vectors_in_the_order_asked() -> None:
    vectors = unit_rows(6, 8)
    gallery = filled(3 * vectors, [50, 40, 30, 20, 10, 0])
    np.testing.assert_allclose(gallery.vectors(np.array([0, 30, 50])), vectors[[5, 2, 0]], atol=1e-6)
    assert gallery.vectors(np.empty(0, np.int64)).shape == (0, 8)


def test_vectors_of_an_unknown_id_are_refused() -> None:
    with pytest.raises(KeyError):
        filled(unit_rows(2, 4), [1, 2]).vectors(np.array([1, 3]))


def test_ids_are_stable_through_add_remove_save_and_load(tmp_path: Path) -> None:
    vectors = unit_rows(7, 16)
    gallery = filled(vectors[:4], [7, BIG_ID, 0, 12])
    assert gallery.remove(np.array([7, 999])) == 1
    gallery.add(vectors[4:], np.array([3, 7, 5]))
    gallery.save(tmp_path / "new" / "gallery.faiss")
    loaded = Gallery.load(tmp_path / "new" / "gallery.faiss")

    for one in (gallery, loaded):
        assert one.ids.tolist() == [BIG_ID, 0, 12, 3, 7, 5]
        assert (len(one), one.dimension) == (6, 16)
        assert one.search(vectors[1:], 1).ids.ravel().tolist() == [BIG_ID, 0, 12, 3, 7, 5]
        np.testing.assert_allclose(one.vectors(one.ids), vectors[1:], atol=1e-6)

    assert loaded.remove(np.array([0, 5])) == 2
    loaded.add(vectors[:1], np.array([0]))
    assert loaded.search(vectors[:1], 1).ids.tolist() == [[0]]
    assert loaded.ids.tolist() == [BIG_ID, 12, 3, 7, 0]
    assert os.listdir(tmp_path / "new") == ["gallery.faiss"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 15)), max_size=40))
def test_any_order_of_edits_keeps_ids_and_vectors_together(edits: list[tuple[bool, int]]) -> None:
    vectors = unit_rows(16, 6)
    gallery, expected = Gallery(6), list[int]()
    for adding, number in edits:
        one = np.array([number])
        if adding and number not in expected:
            gallery.add(vectors[one], one)
            expected.append(number)
        elif not adding:
            assert gallery.remove(one) == expected.count(number)
            expected = [other for other in expected if other != number]
    assert gallery.ids.tolist() == expected
    np.testing.assert_allclose(gallery.vectors(gallery.ids), vectors[expected], atol=1e-6)


def test_empty_gallery_answers_with_nothing(tmp_path: Path) -> None:
    gallery = Gallery(4)
    gallery.save(tmp_path / "empty")
    for one in (gallery, Gallery.load(tmp_path / "empty")):
        found = one.search(unit_rows(2, 4), 3)
        assert (found.ids == -1).all()
        assert np.isneginf(found.similarities).all()
        assert len(one) == len(one.ids) == one.remove(np.array([1])) == 0


def test_no_queries_give_no_rows() -> None:
    found = filled(unit_rows(3, 4), [1, 2, 3]).search(np.empty((0, 4), np.float32), 2)
    assert found.ids.shape == found.similarities.shape == (0, 2)


@pytest.mark.parametrize(
    ("vectors", "ids"),
    [
        pytest.param(unit_rows(2, 4), [5, 5], id="repeated"),
        pytest.param(unit_rows(1, 4), [1], id="already there"),
        pytest.param(unit_rows(2, 4), [2, -1], id="negative"),
        pytest.param(unit_rows(2, 4), [2], id="fewer ids than vectors"),
        pytest.param(unit_rows(2, 3), [2, 3], id="wrong dimension"),
        pytest.param(np.array([[0, 0, 0, 0]], np.float32), [2], id="zero vector"),
        pytest.param(np.array([[0, np.nan, 0, 1]], np.float32), [2], id="NaN"),
        pytest.param(np.array([[0, np.inf, 0, 1]], np.float32), [2], id="infinity"),
        pytest.param(np.array([1, 0, 0, 0], np.float32), [2], id="one-dimensional"),
    ],
)
def test_refused_additions_change_nothing(vectors: Floats, ids: list[int]) -> None:
    gallery = filled(unit_rows(1, 4), [1])
    with pytest.raises(ValueError, match=r".+"):
        gallery.add(vectors, np.array(ids))
    assert gallery.ids.tolist() == [1]


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_query_without_direction_is_refused(value: float) -> None:
    gallery = filled(unit_rows(1, 4), [1])
    with pytest.raises(ValueError, match="zero or not finite"):
        gallery.search(np.full((1, 4), value, np.float32), 1)


def write_ivf(path: Path) -> None:
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(4), 4, 1, faiss.METRIC_INNER_PRODUCT)
    faiss.write_index(index, str(path))


def write_euclidean(path: Path) -> None:
    faiss.write_index(faiss.IndexIDMap2(faiss.IndexFlatL2(4)), str(path))


def write_without_ids(path: Path) -> None:
    faiss.write_index(faiss.IndexFlatIP(4), str(path))


def write_misfit(path: Path) -> None:
    """The outer index says one dimension, the inner one four."""
    filled(unit_rows(9, 4), list(range(9))).save(path)
    data = bytearray(path.read_bytes())
    data[4] = 1
    path.write_bytes(data)


def write_truncated(path: Path) -> None:
    filled(unit_rows(9, 4), list(range(9))).save(path)
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda path: None, id="missing"),
        pytest.param(lambda path: path.mkdir(), id="a folder"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_text("face_id,path\n" * 50), id="not FAISS"),
        pytest.param(write_truncated, id="truncated"),
        pytest.param(write_misfit, id="parts do not fit"),
        pytest.param(write_ivf, id="IVF"),
        pytest.param(write_euclidean, id="euclidean"),
        pytest.param(write_without_ids, id="without ids"),
    ],
)
def test_bad_file_is_one_line(tmp_path: Path, write: Callable[[Path], object]) -> None:
    path = tmp_path / "gallery.faiss"
    write(path)
    with pytest.raises(MaskclsError, match="build the model again") as caught:
        Gallery.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_bad_file_with_a_newline_in_its_name_is_still_one_line(tmp_path: Path) -> None:
    with pytest.raises(MaskclsError) as caught:
        Gallery.load(tmp_path / "two\nlines.faiss")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gallery äß.faiss", os.fsdecode(b"\xff\xfe.faiss")], ids=["umlauts", "not UTF-8"])
def test_any_file_name_can_be_saved_to(tmp_path: Path, name: str) -> None:
    filled(unit_rows(3, 4), [1, 2, 3]).save(tmp_path / name)
    assert Gallery.load(tmp_path / name).ids.tolist() == [1, 2, 3]


def test_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gallery.faiss"
    filled(unit_rows(3, 4), [1, 2, 3]).save(path)

    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        Gallery(4).save(path)
    assert Gallery.load(path).ids.tolist() == [1, 2, 3]
    assert os.listdir(tmp_path) == ["gallery.faiss"]


@pytest.mark.parametrize("count", [0, 3])
def test_no_neighbours_wanted_give_a_row_for_every_query(count: int) -> None:
    found = filled(unit_rows(count, 4), list(range(count))).search(unit_rows(2, 4), 0)
    assert found.ids.shape == found.similarities.shape == (2, 0)
