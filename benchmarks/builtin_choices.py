"""What the built-in model is made of, chosen on people held out of FairFace: masks drawn on each photo, and prototypes.

    python benchmarks/builtin_choices.py builtin-build/faces builtin-build/drawn-faces --out table.md

A fifth of the people is held out and answered for, bare and under drawn masks; everything else is learnt from, with as
many drawings a photo as the row says. The vote counts as in the built-in model. Years are those outside the labelled
band. One row more: all faces vote instead of prototypes. In brackets 95 % intervals over people.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from maskcls.classify.age_space import fit_age_space
from maskcls.classify.build import gallery_for, with_bare
from maskcls.classify.evaluation.crossval import answers_of
from maskcls.classify.evaluation.scores import summarise
from maskcls.classify.evaluation.splits import pool_folds
from maskcls.classify.fitting import train_heads
from maskcls.classify.loading import load_model
from maskcls.classify.model import Model
from maskcls.classify.pool import Pool, open_pool
from maskcls.classify.tuning import with_age

FIGURES = (
    "mask accuracy",
    "gender accuracy, bare",
    "gender accuracy, masked",
    "age MAE, bare",
    "age MAE, masked",
    "age band macro F1, bare",
    "age band macro F1, masked",
)
FOLDS = 5


def main() -> None:
    """Build from the people who are not held out, answer for the others, print and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, nargs="+", help="embedding sets: bare photos and drawings on them")
    parser.add_argument(
        "--copies", type=int, nargs="+", default=[0, 1, 2], help="drawings a photo that are learnt from"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="Markdown file")
    options = parser.parse_args()
    pool = open_pool(options.faces)
    pool = replace(pool, table=with_bare(pool.table))
    lines = [f"| drawings a photo | who votes | {' | '.join(FIGURES)} |", f"|--:|---|{'---|' * len(FIGURES)}"]
    for copies, who, model, asked in built(pool, options.copies, options.seed):
        found = summarise(answers_of(model, asked, np.arange(len(asked))), seed=options.seed)["overall"]
        lines.append(f"| {copies} | {who} | {' | '.join(cell(found[name], name) for name in FIGURES)} |")
        print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def built(pool: Pool, wanted: list[int], seed: int) -> Iterator[tuple[int, str, Model, Pool]]:
    """Models with these numbers of drawings, who votes in them, and the faces that are held out."""
    held_out = pool_folds(pool, FOLDS, seed) == 0
    number = pool.table.groupby("drawn_on").cumcount().where(pool.table["drawn_on"].notna(), -1).to_numpy()
    asked, ready = pool.subset(np.flatnonzero(held_out)), load_model(None)
    least = int(ready.card["prototypes"])
    for copies in wanted:
        fit = pool.subset(np.flatnonzero(~held_out & (number < copies)))
        heads, _ = train_heads(fit, seed, lambda what, done, total: None)
        aged = fit.subset(with_age(fit))
        space = fit_age_space(aged, seed)
        for who, people in (("prototypes", least), ("faces", 0)) if copies == max(wanted) else (("prototypes", least),):
            gallery, table = gallery_for(space, aged, people)
            yield copies, who, replace(ready, gallery=gallery, table=table, age_space=space, heads=heads), asked


def cell(found: dict[str, Any], name: str) -> str:
    """A figure with its interval."""
    if found["value"] is None:
        return ""
    digits = 2 if "MAE" in name else 3
    return f"{found['value']:.{digits}f} ({found['low']:.{digits}f}-{found['high']:.{digits}f})"


if __name__ == "__main__":
    main()
