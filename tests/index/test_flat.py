from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
import pytest

from maskcls.embedder.errors import MaskclsError
from maskcls.index import ivf
from maskcls.index.base import normalised
from maskcls.index.flat import LARGE, Gallery, Kind, kind_for

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
KINDS = pytest.mark.parametrize("kind", ["exact", "ivf"])


def unit_rows(count: int, dimension: int, seed: int = 0) -> Floats:
    return normalised(np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32))


def filled(vectors: Floats, ids: list[int] | Ints, kind: Kind = "exact") -> Gallery:
    return Gallery.of(vectors, np.asarray(ids, np.int64), kind)


@KINDS
def test_a_saved_gallery_finds_the_same_and_can_be_edited(tmp_path: Path, clustered: Floats, kind: Kind) -> None:
    ids = np.random.default_rng(1).permutation(2 * len(clustered))[: len(clustered)].astype(np.int64)
    gallery = filled(clustered, ids, kind)
    gallery.save(tmp_path / "new" / "gallery.faiss")
    loaded = Gallery.load(tmp_path / "new" / "gallery.faiss")
    assert os.listdir(tmp_path / "new") == ["gallery.faiss"]
    assert (loaded.kind, loaded.dimension, len(loaded)) == (kind, 24, len(clustered))
    for one in (loaded, loaded.copy()):
        got, expected = one.search(clustered[::50], 30), gallery.search(clustered[::50], 30)
        np.testing.assert_array_equal(got.ids, expected.ids)
        np.testing.assert_allclose(got.similarities, expected.similarities, atol=1e-6)
        np.testing.assert_array_equal(one.vectors(ids[::70]), gallery.vectors(ids[::70]))
    assert loaded.remove(ids[:5000]) == 5000
    loaded.add(clustered[:1], ids[:1])
    assert loaded.search(clustered[:1], 1).ids.tolist() == [[ids[0]]]
    loaded.save(tmp_path / "new" / "gallery.faiss")  # over the file that it was mapped from
    again = Gallery.load(tmp_path / "new" / "gallery.faiss")
    assert again.ids.tolist() == sorted(ids[[0, *range(5000, len(ids))]].tolist())


@KINDS
def test_an_empty_gallery_is_saved(tmp_path: Path, kind: Kind) -> None:
    Gallery(4, kind).save(tmp_path / "empty")
    loaded = Gallery.load(tmp_path / "empty")
    assert (len(loaded), loaded.kind, loaded.dimension) == (0, kind, 4)
    loaded.add(unit_rows(2, 4), np.array([1, 2]))
    assert loaded.ids.tolist() == [1, 2]


def test_an_inverted_file_is_memory_mapped(tmp_path: Path, clustered: Floats) -> None:
    filled(clustered, np.arange(len(clustered)), "ivf").save(tmp_path / "gallery.faiss")
    loaded = Gallery.load(tmp_path / "gallery.faiss")
    assert str(tmp_path / "gallery.faiss") in Path("/proc/self/maps").read_text()
    assert loaded.copy().search(clustered[:1], 1).ids.tolist() == [[0]]


@pytest.mark.parametrize(
    ("count", "kind"), [(0, "exact"), (LARGE - 1, "exact"), (LARGE, "ivf")], ids=["none", "few", "many"]
)
def test_the_kind_follows_the_number(count: int, kind: Kind) -> None:
    assert kind_for(count) == kind


def test_a_gallery_that_outgrows_its_kind_changes_it(monkeypatch: pytest.MonkeyPatch, clustered: Floats) -> None:
    monkeypatch.setattr("maskcls.index.flat.LARGE", 1000)
    small = filled(clustered[:600], np.arange(600))
    assert small.fitting() is small
    small.add(clustered[600:1200], np.arange(600, 1200))
    few = small.fitting()
    assert (few.kind, few.ids.tolist()) == ("ivf", list(range(1200)))
    assert small.fitting("exact") is small
    assert few.fitting() is few
    few.add(clustered[1200:], np.arange(1200, len(clustered)))
    many = few.fitting()
    assert many._index.nlist > 2 * few._index.nlist
    assert many.ids.tolist() == few.ids.tolist()
    assert many.fitting("exact").kind == "exact"


def test_a_search_reads_as_many_lists_as_it_needs(clustered: Floats) -> None:
    gallery = filled(clustered, np.arange(len(clustered)), "ivf")
    assert 1 <= gallery._index.nprobe < gallery._index.nlist
    assert gallery.recall >= ivf.RECALL
    hard = unit_rows(4000, 24)  # without clusters
    assert filled(hard, np.arange(4000), "ivf").recall >= ivf.RECALL


@KINDS
def test_removed_vectors_are_not_in_the_file(tmp_path: Path, kind: Kind) -> None:
    """Not even in the centroids: here most lists hold few vectors, and a third of them a single one."""
    few = unit_rows(3, 16, seed=5)
    crowd = normalised(few[0] + 0.02 * unit_rows(2000, 16, seed=6))
    vectors = np.concatenate([crowd, few[1:], -few])
    gallery = filled(vectors, np.arange(len(vectors)), kind)
    path = tmp_path / "gallery.faiss"
    gallery.save(path)
    stored = gallery.vectors(gallery.ids)

    def left(start: int) -> int:
        content, rows = path.read_bytes(), [*vectors[start:], *stored[start:]]
        return sum(row[:4].astype(kind).tobytes() in content for row in rows for kind in (np.float32, np.float16))

    assert left(2000) >= 5
    gallery.remove(np.arange(2000, len(vectors)))
    gallery.save(path)
    assert left(2000) == 0
    assert len(Gallery.load(path)) == 2000
    assert gallery.remove(np.arange(2000)) == 2000
    gallery.save(path)
    assert left(0) == 0


def write_ivf(path: Path) -> None:
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(4), 4, 1, faiss.METRIC_INNER_PRODUCT)
    faiss.write_index(index, str(path))


def write_residual(path: Path) -> None:
    index = faiss.index_factory(4, "IVF1,SQfp16", faiss.METRIC_INNER_PRODUCT)
    index.train(unit_rows(50, 4))
    faiss.write_index(index, str(path))


def write_approximate(path: Path) -> None:
    faiss.write_index(faiss.index_factory(4, "IDMap2,HNSW8,Flat", faiss.METRIC_INNER_PRODUCT), str(path))


def write_truncated_ivf(path: Path) -> None:
    filled(unit_rows(900, 4), list(range(900)), "ivf").save(path)
    path.write_bytes(path.read_bytes()[:-20])


def write_euclidean(path: Path) -> None:
    faiss.write_index(faiss.IndexIDMap2(faiss.IndexFlatL2(4)), str(path))


def write_without_ids(path: Path) -> None:
    faiss.write_index(faiss.IndexFlatIP(4), str(path))


def write_misfit(path: Path) -> None:
    """The outer index has one dimension, the inner one four."""
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
        pytest.param(write_truncated_ivf, id="truncated IVF"),
        pytest.param(write_residual, id="residuals in IVF"),
        pytest.param(write_approximate, id="HNSW"),
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
@KINDS
def test_any_file_name_can_be_saved_to(tmp_path: Path, name: str, kind: Kind) -> None:
    filled(unit_rows(3, 4), [1, 2, 3], kind).save(tmp_path / name)
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
