"""How the age vote's accuracy moves with the share of true neighbours that its gallery finds.

    python benchmarks/vote_recall.py faces/contest faces/utkface --seed 0

The age space is learned from four fifths of the people, whose faces fill a gallery of cells, and the others' photos are
asked about with the default vote settings. More and more cells are visited; the last row is the exact gallery. Recall
is of the neighbours that the exact gallery finds, the first 20 and all that the vote looks through.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from maskcls.classify.age.space import fill_gallery, fit_age_space
from maskcls.classify.age.tuning import with_age
from maskcls.classify.age.vote import (
    NOBODY,
    VoteSettings,
    band_prior,
    vote,
    year_profiles,
)
from maskcls.classify.age.voters import RAW_PER_VOTER, one_vote_a_person
from maskcls.classify.data.face_set import open_face_set
from maskcls.classify.evaluation.splits import pool_folds
from maskcls.classify.metrics.confusion import macro_f1
from maskcls.embedder.labels import band_numbers, years_outside
from maskcls.index.base import Ids, Vectors, recall
from maskcls.index.flat import Gallery

FOLDS = 5


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", nargs="+", type=Path, metavar="FACES", help="embedding sets")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pool = open_face_set(options.faces)
    pool = pool.subset(with_age(pool))
    held_out = pool_folds(pool, FOLDS, options.seed) == 0
    fit = pool.subset(np.flatnonzero(~held_out))
    asked = pool.subset(np.intersect1d(np.flatnonzero(pool.table["drawn_on"].isna()), np.flatnonzero(held_out)))
    space = fit_age_space(fit, options.seed)
    exact = fill_gallery(space, fit, np.arange(len(fit)))
    cells = Gallery.of(exact.vectors(exact.ids), exact.ids, "ivf")
    vectors = space.project(asked.embeddings, asked.maps(np.arange(len(asked))))
    settings = VoteSettings()
    k = settings.voters * RAW_PER_VOTER
    fit_low, fit_high, low, high = (
        faces.table[end].to_numpy(np.float32) for faces in (fit, asked) for end in ("age_low", "age_high")
    )
    profiles, prior = year_profiles(fit_low, fit_high, settings.softness), band_prior(fit_low, fit_high, fit.people)
    band = band_numbers(low)
    truth = exact.search(vectors, k)

    def row(name: str, ids: Ids, similarities: Vectors) -> None:
        nobody = np.full(len(asked), NOBODY)
        rows, near = one_vote_a_person(ids, similarities, fit.people, nobody, settings.voters)
        answers = vote(rows, near, profiles, prior, settings)
        clear = (band == band_numbers(high)) & (answers.predicted != NOBODY)
        counts = np.zeros((3, 3))
        np.add.at(counts, (band[clear], answers.predicted[clear]), 1)
        mae = np.nanmean(years_outside(answers.age, low, high))
        shares = [recall(ids[:, :first], truth.ids[:, :first]) for first in (20, k)]
        print(f"| {name} | {shares[0]:.3f} | {shares[1]:.3f} | {mae:.3f} | {float(macro_f1(counts)):.4f} |", flush=True)

    print(f"{len(fit)} faces in the gallery, {len(asked)} of {len(np.unique(asked.people))} other people asked about\n")
    print(f"| cells visited | recall@20 | recall@{k} | age MAE | band macro F1 |\n|---|---:|---:|---:|---:|")
    probes, chosen = 1, cells.searched
    while probes < 2 * cells._index.nlist:
        cells._index.nprobe = min(probes, cells._index.nlist)
        row(cells.searched + (" (chosen)" if cells.searched == chosen else ""), *cells.search(vectors, k))
        probes *= 2
    row("exact", *truth)


if __name__ == "__main__":
    main()
