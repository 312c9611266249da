"""Resuming an interrupted prediction, with a made-up encoder that counts what it is asked."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from maskcls.classify.model.model import Model
from maskcls.classify.predict.job import Answers, predict_photos
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.facenet.encoder import MAP_SHAPE, Encoded, EncoderInfo

PHOTOS = 12


class KilledError(Exception):
    pass


class CountingEncoder:
    """Vectors drawn from each crop's brightness; dies when asked once more than ``lives`` times."""

    def __init__(self, lives: int = 99, name: str = "made-up") -> None:
        self.info = EncoderInfo(name, "0" * 64, {})
        self.lives = lives
        self.crops = 0

    def encode(self, crops: npt.NDArray[np.uint8]) -> Encoded:
        if not self.lives:
            raise KilledError
        self.lives -= 1
        self.crops += len(crops)
        randoms = [np.random.default_rng(int(crop.sum())) for crop in crops]
        embeddings = np.array([random.standard_normal(512) for random in randoms], np.float32).reshape(-1, 512)
        maps = np.array([random.random(MAP_SHAPE) for random in randoms], np.float16).reshape(-1, *MAP_SHAPE)
        return Encoded(embeddings, maps, np.full(len(embeddings), 20, np.float32))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    root.mkdir()
    for i in range(PHOTOS - 1):
        Image.new("RGB", (40, 40), (20 * i, 9, 9)).save(root / f"{i:02}.png")
    (root / "04.png").write_bytes(b"broken")
    (root / "99.png").write_bytes(b"")
    return root


def predict(
    photos: Path,
    model: Model,
    finder: FaceFinder,
    encoder: CountingEncoder,
    partial: Path | None,
    keep_crops: int = 0,
    explain: bool = False,
) -> Answers:
    return predict_photos(
        sorted(photos.iterdir()),
        photos,
        model,
        encoder,
        finder,
        mode="whole",
        batch_size=4,
        partial=partial,
        keep_crops=keep_crops,
        explain=explain,
    )


def assert_same(got: pd.DataFrame, expected: pd.DataFrame) -> None:
    """The same answers, up to the rounding that a different batch brings."""
    exact = ["path", "status", "reason", "mask", "gender", "age_band", "class_id"]
    pd.testing.assert_frame_equal(got[exact], expected[exact])
    for column in got.columns[got.columns.str.startswith(("p_", "age"))].drop("age_band"):
        tolerance = 2e-3 if column.startswith("p_") else 0.2
        np.testing.assert_allclose(got[column].astype(float), expected[column].astype(float), atol=tolerance)
    nearest = [table["neighbours"].str[:16].fillna("").tolist() for table in (got, expected)]
    assert nearest[0] == nearest[1]
    pd.testing.assert_series_equal(got["voters"], expected["voters"])


@pytest.fixture
def expected(photos: Path, model: Model, finder: FaceFinder) -> pd.DataFrame:
    table = predict(photos, model, finder, CountingEncoder(), None).table
    assert table["status"].value_counts().to_dict() == {"ok": PHOTOS - 2, "unreadable": 2}
    assert table["age"].nunique() > 3
    return table


@pytest.fixture
def cut(photos: Path, model: Model, finder: FaceFinder, tmp_path: Path) -> Path:
    """The journal of a run that was killed after two of three batches: eight photos, one of them unreadable."""
    journal = tmp_path / "new" / ".partial"
    with pytest.raises(KilledError):
        predict(photos, model, finder, CountingEncoder(lives=2), journal)
    return journal


def test_second_run_encodes_only_the_rest(
    photos: Path, model: Model, finder: FaceFinder, expected: pd.DataFrame, cut: Path
) -> None:
    encoder = CountingEncoder()
    assert_same(predict(photos, model, finder, encoder, cut).table, expected)
    assert encoder.crops == 3
    third = CountingEncoder()
    assert_same(predict(photos, model, finder, third, cut).table, expected)
    assert third.crops == 0


def test_progress_counts_what_is_left(photos: Path, model: Model, finder: FaceFinder, cut: Path) -> None:
    steps: list[tuple[int, int]] = []
    paths = sorted(photos.iterdir())
    predict_photos(
        paths,
        photos,
        model,
        CountingEncoder(),
        finder,
        mode="whole",
        partial=cut,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(0, 4), (4, 4)]


@pytest.mark.parametrize("torn", [b'{"path": "08.png", "sta', b"\0" * 40, b'{"path": "08.png", "status": "ok"'])
def test_torn_last_line_is_ignored(
    photos: Path, model: Model, finder: FaceFinder, expected: pd.DataFrame, cut: Path, torn: bytes
) -> None:
    cut.write_bytes(cut.read_bytes() + torn)
    with pytest.raises(KilledError):
        predict(photos, model, finder, CountingEncoder(lives=0), cut)  # killed again before anything was added
    encoder = CountingEncoder()
    assert_same(predict(photos, model, finder, encoder, cut).table, expected)
    assert encoder.crops == 3


