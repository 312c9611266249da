from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from maskcls.classify.data.face_set import FaceSet, merge_sets, open_face_set
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import EncoderInfo
from maskcls.embedder.faceset.store import EmbeddingSet, SetTables, SetWriter
from maskcls.embedder.storage.manifest import write_manifest

MakeSet = Callable[..., EmbeddingSet]


def write_set(folder: Path, faces: EmbeddingSet) -> Path:
    writer = SetWriter(folder, len(faces))
    writer.embeddings[:] = faces.embeddings
    writer.maps[:] = faces.maps
    writer.commit(SetTables(faces.table, faces.rejects, faces.encoder, faces.settings))
    return folder


def assert_same_rows(pool: FaceSet, rows: npt.NDArray[np.int64], part: FaceSet) -> None:
    pd.testing.assert_frame_equal(part.table, pool.table.iloc[rows].reset_index(drop=True))
    np.testing.assert_array_equal(part.embeddings, pool.embeddings[rows])
    np.testing.assert_array_equal(part.people, pool.people[rows])
    np.testing.assert_array_equal(part.maps(np.arange(len(part))), pool.maps(rows))


def test_rows_of_all_parts_belong_together(make_set: MakeSet) -> None:
    first, second = make_set(5, seed=1, root="/a"), make_set(7, seed=2, root="/b")
    pool = merge_sets([first, second])
    assert len(pool) == 12
    assert pool.table["root"].tolist() == ["/a"] * 5 + ["/b"] * 7
    assert pool.table["face_id"].tolist() == [*first.table["face_id"], *second.table["face_id"]]
    np.testing.assert_array_equal(pool.embeddings, np.concatenate([first.embeddings, second.embeddings]))


@pytest.mark.parametrize("seed", range(3))
def test_maps_come_from_the_right_set_in_any_order(make_set: MakeSet, seed: int) -> None:
    sets = [make_set(count, seed=count) for count in (4, 1, 6)]
    everything = np.concatenate([item.maps for item in sets])
    pool = merge_sets(sets)
    rows = np.random.default_rng(seed).integers(0, 11, 20)
    np.testing.assert_array_equal(pool.maps(rows), everything[rows])
    assert pool.maps(rows[:0]).shape == (0, 896, 4, 4)


def test_subset_and_subset_of_a_subset(make_set: MakeSet) -> None:
    pool = merge_sets([make_set(6, seed=1, person=list("aabbcc")), make_set(4, seed=2)])
    rows, again = np.array([9, 0, 3, 7, 5]), np.array([4, 1, 1])
    part = pool.subset(rows)
    assert_same_rows(pool, rows, part)
    assert_same_rows(pool, rows[again], part.subset(again))


def test_exact_copies_are_left_out(make_set: MakeSet) -> None:
    faces, extra = make_set(5, seed=1, person="same"), make_set(3, seed=2)
    copy = replace(faces, settings=faces.settings | {"root": "/copy"})
    pool = merge_sets([faces, copy, extra])
    assert pool.copies == 5
    assert pool.table["root"].tolist() == ["/nowhere"] * 8
    np.testing.assert_array_equal(pool.maps(np.arange(5, 8)), extra.maps)


def test_real_set_given_twice_is_the_set_once(contest_faces: Path) -> None:
    once, twice = open_face_set([contest_faces]), open_face_set([contest_faces, contest_faces])
    assert (once.copies, twice.copies) == (0, len(once))
    assert_same_rows(once, np.arange(len(once)), twice)


def test_names_hold_within_a_set_only(make_set: MakeSet) -> None:
    pool = merge_sets([make_set(3, seed=1, person=["a", "a", None]), make_set(3, seed=2, person=["a", "a", None])])
    assert pool.people.tolist() == pool.people[[0, 0, 2, 3, 3, 5]].tolist()
    assert len(set(pool.people.tolist())) == 4


@pytest.mark.parametrize(
    ("modes", "expected"), [(("auto", "auto"), "auto"), (("whole",), "whole"), (("auto", "detect"), "mixed")]
)
def test_face_mode(make_set: MakeSet, modes: tuple[str, ...], expected: str) -> None:
    assert merge_sets([make_set(2, seed=i, face=mode) for i, mode in enumerate(modes)]).face == expected


def test_set_without_faces_beside_one_with_faces(make_set: MakeSet, tmp_path: Path) -> None:
    folders = [write_set(tmp_path / str(count), make_set(count)) for count in (0, 3)]
    assert len(open_face_set(folders)) == 3
    with pytest.raises(MaskclsError, match="no faces in there") as caught:
        open_face_set(folders[:1])
    assert "\n" not in str(caught.value)


def test_different_encoders_are_refused(contest_faces: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(contest_faces, other)
    manifest = json.loads((other / "encoder.json").read_text())
    manifest["encoder"]["weights_sha256"] = "f" * 64
    write_manifest(other / "encoder.json", manifest)
    assert len(open_face_set([other])) > 0
    with pytest.raises(MaskclsError, match="embed it again") as caught:
        open_face_set([contest_faces, other])
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{other}: ")
    assert EncoderInfo(**manifest["encoder"]).fingerprint in text


def test_damaged_set_is_one_line(make_set: MakeSet, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "faces", make_set(3))
    (folder / "maps.npy").write_bytes((folder / "maps.npy").read_bytes()[:-1])
    with pytest.raises(MaskclsError, match=r"maps\.npy is damaged") as caught:
        open_face_set([folder])
    assert "\n" not in str(caught.value)
