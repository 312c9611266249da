"""The guide's commands, run as they stand, on a few photos."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from maskcls.cli.main import app
from maskcls.cli.reference import reference

DOCS = Path(__file__).parents[1] / "docs"
PEOPLE = 14
EACH = ("mask1", "incorrect_mask", "normal")


@pytest.fixture
def home(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``photos/``: three photos of 14 people, and a label file as the guide wants it."""
    rows = []
    for number, folder in enumerate(sorted((data / "contest" / "images").iterdir())[:PEOPLE]):
        _, gender, _, age = folder.name.split("_")
        for photo in sorted(folder.iterdir()):
            if photo.stem in EACH:
                name = f"{number}/{photo.name}"
                (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(photo, tmp_path / "photos" / name)
                state = dict(zip(EACH, ("wear", "incorrect", "normal"), strict=True))[photo.stem]
                rows.append({"path": name, "person": f"p{number}", "mask": state, "gender": gender, "age": age})
    pd.DataFrame(rows).to_csv(tmp_path / "photos" / "labels.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_every_command_of_the_guide_runs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [line for block in blocks(DOCS / "guide.md", "console") for line in block.splitlines()]
    assert len(commands) > 8
    output = {}
    for command in commands:
        program, *arguments = shlex.split(command, comments=True)
        assert program == "maskcls"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{command}\n{result.output}"
        output[command] = result.output
    first, own = pd.read_csv(home / "first.csv"), pd.read_csv(home / "predictions.csv")
    assert len(first) == len(own) == PEOPLE * len(EACH)
    assert (first["status"] == "ok").all()
    assert "the built-in model" in output["maskcls predict photos/ --out first.csv --report first.html"]
    assert any("built-in model" in text and "evaluate" in command for command, text in output.items())
    (code,) = blocks(DOCS / "guide.md", "python")
    exec(compile(code, "guide.md", "exec"), {})
    assert "age_band" in capsys.readouterr().out


def test_the_reference_is_that_of_these_commands() -> None:
    message = "docs/cli.md is out of date: run `python -m maskcls.cli.reference > docs/cli.md`"
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == reference(), message
