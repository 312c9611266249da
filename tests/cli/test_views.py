from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from maskcls.cli.main import app
from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.faceset.embed import embed_folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def views_of(model: Path) -> int:
    data = json.loads((model / "model.json").read_text())["data"]
    return int(data["views"])


@pytest.fixture
def moved(contest_photos: Path, encoder: FaceNetEncoder, finder: FaceFinder, tmp_path: Path) -> Path:
    """An embedding set of twelve people whose photos are gone."""
    photos, faces = tmp_path / "photos", tmp_path / "faces"
    for person in sorted(contest_photos.iterdir())[:12]:
        shutil.copytree(person, photos / person.name)
    embed_folder(read_dataset(photos, "auto"), photos, faces, encoder, finder)
    shutil.rmtree(photos)
    return faces


@pytest.mark.parametrize(
    ("asked", "views"),
    [pytest.param((), 0, id="default"), pytest.param(("--views", "2"), 2, id="two")],
)
def test_the_model_says_how_often_its_faces_were_seen(
    contest_faces: Path, tmp_path: Path, asked: tuple[str, ...], views: int
) -> None:
    built = run("build-index", contest_faces, "--out", tmp_path / "model", *asked)
    assert built.exit_code == 0, built.output
    assert views_of(tmp_path / "model") == views
    assert [path.name for path in tmp_path.iterdir()] == ["model"]  # no work in progress is left


def test_views_change_heads_and_leave_the_gallery_alone(contest_faces: Path, tmp_path: Path) -> None:
    for views in ("0", "1"):
        assert run("build-index", contest_faces, "--out", tmp_path / views, "--views", views).exit_code == 0
    same = {
        name: (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()
        for name in ("heads.safetensors", "age_space.safetensors", "gallery.faiss")
    }
    assert same == {"heads.safetensors": False, "age_space.safetensors": True, "gallery.faiss": True}


def test_views_that_are_asked_for_need_the_photos(moved: Path, tmp_path: Path) -> None:
    built = run("build-index", moved, "--out", tmp_path / "model", "--views", "1")
    assert built.exit_code == 1
    (line,) = built.stderr.splitlines()
    assert "gone or changed" in line
    assert not (tmp_path / "model").exists()
