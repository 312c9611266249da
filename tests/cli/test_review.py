from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from maskcls.classify.labels.review import session
from maskcls.classify.labels.review.app import Review
from maskcls.classify.labels.review.changes import Change
from maskcls.cli.main import app


def review(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["review", "--no-open", *map(str, arguments)])


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("maskcls: ")
    for word in words:
        assert word in line


@pytest.fixture
def faces(contest_faces: Path, tmp_path: Path) -> Path:
    """A set of its own."""
    return Path(shutil.copytree(contest_faces, tmp_path / "faces"))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Review]:
    """Reviews that were served; each confirms a face instead of waiting for a browser."""
    reviews: list[Review] = []

    def serve(review: Review, host: str, port: int, ready: Callable[[str], None]) -> None:
        ready(f"http://{host}:{port}/?token=t")
        review.decisions.decide([Change(0, "confirm")])
        review.thumbnails.close()
        review.decisions.close()
        reviews.append(review)

    monkeypatch.setattr(session, "serve", serve)
    return reviews


def test_a_review(faces: Path, served: list[Review]) -> None:
    result = review(faces)
    assert result.exit_code == 0, result.output
    assert len(served) == 1
    patch = faces / "decisions.csv"
    lines = result.stdout.splitlines()
    assert re.fullmatch(r"\d+ faces", lines[0])
    assert lines[1:] == [
        f"{patch}: 0 changed, 0 confirmed, 0 rejected",
        "http://127.0.0.1:0/?token=t  (Ctrl-C ends)",
        "0 faces changed, 1 confirmed, 0 rejected",
        f"{patch}: apply with `maskcls relabel {faces} --patch {patch}`",
    ]
    assert result.stderr == ""
    applied = CliRunner().invoke(app, ["relabel", str(faces), "--patch", str(patch)])
    assert applied.exit_code == 0, applied.output


def test_another_host_is_warned_of(faces: Path, served: list[Review]) -> None:
    result = review(faces, "--host", "0.0.0.0")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: whoever can reach 0.0.0.0")


def test_mistakes(faces: Path, tmp_path: Path) -> None:
    fails(review(tmp_path / "none"), "no such folder", "maskcls embed")
    fails(review(faces, "--audit", tmp_path), "issues.csv", "maskcls audit")
    (tmp_path / "bad.csv").write_text("a,b\n")
    fails(review(faces, "--decisions", tmp_path / "bad.csv"), "bad.csv", "no column face_id")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        fails(review(faces, "--port", str(taken.getsockname()[1])), "cannot listen there", "--port")
    fails(review(faces, "--host", "not a host"), "not a host:0: cannot listen there")


def test_the_command_line_starts_without_a_server() -> None:
    code = (
        "import sys, maskcls.cli.main; sys.exit(any(name in sys.modules for name in ('starlette', 'uvicorn', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
