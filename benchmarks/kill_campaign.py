"""Kill commands at any moment, run them again, and compare what they leave with an undisturbed run.

    python -m benchmarks.kill_campaign ../shared/data/contest/images --kills 240

Every command runs on a few faces in a child process that has imported everything. Three runs in four are killed
(SIGKILL), two at a moment drawn over the whole run, one just before its n-th change on disk (Python's audit events);
one in four is interrupted (SIGINT), and must exit with 130. A run in three is cut twice. Then the same command runs to
its end, and everything it wrote must be what an undisturbed run writes, but for the time of day; nothing may be left
over. Exit code 1 if anything else happens.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

PRELOADED = [
    *("maskcls.cli.main", "maskcls.embedder.faceset.embed", "maskcls.embedder.masks.render"),
    *(
        "maskcls.classify.model.build",
        "maskcls.classify.predict.job",
        "maskcls.classify.model.gallery_edit",
        "maskcls.classify.predict.explain",
    ),
    *("maskcls.classify.evaluation.evaluate", "maskcls.classify.predict.report", "maskcls.classify.predict.submission"),
    *(
        "maskcls.classify.evaluation.report",
        "maskcls.classify.evaluation.error_gallery",
        "maskcls.embedder.faceset.corrections",
    ),
    *("maskcls.classify.comparison.cnn.job", "maskcls.classify.comparison.cnn.curves"),
]
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree", "os.link", "os.symlink")
MORE = 2
"""Contest people, seven photos each, that are added to a gallery."""
_JPEG = "\xff\xd8\xff"
TIMES = ("created", "when", "started", "finished", "seconds", "training_seconds", "sha256", "command", "dataset")
"""Keys of JSON files that hold the time of day, a duration, a random id, or a digest over one."""
TIMED = ("corrections.csv", "curves.csv", "metrics.json")
"""Files that hold such; their digests in other files are left out."""
ROUNDING = 0.5
"""Mean difference, in 8-bit levels, that two drawings of one mask may have."""
NOT_BEGUN = -1
LONGEST = 300.0
"""Seconds after which a run counts as hanging."""


@dataclass(frozen=True)
class Command:
    """A command line, what lies there when it begins, and the folders and files that are its outcome."""

    line: Callable[[Path, Path], list[str]]
    start: Callable[[Path, Path], None] = lambda base, work: None
    may_be_done: bool = False
    """Whether it exits with 1 where a killed run had done everything."""


def _copied(*names: str) -> Callable[[Path, Path], None]:
    def start(base: Path, work: Path) -> None:
        for name in names:
            shutil.copytree(base / name, work / name.partition("-")[0])

    return start


COMMANDS = {
    "embed": Command(
        lambda base, work: ["embed", f"{base}/photos", "--out", f"{work}/faces", "--batch-size", "3", "--jobs", "1"]
    ),
    "embed more": Command(
        lambda base, work: ["embed", f"{base}/photos", "--out", f"{work}/faces", "--batch-size", "3", "--jobs", "1"],
        _copied("faces-before"),
    ),
    "build-index": Command(lambda base, work: ["build-index", f"{base}/faces", "--out", f"{work}/model"]),
    "build-index anew": Command(
        lambda base, work: ["build-index", f"{base}/faces", "--out", f"{work}/model"], _copied("model-before")
    ),
    "predict": Command(
        lambda base, work: [
            *("predict", f"{base}/photos", "--model", f"{base}/model", "--out", f"{work}/answers.csv", "--jobs", "1"),
            *("--batch-size", "3", "--explain", f"{work}/why.jsonl"),
        ]
    ),
    "relabel": Command(
        lambda base, work: ["relabel", f"{work}/faces", "--patch", f"{base}/patch.csv"], _copied("faces")
    ),
    "index add": Command(
        lambda base, work: ["index", "add", f"{work}/model", f"{base}/more"], _copied("model"), may_be_done=True
    ),
    "index remove": Command(
        lambda base, work: ["index", "remove", f"{work}/model", "--from", f"{base}/gone.csv"],
        _copied("model"),
        may_be_done=True,
    ),
    "render-masks": Command(
        lambda base, work: ["render-masks", f"{base}/photos", "--out", f"{work}/drawn", "--jobs", "1", "--copies", "3"]
    ),
    "evaluate": Command(
        lambda base, work: [
            *("evaluate", f"{base}/faces", "--folds", "2", "--json", f"{work}/scores.json"),
            *("--predictions", f"{work}/answers.csv"),
        ]
    ),
    "train": Command(
        lambda base, work: [
            *("train", f"{base}/faces", "--out", f"{work}/run", "--folds", "2", "--epochs", "3", "--tasks", "mask"),
            *("--image-size", "32", "--batch-size", "8", "--no-bfloat16"),
        ]
    ),
}


def run(arguments: list[str], log: Path, work: Path, die_at: int | None, changes: Any) -> None:
    """Child process: one command, killed just before its n-th change below ``work`` if so asked."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    place = str(work)

    def count(event: str, details: tuple[Any, ...]) -> None:
        if changes.value == NOT_BEGUN:
            return
        if event == "open":
            if not (isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR)):
                return
        elif event not in CHANGES:
            return
        if details and isinstance(details[0], str | os.PathLike) and os.fspath(details[0]).startswith(place):
            changes.value += 1
            if changes.value == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    from maskcls.cli.main import main

    sys.argv = ["maskcls", *arguments]
    with log.open("a") as file, redirect_stdout(file), redirect_stderr(file):
        changes.value = 0
        main()


