"""What a user sees of the layout and the labels that were found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from maskcls.cli.dataset import show_layout, warn_of_misread
from maskcls.cli.main import app
from maskcls.embedder.datasets.dataset import Dataset, LayoutName, Listed, Misread
from maskcls.embedder.labels import Labels
from maskcls.embedder.photo import PassedOver

PHOTO = Path("a.jpg")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def photos(portrait: Path, tmp_path: Path) -> Path:
    """One face under a name that looks like a date."""
    (tmp_path / "photos").mkdir()
    shutil.copy(portrait, tmp_path / "photos" / f"25_01_2021{portrait.suffix}")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("layout", "guessed", "labels", "line"),
    [
        pytest.param(
            "utkface",
            True,
            [Labels(None, "normal", "male", None, 20, 20)] * 7476,
            "layout utkface (guessed): 7,476 photos, labels: age 7,476, gender 7,476, mask 7,476",
            id="guessed",
        ),
        pytest.param(
            "csv",
            True,
            [Labels()] * 2 + [Labels("a", "wear")],
            "layout csv (labels.csv found): 3 photos, labels: age 0, gender 0, mask 1",
            id="found",
        ),
        pytest.param(
            "csv",
            False,
            [Labels(age_low=20, age_high=29), Labels(gender="male"), Labels("ann")],
            "layout csv: 3 photos, labels: age 1, gender 1, mask 0",
            id="named",
        ),
    ],
)
def test_the_layout_and_its_labels_are_one_line(
    layout: LayoutName, guessed: bool, labels: Sequence[Labels], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_layout(Dataset(layout, [Listed(PHOTO, one) for one in labels], PassedOver(), guessed))
    assert capsys.readouterr().out.splitlines() == [line]


def test_a_set_without_labels_is_called_that(capsys: pytest.CaptureFixture[str]) -> None:
    show_layout(Dataset("folders", [Listed(PHOTO), Listed(PHOTO, refused="not in the label file")], PassedOver(), True))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "layout folders (guessed): 2 photos, labels: age 0, gender 0, mask 0"
    assert second.startswith("no photo has a label of age, gender or mask: ")


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        pytest.param(
            [("age", "Years", "old")] * 2 + [("age", "Years", "young")],
            "3 cells of column `Years` are not understood, such as 'old': left empty",
            id="words",
        ),
        pytest.param(
            [("gender", "sex", "1")],
            "1 cell of column `sex` is not understood, such as '1': left empty (codes need a legend, such as --legend "
            "gender:0=male,1=female)",
            id="codes",
        ),
        pytest.param(
            [("mask", "mask", "line\nbreak")],
            "1 cell of column `mask` is not understood, such as 'line\\nbreak': left empty",
            id="line break",
        ),
    ],
)
def test_cells_that_are_not_understood_are_counted(
    cells: Sequence[tuple[str, str, str]], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_of_misread(
        Dataset("csv", [Listed(PHOTO, problems=(Misread(*cell, "reason"),)) for cell in cells], PassedOver())
    )
    assert capsys.readouterr().err.splitlines() == [line]


def test_dates_are_no_labels_and_a_legend_explains_codes(photos: Path, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    bare = run("embed", photos, "--out", faces)
    assert bare.exit_code == 0, bare.output
    assert bare.stdout.startswith("layout folders (guessed): 1 photos, labels: age 0, gender 0, mask 0\nno photo has")
    table = tmp_path / "labels.csv"
    table.write_text(f"Path;Gender\n{next(photos.iterdir()).name};1\n")
    coded = run("embed", photos, "--labels", table, "--out", faces)
    assert "1 cell of column `gender` is not understood, such as '1'" in coded.stderr
    told = run("--json", "embed", photos, "--labels", table, "--legend", "gender:0=male,1=female", "--out", faces)
    facts = json.loads(told.stdout)
    assert (facts["labels"], facts["guessed"], facts["not_understood"]) == (
        {"age": 0, "gender": 1, "mask": 0},
        False,
        {},
    )
    assert pd.read_parquet(faces / "faces.parquet")["gender"].tolist() == ["female"]


@pytest.mark.parametrize("command", ["embed", "render-masks"])
def test_what_is_no_legend_is_one_line(command: str, photos: Path, tmp_path: Path) -> None:
    result = run(command, photos, "--legend", "gender=male", "--out", tmp_path / "out")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("maskcls: legend 'gender=male': not of the form mask:0=normal,1=wear or ")


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"mask": None, "gender": None}, id="no label"),
        pytest.param({"mask": "wear", "gender": "male"}, id="one class each"),
    ],
)
def test_build_index_refuses_a_model_that_could_answer_nothing(
    paint_set: Callable[..., Path], tmp_path: Path, labels: dict[str, object]
) -> None:
    faces, model = paint_set(tmp_path / "set", people=3, age_low=None, age_high=None, **labels), tmp_path / "model"
    result = run("build-index", faces, "--out", model)
    assert result.exit_code == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith(
        f"maskcls: {faces}: a model of these faces could answer nothing: none has an age, and too few"
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "set"]


def test_faces_of_a_table_with_boxes(data: Path, tmp_path: Path) -> None:
    photos, labels, out = tmp_path / "photos", tmp_path / "boxes.csv", tmp_path / "faces"
    photos.mkdir()
    shutil.copy(data / "streets" / "photos" / "street129.webp", photos)
    table = pd.read_csv(data / "streets" / "boxes.csv")
    table = table[table["path"] == "photos/street129.webp"].assign(path="street129.webp")
    table.to_csv(labels, index=False)
    done = run("embed", photos, "--labels", labels, "--faces", "all", "--out", out)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "layout csv: 3 labelled faces in 1 photos, labels: age 0, gender 0, mask 3"
    assert "3 faces (0 photos taken whole) of layout csv; 1 photos embedded now, 0 unchanged" in done.stdout
    table.drop(columns="x0").to_csv(labels, index=False)
    refused = run("embed", photos, "--labels", labels, "--faces", "all", "--out", out)
    assert refused.exit_code == 1
    assert "boxes.csv: no column x0; --faces all needs the box of each face" in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.output
