"""Seconds from pressing return to the answer, in fresh processes: the help, and one photo.

    python benchmarks/cold_start.py model/ crop.jpg scene.jpg --rounds 5

``crop.jpg`` is a tight face crop, ``scene.jpg`` a photo in which the face must be searched for. Importing torch,
which no answer can do without, stands beside them. Files are in the system's cache, exported networks in the user's:
one run of each goes before. Wall-clock seconds and processor seconds, median and range of the rounds, which
alternate.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    maskcls = [sys.executable, "-c", "from maskcls.cli.main import main; main()"]
    with tempfile.TemporaryDirectory() as scratch:
        commands = {"maskcls --help": [*maskcls, "--help"], "import torch": [sys.executable, "-c", "import torch"]}
        for photo in options.photos:
            folder = Path(scratch, photo.stem)
            folder.mkdir()
            shutil.copy(photo, folder)
            for runtime in ("auto", "torch"):
                commands[f"maskcls predict --runtime {runtime}, {photo.name}"] = [
                    *maskcls,
                    *("predict", str(folder), "--model", str(options.model), "--out", str(folder / "answers.csv")),
                    *("--runtime", runtime),
                ]
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for number in range(options.rounds + 1):
            for name, command in commands.items():
                seconds = timed(command)
                if number:
                    taken[name].append(seconds)
    for name, rounds in taken.items():
        wall, busy = zip(*rounds, strict=True)
        print(
            f"{name}: {statistics.median(wall):.2f} s ({min(wall):.2f}-{max(wall):.2f}), "
            f"processor {statistics.median(busy):.2f} s"
        )


def timed(command: list[str]) -> tuple[float, float]:
    """Wall-clock and processor seconds of a command that must succeed."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, busy


if __name__ == "__main__":
    main()
