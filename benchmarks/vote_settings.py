"""Do the choices in the age vote earn their place? Each is changed alone, on the same folds of people.

    python benchmarks/vote_settings.py faces/contest faces/utkface faces/utkface-drawn --seed 0

Per fold the age space is fitted without its people, and settings are chosen as ``maskcls build-index`` does, by asking
about people held out once more inside; the answers to real photos of the fold's people are scored. Nothing is chosen on
those. A difference is to the default, with a 95 % interval from 1,000 resamples of people, the same for both.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from maskcls.classify.age import tuning
from maskcls.classify.age.space import AgeSpace, fit_age_space
from maskcls.classify.age.tuning import (
    TunedVote,
    VoteReport,
    Voters,
    choose_vote,
    held_out_voters,
    queried_folds,
    with_age,
)
from maskcls.classify.age.vote import NOBODY, AgeVotes, band_prior, vote, voter_weights, year_profiles
from maskcls.classify.data.face_set import FaceSet, Rows, open_face_set
from maskcls.classify.evaluation.evaluate import plan
from maskcls.classify.metrics.bootstrap import Bootstrap, Counts, Floats, mean
from maskcls.classify.metrics.confusion import flattened, macro_f1, recall
from maskcls.embedder.labels import BAND_STARTS, years_outside

MOST = (10, 20, 30, 50, 80, 120)
SHOWN = 10
NEAREST = 0.01
"""Added to distances 1 - cosine before they are inverted."""

Similarities = npt.NDArray[np.float32]
Kernel = Callable[[Similarities], Similarities]


def cosine(similarities: Similarities) -> Similarities:
    """As they are: weights are a softmax over similarity / temperature."""
    return similarities


def even(similarities: Similarities) -> Similarities:
    """All voters count the same."""
    return np.where(np.isfinite(similarities), np.float32(0), similarities)


def inverse(similarities: Similarities) -> Similarities:
    """Softmax of this over temperature 1 / p is distance ** -p."""
    return np.asarray(-np.log(np.maximum(1 - similarities, 0) + np.float32(NEAREST)), np.float32)


def f1_and_recall(report: VoteReport) -> float:
    """The default."""
    return report.macro_f1 + report.macro_recall


@dataclass(frozen=True)
class Variant:
    """One way to choose settings.

    Attributes:
        voters, temperatures, softness, corrections: tried; of softness the one of least error in years is kept.
        kernel: turns cosine similarities (n, k) into those of which the weights are a softmax.
        best: the correction is kept for which this is largest on the people held out inside.
        by_age: the predicted band is the one in which the predicted age lies, whatever the votes for the bands.
        photos_alone: nobody is asked about drawn masks when settings are chosen.
    """

    voters: tuple[int, ...] = tuning.VOTERS
    temperatures: tuple[float, ...] = tuning.TEMPERATURES
    softness: tuple[float, ...] = (tuning.SOFTNESS,)
    corrections: tuple[float, ...] = tuning.CORRECTIONS
    kernel: Kernel = cosine
    best: Callable[[VoteReport], float] = f1_and_recall
    by_age: bool = False
    photos_alone: bool = False


DEFAULT = "default"
VARIANTS: Mapping[str, Variant] = {
    DEFAULT: Variant(),
    "up to 120 voters": Variant(voters=MOST),
    "up to 30 voters": Variant(voters=MOST[:3]),
    "10 voters": Variant(voters=MOST[:1]),
    **{f"softness {years} years": Variant(softness=(float(years),)) for years in (0, 1, 3, 4)},
    "softness 0 to 4, by error": Variant(softness=(0.0, 1.0, 2.0, 3.0, 4.0)),
    "every voter the same": Variant(kernel=even, temperatures=(1.0,)),
    "inverse distance": Variant(kernel=inverse, temperatures=(1.0,)),
    "inverse squared distance": Variant(kernel=inverse, temperatures=(0.5,)),
    "correction by macro F1": Variant(best=lambda report: report.macro_f1),
    "correction by macro recall": Variant(best=lambda report: report.macro_recall),
    "no correction": Variant(corrections=(0.0,)),
    "the band of the predicted age": Variant(by_age=True),
    "settings by photos alone": Variant(photos_alone=True),
}


@dataclass(frozen=True)
class Fold:
    """What is fitted once and asked by all variants.

    Attributes:
        space: fitted to ``seen``, the faces of known age of other people.
        inside: voters of the rows ``asked`` of ``seen``, out of fold.
        outside: voters of the rows ``scored`` of the pool, who are rows of ``seen``.
    """

    space: AgeSpace
    seen: FaceSet
    asked: Rows
    inside: Voters
    scored: Rows
    outside: Voters


@dataclass(frozen=True)
class Scored:
    """Of all faces scored: years of error, cell of the bands' confusion, whether the interval holds the age, voters.

    ``cell`` (n,) is 3 * truth + predicted band, -1 where the true band is unknown; ``held`` (n,) is NaN without an
    exact age; ``voters`` (n,) is how many were asked for, ``shown`` (n,) the share of the vote of the ten nearest.
    """

    error: Floats
    cell: Rows
    held: Floats
    voters: Rows
    shown: Floats


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, nargs="+")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pool = open_face_set(options.faces)
    aged = pool.subset(with_age(pool))
    chosen = plan(aged, [], None, options.folds, options.seed)
    parts: dict[str, list[Scored]] = {name: [] for name in VARIANTS}
    order: list[Rows] = []
    for number in range(options.folds):
        fold = fitted(aged, chosen.fold, number, chosen.scored, options.seed)
        order.append(fold.scored)
        for name, variant in VARIANTS.items():
            parts[name].append(answered(aged, fold, variant))
    scored = {name: _joined(part) for name, part in parts.items()}
    rows = np.concatenate(order)
    sources = aged.table["source"].to_numpy(str)[rows]
    people = aged.people[rows]
    for source in ("all", *np.unique(sources)) if len(np.unique(sources)) > 1 else ("all",):
        mine = np.flatnonzero((sources == source) | (source == "all"))
        print(f"\n{source}: {len(mine)} faces, {len(np.unique(people[mine]))} people\n")
        print_table({name: _part(found, mine) for name, found in scored.items()}, people[mine], options.seed)


def fitted(aged: FaceSet, fold: Rows, number: int, scored: Rows, seed: int) -> Fold:
    """The space of one fold of people, and the voters on both sides of it."""
    seen_rows = np.flatnonzero(fold != number)
    seen, mine = aged.subset(seen_rows), scored[fold[scored] == number]
    folds = queried_folds(seen, seed)
    asked = np.sort(np.concatenate([queries for _, queries in folds]))
    with patch.object(tuning, "VOTERS", MOST):
        inside = held_out_voters(seen, folds, lambda part: fit_age_space(part, seed))
        outside = Voters(len(aged))
        space = fit_age_space(seen, seed)
        outside.find(space, aged, seen_rows, mine)
    place = np.full(len(aged) + 1, NOBODY)  # the last entry is for nobody
    place[seen_rows] = np.arange(len(seen))
    outside.rows = place[outside.rows]
    return Fold(space, seen, asked, inside, mine, outside)


def answered(aged: FaceSet, fold: Fold, variant: Variant) -> Scored:
    """Settings chosen as the variant says, and the answers to the fold's people scored."""
    softness, tuned = choose(fold, variant)
    settings, seen = tuned.settings, fold.seen
    low, high = (seen.table[name].to_numpy(np.float32) for name in ("age_low", "age_high"))
    k, rows = settings.voters, fold.scored
    prior = band_prior(low, high, seen.people, settings.starts)
    similarities = variant.kernel(fold.outside.similarities[rows])[:, :k]
    votes = vote(fold.outside.rows[rows][:, :k], similarities, year_profiles(low, high, softness), prior, settings)
    shown = voter_weights(similarities, settings.temperature)[:, :SHOWN].sum(axis=1)
    return _scored(aged, rows, votes, variant.by_age, k, shown)


