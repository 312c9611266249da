"""What size the heads of mask and gender should be: accuracy on people not seen, parameters, milliseconds a face.

    python benchmarks/heads.py faces/contest faces/utkface faces/masks faces/fairface faces/utkface-drawn \
        faces/fairface-drawn --out table.md

Faces of the first set are scored, fold by fold of people; heads are trained on all faces of the other folds' people.
Each variant changes one thing of ``maskcls.classify.heads.network``; with ``--views`` all but one are trained on
views too (the photos must still lie where they lay). Time is of one face on one thread, median of 300, mirror image
included. In brackets 95 % intervals over people, and of the paired difference to the default.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

sys.path.append(str(Path(__file__).resolve().parents[1]))

from maskcls.classify.data.augmentation import augment
from maskcls.classify.data.face_set import FaceSet, merge_sets, open_sets
from maskcls.classify.data.reduction import reduced
from maskcls.classify.heads import ensemble_training, training
from maskcls.classify.heads import network as heads
from maskcls.classify.heads.network import TrainedHead
from maskcls.classify.heads.training import train_head
from maskcls.classify.metrics.bootstrap import Bootstrap, Estimate
from maskcls.classify.model.build import with_bare
from maskcls.classify.model.fitting import TASKS
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.facenet.runtimes import one_thread, pick_runtime

DEFAULT = "default"
WITHOUT_VIEWS = "without views"
S = heads.SIZES
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    DEFAULT: {},
    WITHOUT_VIEWS: {},
    "one network": {"SIZES": replace(S, members=1)},
    "five networks": {"SIZES": replace(S, members=5)},
    "half as wide": {"SIZES": replace(S, width=S.width // 2, narrow=S.narrow // 2, embedding=S.embedding // 2)},
    "twice as wide": {"SIZES": replace(S, width=2 * S.width, narrow=2 * S.narrow, embedding=2 * S.embedding)},
    "padded maps": {"SIZES": replace(S, side=4)},
    "whole maps": {},
    "trained twice as long": {"PASSES": (6, 24), "FACES_SHOWN": 2 * ensemble_training.FACES_SHOWN},
}
FIGURES = ("mask", "gender, bare", "gender, masked")


def main() -> None:
    """Train all variants, print what comes, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, nargs="+", help="embedding sets; the first is scored")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--views", type=int, default=0, help="see `maskcls build-index`")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--out", type=Path, help="Markdown file")
    options = parser.parse_args()
    sets = open_sets(options.faces)
    pool = merge_sets(sets)
    pool = replace(pool, table=with_bare(pool.table))
    if options.views:
        pool = augment(pool, FaceNetEncoder(runtime=pick_runtime()), options.views, options.seed)
    mine = (pool.table["root"] == sets[0].settings["root"]).to_numpy(bool)
    fold = np.random.default_rng(options.seed).permutation(pool.people.max() + 1)[pool.people] % options.folds
    bootstrap = Bootstrap(pool.people, seed=options.seed)
    base: dict[str, npt.NDArray[np.float64]] = {}
    columns = " | ".join([*FIGURES, "parameters a head", "ms a face and head"])
    lines = [f"| heads | {columns} |", f"|---|{'---:|' * (len(FIGURES) + 2)}"]
    print("\n".join(lines), flush=True)
    for name in dict.fromkeys([DEFAULT, *options.only]):
        if name == WITHOUT_VIEWS and not options.views:
            continue
        with changed(VARIANTS[name]):
            seen = replace(pool, augmentations=()) if name == WITHOUT_VIEWS else pool
            right, head = answered(seen, fold, mine, options.folds, options.seed, reduce=name != "whole maps")
            cells = []
            for figure, values in right.items():
                base.setdefault(figure, values)
                cells.append(cell(bootstrap.mean(values), bootstrap.mean(values - base[figure]), name == DEFAULT))
            size = sum(weight.numel() for weight in head.net.parameters())
            lines.append(f"| {name} | {' | '.join(cells)} | {size:,} | {milliseconds(head, pool):.2f} |")
            print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def changed(constants: Mapping[str, Any]) -> Iterator[None]:
    """The same constants with other values, in the modules that heads are made in."""
    with ExitStack() as patches:
        for module in (training, ensemble_training):
            for name, value in constants.items():
                if hasattr(module, name):
                    patches.enter_context(patch.object(module, name, value))
        yield


def answered(
    pool: FaceSet, fold: npt.NDArray[np.int64], mine: npt.NDArray[np.bool_], folds: int, seed: int, *, reduce: bool
) -> tuple[dict[str, npt.NDArray[np.float64]], TrainedHead]:
    """For each figure whether each face (n,) is answered rightly, NaN where it is not asked; and a head."""
    right = {task: np.full(len(pool), np.nan) for task in TASKS}
    for task, classes in TASKS.items():
        truth = pool.table[task].to_numpy()
        for number in range(folds):
            fit = np.flatnonzero(fold != number)
            rows = np.flatnonzero((fold == number) & mine & pool.table[task].isin(classes).to_numpy(bool))
            seen, directions = reduced(pool.subset(fit)) if reduce else (pool.subset(fit), None)
            head, _ = train_head(seen, task, classes, seed)
            if directions is not None:
                head.net.read_whole_maps(directions)
            predicted = head.probabilities(pool.maps(rows), pool.embeddings[rows]).argmax(axis=1)
            right[task][rows] = np.array(classes)[predicted] == truth[rows]
    bare = (pool.table["mask"] == "normal").to_numpy(bool)
    return {
        "mask": right["mask"],
        "gender, bare": np.where(bare, right["gender"], np.nan),
        "gender, masked": np.where(bare, np.nan, right["gender"]),
    }, head


def cell(found: Estimate, difference: Estimate, is_base: bool) -> str:
    """A share with its interval, or the difference to the default's with its own."""
    if is_base:
        return f"{found.value:.4f} ({found.low:.4f}-{found.high:.4f})"
    return f"{found.value:.4f} ({difference.low:+.4f} to {difference.high:+.4f})"


@one_thread()
def milliseconds(head: TrainedHead, pool: FaceSet) -> float:
    """Of one face on one thread."""
    maps, embeddings, times = pool.maps(np.arange(1)), pool.embeddings[:1], []
    for _ in range(330):
        start = time.perf_counter()
        head.probabilities(maps, embeddings)
        times.append(time.perf_counter() - start)
    return statistics.median(times[30:]) * 1000


if __name__ == "__main__":
    main()
