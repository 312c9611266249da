from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from maskcls.cli.main import app


@pytest.mark.parametrize(
    ("gallery", "message"),
    [
        pytest.param("hnsw", "choose auto, exact, ivf or postgresql://", id="unknown kind"),
        pytest.param("postgresql://me:secret@host/x", "must hold no password", id="password"),
        pytest.param("postgresql:///x?host=/nowhere", "No such file", id="no server"),
    ],
)
def test_a_gallery_that_cannot_be_is_one_line(tmp_path: Path, gallery: str, message: str) -> None:
    done = CliRunner().invoke(
        app, ["build-index", str(tmp_path), "--out", str(tmp_path / "model"), "--gallery", gallery]
    )
    assert done.exit_code == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("maskcls: ")
    assert message in line
    assert "secret" not in line
    assert not (tmp_path / "model").exists()
