from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import Encoder
from maskcls.embedder.faceset.corrections import apply_patch
from maskcls.embedder.faceset.embed import EmbedReport, embed_folder, face_id
from maskcls.embedder.faceset.erasure import forget_in_set
from maskcls.embedder.faceset.store import open_set
from maskcls.embedder.storage.lock import locked

PERSON = "000001_female_White_40"
Run = Callable[..., EmbedReport]
Wrap = Callable[..., Any]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def rewrite(path: Path, source: Path) -> None:
    path.write_bytes(source.read_bytes())
    os.utime(path, ns=(1, 1))


def test_rows_mirror_the_photos(run: Run, photos: Path, out: Path, pixel_encoder: Encoder) -> None:
    steps: list[tuple[int, int]] = []
    report = run(progress=lambda done, total: steps.append((done, total)))
    faces = open_set(out)
    assert report == EmbedReport(faces=7, rejects=0, embedded=7, reused=0, whole=7)
    assert steps == [(0, 7), (3, 7), (6, 7), (7, 7)]
    assert faces.table["path"].tolist() == sorted(f"{PERSON}/{path.name}" for path in (photos / PERSON).iterdir())
    assert faces.table["mask"].tolist() == ["incorrect", *["wear"] * 5, "normal"]
    assert set(faces.table["age_low"]) == set(faces.table["age_high"]) == {40}
    assert set(faces.table["source"]) == {"contest"}
    assert faces.table["face_id"].is_unique
    assert faces.table["face_id"].str.fullmatch("[0-7][0-9a-f]{15}").all()
    assert (faces.encoder, faces.settings) == (
        pixel_encoder.info,
        {"root": str(photos.resolve()), "layout": "contest", "face": "auto", "faces": "largest"},
    )
    assert np.allclose(np.linalg.norm(faces.embeddings, axis=1), 1)
    assert sorted(contents(out)) == ["embeddings.npy", "encoder.json", "faces.parquet", "maps.npy", "rejects.csv"]


def test_a_second_run_changes_nothing(run: Run, wrap: Wrap, photos: Path, out: Path, pixel_encoder: Encoder) -> None:
    (photos / PERSON / "mask6.jpg").write_text("no photo")
    run()
    before = contents(out)
    again = wrap(pixel_encoder)
    assert run(again) == EmbedReport(faces=7, rejects=1, embedded=0, reused=8, whole=7)
    assert again.crops == 0
    assert contents(out) == before


def test_only_a_changed_photo_is_embedded_again(
    run: Run, wrap: Wrap, photos: Path, out: Path, pixel_encoder: Encoder
) -> None:
    run()
    before = open_set(out)
    vectors = np.array(before.embeddings)
    rewrite(photos / PERSON / "mask3.jpg", photos / PERSON / "normal.jpg")
    again = wrap(pixel_encoder)
    assert run(again) == EmbedReport(faces=7, rejects=0, embedded=1, reused=6, whole=7)
    after = open_set(out)
    assert again.crops == 1
    assert after.table["path"].tolist() == before.table["path"].tolist()
    changed = np.flatnonzero(after.table["path"] == f"{PERSON}/mask3.jpg")
    assert np.flatnonzero((after.embeddings != vectors).any(axis=1)).tolist() == changed.tolist()
    assert np.array_equal(after.embeddings[changed[0]], vectors[-1])
    assert after.table["file_sha256"].iloc[changed[0]] == after.table["file_sha256"].iloc[-1]


def test_rows_come_and_go_with_their_photos(
    run: Run, wrap: Wrap, photos: Path, out: Path, pixel_encoder: Encoder
) -> None:
    kept = photos.parent / "kept.jpg"
    shutil.copy2(photos / PERSON / "mask1.jpg", kept)
    run()
    before, vectors = open_set(out).table, np.array(open_set(out).embeddings)
    (photos / PERSON / "mask1.jpg").unlink()
    again = wrap(pixel_encoder)
    assert run(again) == EmbedReport(faces=6, rejects=0, embedded=0, reused=6, whole=6)
    assert again.crops == 0
    gone = int(np.flatnonzero(before["path"] == f"{PERSON}/mask1.jpg")[0])
    assert open_set(out).table["path"].tolist() == before["path"].drop(gone).tolist()
    assert np.array_equal(open_set(out).embeddings, np.delete(vectors, gone, axis=0))
    shutil.copy2(kept, photos / PERSON / "mask1.jpg")
    run()
    assert open_set(out).table["path"].tolist() == before["path"].tolist()
    assert np.array_equal(open_set(out).embeddings, vectors)


