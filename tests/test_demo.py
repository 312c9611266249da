"""``make demo`` where there are no labelled photos beside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
STAMP = ".venv/installed-demo"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile and what its demo reads, installed into this interpreter; no ``../shared`` beside it."""
    tree = tmp_path / "checkout"
    (tree / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "setup.py", "constraints.txt"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / "benchmarks", tree / "benchmarks")
    code = "from maskcls.cli.main import main; main()"
    for name, command in (("python", ""), ("maskcls", f"-c '{code}'")):
        script = tree / ".venv" / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        script.chmod(0o755)
    (tree / STAMP).touch()
    return tree


def test_the_demo_without_labelled_photos_shows_predictions_of_the_builtin_model(checkout: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")} | {
        "PYTHONPATH": str(ROOT)
    }
    result = subprocess.run(
        ["make", "--no-print-directory", "demo"], cwd=checkout, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(checkout / "demo" / "predictions.csv").set_index("path")
    assert table["mask"].dropna().to_dict() == {
        "astronaut.jpg": "normal",
        "astronaut-wear.jpg": "wear",
        "astronaut-incorrect.jpg": "incorrect",
    }
    assert set(table["gender"].dropna()) == {"female"}
    assert table.loc[["china.jpg", "flower.jpg"], "status"].tolist() == ["no_face", "no_face"]
    shown = [line for line in result.stdout.splitlines() if line.startswith("  astronaut")]
    assert len(shown) == 3, "only the built-in model's predictions are shown"
    assert "One person's photos" in result.stdout
    assert result.stdout.splitlines()[-1] == "Open demo/report.html for the predictions."
    for name in ("report.html", "faces/faces.parquet", "model/model.json", "one_person.csv"):
        assert (checkout / "demo" / name).is_file()
