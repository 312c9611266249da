from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from maskcls.cli.main import app
from maskcls.embedder.masks import render as rendering
from maskcls.embedder.masks.drawing import draw_mask
from maskcls.embedder.storage.lock import locked

Make = Callable[[Path], object]


def maskcls(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def render(*arguments: object) -> Result:
    return maskcls("render-masks", *arguments)


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.splitlines()
    assert line.startswith("maskcls: ")
    for word in words:
        assert word in line


@pytest.fixture
def photos(contest_photos: Path, tmp_path: Path) -> Path:
    """All photos of two people."""
    root = tmp_path / "photos"
    for folder in sorted(contest_photos.iterdir())[:2]:
        shutil.copytree(folder, root / folder.name)
    return root


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "drawn"


def test_draw_again_and_embed(photos: Path, out: Path, tmp_path: Path) -> None:
    (next(photos.iterdir()) / "normal2.jpg").touch()
    done = render(photos, "--out", out)
    assert done.exit_code == 0, done.output
    rest = [
        "12 photos labelled as masked were passed over",
        f"1 photos or labels were not used, reasons in {out / 'rejects.csv'}",
    ]
    assert done.stdout.splitlines() == [f"{out}: 2 photos drawn now, 0 drawn before", *rest]
    assert done.stderr == ""
    again = render(photos, "-o", out)
    assert again.exit_code == 0
    assert again.stdout.splitlines() == [f"{out}: 0 photos drawn now, 2 drawn before", *rest]
    embedded = maskcls("embed", out, "--out", tmp_path / "faces")
    assert embedded.exit_code == 0, embedded.output
    assert "2 faces" in embedded.stdout
    assert "of layout csv" in embedded.stdout
    table = pd.read_parquet(tmp_path / "faces" / "faces.parquet")
    assert set(table["drawn_on"]) == set(pd.read_csv(out / "labels.csv")["drawn_on"])


def test_nothing_is_said_of_what_did_not_happen(portrait: Path, tmp_path: Path, out: Path) -> None:
    (tmp_path / "bare").mkdir()
    shutil.copy(portrait, tmp_path / "bare")
    done = render(tmp_path / "bare", "--out", out)
    assert done.stdout.splitlines() == [f"{out}: 1 photos drawn now, 0 drawn before"]


@pytest.mark.parametrize(
    ("options", "masks"),
    [
        pytest.param(["--copies", "3", "--incorrect", "0"], ["wear"] * 6, id="worn"),
        pytest.param(["--incorrect", "1", "--jobs", "1"], ["incorrect"] * 2, id="incorrect"),
    ],
)
def test_options(photos: Path, out: Path, options: list[str], masks: list[str]) -> None:
    assert render(photos, "--out", out, *options).exit_code == 0
    assert pd.read_csv(out / "labels.csv")["mask"].tolist() == masks


def test_seed(photos: Path, out: Path) -> None:
    first = render(photos, "--out", out, "--seed", "1")
    other = render(photos, "--out", out, "--seed", "-1")
    assert [result.stdout.splitlines()[0] for result in (first, other)] == [
        f"{out}: 2 photos drawn now, 0 drawn before"
    ] * 2


def test_labels_from_a_table(photos: Path, out: Path, tmp_path: Path) -> None:
    names = sorted(str(path.relative_to(photos)) for path in photos.rglob("normal.*"))
    table = tmp_path / "table.csv"
    table.write_text(f"path,person,age\n{names[0]},ann,60+\n{names[1]},bob,-3\n")
    done = render(photos, "--out", out, "--labels", table)
    assert done.exit_code == 0, done.output
    drawn = pd.read_csv(out / "labels.csv")
    assert drawn[["person", "age"]].fillna("").to_numpy().tolist() == [["ann", "60-100"], ["bob", ""]]
    rejects = pd.read_csv(out / "rejects.csv")
    unlisted = rejects["reason"].eq("label refused: not in the label file")
    assert unlisted.sum() == 12
    assert rejects[~unlisted].to_numpy().tolist() == [[names[1], "label ignored: age '-3' is outside 0-120 years"]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda path: path.mkdir(), "no photo in this folder", id="empty folder"),
        pytest.param(lambda path: None, "no such folder", id="no such folder"),
        pytest.param(lambda path: path.write_text(""), "is a file, not a folder", id="a file"),
    ],
)
def test_bad_folders(make: Make, words: str, tmp_path: Path, out: Path) -> None:
    make(tmp_path / "bad")
    fails(render(tmp_path / "bad", "--out", out), f"{tmp_path / 'bad'}: {words}")
    assert not out.exists()


