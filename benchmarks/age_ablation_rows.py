"""The rows of ``age_ablation.py``: each fits or asks the age space in one other way than ``maskcls build-index``."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from benchmarks.age_ablation_features import see
from benchmarks.age_ablation_losses import (
    Bins,
    Distribution,
    Ordinal,
    Proxies,
    Regression,
    kernel_contrast,
    rank_n_contrast,
)
from benchmarks.age_ablation_nets import Faces, Halves, Pairs, Trained, train
from benchmarks.age_ablation_votes import Setting, Truth, parted
from maskcls.classify.age.space import age_features, fit_linear
from maskcls.classify.age.vote import AgeVotes
from maskcls.classify.data.face_set import FaceSet
from maskcls.embedder.labels import GENDERS

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
DEFAULT = "default"
SHIFTS = ("left", "right", "up", "down")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was changed.
        way: who answers, ``vote`` or ``net``.
        answers: to the scored faces.
        seconds: of fitting; none where nothing but the default was fitted.
        kept: share of the gallery that may vote.
    """

    name: str
    way: str
    answers: AgeVotes
    seconds: float | None = None
    kept: float = 1.0


class Trial:
    """One split, and the default fitted in it."""

    def __init__(self, pool: FaceSet, maps: Halves, seed: int, cache: Path, only: str = "") -> None:
        """``maps`` (n, 896, 4, 4) are those of all faces of the pool; rows whose name lacks ``only`` are not learnt."""
        order, held, test = parted(pool, seed)
        self.only = re.compile(only)
        self.seed, self.pool, self.cache, self.maps, self.order = seed, pool, cache, maps, order
        self.table = pool.table.iloc[order].reset_index(drop=True)
        low, high = (np.array(self.table[name], np.float32) for name in ("age_low", "age_high"))
        people = pd.factorize(pool.people[order])[0].astype(np.int64)
        self.setting = Setting(low, high, people, held, test)
        none = np.zeros((len(order), 0), np.float32)
        self.faces = Faces(order, [maps], pool.embeddings, low, high, people, none)
        self.drawn = self.table["drawn_on"].notna().to_numpy()
        self.masked = self.table["mask"].isin(("wear", "incorrect")).to_numpy()
        self.fit = np.arange(held)
        self.default = self.train(self.faces)
        self.vectors = self.default.project(self.faces)
        self.near = self.setting.neighbours(self.vectors)

    def truth(self) -> Truth:
        """What is scored."""
        table, scored_rows = self.table.iloc[self.setting.test :], slice(self.setting.test, None)
        source, mask = table["source"].to_numpy(), table["mask"].to_numpy()
        kinds = {name: source == name for name in ("utkface", "fairface")}
        kinds["contest bare"] = (source == "contest") & (mask == "normal")
        kinds["contest masked"] = (source == "contest") & (mask == "wear")
        people = self.pool.people[self.order][scored_rows]
        return Truth(self.setting.low[scored_rows], self.setting.high[scored_rows], people, kinds)

    def train(self, faces: Faces, rows: Rows | None = None, **options: object) -> Trained:
        """Train on some of the faces to learn from, all of them by default."""
        return train(faces.subset(self.fit if rows is None else rows), self.seed, **options)  # type: ignore[arg-type]

    def pairs(self) -> Pairs:
        """Partners of the faces to learn from: contest people in all their photos, others as drawn on."""
        person = self.table["source"].eq("contest") & self.table["person"].notna()
        photo = self.table["drawn_on"].fillna(self.table["file_sha256"]).where(~person, self.table["person"])
        return Pairs(pd.factorize(photo)[0].astype(np.int64)[self.fit], self.masked[self.fit])

    def both(self, name: str, trained: Trained, vectors: Floats, gallery: Rows | None = None) -> Iterator[Row]:
        """The row of the vote in a space and that of its network."""
        near = self.setting.neighbours(vectors, gallery=gallery)
        yield Row(name, "vote", self.setting.vote(*near), trained.seconds)
        years = trained.years(vectors[self.setting.held :])
        yield Row(name, "net", self.setting.alone(years), trained.seconds)

    def learnt(self, name: str, faces: Faces, **options: object) -> Iterator[Row]:
        """The same of a space that is learnt in another way."""
        if not self.only.search(name):
            return
        trained = self.train(faces, None, **options)
        yield from self.both(name, trained, trained.project(faces))

    def voted(self, name: str, vectors: Floats | None = None, **options: object) -> Row:
        """The row of a vote among other neighbours, in the default space unless vectors are given."""
        near = self.setting.neighbours(self.vectors if vectors is None else vectors, **options)  # type: ignore[arg-type]
        return Row(name, "vote", self.setting.vote(*near))