def choose(fold: Fold, variant: Variant) -> tuple[float, TunedVote]:
    """Softness, and the settings chosen with it on people held out inside."""
    asked = fold.asked
    if variant.photos_alone:
        asked = asked[fold.seen.table["drawn_on"].isna().to_numpy(bool)[asked]]
    voters = Voters(0)
    voters.rows, voters.similarities = fold.inside.rows, variant.kernel(fold.inside.similarities)

    def tuned(softness: float, corrections: tuple[float, ...]) -> TunedVote:
        with (
            patch.object(tuning, "VOTERS", variant.voters),
            patch.object(tuning, "TEMPERATURES", variant.temperatures),
            patch.object(tuning, "SOFTNESS", softness),
            patch.object(tuning, "CORRECTIONS", corrections),
        ):
            return choose_vote(fold.space, fold.seen, asked, voters, BAND_STARTS[2])

    def error(softness: float) -> float:
        return _report(tuned(softness, variant.corrections[:1])).mae

    softness = variant.softness[0] if len(variant.softness) == 1 else min(variant.softness, key=error)
    if variant.best is f1_and_recall:
        return softness, tuned(softness, variant.corrections)
    each = (tuned(softness, (correction,)) for correction in variant.corrections)
    return softness, max(each, key=lambda found: variant.best(_report(found)))


