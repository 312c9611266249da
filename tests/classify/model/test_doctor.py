from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from maskcls.classify.model import doctor
from maskcls.classify.model.doctor import examine
from maskcls.classify.model.loading import BUILTIN
from maskcls.cli.main import app
from maskcls.embedder.detection import detector
from maskcls.embedder.facenet import weights


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A copy of the built-in model with a damaged gallery."""
    folder = tmp_path / "model"
    shutil.copytree(BUILTIN, folder)
    (folder / "gallery.faiss").write_bytes(b"damaged")
    return folder


def test_a_sound_installation() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    names = [line.split(":")[0] for line in result.stdout.splitlines()]
    whole = ["versions", "runtime", "face finder", "built-in model", "FaceNet weights", "speed"]
    assert names == [f"ok     {name}" for name in whole]
    assert re.search(r"speed: [1-9]\d* faces/s", result.stdout)
    assert "maskcls 0." in result.stdout


def test_a_damaged_model_is_named_and_nothing_answers(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "BUILTIN", damaged)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "BROKEN built-in model: " in result.stdout
    assert "gallery.faiss" in result.stdout
    assert "speed" not in result.stdout
    assert result.stderr.strip() == "maskcls: broken: built-in model"


def test_another_model_is_looked_at_beside_the_built_in_one(damaged: Path) -> None:
    found = {finding.name: finding for finding in examine(damaged)}
    assert found["built-in model"].fine
    assert not found["model"].fine
    assert "FaceNet weights" not in found


@pytest.mark.parametrize(
    ("where", "name", "broken"),
    [
        pytest.param(weights, "PACKAGED_SHA256", ["FaceNet weights"], id="FaceNet"),
        pytest.param(detector, "MTCNN_SHA256", ["face finder", "FaceNet weights"], id="MTCNN"),  # the model names both
    ],
)
def test_damaged_weights_are_named(
    where: object, name: str, broken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    monkeypatch.setattr(where, name, other if name == "PACKAGED_SHA256" else {"onet.pt": other})
    found = {finding.name: finding for finding in examine()}
    assert sorted(finding.name for finding in found.values() if not finding.fine) == sorted(broken)
    assert "reinstall" in found[broken[0]].text


def test_a_library_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LIBRARIES", ("torch", "no-such-library"))
    first = next(examine())
    assert not first.fine
    assert "no-such-library is not installed" in first.text
