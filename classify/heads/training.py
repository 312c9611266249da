"""Train a head: sampling against imbalance, early stopping and calibration on held-out people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from .network import MEMBERS, Head, HeadMember, TrainedHead, in_half_precision, mirrored_mean

if TYPE_CHECKING:  # asking a model does not wait for what only training needs
    from ..data.face_set import FaceSet, Rows

BATCH = 128
EPOCHS = (4, 12)
FACES_SHOWN = 300_000
"""A member of a head is shown about this many faces in all, within these numbers of passes over its faces."""
PATIENCE = 4
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.1
LABEL_SMOOTHING = 0.05
BALANCE = 0.5
"""Exponent of the sampling correction: 0 draws faces as they come, 1 draws all classes equally often."""
PERSON_BALANCE = 0.5
"""The same for people: at 0.5 a person of four photos is drawn twice as often as one of a single photo."""
HELD_OUT_FOLDS = 10
MIN_PEOPLE_A_CLASS = 2

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class HeadReport:
    """Scores of a head on the held-out people that chose its epochs and its temperature.

    Attributes:
        faces: it was trained on or held out.
        held_out_faces: of the held-out people.
        accuracy, macro_f1: there, 0 to 1; NaN without held-out faces.
        epochs: that were kept, one per member.
    """

    faces: int
    held_out_faces: int
    accuracy: float
    macro_f1: float
    epochs: tuple[int, ...]


def usable_classes(pool: FaceSet, task: str, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The classes of a task with labels, not pseudo-labels, of at least two people; a head needs two such classes."""
    real = pool.real
    people = pd.Series(pool.people[real]).groupby(pool.table[task].to_numpy()[real]).nunique()
    return tuple(name for name in classes if people.get(name, 0) >= MIN_PEOPLE_A_CLASS)


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread: more make steps this small slower, ten times on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def train_head(
    pool: FaceSet, task: str, classes: tuple[str, ...], seed: int, progress: Progress = lambda done, total: None
) -> tuple[TrainedHead, HeadReport]:
    """Train the head of ``mask`` or ``gender`` on all faces that have that label.

    A tenth of the people is held out from all members: there each member's epoch of least log loss is chosen, and the
    temperature of the mean of all (Guo et al. 2017, https://arxiv.org/abs/1706.04599), as it is used. Faces are
    drawn by class and mask state with probability proportional to frequency ** (1 - BALANCE), and those of people with
    many photos less often; held-out faces weigh the same way.

    Rows with pseudo-labels take no part, since the model that gave them may have seen the people held out; see
    :func:`retrained`.
    """
    rows = _labelled(pool, task, classes)
    labels = _codes(pool, task, classes, rows)
    fit, held_out = _split(labels, pool.people[rows], seed)
    queries = pool.embeddings[rows[held_out]], pool.maps(rows[held_out])
    weight = _draw_probabilities(pool, task, rows[held_out])
    head = Head(len(classes))
    outputs: list[npt.NDArray[np.float32]] = []
    epochs: list[int] = []
    for number in range(MEMBERS):
        training = _Training(pool, task, classes, rows[fit], seed, number)
        least, kept, output = np.inf, 0, np.empty(0, np.float32)
        for epoch in training.passes():
            progress(number * training.epochs + epoch, MEMBERS * training.epochs)
            logits = mirrored_mean(training.net, *queries, len(classes)).numpy()
            loss = float(weight @ log_losses(logits, labels[held_out]))
            if epoch == 1 or loss <= least:
                least, kept, output = loss, epoch, logits
                head.members[number].load_state_dict(training.net.state_dict())
            elif epoch - kept >= PATIENCE:
                break
        outputs.append(output)
        epochs.append(kept)
    in_half_precision(head)
    return _calibrated(head, classes, np.mean(outputs, axis=0), labels[held_out], len(rows), tuple(epochs))


