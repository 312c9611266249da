"""What size the networks should be, and how long to train them: accuracy on people not seen, seconds, parameters.

    python benchmarks/networks.py faces/contest faces/utkface faces/masks faces/fairface faces/utkface-drawn \
        faces/fairface-drawn --out table.md

Faces of the first ``--scored`` sets are scored, fold by fold of people; heads and age space are trained on all faces of
the other folds' people. Each variant changes one thing. Ages are the vote of 100 people at temperature 0.1; training
time is processor time of one thread for all folds; with ``--views`` all variants but one train heads on views too (the
photos must still lie where they lay). In brackets 95 % intervals over people, and of the paired difference to the
default.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

sys.path.append(str(Path(__file__).resolve().parents[1]))

from maskcls.classify.age import network as age_network
from maskcls.classify.age.space import LearnedSpace, fill_gallery
from maskcls.classify.age.tuning import SOFTNESS, with_age
from maskcls.classify.age.vote import age_distribution, age_quantile, year_profiles
from maskcls.classify.age.voters import VoterGallery
from maskcls.classify.data.augmentation import augment
from maskcls.classify.data.face_set import FaceSet, Rows, merge_sets, open_sets
from maskcls.classify.data.reduction import reduced
from maskcls.classify.heads import ensemble_training
from maskcls.classify.heads import training as head_training
from maskcls.classify.heads.ensemble import Sizes, TwoBranches
from maskcls.classify.metrics.bootstrap import Bootstrap, Estimate
from maskcls.classify.model.build import with_bare
from maskcls.classify.model.fitting import TASKS
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.facenet.runtimes import pick_runtime
from maskcls.embedder.labels import years_outside

Figures = dict[str, npt.NDArray[np.float64]]

DEFAULT = "default"
WITHOUT_VIEWS = "without views"
WHOLE_MAPS = "whole maps (896 channels)"
SAME_BATCHES = "all members see the same batches"
SIZES: Mapping[str, Callable[[Sizes], Sizes]] = {
    "one member": lambda sizes: replace(sizes, members=1),
    "five members": lambda sizes: replace(sizes, members=5),
    "half as wide": lambda sizes: replace(sizes, width=sizes.width // 2, narrow=sizes.narrow // 2),
    "twice as wide": lambda sizes: replace(sizes, width=2 * sizes.width, narrow=2 * sizes.narrow),
    "padded maps": lambda sizes: replace(sizes, side=4),
}
PASSES: Mapping[str, float] = {"trained half as long": 0.5, "trained twice as long": 2}
NAMES = (DEFAULT, *SIZES, *PASSES, SAME_BATCHES, WHOLE_MAPS, WITHOUT_VIEWS)
VOTERS, TEMPERATURE = 100, 0.1


def main() -> None:
    """Train all variants, print what comes, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, nargs="+", help="embedding sets")
    parser.add_argument("--scored", type=int, default=1, help="the first so many sets are scored")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--score-folds", type=int, help="score only this many of the folds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--views", type=int, default=0, help="see `maskcls build-index`")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--out", type=Path, help="Markdown file")
    options = parser.parse_args()
    sets = open_sets(options.faces)
    pool = merge_sets(sets)
    pool = replace(pool, table=with_bare(pool.table))
    if options.views:
        pool = augment(pool, FaceNetEncoder(runtime=pick_runtime()), options.views, options.seed)
    fold = np.random.default_rng(options.seed).permutation(pool.people.max() + 1)[pool.people] % options.folds
    mine = pool.set_number < options.scored
    bootstrap = Bootstrap(pool.people, seed=options.seed)
    base: Figures = {}
    lines: list[str] = []
    for name in dict.fromkeys([DEFAULT, *options.only]):
        if name == WITHOUT_VIEWS and not options.views:
            continue
        seen = replace(pool, augmentations=()) if name == WITHOUT_VIEWS else pool
        figures = {task: np.full(len(pool), np.nan) for task in (*TASKS, "age")}
        seconds = parameters = 0.0
        with changed(name, options.seed):
            for number in range(options.score_folds or options.folds):
                took, parameters = score(seen, fold != number, (fold == number) & mine, options.seed, name, figures)
                seconds += took
        bare = (pool.table["mask"] == "normal").to_numpy(bool)
        shown = {
            "mask": figures["mask"],
            "gender, bare": np.where(bare, figures["gender"], np.nan),
            "gender, masked": np.where(bare, np.nan, figures["gender"]),
            "age MAE": figures["age"],
        }
        if not lines:
            lines += [f"| networks | {' | '.join(shown)} | seconds | parameters |", f"|---|{'---:|' * 6}"]
            print("\n".join(lines), flush=True)
        cells = []
        for figure, values in shown.items():
            base.setdefault(figure, values)
            cells.append(cell(bootstrap.mean(values), bootstrap.mean(values - base[figure]), name == DEFAULT))
        lines.append(f"| {name} | {' | '.join(cells)} | {seconds:.0f} | {parameters:,.0f} |")
        print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def changed(name: str, seed: int) -> Iterator[None]:
    """The constants of networks and training as a variant has them."""
    with ExitStack() as patches:

        def change(module: object, constant: str, value: Any) -> None:
            patches.enter_context(patch.object(module, constant, value))

        if name in SIZES:
            for module in (head_training, age_network):
                change(module, "SIZES", SIZES[name](module.SIZES))
        if name in PASSES:
            factor, (least, most) = PASSES[name], ensemble_training.PASSES
            change(ensemble_training, "PASSES", (max(1, round(factor * least)), round(factor * most)))
            change(ensemble_training, "FACES_SHOWN", factor * ensemble_training.FACES_SHOWN)
        if name == SAME_BATCHES:
            for module in (head_training, age_network):
                change(module, "seeded", lambda seed, seeded=module.seeded: _SameBatches(seeded(seed)))
        yield


