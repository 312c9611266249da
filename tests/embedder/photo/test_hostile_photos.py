"""A slice of ``benchmarks/fuzz_photos.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_hostile_photos_end_as_photos_or_as_one_line(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.fuzz_photos", str(data / "contest" / "images")]
    options = ["--cases", "200", "--through", "24", "--seed", "7", "--json", str(tmp_path / "counts.json")]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "counts.json").read_text())
    assert found["failures"] == []
    assert sum(found["outcomes"].values()) == 200
    assert found["peak_mib"] < 1500
