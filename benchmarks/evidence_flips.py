"""How many voters does an answer hang on, and is that a sign of mistakes?

    python benchmarks/evidence_flips.py faces/contest faces/utkface --seed 0

The age vote is fitted on four fifths of the people and asked about the others' photos, not about drawn masks. For every
answer the smallest set of voters is sought without whom another age band would be said. Printed: how often it has which
size and how often the band is right then, and how well the size tells right bands from wrong ones, beside the
probability of the band said, with 95 % intervals from 1,000 resamples of people.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

from maskcls.classify.age.space import fill_gallery
from maskcls.classify.age.tuning import fit_vote, with_age
from maskcls.classify.age.vote import NOBODY
from maskcls.classify.data.face_set import FaceSet, open_face_set
from maskcls.classify.evaluation.splits import pool_folds
from maskcls.classify.model.model import Ages, Model
from maskcls.classify.model.storage import GALLERY_COLUMNS
from maskcls.classify.predict.explain import Evidence, evidence_of
from maskcls.embedder.labels import band_numbers
from maskcls.embedder.table import gallery_ids

FOLDS = 5
BATCH = 64
RESAMPLES = 1000
SIZES = {"1": 1, "2": 2, "3-5": 5, "6-10": 10, "11-20": 20, "more": 10**6, "none": 10**9}
"""Row -> largest size in it; ``none`` is no set at all."""
SIGNS = ("probability of the band", "voters it hangs on", "their share of the vote", "probability and voters, by rank")

Floats = npt.NDArray[np.float64]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", nargs="+", type=Path, metavar="FACES", help="embedding sets")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pool = open_face_set(options.faces)
    pool = pool.subset(with_age(pool))
    held_out = pool_folds(pool, FOLDS, options.seed) == 0
    model = age_model(pool.subset(np.flatnonzero(~held_out)), options.seed)
    asked = pool.subset(np.intersect1d(np.flatnonzero(pool.table["drawn_on"].isna()), np.flatnonzero(held_out)))
    table = answered(model, asked)
    for name, rows in [*table.groupby("source"), ("all", table)]:
        print(f"\n{name}: {len(rows)} faces, {rows['person'].nunique()} people\n\n{sizes_table(rows)}")
        print(f"\n{signs_table(rows, options.seed)}", flush=True)


def age_model(pool: FaceSet, seed: int) -> Model:
    """A model without heads."""
    vote = fit_vote(pool, seed)
    gallery = fill_gallery(vote.space, pool, gallery_ids(pool.table["face_id"]))
    table = pool.table[list(GALLERY_COLUMNS)].assign(group=pool.people)
    return Model(gallery, table, vote.space, vote.settings, {}, pool.encoder, pool.face)


def answered(model: Model, pool: FaceSet) -> pd.DataFrame:
    """One row a face whose true band is clear.

    ``source``, ``person``, ``right`` (0 or 1), ``probability`` of the band said, ``size`` of the smallest set
    (0 for none), its ``share`` of the vote (1 for none), and ``exact``.
    """
    k = model.settings.voters
    parts: list[tuple[Ages, list[Evidence | None]]] = []
    asking = explaining = 0.0
    for start in range(0, len(pool), BATCH):
        rows = np.arange(start, min(start + BATCH, len(pool)))
        begin = time.perf_counter()
        own = np.full(len(rows), NOBODY, np.int64)
        near, similarities = model.nearest(pool.embeddings[rows], pool.maps(rows), own, 2 * k)
        ages = model.count(near[:, :k], similarities[:, :k])
        between = time.perf_counter()
        parts.append((ages, evidence_of(model, near, similarities, ages, pool.table["face_id"].iloc[rows].tolist())))
        asking, explaining = asking + between - begin, explaining + time.perf_counter() - between
    print(f"{k} voters, {len(model.table)} gallery faces; asking {1000 * asking / len(pool):.2f} ms a face, ", end="")
    print(f"explaining {1000 * explaining / len(pool):.2f} ms a face")
    said = np.concatenate([ages.votes.said for ages, _ in parts])
    bands = np.concatenate([ages.votes.bands for ages, _ in parts])
    evidence = [one for _, part in parts for one in part]
    low, high = (band_numbers(pool.table[end]) for end in ("age_low", "age_high"))
    clear = (low == high) & (said != NOBODY)
    return pd.DataFrame(
        {
            "source": pool.table["source"],
            "person": pool.people,
            "right": (said == low).astype(int),
            "probability": np.take_along_axis(bands, said[:, None], 1)[:, 0],
            "size": [len(one.flip) if one else 0 for one in evidence],
            "share": [one.share if one and one.flip else 1.0 for one in evidence],
            "exact": [bool(one and one.exact) for one in evidence],
        }
    ).iloc[np.flatnonzero(clear)]


def sizes_table(rows: pd.DataFrame) -> str:
    """How often the smallest set has which size, and how often the band is right then."""
    size = rows["size"].where(rows["size"] > 0, SIZES["none"])
    group = pd.cut(size, [0, *SIZES.values()], labels=list(SIZES))
    lines = [
        "| voters it hangs on | answers | proven | share of the vote, median | band is right | mean probability |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, some in [*rows.groupby(group, observed=False), ("all", rows)]:
        if len(some):
            figures = (len(some) / len(rows), some["exact"].mean(), some["share"].median())
            texts = [f"{figure:.1%}" for figure in figures[:2]]
            texts.append(f"{figures[2]:.0%}" if name not in ("none", "all") else "")
            texts += [f"{some['right'].mean():.3f}", f"{some['probability'].mean():.3f}"]
            lines.append(f"| {name} | {' | '.join(texts)} |")
    return "\n".join(lines)


def signs_table(rows: pd.DataFrame, seed: int) -> str:
    """How well each sign ranks right bands above wrong ones: area under the ROC curve, and the gain on the first."""
    size = rows["size"].where(rows["size"] > 0, rows["size"].max() + 1)
    signs = [rows["probability"], size, rows["share"], rows["probability"].rank() + size.rank()]
    right, people = rows["right"].to_numpy(), pd.factorize(rows["person"])[0]
    count = int(people.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    weights = [None, *drawn[:, people].astype(np.float64)]
    areas = np.array([[roc_auc_score(right, sign, sample_weight=weight) for sign in signs] for weight in weights])
    lines = ["| sign | AUROC right against wrong | gain on the probability |", "|---|---|---|"]
    for name, found, less in zip(SIGNS, areas.T, (areas - areas[:, :1]).T, strict=True):
        lines.append(f"| {name} | {_text(found)} | {'' if name == SIGNS[0] else _text(less)} |")
    return "\n".join(lines)


def _text(values: Sequence[float] | Floats) -> str:
    low, high = np.quantile(values[1:], (0.025, 0.975))
    return f"{values[0]:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
