"""Seconds, processor seconds and peak memory of each command on one data set; idle, and beside busy processes.

    python benchmarks/commands.py ../shared/data/contest/images --scratch /tmp/commands
    python benchmarks/commands.py ../shared/data/contest/images --photos 600 --scratch /tmp/commands --busy 2 --rounds 3

Runs the commands in fresh processes, in the order a user does: embed, build-index, predict, evaluate, audit and
render-masks, on ``--photos`` photos of whole people (all by default). ``--busy N`` runs each command a second time
beside N processes that compute without a pause, and prints by how much that takes longer. Memory is what a process
and its children have for themselves (``RssAnon``, its peak, read 20 times a second): pages of mapped files can be
dropped at any time. Linux only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MASKCLS = (sys.executable, "-c", "from maskcls.cli.main import main; main()")


@dataclass(frozen=True)
class Usage:
    """Wall-clock seconds, processor seconds and peak bytes of anonymous memory of a command."""

    wall: float
    processor: float
    memory: int


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="IMAGES", help="photos in the contest layout, a folder a person")
    parser.add_argument("--photos", type=int, help="at least so many, of whole people")
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="+", help="of the commands; what they need must be in the scratch folder")
    parser.add_argument("--scratch", type=Path, required=True)
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    photos = subset(options.data, options.photos, options.scratch / "photos")
    print(
        "| command | wall | processor | peak memory |" + f" beside {options.busy} busy | ratio |" * bool(options.busy)
    )
    print("|---|---:|---:|---:|" + "---:|---:|" * bool(options.busy))
    for name, command, made in commands(photos, options.scratch):
        if options.only and name not in options.only:
            continue
        rounds: dict[int, list[Usage]] = {0: [], options.busy: []}
        for _ in range(options.rounds):
            for number in rounds:
                for path in made:
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                with busy(number):
                    rounds[number].append(measured(command))
        idle = rounds[0]
        wall = statistics.median(usage.wall for usage in idle)
        row = (
            f"| `{name}` | {wall:.1f} s | {statistics.median(usage.processor for usage in idle):.1f} s "
            f"| {max(usage.memory for usage in idle) / 2**20:.0f} MiB |"
        )
        if options.busy:
            beside = statistics.median(usage.wall for usage in rounds[options.busy])
            row += f" {beside:.1f} s | {beside / wall:.1f} x |"
        print(row, flush=True)


def subset(images: Path, least: int | None, out: Path) -> Path:
    """The folder itself, or one of links to its first people with at least so many photos."""
    if least is None:
        return images
    shutil.rmtree(out, ignore_errors=True)
    linked = 0
    for person in sorted(images.iterdir()):
        if linked >= least:
            break
        (out / person.name).mkdir(parents=True)
        for photo in person.iterdir():
            (out / person.name / photo.name).symlink_to(photo.resolve())
            linked += 1
    return out


def commands(photos: Path, scratch: Path) -> Iterator[tuple[str, list[str], list[Path]]]:
    """Name, command line and what it makes, which is removed before each run."""
    faces, model, drawn = scratch / "faces", scratch / "model", scratch / "drawn"
    answers, evaluation, audit = scratch / "answers.csv", scratch / "evaluation.json", scratch / "audit"
    kept = scratch / ".evaluation.json.folds"
    yield "embed", [*MASKCLS, "embed", str(photos), "--out", str(faces)], [faces]
    yield "build-index", [*MASKCLS, "build-index", str(faces), "--out", str(model)], [model]
    predict = ["predict", str(photos), "--model", str(model), "--out", str(answers), "--quiet"]
    yield "predict", [*MASKCLS, *predict], [answers]
    yield "evaluate", [*MASKCLS, "evaluate", str(faces), "--json", str(evaluation)], [evaluation, kept]
    yield "audit", [*MASKCLS, "audit", str(faces), "--out", str(audit)], [audit]
    yield "render-masks", [*MASKCLS, "render-masks", str(photos), "--out", str(drawn)], [drawn]


@contextmanager
def busy(number: int) -> Iterator[None]:
    """So many processes that compute without a pause."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def measured(command: list[str]) -> Usage:
    """Usage of a command that must succeed."""
    before, start, peak = os.times(), time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            peak = max(peak, anonymous(process.pid))
            time.sleep(0.05)
        problem = process.stderr.read().decode() if process.stderr else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{problem}")
    wall, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Usage(wall, used, peak)


def anonymous(pid: int) -> int:
    """Bytes of memory that a process and its children have for themselves now; 0 where it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    own = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
    return own + sum(anonymous(int(child)) for child in children)


if __name__ == "__main__":
    main()
