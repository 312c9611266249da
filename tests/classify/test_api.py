from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import maskcls
from maskcls import Answer, Classifier, MaskclsError, Predictions
from maskcls.classify.tasks import PREDICTION_COLUMNS
from maskcls.cli.main import app


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load()


@pytest.fixture(scope="module")
def photos(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of one person, an empty picture, and one that is broken."""
    root = tmp_path_factory.mktemp("library") / "photos"
    shutil.copytree(sorted((data / "contest" / "images").iterdir())[2], root / "person")
    Image.new("RGB", (200, 200), "white").save(root / "blank.png")
    (root / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    return root


def test_the_library_says_what_the_command_says(classifier: Classifier, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.parquet"
    result = CliRunner().invoke(app, ["predict", str(photos), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert result.stderr.count("the built-in model") == 1
    answers = classifier.predict(photos)
    pd.testing.assert_frame_equal(answers.to_frame(), pd.read_parquet(out), check_dtype=False)
    assert set(answers.to_frame()["status"]) == {"ok", "no_face", "unreadable"}
    assert all(answer.voters[0].path is None for answer in answers if answer.age)  # prototypes


def test_paths_images_and_arrays_are_answered_alike(classifier: Classifier, photos: Path) -> None:
    path = sorted((photos / "person").iterdir())[0]
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    answers = classifier.predict([path, str(path), image, np.asarray(image)], batch_size=2)
    table = answers.to_frame()
    assert table["path"].tolist() == [str(path), str(path), "image 2", "image 3"]
    assert (table["status"] == "ok").all()
    for column in table.columns.drop("path"):
        assert table[column].nunique(dropna=False) == 1, column


def test_folders_beside_others_are_named_with_their_names(
    classifier: Classifier, portrait: Path, tmp_path: Path
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shutil.copy(portrait, tmp_path / folder / "x")
    one, two = tmp_path / "one", tmp_path / "two"
    assert [answer.path for answer in classifier.predict([one])] == ["x"]
    assert [answer.path for answer in classifier.predict([one, str(two)])] == [str(one / "x"), str(two / "x")]
    assert [answer.path for answer in classifier.predict([one / "x", one / "x"])] == [str(one / "x")] * 2


def test_all_faces_of_a_photo(classifier: Classifier, portrait: Path) -> None:
    with Image.open(portrait) as image:
        face = image.convert("RGB").resize((256, 256))
    pair = Image.new("RGB", (800, 400), "white")
    pair.paste(face, (20, 60))
    pair.paste(face.resize((200, 200)), (500, 60))
    assert len(classifier.predict(pair)) == 1
    answers = classifier.predict([pair, Image.new("RGB", (90, 90))], faces="all")
    assert [answer.path for answer in answers] == ["image 0", "image 0", "image 1"]
    assert answers.to_frame()["face"].tolist()[:2] == [1, 2]
    with pytest.raises(MaskclsError, match=r"^faces='every': choose largest or all$"):
        classifier.predict(pair, faces="every")


@pytest.mark.parametrize("kind", ["path", "image", "array"])
def test_one_photo_needs_no_list(classifier: Classifier, portrait: Path, kind: str) -> None:
    with Image.open(portrait) as image:
        one = {"path": portrait, "image": image, "array": np.asarray(image.convert("RGB"))}[kind]
        assert len(classifier.predict(one)) == 1  # type: ignore[arg-type, unused-ignore]


def test_bad_photos_stop_nothing(classifier: Classifier, portrait: Path, tmp_path: Path) -> None:
    answers = classifier.predict(
        [tmp_path / "gone.jpg", np.zeros((9, 9, 3), np.uint8), portrait], min_confidence=1.0, jobs=1
    )
    assert answers.to_frame()["status"].tolist() == ["unreadable", "unreadable", "unsure"]
    assert "9 x 9 pixels" in answers[1]["reason"]
    assert len(classifier.predict([])) == 0


@pytest.mark.parametrize(
    ("item", "words"),
    [
        pytest.param(np.zeros((20, 20, 3)), r"array \(20, 20, 3\) of float64", id="floats"),
        pytest.param(np.zeros((20, 20, 5), np.uint8), r"array \(20, 20, 5\)", id="five channels"),
        pytest.param(17, "int: not a path", id="a number"),
    ],
)
def test_what_is_no_photo_is_said_in_one_line(classifier: Classifier, item: npt.NDArray[np.uint8], words: str) -> None:
    with pytest.raises(MaskclsError, match=words):
        classifier.predict([item])


def test_an_empty_folder_is_said_in_one_line(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(MaskclsError, match="no photo in this folder"):
        classifier.predict(tmp_path)


def test_a_folder_without_a_model_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(MaskclsError, match="model"):
        Classifier.load(tmp_path)


def test_predictions_are_a_sequence_of_answers() -> None:
    predictions = Predictions((Answer("a.jpg"), Answer("b.jpg", "no_face", notes=("no face found",))))
    assert len(predictions) == 2
    assert [answer.path for answer in predictions] == ["a.jpg", "b.jpg"]
    assert predictions[1]["reason"] == "no face found"
    assert repr(predictions) == "Predictions(1 ok, 1 no_face)"
    assert repr(Predictions(())) == "Predictions(none)"
    assert json.loads(json.dumps(predictions.to_dict()))["status"] == ["ok", "no_face"]
    assert list(predictions.to_dict()) == list(predictions.to_frame()) == list(PREDICTION_COLUMNS)


def test_importing_maskcls_is_cheap_and_names_are_there() -> None:
    code = (
        "import sys, maskcls; assert 'Classifier' in dir(maskcls);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'pandas', 'faiss', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    for name in maskcls.__all__:
        assert getattr(maskcls, name).__name__ == name
    with pytest.raises(AttributeError, match="Klassifier"):
        maskcls.Klassifier  # noqa: B018


WORKER = """
import multiprocessing
import sys

from maskcls import Classifier


def age(classifier, path):
    try:
        return classifier.predict(path)[0].age.years
    except Exception as error:
        return repr(error)


if __name__ == "__main__":
    classifier = Classifier.load()
    here = age(classifier, sys.argv[2])
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        there = pool.apply_async(age, (classifier, sys.argv[2])).get(timeout=120)
    print(here == there, there)
"""


def in_a_worker(method: str, photo: Path, script: Path) -> str:
    script.write_text(WORKER)
    command = [sys.executable, str(script), method, str(photo)]
    environment = os.environ | {"PYTHONPATH": str(Path(maskcls.__file__).parents[1]), "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_pickled_classifier_predicts_in_a_spawned_worker(portrait: Path, tmp_path: Path) -> None:
    assert in_a_worker("spawn", portrait, tmp_path / "worker.py").startswith("True ")


def test_a_forked_worker_raises_instead_of_waiting_for_ever(portrait: Path, tmp_path: Path) -> None:
    answer = in_a_worker("fork", portrait, tmp_path / "worker.py")
    assert answer.startswith("False MaskclsError(")
    assert "start workers by spawn or forkserver" in answer
