"""A slice of ``benchmarks/kill_campaign.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maskcls.cli import main

ROOT = Path(__file__).parents[2]


def test_killed_commands_go_on_to_the_undisturbed_outcome(data: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.kill_campaign", str(data / "contest" / "images"), "--people", "2"]
    options = ["--kills", "4", "--commands", "embed", "relabel"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("\n0 failures\n")
    assert "killed" in done.stdout


def test_an_interrupt_before_a_command_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "app", interrupted)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 130
