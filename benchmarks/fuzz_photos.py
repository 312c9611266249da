"""Hostile photos through the reader, and through ``embed`` and ``predict`` as a whole.

    python -m benchmarks.fuzz_photos ../shared/data/contest/images --cases 20000 --through 600

Cases follow from ``--seed`` and their number. They are read in child processes of 250 each: one that dies is a crash
and is named, and each tells the most memory it took. Every case must end as a photo or as a :class:`PhotoError` of one
printable line; healthy photos must be read, files of other formats refused. Then ``--through`` cases lie in one folder,
among healthy photos, for ``embed`` (and ``predict`` with ``--model``): one row each, in order, and the faces of the
healthy ones as without their neighbours. Exit code 1 if anything else happens.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.photo_damage import MAKERS, MUST_BE_READ, MUST_BE_REFUSED, Maker
from maskcls.embedder.photo import PhotoError, list_photos, read_photo
from maskcls.embedder.photo.formats import SUFFIXES

CHUNK = 250
HEALTHY = 8
"""Undamaged photos among those that go all the way."""


@dataclass
class Counts:
    """What came of the cases: counts by maker and outcome, what must not happen, the largest memory and time."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    peak_mib: float = 0
    slowest: tuple[float, str] = (0.0, "")

    def add(self, other: Counts) -> None:
        """Join the counts of other cases."""
        self.outcomes += other.outcomes
        self.failures += other.failures
        self.peak_mib = max(self.peak_mib, other.peak_mib)
        self.slowest = max(self.slowest, other.slowest)


def case(number: int, seed: int, photos: Sequence[Path]) -> tuple[Maker, bytes, str]:
    """Maker, content and name of a case."""
    rng = random.Random(f"{seed} {number}")
    maker = rng.choices(list(MAKERS), list(MAKERS.values()))[0]
    content = maker(rng, rng.choice(photos).read_bytes())
    return maker, content, f"{number:06d}{rng.choice(sorted(SUFFIXES))}"


def outcome(path: Path, maker: Maker, counts: Counts) -> None:
    """Read one case and note what came of it."""
    began = time.thread_time()
    try:
        image = read_photo(path).image
        word = "read"
        if image.mode != "RGB" or max(image.size) > 1024 or min(image.size) < 16 or maker in MUST_BE_REFUSED:
            counts.failures.append(f"{path.name} ({maker.__name__}): read as {image.mode} {image.size}")
    except PhotoError as error:
        word = str(error).partition(" (")[0].partition(";")[0]
        word = word.partition(" of ")[0] if word.startswith("a TIFF") else word
        word = "N x N pixels" if "pixels" in word and word[0].isdigit() else word
        if not str(error).isprintable() or maker in MUST_BE_READ:
            counts.failures.append(f"{path.name} ({maker.__name__}): {error!r}")
    except BaseException:
        word = "traceback"
        counts.failures.append(f"{path.name} ({maker.__name__}): {traceback.format_exc()}")
    counts.outcomes[maker.__name__, word] += 1
    counts.slowest = max(counts.slowest, (time.thread_time() - began, f"{path.name} ({maker.__name__})"))


def read_chunk(numbers: range, seed: int, photos: Sequence[Path], results: Any) -> None:
    """Child process: the cases of some numbers."""
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            results.send(number)
            maker, content, name = case(number, seed, photos)
            path = Path(folder, name)
            path.write_bytes(content)
            outcome(path, maker, counts)
            path.unlink()
    counts.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.send(counts)


def read_all(cases: int, seed: int, photos: Sequence[Path]) -> Counts:
    """All cases through the reader."""
    total = Counts()
    context = multiprocessing.get_context("spawn")
    for start in range(0, cases, CHUNK):
        numbers = range(start, min(start + CHUNK, cases))
        while len(numbers):
            ours, theirs = context.Pipe(duplex=False)
            child = context.Process(target=read_chunk, args=(numbers, seed, photos, theirs))
            child.start()
            theirs.close()
            last, done = numbers.start, False
            try:
                while not isinstance(message := ours.recv(), Counts):
                    last = message
                total.add(message)
                done = True
            except EOFError:
                pass
            child.join()
            if done:
                break
            total.failures.append(f"case {last}: the process died with exit code {child.exitcode}")
            total.outcomes[case(last, seed, photos)[0].__name__, "crash"] += 1
            numbers = range(last + 1, numbers.stop)  # what came before the crash is not counted
    return total


