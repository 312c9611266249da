"""Sets of all labelled faces: several rows a photo."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maskcls.embedder.datasets.dataset import WhichFaces
from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import Encoder
from maskcls.embedder.faceset.corrections import apply_patch
from maskcls.embedder.faceset.embed import EmbedReport, embed_folder
from maskcls.embedder.faceset.erasure import forget_in_set
from maskcls.embedder.faceset.store import EmbeddingSet, open_set
from maskcls.embedder.storage.manifest import checksums, write_manifest

NAMES = ("street129", "street144", "street29")
"""Photos with three labelled faces each, all of which are found."""
EMPTY = (0, 0, 6, 6)
"""A corner in which there is no face."""
Rows = Sequence[Sequence[object]]


@pytest.fixture
def photos(tmp_path: Path, data: Path) -> Path:
    """A few street photos."""
    folder = tmp_path / "streets"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(data / "streets" / "photos" / f"{name}.webp", folder)
    return folder


@pytest.fixture
def rows(data: Path) -> list[list[object]]:
    """The labelled faces of these photos: path, box, mask."""
    table = pd.read_csv(data / "streets" / "boxes.csv")
    table = table.assign(path=table["path"].str.removeprefix("photos/"))
    return table[table["path"].isin([f"{name}.webp" for name in NAMES])].sort_values("path").values.tolist()


@pytest.fixture
def run_all(
    tmp_path: Path, photos: Path, out: Path, finder: FaceFinder, pixel_encoder: Encoder
) -> Callable[..., EmbedReport]:
    """Embed the photos with the labels of some rows, two photos at a time."""

    def embed(rows: Rows, encoder: Encoder = pixel_encoder, faces: WhichFaces = "all", **options: Any) -> EmbedReport:
        labels = tmp_path / "boxes.csv"
        pd.DataFrame(rows, columns=["path", "x0", "y0", "x1", "y1", "mask"]).to_csv(labels, index=False)
        dataset = read_dataset(photos, "csv", labels, faces=faces)
        return embed_folder(dataset, photos, out, encoder, finder, **({"batch_size": 2} | options))

    return embed


def text(row: Sequence[object]) -> str:
    return " ".join(map(str, row[1:5]))


def labelled(faces: EmbeddingSet) -> list[tuple[str, str, str]]:
    return list(faces.table[["path", "label_box", "mask"]].itertuples(index=False, name=None))


def given(rows: Rows) -> list[tuple[object, str, object]]:
    return [(row[0], text(row), row[5]) for row in rows]


def assert_same(one: EmbeddingSet, other: EmbeddingSet) -> None:
    boxes = ["box", "landmarks"]
    pd.testing.assert_frame_equal(one.table.drop(columns=boxes), other.table.drop(columns=boxes))
    assert one.table[boxes].map(list).equals(other.table[boxes].map(list))
    pd.testing.assert_frame_equal(one.rejects, other.rejects)
    np.testing.assert_array_equal(one.embeddings, other.embeddings)
    np.testing.assert_array_equal(one.maps, other.maps)


def change(rows: Rows, how: str) -> list[list[object]]:
    first, *others = [list(row) for row in rows]
    if how == "label":
        return [[*first[:5], "incorrect"], *others]
    if how == "row less":
        return others
    if how == "row more":
        return [first, [first[0], *EMPTY, "wear"], *others]
    moved = [first[0], *(float(str(value)) + 1 for value in first[1:5]), first[5]]
    return [moved, *others] if how == "box moved" else []


def test_every_labelled_face_has_a_row(
    run_all: Callable[..., EmbedReport], rows: list[list[object]], out: Path
) -> None:
    unreadable = [f"{NAMES[0]}.webp", "left", 0, 9, 9, "wear"]
    report = run_all([*rows, [f"{NAMES[1]}.webp", *EMPTY, "wear"], unreadable, ["gone.webp", 0, 0, 9, 9, "wear"]])
    faces = open_set(out)
    assert report == EmbedReport(faces=9, rejects=3, embedded=4, reused=0, whole=0)
    assert labelled(faces) == given(rows)
    assert faces.settings["faces"] == "all"
    assert faces.table["face_id"].is_unique
    assert faces.table.groupby("path")["file_sha256"].nunique().eq(1).all()
    assert len(np.unique(np.asarray(faces.embeddings), axis=0)) == 9
    for row in faces.table.to_dict("records"):
        found, label = np.array(row["box"]), np.array(str(row["label_box"]).split(), float)
        assert np.abs(found - label).max() < 0.35 * (label[3] - label[1])
    reasons = dict(zip(faces.rejects["path"], faces.rejects["reason"], strict=True))
    assert reasons["street129.webp"] == "label refused: box 'left 0 9 9' is not four numbers (x0, y0, x1, y1)"
    assert reasons["street144.webp"] == "no face found at 0 0 6 6"
    assert "no such file" in reasons["gone.webp"].lower()


def test_a_photo_that_cannot_be_read_is_one_reject(
    run_all: Callable[..., EmbedReport], rows: list[list[object]], photos: Path, out: Path
) -> None:
    (photos / f"{NAMES[0]}.webp").write_bytes(b"no picture")
    assert run_all(rows) == EmbedReport(faces=6, rejects=1, embedded=3, reused=0, whole=0)
    assert run_all(rows) == EmbedReport(faces=6, rejects=1, embedded=0, reused=3, whole=0)
    assert open_set(out).rejects["path"].tolist() == [f"{NAMES[0]}.webp"]


def test_a_second_run_embeds_nothing(
    run_all: Callable[..., EmbedReport], rows: list[list[object]], out: Path, wrap: Any, pixel_encoder: Encoder
) -> None:
    rows = [*rows, [f"{NAMES[1]}.webp", *EMPTY, "wear"]]
    run_all(rows)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    again = wrap(pixel_encoder)
    assert run_all(rows, again) == EmbedReport(faces=9, rejects=1, embedded=0, reused=3, whole=0)
    assert again.crops == 0
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("killed_after", "before", "again"),
    [
        pytest.param(1, "", 2, id="one photo done"),
        pytest.param(2, "", 1, id="two photos done"),
        pytest.param(2, "row less", 2, id="with a row less before"),
        pytest.param(2, "label", 1, id="with another label before"),
    ],
)
def test_a_killed_run_is_taken_up(
    run_all: Callable[..., EmbedReport],
    rows: list[list[object]],
    out: Path,
    tmp_path: Path,
    killed_after: int,
    before: str,
    again: int,
) -> None:
    def kill(done: int, total: int) -> None:
        if done == killed_after:
            raise KeyboardInterrupt

    rows = [*rows, [f"{NAMES[1]}.webp", *EMPTY, "wear"]]
    run_all(rows)
    shutil.move(out, tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        run_all(change(rows, before) if before else rows, batch_size=1, progress=kill)
    assert run_all(rows, batch_size=1).embedded == again
    assert_same(open_set(out), open_set(tmp_path / "undisturbed"))


@pytest.mark.parametrize(
    ("how", "embedded"),
    [
        pytest.param("label", 0, id="another label"),
        pytest.param("row less", 1, id="a row less"),
        pytest.param("row more", 1, id="a row more"),
        pytest.param("box moved", 1, id="a box moved"),
    ],
)
def test_labels_are_read_anew_as_by_a_first_run(
    run_all: Callable[..., EmbedReport],
    rows: list[list[object]],
    out: Path,
    tmp_path: Path,
    how: str,
    embedded: int,
) -> None:
    changed = change(rows, how)
    run_all(changed)
    shutil.move(out, tmp_path / "first")
    run_all(rows)
    assert run_all(changed).embedded == embedded
    assert_same(open_set(out), open_set(tmp_path / "first"))


def test_photos_that_are_gone_are_dropped(
    run_all: Callable[..., EmbedReport], rows: list[list[object]], photos: Path, out: Path
) -> None:
    run_all(rows)
    (photos / f"{NAMES[0]}.webp").unlink()
    left = [row for row in rows if row[0] != f"{NAMES[0]}.webp"]
    assert run_all(left) == EmbedReport(faces=6, rejects=0, embedded=0, reused=2, whole=0)
    assert labelled(open_set(out)) == given(left)


def test_a_correction_of_one_face_survives(
    run_all: Callable[..., EmbedReport], rows: list[list[object]], out: Path
) -> None:
    run_all(rows)
    face = open_set(out).table.iloc[1]
    patch = {"face_id": face["face_id"], "path": face["path"], "field": "mask", "old": face["mask"], "new": "incorrect"}
    apply_patch([out], pd.DataFrame([patch]))
    run_all([*rows, [face["path"], *EMPTY, "wear"]])
    expected = [row[5] for row in rows]
    expected[1] = "incorrect"
    assert open_set(out).table["mask"].tolist() == expected


def test_a_forgotten_photo_takes_its_faces_and_stays_away(
    run_all: Callable[..., EmbedReport], rows: list[list[object]], out: Path
) -> None:
    run_all(rows)
    table = open_set(out).table
    mine = table[table["path"] == f"{NAMES[0]}.webp"]
    forget_in_set(out, mine["face_id"].tolist()[:1], mine["file_sha256"].tolist(), [])
    assert run_all(rows) == EmbedReport(faces=6, rejects=1, embedded=0, reused=3, whole=0)
    assert open_set(out).rejects[["path", "reason"]].values.tolist() == [[f"{NAMES[0]}.webp", "forgotten"]]
    assert run_all(rows).faces == 6


@pytest.mark.parametrize(("first", "then"), [("all", "largest"), ("largest", "all")])
def test_the_other_choice_of_faces_is_refused(
    run_all: Callable[..., EmbedReport], rows: list[list[object]], first: str, then: str
) -> None:
    one_each = [next(row for row in rows if row[0] == f"{name}.webp") for name in NAMES]
    run_all(one_each, faces=first)
    with pytest.raises(MaskclsError, match=f"made with --faces {first}, not {then}; choose another --out"):
        run_all(one_each, faces=then)


def test_a_set_made_before_counts_as_largest(
    run_all: Callable[..., EmbedReport], rows: list[list[object]], out: Path
) -> None:
    one_each = [next(row for row in rows if row[0] == f"{name}.webp") for name in NAMES]
    largest = partial(run_all, one_each, faces="largest")
    assert largest().embedded == 3
    table = pd.read_parquet(out / "faces.parquet").drop(columns="label_box")
    table.to_parquet(out / "faces.parquet", index=False)
    manifest = json.loads((out / "encoder.json").read_text())
    del manifest["settings"]["faces"]
    manifest["files"] |= checksums(out, ["faces.parquet"])
    write_manifest(out / "encoder.json", manifest)
    with pytest.raises(MaskclsError, match="made with --faces largest, not all"):
        run_all(one_each)
    assert largest() == EmbedReport(faces=3, rejects=0, embedded=0, reused=3, whole=0)
