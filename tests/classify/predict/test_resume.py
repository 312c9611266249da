"""Resuming a killed prediction, with an encoder that counts the crops it is given."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from maskcls.classify.answer import VOTERS_LISTED
from maskcls.classify.model.model import Model
from maskcls.classify.predict.job import PredictedPhotos, predict_photos
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.facenet.encoder import MAP_SHAPE, Encoded, EncoderInfo
from maskcls.embedder.photo import stored

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
    steps: Path | None,
    keep_crops: int = 0,
    explain: bool = False,
) -> PredictedPhotos:
    return predict_photos(
        sorted(photos.iterdir()),
        [stored(path.name) for path in sorted(photos.iterdir())],
        model,
        encoder,
        finder,
        mode="whole",
        batch_size=4,
        steps=steps,
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
    """The steps of a run that was killed after two of three batches: eight photos, one of them unreadable."""
    steps = tmp_path / "new" / ".p.csv.steps"
    with pytest.raises(KilledError):
        predict(photos, model, finder, CountingEncoder(lives=2), steps)
    return steps


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
    seen: list[tuple[int, int]] = []
    paths = sorted(photos.iterdir())
    predict_photos(
        paths,
        [path.name for path in paths],
        model,
        CountingEncoder(),
        finder,
        mode="whole",
        steps=cut,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(0, 4), (4, 4)]


def test_a_resumed_run_never_rewrites_what_is_finished(
    photos: Path, model: Model, finder: FaceFinder, expected: pd.DataFrame, cut: Path
) -> None:
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in cut.iterdir()}
    assert len(before) == 2
    for _ in range(2):  # killed again before anything was added
        with pytest.raises(KilledError):
            predict(photos, model, finder, CountingEncoder(lives=0), cut)
        assert {path.name: (path.stat().st_ino, path.read_bytes()) for path in cut.iterdir()} == before
    predict(photos, model, finder, CountingEncoder(), cut)
    assert before.items() <= {path.name: (path.stat().st_ino, path.read_bytes()) for path in cut.iterdir()}.items()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda step: step.write_bytes(step.read_bytes()[:-30]), id="cut short"),
        pytest.param(lambda step: step.write_bytes(b"\0" * 40), id="zeros"),
        pytest.param(lambda step: step.write_bytes(step.read_bytes().replace(b"04.png", b"05.png", 1)), id="changed"),
    ],
)
def test_a_damaged_step_is_made_again(
    photos: Path, model: Model, finder: FaceFinder, expected: pd.DataFrame, cut: Path, damage: Callable[[Path], int]
) -> None:
    damage(sorted(cut.iterdir())[1])
    encoder = CountingEncoder()
    assert_same(predict(photos, model, finder, encoder, cut).table, expected)
    assert encoder.crops >= 3 + 3


def test_steps_of_another_model_are_dropped(
    photos: Path, model: Model, finder: FaceFinder, expected: pd.DataFrame, cut: Path
) -> None:
    encoder = CountingEncoder()
    other = replace(model, fingerprint="f" * 64)
    assert_same(predict(photos, other, finder, encoder, cut).table, expected)
    assert encoder.crops == PHOTOS - 2


def test_steps_of_another_encoder_are_dropped(photos: Path, model: Model, finder: FaceFinder, cut: Path) -> None:
    encoder = CountingEncoder(name="other")
    predict(photos, model, finder, encoder, cut)
    assert encoder.crops == PHOTOS - 2


def test_a_changed_photo_is_predicted_again(photos: Path, model: Model, finder: FaceFinder, cut: Path) -> None:
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
def test_any_file_name_survives_a_step(
    photos: Path, model: Model, finder: FaceFinder, tmp_path: Path, name: str
) -> None:
    (photos / "00.png").rename(photos / name)
    first = predict(photos, model, finder, CountingEncoder(), tmp_path / "steps").table
    again = CountingEncoder()
    pd.testing.assert_frame_equal(predict(photos, model, finder, again, tmp_path / "steps").table, first)
    assert again.crops == 0


def test_all_voters_survive_a_step(photos: Path, model: Model, finder: FaceFinder, tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    with pytest.raises(KilledError):
        predict(photos, model, finder, CountingEncoder(lives=2), steps, explain=True)
    encoder = CountingEncoder()
    got = predict(photos, model, finder, encoder, steps, explain=True).answers
    assert encoder.crops == 3
    fresh = predict(photos, model, finder, CountingEncoder(), None, explain=True).answers
    for one, other in zip(got, fresh, strict=True):
        assert (one.face and one.face.face_id) == (other.face and other.face.face_id)
        assert len(one.voters) == len(other.voters) == one.voter_count
        assert one.status != "ok" or len(one.voters) > VOTERS_LISTED


def test_steps_without_all_voters_are_dropped_where_these_are_wanted(
    photos: Path, model: Model, finder: FaceFinder, cut: Path
) -> None:
    encoder = CountingEncoder()
    predict(photos, model, finder, encoder, cut, explain=True)
    assert encoder.crops == PHOTOS - 2
