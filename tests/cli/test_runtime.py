from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from maskcls.cli.main import app
from maskcls.embedder.facenet import runtimes

PERSON = "000001_female_White_40"


@pytest.fixture
def photos(tmp_path: Path, data: Path) -> Path:
    shutil.copytree(data / "contest" / "images" / PERSON, tmp_path / "photos" / PERSON)
    return tmp_path / "photos"


@pytest.mark.parametrize(("engine", "precision"), [("torch", "fp32"), ("openvino", "fp32")])
def test_embed_names_engine_and_precision(photos: Path, tmp_path: Path, engine: str, precision: str) -> None:
    out = tmp_path / "faces"
    asked = ["embed", str(photos), "--out", str(out), "--runtime", engine, "--precision", precision]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert json.loads((out / "encoder.json").read_text())["encoder"]["runtime"] == f"{engine} {precision}"


def test_a_runtime_that_is_not_installed(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "has_openvino", lambda: False)
    result = CliRunner().invoke(app, ["embed", str(photos), "--out", str(tmp_path / "faces"), "--runtime", "openvino"])
    assert result.exit_code == 1
    assert "OpenVINO is not installed; run `pip install 'maskcls[fast]'`" in result.stderr
    assert not (tmp_path / "faces").exists()


def test_asking_about_a_crop_does_not_import_what_training_and_searching_need(photos: Path, tmp_path: Path) -> None:
    heavy = ("sklearn", "torchvision", "facenet_pytorch", "scipy.stats", "scipy.optimize", "jinja2")
    code = (
        "import atexit, sys; from maskcls.cli.main import main;"
        f"atexit.register(lambda: print('imported', [m for m in {heavy} if m in sys.modules]));"
        f"sys.argv = ['maskcls', 'predict', {str(photos)!r}, '--out', {str(tmp_path / 'answers.csv')!r}]; main()"
    )
    for _ in range(2):  # the first run may have to export the networks
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "imported []"