class _SameBatches:
    """Random numbers that draw the same faces for all members."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self.integers = random.integers

    def choice(self, faces: int, shape: tuple[int, int], p: npt.NDArray[np.float64]) -> Rows:
        """Of a number of faces, (n, members)."""
        return np.repeat(self._random.choice(faces, (shape[0], 1), p=p), shape[1], axis=1)


def score(
    pool: FaceSet,
    is_fit: npt.NDArray[np.bool_],
    is_scored: npt.NDArray[np.bool_],
    seed: int,
    name: str,
    figures: Figures,
) -> tuple[float, int]:
    """Train on some faces and score others, (n,) each; seconds and parameters of all networks.

    Args:
        figures: what is filled in: whether a face is predicted rightly, and the error in years.
    """
    fit = pool.subset(np.flatnonzero(is_fit))
    small, directions = (fit, None) if name == WHOLE_MAPS else reduced(fit, seed)
    began, nets = time.process_time(), []
    heads = {}
    for task, classes in TASKS.items():
        heads[task], _ = head_training.train_head(small, task, classes, seed)
        nets.append(heads[task].net)
    aged = small.subset(with_age(small))
    space = LearnedSpace(age_network.train_age_net(aged, seed))
    seconds = time.process_time() - began
    gallery = fill_gallery(space, aged, np.arange(len(aged)))
    all_nets: list[TwoBranches] = [*nets, space.net]
    if directions is not None:
        for net in all_nets:
            net.read_whole_maps(directions)
    for task, head in heads.items():
        rows = np.flatnonzero(is_scored & pool.table[task].isin(head.classes).to_numpy(bool))
        predicted = head.probabilities(pool.maps(rows), pool.embeddings[rows]).argmax(axis=1)
        figures[task][rows] = np.array(head.classes)[predicted] == pool.table[task].to_numpy()[rows]
    rows = np.flatnonzero(is_scored & pool.table["age_low"].notna().to_numpy())
    vectors = space.project(pool.embeddings[rows], pool.maps(rows))
    near, similarities = VoterGallery(gallery, aged.people).nearest(vectors, VOTERS)
    profiles = year_profiles(*_ages(aged, np.arange(len(aged))), SOFTNESS)
    years = age_quantile(age_distribution(near, similarities, profiles, TEMPERATURE), 0.5)
    figures["age"][rows] = years_outside(years, *_ages(pool, rows))
    return seconds, sum(weight.numel() for net in all_nets for weight in net.parameters())


def _ages(pool: FaceSet, rows: Rows) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    low, high = (pool.table[name].to_numpy(np.float32)[rows] for name in ("age_low", "age_high"))
    return low, high


def cell(found: Estimate, difference: Estimate, is_base: bool) -> str:
    """A figure with its interval, or the difference to the default's with its own."""
    if is_base:
        return f"{found.value:.3f} ({found.low:.3f}-{found.high:.3f})"
    return f"{found.value:.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


if __name__ == "__main__":
    main()
