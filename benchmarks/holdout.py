"""The main job on held-out people: build on 80 % of the people of one set and other sets, score the other 20 %.

    python benchmarks/holdout.py faces/contest faces/utkface faces/masks --seeds 3

The first set is the one that is scored. People are told apart by name and by embedding over all sets together, so
that a near-copy of a test photo in another set is kept out of the training; ``--leaky`` adds the figures that come
out when only names are respected. Ridge regression on the same features stands beside the vote.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.metrics import f1_score

from maskcls.classify.age_space import age_features
from maskcls.classify.build import build_model
from maskcls.classify.pool import Pool, Rows, open_pool
from maskcls.classify.tuning import with_age
from maskcls.classify.vote import NOBODY
from maskcls.embedder.labels import AGE_BANDS, band_numbers, class_id

TEST_SHARE = 0.2
RIDGE_PENALTY = 3.0


def main() -> None:
    """Run and print one table, mean and range over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--leaky", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pool = open_pool(options.faces)
    roots = pool.table["root"]
    scored = int((roots == roots.iloc[0]).sum())
    runs: dict[str, list[dict[str, float]]] = {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for kind in ("honest", "leaky") if options.leaky else ("honest",):
            train, test = split(pool, scored, seed, leaky=kind == "leaky")
            runs.setdefault(kind, []).append(score(pool, train, test, seed))
            print(f"seed {seed} {kind}: {len(train)} faces to build on, {len(test)} scored", flush=True)
    for kind, results in runs.items():
        frame = pd.DataFrame(results)
        print(f"\n{kind}, {options.seeds} seeds from {options.first_seed}")
        print(pd.DataFrame({"mean": frame.mean(), "min": frame.min(), "max": frame.max()}).round(4).to_string())
    if options.json:
        options.json.write_text(json.dumps(runs, indent=2) + "\n")


def split(pool: Pool, scored: int, seed: int, *, leaky: bool) -> tuple[Rows, Rows]:
    """Rows to build on and rows to score. Leaky: only faces of the same name in the scored set are kept apart."""
    is_scored = np.arange(len(pool)) < scored
    people = pd.factorize(pool.table["person"].where(is_scored))[0] if leaky else pool.people
    of_scored = np.unique(people[is_scored & (people >= 0)])
    held_out = np.random.default_rng(seed).permutation(of_scored)[: round(TEST_SHARE * len(of_scored))]
    test = np.isin(people, held_out)
    return np.flatnonzero(~test), np.flatnonzero(test & is_scored)


def score(pool: Pool, train: Rows, test: Rows, seed: int) -> dict[str, float]:
    """All figures of one split."""
    model, _ = build_model(pool.subset(train), seed)
    faces = pool.subset(test)
    maps = faces.maps(np.arange(len(faces)))
    table = faces.table
    ages = model.ages(faces.embeddings, maps, np.full(len(faces), NOBODY))
    bands = ages.votes.said
    truth = table["age_low"].to_numpy()
    true_bands = band_numbers(truth)
    said = {
        task: np.array(head.classes)[head.probabilities(maps, faces.embeddings).argmax(axis=1)]
        for task, head in model.heads.items()
    }
    mask, gender = table["mask"].to_numpy(), table["gender"].to_numpy()
    wear, bare = mask == "wear", mask == "normal"
    error = np.abs(ages.votes.age - truth)
    results = {
        "mask accuracy": np.mean(said["mask"] == mask),
        "mask macro F1": f1_score(mask, said["mask"], average="macro"),
        "gender accuracy": np.mean(said["gender"] == gender),
        "gender accuracy, bare": np.mean((said["gender"] == gender)[bare]),
        "gender accuracy, masked": np.mean((said["gender"] == gender)[wear]),
        "age MAE": error.mean(),
        "age MAE, bare": error[bare].mean(),
        "age MAE, masked": error[wear].mean(),
        "age band macro F1": f1_score(true_bands, bands, average="macro"),
        "18-class macro F1": f1_score(
            _classes(mask, gender, true_bands), _classes(said["mask"], said["gender"], bands), average="macro"
        ),
    }
    for number, name in enumerate(AGE_BANDS):
        results[f"recall {name}"] = np.mean(bands[true_bands == number] == number)
    ridge = _ridge(pool, train, test)
    results["age MAE, ridge"] = np.abs(ridge - truth).mean()
    results["age band macro F1, ridge"] = f1_score(true_bands, band_numbers(ridge), average="macro")
    return {name: float(value) for name, value in results.items()}


def _classes(mask: Iterable[str], gender: Iterable[str], bands: Iterable[int]) -> list[int]:
    return [class_id(m, g, AGE_BANDS[b]) for m, g, b in zip(mask, gender, bands, strict=True)]


def _ridge(pool: Pool, train: Rows, test: Rows) -> np.ndarray:
    known = train[np.isin(train, with_age(pool))]
    fit, ask = (age_features(pool.embeddings[rows], pool.maps(rows)) for rows in (known, test))
    ages = (pool.table["age_low"] + pool.table["age_high"]).to_numpy()[known] / 2
    return np.asarray(Ridge(RIDGE_PENALTY).fit(fit, ages).predict(ask))


if __name__ == "__main__":
    main()