@pytest.mark.parametrize(
    "name",
    ["000000_male_White_30/normal.jpg", f"{PERSON}/mask2a.jpg", "000009_male_White_30/normal.jpg"],
    ids=["first", "between", "last"],
)
def test_a_new_photo_gets_its_own_row_and_vectors(
    run: Run, photos: Path, out: Path, finder: FaceFinder, pixel_encoder: Encoder, name: str
) -> None:
    fresh = photos.parent / "fresh"
    run(mode="whole")
    (photos / name).parent.mkdir(exist_ok=True)
    with Image.open(photos / PERSON / "mask1.jpg") as image:
        image.rotate(90).save(photos / name)
    assert run(mode="whole").embedded == 1
    embed_folder(read_dataset(photos, "auto"), photos, fresh, pixel_encoder, finder, mode="whole")
    grown, whole = open_set(out), open_set(fresh)
    assert grown.table["path"].tolist() == whole.table["path"].tolist()
    assert grown.table["file_sha256"].tolist() == whole.table["file_sha256"].tolist()
    assert grown.table["box"].map(list).tolist() == whole.table["box"].map(list).tolist()
    assert np.array_equal(grown.embeddings, whole.embeddings)
    assert len(grown) == 8


def test_a_renamed_folder_is_new_photos(run: Run, photos: Path, out: Path) -> None:
    run()
    (photos / PERSON).rename(photos / "000001_male_White_61")
    assert run() == EmbedReport(faces=7, rejects=0, embedded=7, reused=0, whole=7)
    assert set(open_set(out).table["gender"]) == {"male"}
    assert set(open_set(out).table["age_low"]) == {61}


def test_edited_labels_need_no_embedding(run: Run, wrap: Wrap, photos: Path, out: Path, pixel_encoder: Encoder) -> None:
    labels = photos.parent / "labels.csv"
    names = [f"{PERSON}/{name}" for name in ("mask1.jpg", "mask2.jpg", "normal.jpg")]
    labels.write_text("path,mask\n" + "".join(f"{name},wear\n" for name in names))
    run(labels=labels)
    vectors = np.array(open_set(out).embeddings)
    labels.write_text(f"path,mask,age\n{names[0]},wear,\n{names[1]},,30-39\n{names[2]},normal,\n")
    again = wrap(pixel_encoder)
    assert run(again, labels=labels).embedded == again.crops == 0
    assert len(open_set(out).rejects) == 4  # photos that the table does not name
    table = open_set(out).table
    assert table["mask"].fillna("none").tolist() == ["wear", "none", "normal"]
    assert table["age_high"].fillna(-1).tolist() == [-1, 39, -1]
    assert np.array_equal(open_set(out).embeddings, vectors)


UNUSABLE = ["gone.jpg,normal,30", "../out.jpg,wear,", "/elsewhere/out.jpg,wear,"]


@pytest.mark.parametrize("rows", [UNUSABLE, []], ids=["unusable paths", "no rows"])
def test_unusable_labels_leave_the_vectors(
    run: Run, wrap: Wrap, photos: Path, out: Path, pixel_encoder: Encoder, rows: list[str]
) -> None:
    run()
    before, vectors = open_set(out).table, np.array(open_set(out).embeddings)
    labels = photos.parent / "labels.csv"
    labels.write_text("\n".join(["path,mask,age", *rows]) + "\n")
    again = wrap(pixel_encoder)
    report = run(again, labels=labels)
    assert (report.faces, report.rejects, again.crops) == (7, 7 + len(rows), 0)
    after = open_set(out)
    assert after.table["face_id"].tolist() == before["face_id"].tolist()
    assert np.array_equal(after.embeddings, vectors)
    assert after.table[["person", "mask", "age_low"]].isna().all(axis=None)
    ignored = dict(after.rejects[["path", "reason"]].to_numpy().tolist())
    assert {ignored[path] for path in before["path"]} == {"label ignored: not in the label file"}

    assert run(again) == EmbedReport(faces=7, rejects=0, embedded=0, reused=7, whole=7)
    assert again.crops == 0
    assert open_set(out).table["mask"].tolist() == before["mask"].tolist()
    assert np.array_equal(open_set(out).embeddings, vectors)


def test_labels_that_contradict_each_other_or_cannot_be_read_leave_the_vectors(
    run: Run, wrap: Wrap, photos: Path, out: Path, pixel_encoder: Encoder
) -> None:
    run()
    labels = photos.parent / "labels.csv"
    rows = ["mask1.jpg,wear,30", "mask1.jpg,normal,30", "mask2.jpg,wear,old", "mask3.jpg,wear,41", "mask3.jpg,wear,41"]
    labels.write_text("\n".join(["path,mask,age", *(f"{PERSON}/{row}" for row in rows)]) + "\n")
    again = wrap(pixel_encoder)
    assert (run(again, labels=labels).faces, again.crops) == (7, 0)
    faces = open_set(out)
    found = {Path(row["path"]).name: (row["mask"], row["age_low"]) for row in faces.table.to_dict("records")}
    assert found["mask3.jpg"] == ("wear", 41)
    assert found["mask2.jpg"][0] == "wear"
    assert np.isnan(found["mask2.jpg"][1])
    assert faces.table.set_index("path").loc[f"{PERSON}/mask1.jpg", ["mask", "age_low"]].isna().all()
    reasons = dict(faces.rejects[["path", "reason"]].to_numpy().tolist())
    assert reasons[f"{PERSON}/mask1.jpg"] == "label ignored: named twice in the label file, with different labels"
    assert reasons[f"{PERSON}/mask2.jpg"] == "label ignored: age 'old' is neither years (37) nor a band (30-39)"
    assert f"{PERSON}/mask3.jpg" not in reasons