def _report(tuned: TunedVote) -> VoteReport:
    if tuned.report is None:
        raise ValueError("too few people to choose settings")
    return tuned.report


def _scored(aged: FaceSet, rows: Rows, votes: AgeVotes, by_age: bool, voters: int, shown: Similarities) -> Scored:
    low, high = (aged.table[name].to_numpy(np.float64)[rows] for name in ("age_low", "age_high"))
    error = years_outside(votes.age, low, high)
    band = np.digitize(votes.age.round(), BAND_STARTS[1:]) if by_age else votes.predicted
    truth = np.digitize(low, BAND_STARTS[1:])
    cell = np.where(truth == np.digitize(high, BAND_STARTS[1:]), 3 * truth + band, -1)
    inside = (votes.low.round(1) <= low) & (low <= votes.high.round(1))
    held = np.where(low == high, inside, np.nan)
    return Scored(error, cell, held, np.full(len(rows), voters), shown.astype(np.float64))


def _joined(parts: list[Scored]) -> Scored:
    return Scored(*(np.concatenate([getattr(part, name) for part in parts]) for name in Scored.__dataclass_fields__))


def _part(scored: Scored, rows: Rows) -> Scored:
    return replace(scored, **{name: getattr(scored, name)[rows] for name in Scored.__dataclass_fields__})


def print_table(scored: Mapping[str, Scored], people: Rows, seed: int) -> None:
    """One line a variant, differences to the default behind the figures."""
    bootstrap, default = Bootstrap(people, seed=seed), scored[DEFAULT]
    print("| | voters | shown ten have | age MAE | band macro F1 | macro recall | recall >=60 | interval holds |")
    print("|---|---:|---:|---|---|---|---:|---:|")
    for name, found in scored.items():
        bands, base = Counts.cells(found.cell, 9), Counts.cells(default.cell, 9)
        texts = [
            _text(bootstrap, Counts.mean(found.error), Counts.mean(default.error), mean, found is default),
            _text(bootstrap, bands, base, flattened(macro_f1), found is default),
            _text(bootstrap, bands, base, flattened(_macro_recall), found is default),
        ]
        oldest = recall(bands.totals().reshape(3, 3))[2]
        voters, held = found.voters.mean(), np.nan if np.isnan(found.held).all() else np.nanmean(found.held)
        print(f"| {name} | {voters:.0f} | {found.shown.mean():.0%} | {' | '.join(texts)} | {oldest:.3f} | {held:.3f} |")


def _text(bootstrap: Bootstrap, mine: Counts, base: Counts, score: Callable[[Floats], Floats], default: bool) -> str:
    def both(totals: Floats) -> Floats:
        own = score(totals[:, : mine.width])
        return np.stack([own, own - score(totals[:, mine.width :])], axis=1)

    found = bootstrap.estimate(mine.hstack(base), both)
    value, difference = found.value
    return f"{value:.3f}" + ("" if default else f" ({difference:+.3f}: {found.low[1]:+.3f} to {found.high[1]:+.3f})")


def _macro_recall(counts: Floats) -> Floats:
    return np.asarray(np.nanmean(recall(counts), axis=-1))


if __name__ == "__main__":
    main()
