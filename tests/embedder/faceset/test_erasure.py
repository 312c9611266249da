from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import Encoder
from maskcls.embedder.faceset.corrections import apply_patch, read_patch
from maskcls.embedder.faceset.embed import EmbedReport, embed_folder
from maskcls.embedder.faceset.erasure import forget_in_set
from maskcls.embedder.faceset.forgotten import FORGOTTEN, Forgotten, read_forgotten
from maskcls.embedder.faceset.store import open_set

PERSON = "000001_female_White_40"
Run = Callable[..., EmbedReport]
Wrap = Callable[..., Any]


def forget(out: Path, *rows: int) -> pd.DataFrame:
    gone = open_set(out).table.iloc[list(rows)]
    assert forget_in_set(out, list(gone["face_id"]), list(gone["file_sha256"]), list(gone["path"])) == len(rows)
    return gone


def test_rows_of_all_parts_go_together(run: Run, out: Path) -> None:
    run()
    before = open_set(out)
    embeddings, maps = np.array(before.embeddings), np.array(before.maps)
    forget(out, 0, 3)
    after, kept = open_set(out), [1, 2, 4, 5, 6]
    assert after.table["face_id"].tolist() == before.table["face_id"].iloc[kept].tolist()
    np.testing.assert_array_equal(after.embeddings, embeddings[kept])
    np.testing.assert_array_equal(after.maps, maps[kept])
    assert not (out / ".next").exists()


def test_a_forgotten_photo_never_comes_back(
    run: Run, wrap: Wrap, out: Path, photos: Path, pixel_encoder: Encoder
) -> None:
    run()
    gone = forget(out, 0, 3)
    encoder = wrap(pixel_encoder)
    report = run(encoder)
    assert (report.faces, report.rejects, encoder.crops) == (5, 2, 0)
    rejects = open_set(out).rejects
    assert rejects["path"].tolist() == gone["path"].tolist()
    assert set(rejects["reason"]) == {"forgotten"}

    shutil.copy(photos / gone["path"].iloc[0], photos / PERSON / "renamed.jpg")
    (photos / gone["path"].iloc[1]).touch()
    assert (run(encoder).faces, encoder.crops) == (5, 0)
    assert len(open_set(out).rejects) == 3
    assert not set(open_set(out).table["file_sha256"]) & set(gone["file_sha256"])


def test_a_mask_drawn_on_a_forgotten_photo_is_refused(
    run: Run, out: Path, photos: Path, tmp_path: Path, finder: FaceFinder, pixel_encoder: Encoder
) -> None:
    run()
    forget_in_set(out, [], ["a" * 64], [])
    labels = tmp_path / "labels.csv"
    labels.write_text(f"path,drawn_on\n{PERSON}/mask1.jpg,{'a' * 64}\n{PERSON}/mask2.jpg,{'b' * 64}\n")
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(out / FORGOTTEN, other)
    dataset = read_dataset(photos, "csv", labels)
    report = embed_folder(dataset, photos, other, pixel_encoder, finder)
    assert (report.faces, report.rejects) == (1, 6)
    assert open_set(other).rejects["reason"].tolist().count("forgotten") == 1
    assert FORGOTTEN in json.loads((other / "encoder.json").read_text())["files"]


def test_unfinished_batches_and_corrections_go_too(
    run: Run, out: Path, wrap: Wrap, photos: Path, tmp_path: Path, pixel_encoder: Encoder
) -> None:
    run()
    table = open_set(out).table
    patch = tmp_path / "patch.csv"
    rows = [
        f"{face},{path},mask,{mask},normal,seen," for face, path, mask in table[["face_id", "path", "mask"]].values[:2]
    ]
    patch.write_text("face_id,path,field,old,new,reason,probability\n" + "\n".join(rows) + "\n")
    apply_patch([out], read_patch(patch))
    shutil.copytree(photos / PERSON, photos / "000002_male_White_30")
    with pytest.raises(KeyboardInterrupt):
        run(wrap(pixel_encoder, batches=1))
    assert list((out / ".steps").iterdir())
    gone = forget(out, 0)
    assert not (out / ".steps").exists()
    assert gone["face_id"].iloc[0] not in (out / "corrections.csv").read_text()
    assert len(open_set(out).corrections) == 1


def test_the_last_face_may_go(run: Run, out: Path) -> None:
    run()
    forget(out, *range(7))
    assert len(open_set(out)) == 0
    assert run().faces == 0


def test_the_list_tells_nothing_but_whether_a_photo_is_on_it(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"photo")
    digest = hashlib.sha256(b"photo").hexdigest()
    first, second = (Forgotten(salt).extended([digest]) for salt in ("a", "b"))
    assert digest in first
    assert first.holds_file(photo)
    assert not first.holds_file(tmp_path / "nowhere")
    assert not first.keys & second.keys
    first.save(tmp_path / FORGOTTEN)
    assert digest not in (tmp_path / FORGOTTEN).read_text()
    assert read_forgotten(tmp_path) == first


@pytest.mark.parametrize("spoil", ["{", "[]", '{"salt": "a"}', None], ids=["torn", "no object", "no photos", "gone"])
def test_a_spoilt_list_is_noticed(run: Run, out: Path, spoil: str | None) -> None:
    run()
    forget(out, 0)
    if spoil is None:
        (out / FORGOTTEN).unlink()
    else:
        (out / FORGOTTEN).write_text(spoil)
    with pytest.raises(MaskclsError, match=FORGOTTEN):
        run()