def test_a_photo_that_changed_is_embedded_again_whatever_its_labels(
    run: Run, wrap: Wrap, photos: Path, out: Path, pixel_encoder: Encoder
) -> None:
    run()
    rewrite(photos / PERSON / "mask3.jpg", photos / PERSON / "normal.jpg")
    (photos / PERSON / "mask4.jpg").unlink()
    labels = photos.parent / "labels.csv"
    labels.write_text("path,mask\n")
    again = wrap(pixel_encoder)
    assert (run(again, labels=labels).faces, again.crops) == (6, 1)
    assert open_set(out).table["file_sha256"].nunique() == 5


def test_nothing_is_saved_where_no_label_can_be_used(run: Run, photos: Path, out: Path) -> None:
    labels = photos.parent / "labels.csv"
    labels.write_text("path,mask\n../out.jpg,wear\n")
    with pytest.raises(MaskclsError, match=rf"^{out}: not saved, since no label can be used \(8 rejects, the first: "):
        run(labels=labels)
    assert not out.exists()


def test_nothing_is_saved_where_no_face_would_be_left(run: Run, photos: Path, out: Path) -> None:
    run()
    before = contents(out)
    for path in (photos / PERSON).iterdir():
        path.write_text("no photo any more")
    with pytest.raises(
        MaskclsError, match=r"not saved, since none of its 7 faces would be left \(7 rejects, .*not a photo"
    ):
        run()
    assert contents(out) == before
    assert len(open_set(out)) == 7


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_the_umask_decides_who_may_read_every_file_of_a_set(run: Run, out: Path, photos: Path, mask: int) -> None:
    former = os.umask(mask)
    try:
        run()
        face = open_set(out).table["face_id"].iloc[0]
        patch = pd.DataFrame([{"face_id": face, "path": "", "field": "gender", "old": "female", "new": "male"}])
        apply_patch([out], patch.assign(reason="", probability=""))
        forget_in_set(out, [], ["0" * 64], [])
    finally:
        os.umask(former)
    modes = {path.name: path.stat().st_mode & 0o777 for path in out.iterdir()}
    assert {"faces.parquet", "embeddings.npy", "maps.npy", "encoder.json", "corrections.csv"} < modes.keys()
    assert set(modes.values()) == {0o666 & ~mask}


def test_rejects_have_reasons_and_are_not_tried_again(run: Run, photos: Path, out: Path, finder: FaceFinder) -> None:
    (photos / PERSON / "mask6.jpg").write_text("no photo")
    (photos / PERSON / "mask7.jpg").touch()
    (photos / PERSON / "other.jpg").write_text("not listed by the layout")
    expected = {
        f"{PERSON}/mask6.jpg": "not a photo (JPEG, PNG, WEBP, BMP, GIF, TIFF, AVIF, HEIC are read)",
        f"{PERSON}/mask7.jpg": "empty file (0 bytes)",
        f"{PERSON}/other.jpg": "label refused: file name 'other.jpg' is not mask1-5, incorrect_mask or normal",
    }
    assert run() == EmbedReport(faces=7, rejects=3, embedded=9, reused=0, whole=7)
    assert dict(open_set(out).rejects[["path", "reason"]].to_numpy().tolist()) == expected
    assert run() == EmbedReport(faces=7, rejects=3, embedded=0, reused=9, whole=7)
    assert dict(open_set(out).rejects[["path", "reason"]].to_numpy().tolist()) == expected
    rewrite(photos / PERSON / "mask6.jpg", photos / PERSON / "normal.jpg")
    assert run() == EmbedReport(faces=8, rejects=2, embedded=1, reused=8, whole=8)
    rewrite(photos / PERSON / "mask6.jpg", photos / PERSON / "mask7.jpg")
    assert run() == EmbedReport(faces=7, rejects=3, embedded=1, reused=8, whole=7)


def test_a_folder_without_any_face(run: Run, photos: Path, out: Path) -> None:
    for path in (photos / PERSON).iterdir():
        path.write_text("no photo")
    for embedded in (7, 0):
        assert run() == EmbedReport(faces=0, rejects=7, embedded=embedded, reused=7 - embedded, whole=0)
    assert len(open_set(out)) == 0


