"""Train a head: sampling against imbalance, and calibration on held-out people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from .ensemble_training import Progress, balanced, seeded, train_members
from .network import SIZES, Head, TrainedHead

if TYPE_CHECKING:  # asking a model does not wait for what only training needs
    from ..data.face_set import FaceSet, Rows

LABEL_SMOOTHING = 0.05
BALANCE = 0.5
"""Exponent of the sampling correction: 0 draws faces as they come, 1 draws all classes equally often."""
HELD_OUT_FOLDS = 10
MIN_PEOPLE_A_CLASS = 2


@dataclass(frozen=True)
class HeadReport:
    """Scores of a head on the held-out people that chose its temperature.

    Attributes:
        faces: it was trained on or held out.
        held_out_faces: of the held-out people.
        accuracy, macro_f1: there, 0 to 1; NaN without held-out faces.
    """

    faces: int
    held_out_faces: int
    accuracy: float
    macro_f1: float


def usable_classes(pool: FaceSet, task: str, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The classes of a task with labels, not pseudo-labels, of at least two people; a head needs two such classes."""
    real = pool.real
    people = pd.Series(pool.people[real]).groupby(pool.table[task].to_numpy()[real]).nunique()
    return tuple(name for name in classes if people.get(name, 0) >= MIN_PEOPLE_A_CLASS)


def train_head(
    pool: FaceSet, task: str, classes: tuple[str, ...], seed: int, progress: Progress = lambda done, total: None
) -> tuple[TrainedHead, HeadReport]:
    """Train the head of ``mask`` or ``gender`` on all faces that have that label.

    A tenth of the people is held out: there the temperature is chosen that calibrates the mean of the members (Guo et
    al. 2017, https://arxiv.org/abs/1706.04599). Faces are drawn by class and mask state with probability proportional
    to frequency ** (1 - BALANCE), and those of people with many photos less often.

    Rows with pseudo-labels take no part, since the model that gave them may have seen the people held out; see
    :func:`retrained`.
    """
    rows = _labelled(pool, task, classes)
    fit, held_out = _split(_codes(pool, task, classes, rows), pool.people[rows], seed)
    net = _trained(pool, task, classes, rows[fit], seed, progress)
    return calibrated_head(net, task, classes, pool.subset(rows[held_out]), len(rows))


def retrained(
    pool: FaceSet,
    task: str,
    head: TrainedHead,
    report: HeadReport,
    seed: int,
    progress: Progress = lambda done, total: None,
) -> tuple[TrainedHead, HeadReport]:
    """A head trained anew with the pseudo-labels of a pool; what was chosen for it on held-out people stays.

    Args:
        head, report: from :func:`train_head` with the same pool and seed; the same people are left out.
    """
    rows = _labelled(pool, task, head.classes)
    pseudo = np.flatnonzero(pool.table[task].isin(head.classes).to_numpy(bool) & ~pool.real)
    fit, _ = _split(_codes(pool, task, head.classes, rows), pool.people[rows], seed)
    net = _trained(pool, task, head.classes, np.concatenate([rows[fit], pseudo]), seed, progress)
    return replace(head, net=net), replace(report, faces=len(rows) + len(pseudo))


def _trained(pool: FaceSet, task: str, classes: tuple[str, ...], rows: Rows, seed: int, progress: Progress) -> Head:
    labels = torch.from_numpy(_codes(pool, task, classes, rows))
    random = seeded(seed)
    net = Head(len(classes), replace(SIZES, channels=pool.channels))

    def loss(maps: Tensor, embeddings: Tensor, chosen: Rows) -> Tensor:
        logits = net.member_logits(maps, embeddings).flatten(0, 1)
        return net.members * cross_entropy(logits, labels[chosen.ravel()], label_smoothing=LABEL_SMOOTHING)

    train_members(net, pool, rows, _draw_probabilities(pool, task, rows), loss, random, progress)
    return net


def calibrated_head(
    net: Head, task: str, classes: tuple[str, ...], held_out: FaceSet, faces: int
) -> tuple[TrainedHead, HeadReport]:
    """A head that was trained on ``faces`` faces, with the temperature that suits people it has not seen."""
    from sklearn.metrics import f1_score

    rows = np.flatnonzero(held_out.table[task].isin(classes).to_numpy())
    if not len(rows):
        return TrainedHead(net, classes, 1.0), HeadReport(faces, 0, float("nan"), float("nan"))
    labels = _codes(held_out, task, classes, rows)
    logits = TrainedHead(net, classes, 1.0).logits(held_out.maps(rows), held_out.embeddings[rows]).numpy()
    predicted = logits.argmax(1)
    accuracy, macro_f1 = float((predicted == labels).mean()), float(f1_score(labels, predicted, average="macro"))
    return TrainedHead(net, classes, fit_temperature(logits, labels)), HeadReport(faces, len(rows), accuracy, macro_f1)


def fit_temperature(logits: npt.NDArray[np.float32], labels: Rows) -> float:
    """The temperature in [0.25, 4] with the least log loss on held-out faces."""
    from scipy.optimize import minimize_scalar

    def mean_loss(log_temperature: float) -> float:
        return float(log_losses(logits / np.exp(log_temperature), labels).mean())

    return float(np.exp(minimize_scalar(mean_loss, bounds=(np.log(0.25), np.log(4)), method="bounded").x))


def log_losses(logits: npt.NDArray[np.float32], labels: Rows) -> npt.NDArray[np.float64]:
    """Cross entropy (n,) in nats of logits (n, classes)."""
    from scipy.special import logsumexp

    return np.asarray(logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels], np.float64)


def _split(labels: Rows, people: Rows, seed: int) -> tuple[Rows, Rows]:
    """Positions to fit on and positions of held-out people, stratified by class.

    A tenth of the people is held out, or one of the rarest class where it has fewer than ten.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    per_class = pd.Series(people).groupby(labels).nunique()
    folds = max(2, int(min(HELD_OUT_FOLDS, per_class.min())))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fit, held_out = next(iter(splitter.split(labels, labels, people)))
    return fit.astype(np.int64), held_out.astype(np.int64)


def _labelled(pool: FaceSet, task: str, classes: tuple[str, ...]) -> Rows:
    """Rows with one of these labels that is not a pseudo-label."""
    return np.flatnonzero(pool.table[task].isin(classes).to_numpy(bool) & pool.real)


def _codes(pool: FaceSet, task: str, classes: tuple[str, ...], rows: Rows) -> Rows:
    """Class number of some rows of a pool that all have one of the classes."""
    return pd.Categorical(pool.table[task].iloc[rows], categories=list(classes)).codes.astype(np.int64)


def _draw_probabilities(pool: FaceSet, task: str, rows: Rows) -> npt.NDArray[np.float64]:
    table = pool.table.iloc[rows]
    kinds = pd.factorize(table[task].fillna("") + "/" + table["mask"].fillna(""))[0]
    return balanced(kinds, BALANCE, pool.people[rows])
