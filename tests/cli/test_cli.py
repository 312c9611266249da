from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from maskcls.classify.tasks import PREDICTION_COLUMNS
from maskcls.cli.main import app
from maskcls.embedder.photo import stored
from maskcls.embedder.storage.manifest import write_manifest

ODD_NAMES = ("new\nline.jpg", "smile \N{GRINNING FACE}.jpg", '=1+1,"quoted".jpg')


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("maskcls: ")
    for word in words:
        assert word in line


@pytest.fixture
def photos(contest_photos: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    shutil.copytree(sorted(contest_photos.iterdir())[0], folder / "person")
    return folder


@pytest.mark.parametrize("command", ["embed", "build-index", "predict", "split", "render-masks"])
def test_help_names_every_option_in_words(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--out" in result.stdout


def test_help_does_not_import_the_networks() -> None:
    code = "import sys; from maskcls.cli.main import app; sys.exit(any(m in sys.modules for m in ('torch', 'faiss')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_main_job(contest_photos: Path, photos: Path, portrait: Path, tmp_path: Path) -> None:
    faces, model, out = tmp_path / "faces", tmp_path / "model", tmp_path / "answers" / "predictions.csv"
    for state in ("mask1", "incorrect_mask", "normal"):
        for photo in contest_photos.glob(f"*/{state}.*"):
            (tmp_path / "all" / photo.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(photo, tmp_path / "all" / photo.parent.name)
    embedded = run("embed", tmp_path / "all", "--out", faces)
    assert embedded.exit_code == 0, embedded.output
    assert "layout contest" in embedded.stdout
    built = run("build-index", faces, "--out", model)
    assert built.exit_code == 0, built.output
    assert "age vote on the held-out people that chose its settings" in built.stdout
    for name in ODD_NAMES:
        shutil.copy(portrait, photos / name)
    shutil.copy(portrait, os.fsdecode(os.fsencode(photos) + b"/latin-\xe9.jpg"))
    (photos / "broken.jpg").write_bytes(portrait.read_bytes()[:200])
    (photos / "notes.txt").write_text("not a photo by name")
    report, submission = tmp_path / "report.html", tmp_path / "submission.csv"
    predicted = run("predict", photos, "-m", model, "-o", out, "--report", report, "--submission", submission)
    assert predicted.exit_code == 0, predicted.output
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == PREDICTION_COLUMNS
    expected = [
        stored(p.relative_to(photos)) for p in sorted(photos.rglob("*")) if p.suffix in (".jpg", ".jpeg", ".png")
    ]
    assert [row["path"] for row in rows] == expected
    by_path = {row["path"]: row for row in rows}
    assert by_path["broken.jpg"]["status"] == "unreadable"
    assert all(by_path[name]["status"] == "ok" for name in (*ODD_NAMES, "latin-\\udce9.jpg"))
    assert "passed over: 1 .txt" in predicted.stdout
    assert all(line.isprintable() for line in predicted.stdout.splitlines())
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    answers = pd.read_csv(submission)
    assert list(answers.columns) == ["ImageID", "ans"]
    assert answers["ans"].between(0, 17).all()
    assert len(answers) == len(rows)
    assert not list(out.parent.glob(".*"))


def test_unsure_answers_are_counted_and_are_no_failure(photos: Path, model_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions.csv"
    result = run("predict", photos, "-m", model_folder, "-o", out, "--min-confidence", "1")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out)
    assert set(table["status"]) == {"unsure"}
    assert table["class_id"].notna().all()
    assert f"{len(table)} answered ({len(table)} of them unsure)" in result.stdout
    assert "sure" in result.stdout.splitlines()[1]


def test_explain_writes_the_evidence_of_every_answer(photos: Path, model_folder: Path, tmp_path: Path) -> None:
    out, evidence = tmp_path / "p.csv", tmp_path / "new" / "evidence.jsonl"
    (photos / "broken.jpg").write_bytes(b"broken")
    result = run("predict", photos, "-m", model_folder, "-o", out, "--explain", evidence)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out)
    answered = table[table["status"] == "ok"]
    assert len(answered) == len(table) - 1
    assert f"voters of {len(answered)} answers" in result.stdout
    cards = [json.loads(line) for line in evidence.read_text(encoding="utf-8").splitlines()]
    assert [card["path"] for card in cards] == answered["path"].tolist()
    for card, row in zip(cards, answered.to_dict("records"), strict=True):
        assert (card["answer"]["age_band"], card["answer"]["class_id"]) == (row["age_band"], row["class_id"])
        assert len(card["voters"]) == row["voters"]
        near = [f"{voter['face_id']}:{voter['age_low']:g}:{voter['similarity']:.3f}" for voter in card["voters"][:10]]
        assert near == row["neighbours"].split()
    assert not list(tmp_path.glob(".*"))


def test_photos_and_folders_are_predicted_together(
    photos: Path, portrait: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(portrait, "portrait")  # without a suffix
    Path("notes.txt").write_text("named, and so tried")
    os.mkfifo("pipe.jpg")
    (photos / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (photos / "link").symlink_to(tmp_path)
    report, submission, evidence = Path("r.html"), Path("s.csv"), Path("e.jsonl")
    outputs = ("-o", "p.csv", "--report", report, "--submission", submission, "--explain", evidence)
    result = run("predict", "portrait", "photos/", "notes.txt", "pipe.jpg", "-m", model_folder, *outputs)
    assert result.exit_code == 0, result.output
    table = pd.read_csv("p.csv").set_index("path")
    names = sorted(str(path.relative_to(tmp_path)) for path in photos.glob("person/*"))
    assert table.index.tolist() == ["portrait", *names, "notes.txt", "pipe.jpg"]
    assert table.loc["portrait", "status"] == "ok"
    assert str(table.loc["notes.txt", "reason"]).startswith("not a photo (JPEG, PNG,")
    assert table.loc["pipe.jpg", "reason"] == "cannot be read: is a pipe, not a file"
    assert "passed over: 1 .mp4, 1 folder that is a link" in result.stdout
    assert "<title>maskcls: portrait, photos, notes.txt and 1 more</title>" in report.read_text(encoding="utf-8")
    ids = [name.removeprefix("photos/") for name in names]
    assert pd.read_csv(submission)["ImageID"].tolist() == ["portrait", *ids, "notes.txt", "pipe.jpg"]
    cards = [json.loads(line) for line in evidence.read_text(encoding="utf-8").splitlines()]
    assert [card["path"] for card in cards] == table.index[table["status"] == "ok"].tolist()
    facts = json.loads(run("predict", "photos", "-m", model_folder, "-o", "p.csv", "--json").stdout)
    assert facts["passed_over"] == {".mp4": 1, "folder that is a link": 1}


@pytest.mark.parametrize(
    ("places", "options", "words"),
    [
        pytest.param(["a.jpg", "gone.jpg"], [], ["gone.jpg: no such file or folder"], id="no such photo"),
        pytest.param(["a.jpg", "only"], [], ["only/link is a link to a folder", "name its target"], id="only a link"),
        pytest.param(["one", "two"], ["--submission", "s.csv"], ["one/x.jpg and two/x.jpg"], id="one id twice"),
        pytest.param(["x.csv", "one"], ["-o", "x.csv"], ["x.csv", "named twice"], id="a photo as output"),
        pytest.param(
            ["one"], ["--submission", "s.csv", "--faces", "all"], ["one line a photo"], id="a submission of all faces"
        ),
    ],
)
def test_what_cannot_be_predicted_is_an_error_before_the_work(
    places: list[str], options: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "one/x.jpg", "two/x.jpg", "x.csv"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    Path("only").mkdir()
    Path("only/link").symlink_to(tmp_path)
    monkeypatch.setattr("maskcls.cli.predict.opened", None)
    fails(run("predict", *places, *options), *words)
    assert not Path("predictions.csv").exists()


@pytest.mark.parametrize("search", ["libfacedetection", "mtcnn"])
def test_every_face_of_a_group_is_a_row(portrait: Path, tmp_path: Path, search: str) -> None:
    with Image.open(portrait) as image:
        face = image.convert("RGB").resize((256, 256))
    group = Image.new("RGB", (900, 400), "white")
    group.paste(face, (20, 60))
    group.paste(face.resize((220, 220)), (500, 60))
    (tmp_path / "photos").mkdir()
    group.save(tmp_path / "photos" / "group.png")
    Image.new("RGB", (90, 90), "grey").save(tmp_path / "photos" / "none.png")
    out = tmp_path / "p.csv"
    options = ("--faces", "all", "--search", search, "--min-quality", "1", "--report", tmp_path / "r.html")
    result = run("predict", tmp_path / "photos", "-o", out, *options)
    assert result.exit_code == 0, result.output
    assert "2 photos, 2 faces answered" in result.stdout
    assert "group.png, face 2: " in result.stdout
    table = pd.read_csv(out)
    assert table["path"].tolist() == ["group.png", "group.png", "none.png"]
    assert table["face"].tolist()[:2] == [1, 2]
    assert table["box"].notna().tolist() == [True, True, False]
    low = table["quality"] < 1
    assert (table.loc[low, "status"] == "unsure").all()
    assert table.loc[low, "reason"].str.contains("quality only").all()


def test_predict_writes_parquet(photos: Path, model_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions.parquet"
    assert run("predict", photos, "-m", model_folder, "-o", out).exit_code == 0
    assert list(pd.read_parquet(out).columns) == list(PREDICTION_COLUMNS)


def test_embed_takes_labels_from_a_table(photos: Path, tmp_path: Path) -> None:
    names = sorted(str(p.relative_to(photos)) for p in photos.rglob("*") if p.is_file())
    labels = tmp_path / "labels.csv"
    lines = [f"{name},ann,{'x' if i == 0 else 'female'},{-3 if i == 1 else 33}" for i, name in enumerate(names)]
    labels.write_text("\n".join(["file,who,sex,years", *lines]))
    columns = ("--path-column", "file", "--person-column", "who", "--gender-column", "sex", "--age-column", "years")
    result = run("embed", photos, "--labels", labels, *columns, "--out", tmp_path / "faces")
    assert result.exit_code == 0, result.output
    assert "2 photos or labels were not used" in result.stdout
    rejects = pd.read_csv(tmp_path / "faces" / "rejects.csv")
    assert rejects["reason"].tolist() == [
        "label ignored: gender 'x' is neither male nor female",
        "label ignored: age '-3' is outside 0-120 years",
    ]
    table = pd.read_parquet(tmp_path / "faces" / "faces.parquet")
    assert set(table["person"]) == {"ann"}
    assert sorted(table["age_low"].fillna(-1).unique()) == [-1.0, 33.0]


@pytest.mark.parametrize(
    ("command", "make", "words"),
    [
        pytest.param("embed", lambda path: path.mkdir(), "no photo in this folder", id="embed-empty-folder"),
        pytest.param("embed", lambda path: None, "no such folder", id="embed-no-such-folder"),
        pytest.param("embed", lambda path: path.write_text(""), "is a file, not a folder", id="embed-a-file"),
        pytest.param("predict", lambda path: path.mkdir(), "no photo in this folder", id="predict-empty-folder"),
        pytest.param("predict", lambda path: None, "no such file or folder", id="predict-nothing"),
    ],
)
def test_bad_folders(
    command: str, make: Callable[[Path], object], words: str, tmp_path: Path, model_folder: Path
) -> None:
    make(tmp_path / "photos")
    model = ("--model", model_folder) if command == "predict" else ()
    fails(
        run(command, tmp_path / "photos", "--out", tmp_path / ("out.csv" if model else "out"), *model), "photos", words
    )


def test_nothing_but_bad_photos_fails_and_still_writes_the_rows(tmp_path: Path, model_folder: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"")
    out = tmp_path / "predictions.csv"
    fails(run("predict", folder, "--model", model_folder, "--out", out), "no face in any of 1 photos")
    assert pd.read_csv(out)["reason"].tolist() == ["empty file (0 bytes)"]
    fails(run("embed", folder, "--out", tmp_path / "faces"), "no face in any of 1 photos")
    assert pd.read_csv(tmp_path / "faces" / "rejects.csv")["reason"].tolist() == ["empty file (0 bytes)"]


def test_a_model_of_another_encoder_is_refused(photos: Path, model_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "model"
    shutil.copytree(model_folder, other)
    manifest = json.loads((other / "model.json").read_text())
    manifest["encoder"]["weights_sha256"] = "0" * 64
    write_manifest(other / "model.json", manifest)
    result = run("predict", photos, "--model", other, "--out", tmp_path / "p.csv")
    fails(result, "built with encoder", "--weights")
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--labels", "missing.csv"], "missing.csv", id="label-file-missing"),
        pytest.param(["--layout", "csv"], "belong together", id="csv-without-labels"),
        pytest.param(["--layout", "fairface"], "fairface_label", id="fairface-without-table"),
        pytest.param(["--weights", "missing.pt"], "missing.pt", id="weights-missing"),
    ],
)
def test_bad_embed_options(options: list[str], words: str, photos: Path, tmp_path: Path) -> None:
    fails(run("embed", photos, "--out", tmp_path / "faces", *options), words)


def test_build_index_refuses_what_is_no_set(tmp_path: Path) -> None:
    fails(run("build-index", tmp_path / "nothing", "--out", tmp_path / "model"), "no such folder", "maskcls embed")


def test_build_index_does_not_overwrite_something_else(
    contest_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "letter.txt").write_text("keep me")
    monkeypatch.setattr("maskcls.classify.model.build.build_model", None)  # the error comes before anything is built
    fails(run("build-index", contest_faces, "--out", precious), "not a model")
    assert (precious / "letter.txt").read_text() == "keep me"


def test_ctrl_c_exits_130_and_the_next_run_resumes(contest_photos: Path, tmp_path: Path) -> None:
    out, photos = tmp_path / "faces", tmp_path / "people"
    for person in sorted(contest_photos.iterdir())[:15]:
        shutil.copytree(person, photos / person.name)
    # a run started in the background of a shell would ignore Ctrl-C, and so would its children
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{code}; from maskcls.cli.main import main; main()"]
    command += ["embed", str(photos), "--out", str(out), "--batch-size", "8"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list((out / ".steps").glob("*.step")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    result = run("embed", photos, "--out", out)
    assert result.exit_code == 0
    total = len([p for p in photos.rglob("*") if p.is_file()])
    now = int(result.stdout.split(";")[1].split()[0])
    assert 0 < now < total