@pytest.mark.parametrize("name", ["gone.jpg", "../out.jpg", "/elsewhere/out.jpg", "", "nul\0.jpg"])
def test_label_rows_without_a_photo_are_rejects(run: Run, photos: Path, out: Path, name: str) -> None:
    labels = photos.parent / "labels.csv"
    labels.write_text(f"path,mask\n{PERSON}/normal.jpg,normal\n{name},wear\n")
    for _ in range(2):
        report = run(labels=labels)
        assert (report.faces, report.rejects) == (1, 7)
        assert open_set(out).table["mask"].tolist() == ["normal"]
        assert open_set(out).rejects["reason"].tolist().count("label refused: not in the label file") == 6


@pytest.mark.parametrize(
    "name",
    [b"mask6\n.jpg", b"mask6\r.jpg", "mask6 😷.jpg".encode(), b"mask6 \xe9.jpg"],
    ids=["LF", "CR", "emoji", "latin-1"],
)
@pytest.mark.parametrize("good", [True, False])
def test_odd_names(run: Run, photos: Path, out: Path, name: bytes, good: bool) -> None:
    path = Path(os.fsdecode(os.path.join(os.fsencode(photos / PERSON), name)))
    path.write_bytes((photos / PERSON / "normal.jpg").read_bytes() if good else b"")
    run()
    before = contents(out)
    assert run() == EmbedReport(faces=7 + good, rejects=1 - good, embedded=0, reused=8, whole=7 + good)
    assert contents(out) == before


def test_another_encoder_is_refused(run: Run, wrap: Wrap, out: Path, pixel_encoder: Encoder) -> None:
    run()
    before = contents(out)
    other = wrap(pixel_encoder, info=replace(pixel_encoder.info, weights_sha256="1" * 64))
    with pytest.raises(MaskclsError) as error:
        run(other)
    assert str(error.value) == (
        f"{out}: made with encoder pixels ({pixel_encoder.info.fingerprint}), this run has "
        f"pixels ({other.info.fingerprint}); choose another --out"
    )
    assert contents(out) == before


def test_the_set_names_its_runtimes(run: Run, wrap: Wrap, photos: Path, out: Path, pixel_encoder: Encoder) -> None:
    other = replace(pixel_encoder.info, runtime="openvino bf16")
    run()
    before = contents(out)
    run(wrap(pixel_encoder, info=other))  # finds nothing to do
    assert contents(out) == before
    assert open_set(out).encoder.runtime == "torch fp32"
    shutil.copy(photos / PERSON / "normal.jpg", photos / PERSON / "mask6.jpg")
    run(wrap(pixel_encoder, info=other))
    assert open_set(out).encoder.runtime == "openvino bf16, torch fp32"
    assert open_set(out).encoder == pixel_encoder.info


def test_the_runtime_before_a_kill_is_named_too(
    run: Run, wrap: Wrap, photos: Path, out: Path, pixel_encoder: Encoder
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(wrap(pixel_encoder, batches=1, info=replace(pixel_encoder.info, runtime="openvino bf16")))
    assert run().reused == 3
    assert open_set(out).encoder.runtime == "openvino bf16, torch fp32"


def test_another_face_mode_or_folder_is_refused(run: Run, photos: Path, out: Path) -> None:
    run()
    with pytest.raises(MaskclsError, match=f"^{out}: made with --face auto, not whole; choose another --out$"):
        run(mode="whole")
    other = photos.parent / "other"
    shutil.copytree(photos, other)
    with pytest.raises(MaskclsError, match=f"^{out}: made with PHOTOS {photos}, not {other}; choose another --out$"):
        run(root=other)


def test_a_set_in_use_is_refused(run: Run, out: Path) -> None:
    with locked(out), pytest.raises(MaskclsError, match=f"^{re.escape(str(out))}: another maskcls run is writing here"):
        run()


def test_face_id_is_stable() -> None:
    assert face_id("0" * 64, [0.0, 0.0, 200.0, 200.0]) == "4d237184a1cc9d77"
    assert face_id("ab" * 32, [-1.5, 2.5, 3.49, 4.51]) == face_id("ab" * 32, [-1.4, 2.6, 3.0, 5.0])
    assert face_id("ab" * 32, [0, 0, 1, 1]) != face_id("ab" * 32, [0, 0, 1, 2])
    assert face_id("ab" * 32, [0, 0, 1, 1]) != face_id("cd" * 32, [0, 0, 1, 1])


@given(st.binary(min_size=32, max_size=32), st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4))
def test_face_id_fits_an_int64(digest: bytes, box: list[float]) -> None:
    digits = face_id(digest.hex(), box)
    assert len(digits) == 16
    assert 0 <= int(digits, 16) < 2**63