@one_thread()
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
        head, report: from :func:`train_head` with the same pool and seed. Passes over the faces are in proportion to
            its own, the temperature is the same, and the same people are left out.
    """
    rows = _labelled(pool, task, head.classes)
    pseudo = np.flatnonzero(pool.table[task].isin(head.classes).to_numpy(bool) & ~pool.real)
    net = Head(len(head.classes))
    fit, _ = _split(_codes(pool, task, head.classes, rows), pool.people[rows], seed)
    for number, kept in enumerate(report.epochs):
        training = _Training(pool, task, head.classes, np.concatenate([rows[fit], pseudo]), seed, number)
        last = training.epochs * kept / _epochs(len(fit))
        for epoch in training.passes():
            progress(number * training.epochs + epoch, MEMBERS * training.epochs)
            if epoch >= last:
                break
        net.members[number].load_state_dict(training.net.state_dict())
    in_half_precision(net)
    return replace(head, net=net.eval()), replace(report, faces=len(rows) + len(pseudo))


class _Training:
    """Training of a head's member (:attr:`net`) on the faces ``rows`` of a pool, in :attr:`epochs` passes at most."""

    def __init__(self, pool: FaceSet, task: str, classes: tuple[str, ...], rows: Rows, seed: int, member: int) -> None:
        self._pool, self._rows = pool, rows
        self._labels = _codes(pool, task, classes, rows)
        self._draw = _draw_probabilities(pool, task, rows)
        self.epochs = _epochs(len(rows))
        self._random = member_random(seed, member)
        self.net = HeadMember(len(classes))

    def passes(self) -> Iterator[int]:
        """Train; yields the number of each pass that is done, from 1 on."""
        net, random = self.net, self._random
        steps = max(1, -(-len(self._rows) // BATCH))
        optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=self.epochs * steps)
        loss = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
        for epoch in range(1, self.epochs + 1):
            net.train()
            for step in range(steps):
                chosen = random.choice(len(self._rows), max(2, min(BATCH, len(self._rows))), p=self._draw)
                rows = self._rows[chosen]
                embeddings, halves = self._pool.training_batch(rows, random)
                maps = torch.from_numpy(halves).float()
                maps = maps.flip(3) if step % 2 else maps
                output = net(maps, torch.from_numpy(embeddings))
                optimiser.zero_grad()
                loss(output, torch.from_numpy(self._labels[chosen])).backward()
                optimiser.step()
                schedule.step()
            yield epoch


def member_random(seed: int, member: int) -> np.random.Generator:
    """The random numbers of one member of an ensemble; torch's are seeded from them."""
    random = np.random.default_rng((seed, member))
    torch.manual_seed(int(random.integers(2**62)))
    return random


def calibrated_head(
    net: Head, task: str, classes: tuple[str, ...], held_out: FaceSet, faces: int
) -> tuple[TrainedHead, HeadReport]:
    """A head that was trained on ``faces`` faces, with the temperature that suits people it has not seen."""
    rows = np.flatnonzero(held_out.table[task].isin(classes).to_numpy())
    logits = TrainedHead(net, classes, 1.0).logits(held_out.maps(rows), held_out.embeddings[rows]).numpy()
    return _calibrated(net, classes, logits, _codes(held_out, task, classes, rows), faces, ())


def _calibrated(
    net: Head,
    classes: tuple[str, ...],
    logits: npt.NDArray[np.float32],
    labels: Rows,
    faces: int,
    epochs: tuple[int, ...],
) -> tuple[TrainedHead, HeadReport]:
    """The head of a network, and its report, by its logits (n, classes) for held-out faces."""
    from sklearn.metrics import f1_score

    net.eval()
    if not len(labels):
        return TrainedHead(net, classes, 1.0), HeadReport(faces, 0, float("nan"), float("nan"), epochs)
    predicted = logits.argmax(1)
    accuracy = float((predicted == labels).mean())
    macro_f1 = float(f1_score(labels, predicted, average="macro"))
    head = TrainedHead(net, classes, fit_temperature(logits, labels))
    return head, HeadReport(faces, len(labels), accuracy, macro_f1, epochs)


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


def balanced(kinds: Rows, balance: float, people: Rows) -> npt.NDArray[np.float64]:
    """How likely each face is drawn (n,): faces of common kinds and of people with many photos less often.

    Args:
        kinds: (n,) number of each face's kind.
        balance: 0 draws kinds as they come, 1 all equally often.
        people: (n,) person of each face, balanced by :data:`PERSON_BALANCE`.
    """
    person = np.unique(people, return_inverse=True)[1]
    weight = np.bincount(kinds)[kinds] ** -balance * np.bincount(person)[person] ** -PERSON_BALANCE
    return np.asarray(weight / weight.sum(), np.float64)


def _epochs(faces: int) -> int:
    return int(np.clip(round(FACES_SHOWN / faces), *EPOCHS))


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
