from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from maskcls.cli.main import app


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (160, 160), "tan").save(tmp_path / "photos" / "1.png")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("missing", "address", "message"),
    [
        pytest.param(True, None, "pip install 'maskcls[ray]'", id="no extra"),
        pytest.param(False, "nonsense", "RAY_ADDRESS nonsense: cannot be reached", id="no address"),
    ],
)
def test_a_cluster_that_cannot_be_had_is_one_line(
    photos: Path, monkeypatch: pytest.MonkeyPatch, missing: bool, address: str | None, message: str
) -> None:
    if missing:
        monkeypatch.setitem(sys.modules, "ray", None)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    out = photos.parent / "faces"
    done = CliRunner().invoke(app, ["embed", str(photos), "--out", str(out), "--engine", "ray"])
    assert done.exit_code == 1
    assert done.stderr.strip().splitlines()[-1].startswith("maskcls: ")
    assert message in done.stderr
    assert not out.exists()