def spaces(trial: Trial) -> Iterator[Row]:
    """The default, and simpler spaces."""
    yield from trial.both(DEFAULT, trial.default, trial.vectors)
    years = trial.default.years(trial.vectors[trial.setting.held :])
    yield Row("default, vote and net averaged", "vote", trial.setting.vote(*trial.near, beside=years))
    again = train(trial.faces.subset(trial.fit), trial.seed + 1000)
    yield from trial.both("default, other random numbers", again, again.project(trial.faces))
    embeddings = trial.pool.embeddings[trial.order]
    yield trial.voted("embedding itself", embeddings)
    start = time.perf_counter()
    features = age_features(embeddings, trial.maps[trial.order])
    middle = ((trial.setting.low + trial.setting.high) / 2).astype(np.float32)
    linear = fit_linear(features[trial.fit], middle[trial.fit])
    seconds = time.perf_counter() - start
    vectors = np.asarray((features - linear.mean) @ linear.matrix, np.float32)
    yield replace(trial.voted("embedding and pooled map, linear (LDA)", vectors), seconds=seconds)


def layers(trial: Trial) -> Iterator[Row]:
    """Maps of other layers of the backbone, and other ways of pooling."""
    names = ("repeat_1", "mixed_6a", "mixed_7a", "block8", "max", "gem")
    seen = see(trial.pool.table, names, "plain", trial.cache).maps
    for name in names[:4]:
        yield from trial.learnt(f"map of {name}", replace(trial.faces, maps=[seen[name]]))
    for several in (("mixed_6a", "mixed_7a"), ("repeat_1", "mixed_6a", "mixed_7a", "block8")):
        maps = [trial.maps, *(seen[name] for name in several)]
        yield from trial.learnt(f"maps of repeat_2, {', '.join(several)}", replace(trial.faces, maps=maps))
    yield from trial.learnt("no map", replace(trial.faces, maps=[]))
    average = trial.maps.mean(axis=(2, 3), keepdims=True, dtype=np.float32).astype(np.float16)
    for name, pooled in {"mean": average, "max": seen["max"], "generalised mean": seen["gem"]}.items():
        yield from trial.learnt(f"map pooled by its {name}", replace(trial.faces, maps=[pooled]))


def views(trial: Trial) -> Iterator[Row]:
    """Mirror images and small shifts."""

    def moved(table: pd.DataFrame, view: str, faces: Faces) -> Floats:
        seen = see(table, ("repeat_2",), view, trial.cache)
        return trial.default.project(replace(faces, maps=[seen.maps["repeat_2"]], embeddings=seen.embeddings))

    yield from trial.both("maps not mirrored", trial.default, trial.default.project(trial.faces, mirror=False))
    both = np.float32(0.5) * (trial.vectors + moved(trial.pool.table, "flipped", trial.faces))
    yield from trial.both("photos mirrored as well as maps", trial.default, both)
    asking = np.arange(trial.setting.held, len(trial.setting))
    faces = replace(trial.faces.subset(asking), rows=np.arange(len(asking)))
    shifts = [moved(trial.table.iloc[asking], view, faces) for view in SHIFTS]
    vectors = trial.vectors.copy()
    vectors[asking] = np.mean([vectors[asking], *shifts], axis=0)
    yield from trial.both("asked as it is and shifted four ways", trial.default, vectors)


def losses(trial: Trial) -> Iterator[Row]:
    """Other losses."""
    ranked, kernel = rank_n_contrast, kernel_contrast
    for name, loss in {
        "loss: absolute error": Regression(),
        "loss: bins of five years": Bins(),
        "loss: ordinal (CORAL)": Ordinal(),
        "loss: Rank-N-Contrast alone": Distribution(ranked, 1.0, alone=True),
        "loss: age-kernel contrast alone": Distribution(kernel, 1.0, alone=True),
        "loss: one proxy a year": Proxies(),
        "loss: default and Rank-N-Contrast": Distribution(ranked),
        "loss: default and age-kernel contrast": Distribution(kernel),
    }.items():
        yield from trial.learnt(name, trial.faces, loss=loss)


def masks(trial: Trial) -> Iterator[Row]:
    """Bare and masked faces."""
    pairs = trial.pairs()
    yield from trial.learnt("half of every batch: same photo, other mask state", trial.faces, pairs=pairs, pull=0.0)
    yield from trial.learnt("the same, and these pulled together", trial.faces, pairs=pairs)
    bare = np.flatnonzero(~trial.drawn[: trial.setting.held])
    trained = trial.train(trial.faces, bare)
    yield from trial.both("no drawn masks", trained, trained.project(trial.faces), bare)
    yield trial.voted("drawn masks learnt from but without a vote", gallery=bare)
    state = trial.masked.astype(np.int64)
    yield trial.voted("a gallery for each mask state", groups=(state, state))


