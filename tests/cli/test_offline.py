"""The commands from photos to answers, in a process that may not even look up a host."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CODE = """
import sys

def refuse(event, details):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.bind"):  # urllib3 looks whether it could
        raise SystemExit(f"asked for the network: {event} {details}")

sys.addaudithook(refuse)
from maskcls.cli.main import app

photos, out = sys.argv[1:]
for line in (
    ["embed", photos, "--out", f"{out}/faces"],
    ["build-index", f"{out}/faces", "--out", f"{out}/model"],
    ["predict", photos, "--model", f"{out}/model", "--out", f"{out}/answers.csv", "--report", f"{out}/report.html"],
):
    app(line, standalone_mode=False)
"""


def test_no_command_asks_for_the_network(data: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for folder in sorted((data / "contest" / "images").iterdir())[:4]:
        (photos / folder.name).mkdir(parents=True)
        for photo in sorted(folder.glob("[!.]*"))[2:6]:
            shutil.copy(photo, photos / folder.name)
    done = subprocess.run([sys.executable, "-c", CODE, photos, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "asked for the network" not in done.stderr
    assert (tmp_path / "report.html").exists()


def test_the_ban_is_noticed(tmp_path: Path) -> None:
    asks = CODE.partition("photos, out")[0] + "import socket; socket.getaddrinfo('localhost', 80)"
    done = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True)
    assert done.returncode == 1
    assert "asked for the network: socket.getaddrinfo" in done.stderr