@pytest.mark.parametrize("name", [".", "drawn", "a/b"])
def test_out_in_the_photo_folder(photos: Path, name: str) -> None:
    before = sorted(photos.rglob("*"))
    target = photos / name
    fails(render(photos, "--out", target), f"{target}: lies inside the photo folder; choose another --out")
    assert sorted(photos.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--labels", "missing.csv"], "missing.csv: cannot be read as a label table", id="label file"),
        pytest.param(["--layout", "csv"], "belong together", id="csv without labels"),
        pytest.param(["--layout", "fairface"], "fairface_label", id="fairface without table"),
    ],
)
def test_bad_labels(options: list[str], words: str, photos: Path, out: Path) -> None:
    fails(render(photos, "--out", out, *options), words)
    assert not out.exists()


def test_out_is_a_file_or_in_use(photos: Path, out: Path) -> None:
    with locked(out):
        fails(render(photos, "--out", out), f"{out}: another maskcls run is writing here")
    out.touch()
    fails(render(photos, "--out", out), f"{out}: cannot be written")


@pytest.mark.parametrize(
    ("keep", "rejects"),
    [pytest.param("mask1.*", 0, id="masked only"), pytest.param("nothing.*", 2, id="unreadable only")],
)
def test_nothing_to_draw_on_fails_and_still_writes_the_tables(photos: Path, out: Path, keep: str, rejects: int) -> None:
    for path in [path for path in photos.rglob("*.*") if not path.match(keep)]:
        path.unlink()
    for folder in photos.iterdir() if rejects else ():
        (folder / "normal.jpg").touch()
    result = render(photos, "--out", out)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [f"maskcls: {photos}: no bare face in any of 2 photos"]
    assert len(pd.read_csv(out / "labels.csv")) == 0
    assert pd.read_csv(out / "rejects.csv")["reason"].tolist() == ["empty file (0 bytes)"] * rejects


@pytest.mark.parametrize(
    "options",
    [
        ["--copies", "0"],
        ["--copies", "101"],
        ["--incorrect", "-0.1"],
        ["--incorrect", "1.1"],
        ["--jobs", "0"],
        ["--seed", "x"],
        ["--layout", "coco"],
    ],
    ids=" ".join,
)
def test_bad_options(options: list[str], photos: Path, out: Path) -> None:
    result = render(photos, "--out", out, *options)
    assert result.exit_code == 2
    assert options[0] in result.stderr
    assert not out.exists()


def test_out_is_needed(photos: Path) -> None:
    result = render(photos)
    assert result.exit_code == 2
    assert "--out" in result.stderr


def test_ctrl_c_exits_130_and_the_next_run_goes_on(photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []

    def interrupted(*arguments: Any) -> Image.Image:
        drawn.append(arguments)
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return draw_mask(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(rendering, "draw_mask", interrupted)
        result = render(photos, "--out", out, "--copies", "2", "--jobs", "1")
    assert result.exit_code == 130
    assert result.stderr.splitlines() == ["maskcls: interrupted; run the same command again to go on"]
    before = len(list(out.rglob("*.jpg")))
    again = render(photos, "--out", out, "--copies", "2")
    assert again.stdout.splitlines()[0] == f"{out}: {4 - before} photos drawn now, {before} drawn before"
    assert 1 <= before < 4


def test_help() -> None:
    result = render("--help")
    assert result.exit_code == 0
    assert "--copies" in result.stdout