def test_line_cut_in_the_middle_is_asked_again(
    photos: Path, model: Model, finder: FaceFinder, expected: pd.DataFrame, cut: Path
) -> None:
    cut.write_bytes(cut.read_bytes()[:-30])
    encoder = CountingEncoder()
    assert_same(predict(photos, model, finder, encoder, cut).table, expected)
    assert encoder.crops == 4


def test_journal_of_another_model_is_ignored(
    photos: Path, model: Model, finder: FaceFinder, expected: pd.DataFrame, cut: Path
) -> None:
    encoder = CountingEncoder()
    other = replace(model, fingerprint="f" * 64)
    assert_same(predict(photos, other, finder, encoder, cut).table, expected)
    assert encoder.crops == PHOTOS - 2


def test_journal_of_another_encoder_is_ignored(photos: Path, model: Model, finder: FaceFinder, cut: Path) -> None:
    encoder = CountingEncoder(name="other")
    predict(photos, model, finder, encoder, cut)
    assert encoder.crops == PHOTOS - 2


def test_file_that_is_no_journal_is_ignored(
    photos: Path, model: Model, finder: FaceFinder, expected: pd.DataFrame, tmp_path: Path
) -> None:
    (tmp_path / "journal").write_text("shopping list\n")
    got = predict(photos, model, finder, CountingEncoder(), tmp_path / "journal").table
    assert_same(got, expected)


def test_changed_photo_is_asked_again(photos: Path, model: Model, finder: FaceFinder, cut: Path) -> None:
    Image.new("RGB", (41, 40), (1, 200, 9)).save(photos / "00.png")
    os.utime(photos / "01.png", ns=(1, 1))
    Image.new("RGB", (40, 40), (1, 100, 9)).save(photos / "04.png")  # was unreadable
    encoder = CountingEncoder()
    table = predict(photos, model, finder, encoder, cut).table
    assert encoder.crops == 3 + 3
    fresh = predict(photos, model, finder, CountingEncoder(), None).table
    assert_same(table, fresh)
    assert table["status"][4] == "ok"


def test_crops_of_known_photos_are_made_again(
    photos: Path, model: Model, finder: FaceFinder, expected: pd.DataFrame, cut: Path
) -> None:
    encoder = CountingEncoder()
    got = predict(photos, model, finder, encoder, cut, keep_crops=6)
    assert set(got.crops) == {0, 1, 2, 3, 5}
    assert encoder.crops == 5 + 3
    assert_same(got.table, expected)


@pytest.mark.parametrize("name", ["caf\u00e9.png", "a\nb.png", "\u2028.png", os.fsdecode(b"\xff.png")])
def test_any_file_name_survives_the_journal(
    photos: Path, model: Model, finder: FaceFinder, tmp_path: Path, name: str
) -> None:
    (photos / "00.png").rename(photos / name)
    first = predict(photos, model, finder, CountingEncoder(), tmp_path / "journal").table
    again = CountingEncoder()
    pd.testing.assert_frame_equal(predict(photos, model, finder, again, tmp_path / "journal").table, first)
    assert again.crops == 0


def test_evidence_survives_the_journal(photos: Path, model: Model, finder: FaceFinder, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with pytest.raises(KilledError):
        predict(photos, model, finder, CountingEncoder(lives=2), journal, explain=True)
    encoder = CountingEncoder()
    got = predict(photos, model, finder, encoder, journal, explain=True)
    assert encoder.crops == 3
    answered = [i for i, status in enumerate(got.table["status"]) if status == "ok"]
    assert sorted(got.evidence) == answered
    fresh = predict(photos, model, finder, CountingEncoder(), None, explain=True).evidence
    assert {i: one.face_id for i, one in got.evidence.items()} == {i: one.face_id for i, one in fresh.items()}
    for i, text in got.table["neighbours"].dropna().items():
        ids = model.table["face_id"].iloc[list(got.evidence[int(str(i))].voters)].tolist()
        assert [one.split(":")[0] for one in text.split()] == ids[:10]


def test_journal_without_evidence_is_not_used_where_it_is_asked_for(
    photos: Path, model: Model, finder: FaceFinder, cut: Path
) -> None:
    encoder = CountingEncoder()
    assert predict(photos, model, finder, encoder, cut, explain=True).evidence
    assert encoder.crops == PHOTOS - 2
    assert not predict(photos, model, finder, CountingEncoder(), None).evidence