class Runner:
    """Runs commands in children of a process that has imported everything."""

    def __init__(self, folder: Path) -> None:
        self.base, self.work, self.log = folder / "base", folder / "work", folder / "log"
        self._server = multiprocessing.get_context("forkserver")
        self._server.set_forkserver_preload(PRELOADED)

    def prepare(self, command: Command) -> None:
        """A fresh folder to work in."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        self.log.write_text("")
        command.start(self.base, self.work)

    def run(
        self, arguments: list[str], *, after: float = LONGEST, with_signal: int = 0, die_at: int | None = None
    ) -> tuple[int | None, int, float]:
        """Exit code, changes on disk and seconds of a run; a signal may be sent after a while."""
        changes = self._server.Value("q", NOT_BEGUN)
        child = self._server.Process(target=run, args=(arguments, self.log, self.work, die_at, changes))
        child.start()
        while changes.value == NOT_BEGUN and child.is_alive():
            time.sleep(0.001)
        began = time.monotonic()
        child.join(after)
        if child.is_alive() and with_signal and child.pid:
            os.kill(child.pid, with_signal)
            child.join(LONGEST)
        if child.is_alive():
            child.kill()
            child.join()
            raise TimeoutError(" ".join(arguments))
        return child.exitcode, int(changes.value), time.monotonic() - began


def outcome(work: Path) -> dict[str, str]:
    """What lies in a folder: file -> digest, times of day left out; locks are no outcome."""
    found = {}
    for path in sorted(work.rglob("*")):
        name = str(path.relative_to(work))
        if path.is_dir():
            found[name + "/"] = ""
        elif path.name != ".lock":
            found[name] = _digest(path)
    return found


def _alike(one: str | None, other: str | None) -> bool:
    """Whether digests are equal or, of drawn photos, the pixels but for rounding: faces are found batch by batch."""
    if one == other or not one or not other or not one.startswith(_JPEG) or not other.startswith(_JPEG):
        return one == other
    first, second = (np.asarray(Image.open(io.BytesIO(text.encode("latin-1"))), np.float32) for text in (one, other))
    return first.shape == second.shape and float(np.abs(first - second).mean()) < ROUNDING


def _digest(path: Path) -> str:
    if path.suffix == ".jpg":
        return path.read_bytes().decode("latin-1")
    if path.suffix == ".json":
        return hashlib.sha256(json.dumps(_timeless(json.loads(path.read_text())), sort_keys=True).encode()).hexdigest()
    if path.name == "curves.csv":
        return pd.read_csv(path).drop(columns="seconds").to_csv()
    if path.name == "corrections.csv":
        lines = [line.split(",") for line in path.read_text().splitlines()]
        return str([[cell for number, cell in enumerate(line) if number != 1] for line in lines])
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _timeless(content: Any) -> Any:
    if isinstance(content, dict):
        left = {k: v for k, v in content.items() if k not in TIMES}
        if isinstance(left.get("files"), dict):
            left["files"] = {k: v for k, v in left["files"].items() if k not in TIMED}
        return {key: _timeless(value) for key, value in left.items()}
    return [_timeless(value) for value in content] if isinstance(content, list) else content


def make_base(runner: Runner, images: Path, people: int) -> None:
    """Photos of a few people, and what the commands begin with."""
    from maskcls.classify.model.model import Model
    from maskcls.embedder.faceset.store import open_set

    base = runner.base
    folders = sorted(images.iterdir())
    for number, folder in enumerate(folders[:: max(1, len(folders) // (people + MORE))][: people + MORE]):
        shutil.copytree(folder, base / ("photos" if number < people else "more-photos") / folder.name)
    runner.work.mkdir()
    few = base / "few-photos"
    shutil.copytree(base / "photos", few)
    for path in sorted(few.rglob("*.*"))[::3]:
        path.unlink()
    few.rename(base / "photos-then")
    (base / "photos").rename(base / "photos-now")
    for photos, faces in (("photos-then", "faces-before"), ("photos-now", "faces"), ("more-photos", "more")):
        (base / photos).rename(base / "photos")  # a set belongs to one folder
        _must(runner, ["embed", f"{base}/photos", "--out", f"{base}/{faces}"])
        (base / "photos").rename(base / photos)
    (base / "photos-now").rename(base / "photos")
    _must(runner, ["build-index", f"{base}/faces", "--out", f"{base}/model"])
    _must(runner, ["build-index", f"{base}/faces-before", "--out", f"{base}/model-before"])
    table = open_set(base / "faces").table
    lines = [
        f"{face},,age,{int(age)},{int(age) + 1}" for face, age in zip(table["face_id"], table["age_low"], strict=True)
    ]
    (base / "patch.csv").write_text("\n".join(["face_id,path,field,old,new", *lines[:10]]) + "\n")
    gone = Model.load(base / "model").table["face_id"][:5]
    (base / "gone.csv").write_text("\n".join(["face_id", *gone]) + "\n")


def _must(runner: Runner, arguments: list[str]) -> None:
    code, _, _ = runner.run(arguments)
    if code:
        raise RuntimeError(f"{arguments}: exit code {code}\n{runner.log.read_text()}")


def campaign(runner: Runner, kills: int, seed: int, names: list[str]) -> tuple[Counter[tuple[str, str]], list[str]]:
    """All commands in turn; counts by command and what was done, and what must not happen."""
    rng = random.Random(seed)
    done: Counter[tuple[str, str]] = Counter()
    failures: list[str] = []
    undisturbed: dict[str, tuple[dict[str, str], int, float]] = {}
    for name in names:
        outcomes = []
        for _ in range(2):
            runner.prepare(COMMANDS[name])
            code, changes, seconds = runner.run(COMMANDS[name].line(runner.base, runner.work))
            if code:
                raise RuntimeError(f"{name}: exit code {code}\n{runner.log.read_text()}")
            outcomes.append(outcome(runner.work))
        if outcomes[0] != outcomes[1]:
            failures.append(f"{name}: two undisturbed runs differ")
        undisturbed[name] = outcomes[0], changes, seconds
        print(f"{name}: {changes} changes on disk in {seconds:.1f} s, undisturbed", flush=True)
    number = 0
    while sum(count for (_, what), count in done.items() if what in ("killed", "interrupted")) < kills:
        name = names[number % len(names)]
        command, (expected, changes, seconds) = COMMANDS[name], undisturbed[name]
        arguments = command.line(runner.base, runner.work)
        runner.prepare(command)
        history = []
        for _ in range(1 + (number // len(names)) % 3 // 2):
            kind = rng.choice(("time", "change", "time", "interrupt"))
            if kind == "change":
                die_at = rng.randint(1, max(1, changes))
                history.append(f"killed before change {die_at}")
                code, _, _ = runner.run(arguments, die_at=die_at)
            else:
                after, sent = rng.random() * seconds, signal.SIGINT if kind == "interrupt" else signal.SIGKILL
                history.append(f"{sent.name} after {after:.2f} s")
                code, _, _ = runner.run(arguments, after=after, with_signal=sent)
            what = {-signal.SIGKILL: "killed", 130: "interrupted", 0: "was faster"}.get(code or 0, f"exit {code}")
            if code == 1 and command.may_be_done and len(history) > 1:
                what = "was faster"
            done[name, what] += 1
            if what.startswith("exit"):
                failures.append(f"{name} ({', '.join(history)}): exit code {code}: {runner.log.read_text()[-300:]}")
        code, _, _ = runner.run(arguments)
        if code and not (code == 1 and command.may_be_done):
            failures.append(f"{name} ({', '.join(history)}): then exit code {code}: {runner.log.read_text()[-300:]}")
        found = outcome(runner.work)
        differing = sorted(
            key for key in found.keys() | expected.keys() if not _alike(found.get(key), expected.get(key))
        )
        if differing:
            failures.append(f"{name} ({', '.join(history)}): another outcome: {', '.join(differing[:8])}")
        if "Traceback" in runner.log.read_text():
            failures.append(f"{name} ({', '.join(history)}): {runner.log.read_text()[-600:]}")
        number += 1
    return done, failures


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contest_images", type=Path)
    parser.add_argument("--kills", type=int, default=240)
    parser.add_argument("--people", type=int, default=4, help="Contest people, seven photos each.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="*", choices=list(COMMANDS), default=list(COMMANDS))
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(Path(folder).resolve())
        make_base(runner, options.contest_images, options.people)
        done, failures = campaign(runner, options.kills, options.seed, options.commands)
    for name in options.commands:
        print(f"{name:18s} " + ", ".join(f"{n} {what}" for (one, what), n in sorted(done.items()) if one == name))
    total = Counter[str]()
    for (_, what), count in done.items():
        total[what] += count
    print(f"{dict(total)} in {time.monotonic() - began:.0f} s")
    for failure in failures:
        print(f"FAILED {failure}")
    print(f"{len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