def genders(trial: Trial) -> Iterator[Row]:
    """Gender beside age; predicted by linear discriminant analysis."""
    truth = pd.Categorical(trial.table["gender"], categories=list(GENDERS)).codes.astype(np.int64)
    features = age_features(trial.pool.embeddings[trial.order], trial.maps[trial.order])
    known = trial.fit[truth[trial.fit] >= 0]
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.01).fit(features[known], truth[known])
    predicted = np.where(np.arange(len(truth)) < trial.setting.held, truth, model.predict(features))
    yield trial.voted("neighbours of the predicted gender", groups=(truth, predicted))
    yield trial.voted("neighbours of the true gender (a bound)", groups=(truth, truth))
    extra = (2 * predicted - 1).astype(np.float32)[:, None]
    yield from trial.learnt("gender as input", replace(trial.faces, extra=extra))
    vectors, seconds = np.zeros_like(trial.vectors), 0.0
    years = np.zeros((len(truth), 121), np.float32)
    for gender in range(len(GENDERS)):
        trained = trial.train(trial.faces, trial.fit[truth[trial.fit] == gender])
        mine = np.flatnonzero(predicted == gender)
        vectors[mine], seconds = trained.project(trial.faces.subset(mine)), seconds + trained.seconds
        years[mine] = trained.years(vectors[mine])
    row = replace(trial.voted("a network for each gender", vectors, groups=(truth, predicted)), seconds=seconds)
    yield row
    yield replace(row, way="net", answers=trial.setting.alone(years[trial.setting.held :]))


def galleries(trial: Trial) -> Iterator[Row]:
    """Smaller galleries; the network learns from all faces."""
    setting, random = trial.setting, np.random.default_rng(trial.seed)
    shuffled = random.permutation(setting.held)
    kept = {f"contradicted by {y} years left out": ~setting.contradicted(trial.vectors, y) for y in (6, 10, 15)}
    for similarity, years in ((0.95, 1), (0.9, 2), (0.8, 3)):
        kept[f"like another ({similarity}, {years} years) left out"] = ~setting.needless(
            trial.vectors, similarity, years
        )
    kept["one face a person"] = np.isin(trial.fit, shuffled[np.unique(setting.people[shuffled], return_index=True)[1]])
    for share in (2, 4, 10):
        kept[f"any 1/{share}"] = np.isin(trial.fit, shuffled[: setting.held // share])
    for name, keep in kept.items():
        yield replace(trial.voted(f"gallery: {name}", gallery=np.flatnonzero(keep)), kept=float(keep.mean()))


def sizes(trial: Trial) -> Iterator[Row]:
    """Fewer people to learn from and to ask."""
    people = np.unique(trial.setting.people[: trial.setting.held])
    shuffled = np.random.default_rng(trial.seed).permutation(people)
    for share in (16, 8, 4, 2):
        rows = np.flatnonzero(np.isin(trial.setting.people[: trial.setting.held], shuffled[: len(people) // share]))
        trained = trial.train(trial.faces, rows)
        yield from trial.both(f"learnt from 1/{share} of the people", trained, trained.project(trial.faces), rows)


def votes(trial: Trial) -> Iterator[Row]:
    """Other ways to count."""
    choices: dict[str, dict[str, object]] = {f"vote: {k} people": {"VOTERS": (k,)} for k in (5, 10, 30, 120)}
    choices |= {f"vote: temperature {t}": {"TEMPERATURES": (t,)} for t in (0.02, 0.1, 0.5)}
    choices["vote: all neighbours weigh the same"] = {"TEMPERATURES": (1e6,)}
    choices |= {f"vote: softness {s} years": {"SOFTNESS": s} for s in (0.0, 1.0, 4.0)}
    choices |= {f"vote: prior correction {c}": {"CORRECTIONS": (c,)} for c in (0.0, 0.25, 0.5, 1.0)}
    for name, choice in choices.items():
        yield Row(name, "vote", trial.setting.vote(*trial.near, choice))
    yield trial.voted("vote: one a photo", voter=np.arange(len(trial.setting)))


def together(trial: Trial) -> Iterator[Row]:
    """What helped, joined."""
    pairs, asking = trial.pairs(), slice(trial.setting.held, None)
    for name, loss in {
        "same-photo batches, default and age-kernel contrast": Distribution(kernel_contrast),
        "same-photo batches, age-kernel contrast alone": Distribution(kernel_contrast, 1.0, alone=True),
    }.items():
        yield from trial.learnt(name, trial.faces, loss=loss, pairs=pairs, pull=0.0)
    nets = [trial.default]
    nets += [train(trial.faces.subset(trial.fit), trial.seed + more) for more in (2000, 3000)]
    hidden = [net.project(trial.faces) for net in nets]
    side_by_side = np.concatenate([h / np.linalg.norm(h, axis=1, keepdims=True) for h in hidden], axis=1)
    seconds = sum(net.seconds for net in nets)
    years = np.stack([net.years(h[asking]) for net, h in zip(nets, hidden, strict=True)]).mean(axis=0)
    yield replace(trial.voted("three default networks side by side", side_by_side), seconds=seconds)
    yield Row("three default networks side by side", "net", trial.setting.alone(years), seconds)
    fitted = side_by_side[trial.fit]
    main = np.linalg.eigh(fitted.T @ fitted)[1][:, -hidden[0].shape[1] :]
    name = "three default networks side by side, as many dimensions as one"
    yield replace(trial.voted(name, side_by_side @ main), seconds=seconds)


PARTS: dict[str, Callable[[Trial], Iterator[Row]]] = {
    part.__name__: part for part in (spaces, layers, views, losses, masks, genders, galleries, sizes, votes, together)
}