def through(cases: int, seed: int, photos: Sequence[Path], model: Path | None) -> list[str]:
    """Cases and healthy photos through ``embed`` and ``predict``; what must not happen."""
    from maskcls.classify.model.model import Model
    from maskcls.classify.predict.job import predict_photos
    from maskcls.embedder.datasets.layouts import read_dataset
    from maskcls.embedder.detection.finder import FaceFinder
    from maskcls.embedder.facenet.encoder import FaceNetEncoder
    from maskcls.embedder.faceset.embed import embed_folder
    from maskcls.embedder.faceset.store import open_set

    encoder, finder = FaceNetEncoder(), FaceFinder()
    failures = []
    with tempfile.TemporaryDirectory() as name:
        alone, crowd, out = Path(name, "alone"), Path(name, "crowd"), Path(name, "out")
        for folder in (alone, crowd):
            folder.mkdir()
            for number, photo in enumerate(photos[:HEALTHY]):
                place = number * max(1, cases // HEALTHY)
                shutil.copy(photo, folder / f"{place:06d}-healthy{photo.suffix}")
        for number in range(cases):
            _, content, file = case(number, seed + 1, photos)
            (crowd / file).write_bytes(content)
        for folder in (alone, crowd):
            dataset = read_dataset(folder, "folders")
            report = embed_folder(dataset, folder, out / folder.name, encoder, finder, batch_size=32)
            if report.faces + report.rejects != len(dataset.photos):
                failures.append(f"embed: {report.faces} faces and {report.rejects} rejects of {len(dataset.photos)}")
        few, many = open_set(out / "alone"), open_set(out / "crowd")
        rows = [many.table["path"].tolist().index(path) for path in few.table["path"]]
        farthest = float(np.abs(few.embeddings - many.embeddings[rows]).max())
        print(f"embed: {len(many)} faces, {len(many.rejects)} rejects; healthy faces differ by {farthest:.1e} at most")
        if farthest > 1e-5:
            failures.append(f"embed: a healthy face differs by {farthest} among hostile neighbours")
        if model is not None:
            paths = list_photos(crowd)[0]
            names = [path.name for path in paths]
            answers = predict_photos(paths, names, Model.load(model), encoder, finder, batch_size=32).table
            print(f"predict: {answers['status'].value_counts().to_dict()}")
            if answers["path"].tolist() != names:
                failures.append("predict: not one row a photo, in order")
    return failures


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos_folder", type=Path)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--through", type=int, default=0)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = list_photos(options.photos_folder)[0]
    photos = random.Random(options.seed).sample(found, min(40, len(found)))
    began = time.monotonic()
    counts = read_all(options.cases, options.seed, photos)
    for maker in MAKERS:
        words = {word: n for (name, word), n in counts.outcomes.most_common() if name == maker.__name__}
        print(f"{maker.__name__:18s} {sum(words.values()):6d}  " + ", ".join(f"{n} {w}" for w, n in words.items()))
    print(
        f"{sum(counts.outcomes.values())} cases in {time.monotonic() - began:.0f} s; "
        f"most memory {counts.peak_mib:.0f} MiB; slowest {counts.slowest[0]:.1f} s: {counts.slowest[1]}"
    )
    if options.through:
        counts.failures += through(options.through, options.seed, photos, options.model)
    for failure in counts.failures:
        print(f"FAILED {failure}")
    print(f"{len(counts.failures)} failures")
    if options.json:
        by_name = {" ".join(key): count for key, count in sorted(counts.outcomes.items())}
        options.json.write_text(
            json.dumps(
                {"outcomes": by_name, "failures": counts.failures, "peak_mib": counts.peak_mib},
                indent=2,
            )
        )
    sys.exit(bool(counts.failures))


if __name__ == "__main__":
    main()
