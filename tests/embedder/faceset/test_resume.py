from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import Encoder
from maskcls.embedder.faceset.embed import EmbedReport, embed_folder
from maskcls.embedder.faceset.store import open_set

Run = Callable[..., EmbedReport]
Wrap = Callable[..., Any]
PERSON = "000001_female_White_40"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_an_interrupted_run_is_taken_up(
    run: Run, wrap: Wrap, photos: Path, out: Path, tmp_path: Path, encoder: Encoder, finder: FaceFinder
) -> None:
    (photos / PERSON / "mask0.jpg").write_text("no photo")
    undisturbed = tmp_path / "undisturbed"
    embed_folder(read_dataset(photos, "auto"), photos, undisturbed, encoder, finder, batch_size=3)
    with pytest.raises(KeyboardInterrupt):
        run(wrap(encoder, batches=2))
    with pytest.raises(MaskclsError, match=r"no encoder\.json in this folder"):
        open_set(out)
    second = wrap(encoder)
    report = run(second, batch_size=1)
    assert (second.crops, report) == (2, EmbedReport(faces=7, rejects=1, embedded=2, reused=6, whole=7))
    expected, resumed = open_set(undisturbed), open_set(out)
    boxes = ["box", "landmarks"]
    other = [*boxes, "norm"]
    assert resumed.table.drop(columns=other).equals(expected.table.drop(columns=other))
    assert resumed.table["norm"].to_numpy() == pytest.approx(expected.table["norm"].to_numpy(), rel=1e-5)
    assert resumed.table[boxes].map(list).equals(expected.table[boxes].map(list))
    assert resumed.rejects.equals(expected.rejects)
    assert np.abs(resumed.embeddings - expected.embeddings).max() < 1e-5
    assert np.abs(np.asarray(resumed.maps, float) - expected.maps).max() < 0.01
    assert not (out / ".steps").exists()


def test_an_interrupted_update_keeps_the_old_set_readable(
    run: Run, wrap: Wrap, photos: Path, out: Path, pixel_encoder: Encoder
) -> None:
    run()
    before = contents(out)
    shutil.copytree(photos / PERSON, photos / "000002_male_White_30")
    with pytest.raises(KeyboardInterrupt):
        run(wrap(pixel_encoder, batches=1))
    assert contents(out) == before
    assert len(open_set(out)) == 7
    assert run() == EmbedReport(faces=14, rejects=0, embedded=4, reused=10, whole=14)


def test_a_damaged_step_is_embedded_again(run: Run, wrap: Wrap, out: Path, pixel_encoder: Encoder) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(wrap(pixel_encoder, batches=2))
    step = sorted((out / ".steps").iterdir())[0]
    step.write_bytes(step.read_bytes()[:-1])
    again = wrap(pixel_encoder)
    assert run(again) == EmbedReport(faces=7, rejects=0, embedded=4, reused=3, whole=7)
    assert again.crops == 4


def test_a_run_killed_during_the_commit_is_finished(
    run: Run, wrap: Wrap, photos: Path, out: Path, pixel_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    shutil.copy(photos / PERSON / "normal.jpg", photos / PERSON / "mask6.jpg")
    moves: list[Path] = []
    move = os.replace

    def killed(source: Path, target: Path) -> None:
        if Path(target).parent == out:
            moves.append(target)
            if len(moves) > 1:
                raise KeyboardInterrupt
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert len(open_set(out)) == 8
    again = wrap(pixel_encoder)
    assert run(again) == EmbedReport(faces=8, rejects=0, embedded=0, reused=8, whole=8)
    assert again.crops == 0
    faces = open_set(out)
    assert np.array_equal(faces.embeddings[-2], faces.embeddings[-1])
