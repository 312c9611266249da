from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskcls.classify.answer import PREDICTED
from maskcls.classify.model.model import Model
from maskcls.classify.predict.job import PredictedPhotos, predict_photos
from maskcls.classify.tasks import PREDICTION_COLUMNS
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.labels import AGE_BANDS, GENDERS, MASKS
from maskcls.embedder.pipeline import MOST_FACES
from maskcls.embedder.storage.atomic import write_table

STRANGERS = 8
PROBABILITIES = {
    "mask": ("p_wear", "p_incorrect", "p_normal"),
    "gender": ("p_male", "p_female"),
    "age_band": ("p_lt30", "p_30_59", "p_ge60"),
}
CLASSES = {"mask": MASKS, "gender": GENDERS, "age_band": AGE_BANDS}


@pytest.fixture(scope="module")
def photos(data: Path, contest_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight strange faces, two of the gallery, two people in one photo, and four files without a face."""
    root = tmp_path_factory.mktemp("photos")
    known = {folder.name for folder in contest_photos.iterdir()}
    strange = [folder for folder in sorted((data / "contest" / "images").iterdir()) if folder.name not in known]
    for number, folder in enumerate(strange[:: len(strange) // STRANGERS][:STRANGERS]):
        photo = sorted(folder.iterdir())[number % 7]
        shutil.copy(photo, root / f"strange{number}{photo.suffix}")
    for number, folder in enumerate(sorted(contest_photos.iterdir())[:2]):
        photo = next(folder.glob("normal.*"))
        shutil.copy(photo, root / f"gallery{number}{photo.suffix}")
    pair = Image.new("RGB", (700, 420), "white")
    for number, folder in enumerate((strange[0], strange[5])):
        face = Image.open(next(folder.glob("normal.*"))).convert("RGB").resize((260, 260))
        pair.paste(face, (50 + 340 * number, 80))
    pair.save(root / "pair.png")
    Image.new("RGB", (300, 300), "grey").save(root / "blank.png")
    whole = (root / "pair.png").read_bytes()
    (root / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (root / "empty.jpg").write_bytes(b"")
    (root / "text.jpg").write_text("not a photo")
    return root


def order(root: Path) -> list[Path]:
    """Neither sorted nor grouped."""
    return [sorted(root.iterdir())[(7 * i) % len(list(root.iterdir()))] for i in range(len(list(root.iterdir())))]


def names(paths: Sequence[Path]) -> list[str]:
    return [path.name for path in paths]


@pytest.fixture(scope="module")
def answers(photos: Path, model: Model, encoder: FaceNetEncoder, finder: FaceFinder) -> PredictedPhotos:
    return predict_photos(order(photos), names(order(photos)), model, encoder, finder, batch_size=16, keep_crops=4)


@pytest.fixture(scope="module")
def by_name(answers: PredictedPhotos) -> pd.DataFrame:
    return answers.table.set_index(answers.table["path"].str.split(".").str[0])


@pytest.fixture(scope="module")
def ok(answers: PredictedPhotos) -> pd.DataFrame:
    table = answers.table[answers.table["status"] == "ok"]
    assert len(table) == STRANGERS + 3
    return table


def test_rows_are_in_the_order_given_with_exactly_these_columns(answers: PredictedPhotos, photos: Path) -> None:
    assert answers.table["path"].tolist() == [path.name for path in order(photos)]
    assert answers.table["path"].tolist() != sorted(answers.table["path"])
    assert tuple(answers.table.columns) == PREDICTION_COLUMNS


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("blank", "no_face", "no face found"),
        ("truncated", "unreadable", "truncated or damaged"),
        ("empty", "unreadable", "empty file"),
        ("text", "unreadable", "not a photo"),
    ],
)
def test_photo_without_an_answer_says_why(by_name: pd.DataFrame, name: str, status: str, reason: str) -> None:
    row = by_name.loc[name]
    assert row["status"] == status
    assert reason in str(row["reason"])
    assert row.drop(["path", "status", "reason"]).isna().all()


@pytest.mark.parametrize("task", PROBABILITIES)
def test_probabilities_sum_to_one_and_their_largest_is_the_answer(ok: pd.DataFrame, task: str) -> None:
    table = ok[list(PROBABILITIES[task])].to_numpy(np.float64)
    assert table.min() >= 0
    np.testing.assert_allclose(table.sum(axis=1), 1, atol=2e-4)
    likeliest = [CLASSES[task][best] for best in table.argmax(axis=1)]
    remarks = (
        ok["reason"].fillna("").str.contains("class-frequency").to_numpy() if task == "age_band" else np.zeros(len(ok))
    )
    assert [label != best for label, best in zip(ok[task], likeliest, strict=True)] == remarks.tolist()


def test_class_id(ok: pd.DataFrame) -> None:
    expected = (
        6 * ok["mask"].map(MASKS.index) + 3 * ok["gender"].map(GENDERS.index) + ok["age_band"].map(AGE_BANDS.index)
    )
    assert ok["class_id"].tolist() == expected.tolist()


def test_ages_lie_in_their_interval(ok: pd.DataFrame) -> None:
    assert (ok["age_low"] <= ok["age"]).all()
    assert (ok["age"] <= ok["age_high"]).all()
    assert ok["age_low"].ge(0).all()
    assert ok["age_high"].le(120).all()


def test_neighbours_are_faces_of_the_gallery(ok: pd.DataFrame, model: Model) -> None:
    faces = model.table.set_index("face_id")
    for text in ok["neighbours"]:
        found = [re.fullmatch(r"([0-9a-f]{16}):([\d.]+)(?:-([\d.]+))?:(-?\d\.\d{3})", one) for one in text.split(" ")]
        assert len(found) == 10
        matches = [match for match in found if match]
        assert len(matches) == 10
        assert [float(match[2]) for match in matches] == faces["age_low"].loc[[m[1] for m in matches]].tolist()
        similarities = [float(match[4]) for match in matches]
        assert similarities == sorted(similarities, reverse=True)
        groups = faces["group"].loc[[match[1] for match in matches]].tolist()
        assert len(set(groups)) == 10


@pytest.mark.parametrize("number", [0, 1])
def test_photo_of_the_gallery_is_not_answered_by_its_own_person(
    by_name: pd.DataFrame, model: Model, contest_photos: Path, number: int
) -> None:
    row = by_name.loc[f"gallery{number}"]
    person = sorted(contest_photos.iterdir())[number].name.split("_")[0]
    own = set(model.table.loc[model.table["person"] == person, "face_id"])
    assert own
    assert not own & {one.split(":")[0] for one in row["neighbours"].split()}
    assert "in the gallery" in str(row["reason"])


def test_strange_photo_has_no_remark_about_the_gallery(by_name: pd.DataFrame) -> None:
    reasons = by_name.loc[[f"strange{i}" for i in range(STRANGERS)], "reason"].fillna("")
    assert not reasons.str.contains("gallery;|faces found|does not predict").any()


def test_unsure_answers_are_marked_and_say_why(
    photos: Path, model: Model, encoder: FaceNetEncoder, finder: FaceFinder, answers: PredictedPhotos
) -> None:
    strict = predict_photos(order(photos), names(order(photos)), model, encoder, finder, min_confidence=0.8).table
    predicted = strict[strict["status"].isin(PREDICTED)].reset_index(drop=True)
    least = pd.DataFrame({task: _label_probability(predicted, task) for task in PROBABILITIES}).min(axis=1)
    strange = predicted["reason"].fillna("").str.contains("probably not a face")
    assert (predicted["status"] == "unsure").tolist() == ((least < 0.8) | strange).tolist()
    assert predicted.loc[least < 0.8, "reason"].str.contains("sure").all()
    assert 0 < (predicted["status"] == "unsure").sum() < len(predicted)
    assert strict[["path", *PROBABILITIES]].equals(answers.table[["path", *PROBABILITIES]])


def _label_probability(table: pd.DataFrame, task: str) -> list[float]:
    columns = dict(zip(CLASSES[task], PROBABILITIES[task], strict=True))
    return [row[columns[row[task]]] for row in table.to_dict("records")]


def test_several_faces_are_remarked(by_name: pd.DataFrame) -> None:
    assert "2 faces found; the largest found is predicted" in str(by_name.loc["pair", "reason"])


def test_crops_of_the_first_photos(answers: PredictedPhotos) -> None:
    expected = {i for i in range(4) if answers.table["status"][i] == "ok"}
    assert set(answers.crops) == expected
    assert {crop.shape for crop in answers.crops.values()} == {(160, 160, 3)}


def test_masks_of_strangers_are_mostly_right(by_name: pd.DataFrame, photos: Path, data: Path) -> None:
    originals = {path.read_bytes(): path.stem for path in sorted((data / "contest" / "images").glob("*/*"))}
    words = {"mask": "wear", "inco": "incorrect", "norm": "normal"}
    true = [words[originals[next(photos.glob(f"strange{i}.*")).read_bytes()][:4]] for i in range(STRANGERS)]
    answered = by_name.loc[[f"strange{i}" for i in range(STRANGERS)], "mask"]
    assert sum(a == b for a, b in zip(true, answered, strict=True)) >= STRANGERS - 2


def same_but_for_rounding(first: pd.DataFrame, second: pd.DataFrame) -> None:
    exact: Sequence[str] = ["path", "status", "mask", "gender", "age_band", "class_id"]
    pd.testing.assert_frame_equal(first[exact], second[exact])
    for column in ("age", "age_low", "age_high"):
        np.testing.assert_allclose(first[column].astype(float), second[column].astype(float), atol=0.2)


@pytest.mark.parametrize(("batch_size", "jobs"), [(1, 1), (5, 3)])
def test_answers_do_not_depend_on_the_batch(
    answers: PredictedPhotos,
    photos: Path,
    model: Model,
    encoder: FaceNetEncoder,
    finder: FaceFinder,
    batch_size: int,
    jobs: int,
) -> None:
    again = predict_photos(
        order(photos), names(order(photos)), model, encoder, finder, batch_size=batch_size, jobs=jobs
    )
    same_but_for_rounding(answers.table, again.table)
    assert again.crops == {}


def test_answers_in_both_file_formats(answers: PredictedPhotos, tmp_path: Path) -> None:
    write_table(tmp_path / "new" / "a.csv", answers.table)
    write_table(tmp_path / "new" / "a.parquet", answers.table)
    text = pd.read_csv(tmp_path / "new" / "a.csv").astype({"class_id": "Int64"})
    binary = pd.read_parquet(tmp_path / "new" / "a.parquet")
    assert list(text.columns) == list(binary.columns) == list(PREDICTION_COLUMNS)
    same_but_for_rounding(answers.table, text)
    same_but_for_rounding(answers.table, binary)


def test_no_photos_give_an_empty_table(model: Model, encoder: FaceNetEncoder, finder: FaceFinder) -> None:
    table = predict_photos([], [], model, encoder, finder).table
    assert table.empty
    assert tuple(table.columns) == PREDICTION_COLUMNS


def all_faces(
    photos: Path, model: Model, encoder: FaceNetEncoder, finder: FaceFinder, **options: Any
) -> PredictedPhotos:
    paths = [photos / "pair.png", photos / "blank.png", next(photos.glob("strange0*"))]
    return predict_photos(paths, names(paths), model, encoder, finder, faces=MOST_FACES, **options)


def test_every_face_has_a_row(
    photos: Path, model: Model, encoder: FaceNetEncoder, finder: FaceFinder, by_name: pd.DataFrame
) -> None:
    predicted = all_faces(photos, model, encoder, finder, keep_crops=9)
    table = predicted.table
    pair, blank = table[table["path"] == "pair.png"], table[table["path"] == "blank.png"]
    assert pair["face"].tolist() == [1, 2]
    assert pair["status"].tolist() == ["ok", "ok"]
    assert blank["face"].isna().all()
    boxes = [[float(value) for value in str(cell).split()] for cell in pair["box"]]
    assert boxes[0] != boxes[1]
    columns = ["mask", "gender", "age", "box", "quality"]
    assert pair.iloc[0][columns].to_dict() == pytest.approx(by_name.loc["pair", columns].to_dict())
    assert "the largest found is predicted" in str(pair["reason"].iloc[0])
    assert "this is number 2 by size" in str(pair["reason"].iloc[1])
    assert sorted(predicted.crops) == [number for number, answer in enumerate(predicted.answers) if answer.face]


def test_a_killed_run_resumes_with_every_face(
    photos: Path, model: Model, encoder: FaceNetEncoder, finder: FaceFinder, tmp_path: Path
) -> None:
    first = all_faces(photos, model, encoder, finder, steps=tmp_path / "steps", batch_size=1)
    done: list[int] = []
    again = all_faces(
        photos, model, encoder, finder, steps=tmp_path / "steps", progress=lambda _, total: done.append(total)
    )
    assert done == [0]
    assert again.answers == first.answers
    assert (
        len(
            predict_photos(
                [photos / "pair.png"], ["pair.png"], model, encoder, finder, steps=tmp_path / "steps"
            ).answers
        )
        == 1
    )


def test_faces_of_low_quality_are_unsure(
    photos: Path, model: Model, encoder: FaceNetEncoder, finder: FaceFinder
) -> None:
    strict = all_faces(photos, model, encoder, finder, min_quality=1.0)
    for answer in strict.answers:
        if answer.face is None or answer.face.quality is None:
            continue
        assert answer.status == ("unsure" if answer.face.quality < 1 else "ok")
        assert ("quality only" in (answer.reason or "")) == (answer.face.quality < 1)


def test_a_photo_that_lies_is_turned_and_the_row_remarks_it(
    photos: Path, model: Model, encoder: FaceNetEncoder, finder: FaceFinder, tmp_path: Path
) -> None:
    upright = next(photos.glob("gallery0*"))
    with Image.open(upright) as image:
        image.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.png")
    paths = [upright, tmp_path / "lying.png"]
    one, other = predict_photos(paths, names(paths), model, encoder, finder).answers
    assert other.face is not None
    assert other.face.turn == 270
    assert "turned by 270 degrees" in (other.reason or "")
    assert one.mask is not None
    assert other.mask is not None
    assert one.mask.label == other.mask.label
