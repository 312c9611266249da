"""What a network learns from: class numbers of the faces, how often each face is drawn, and the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import WeightedRandomSampler

from ....embedder.errors import MaskclsError
from ....embedder.labels import AGE_BANDS, BAND_STARTS, GENDERS, MASKS
from .settings import Settings, Task

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
CLASSES: dict[Task, tuple[str, ...]] = {"mask": MASKS, "gender": GENDERS, "age": AGE_BANDS}
COLUMNS: dict[Task, str] = {"mask": "mask", "gender": "gender", "age": "age_band"}
"""Task -> its name in tables of answers."""
UNKNOWN = -1
FEWEST_PEOPLE = 2


@dataclass(frozen=True)
class Targets:
    """Labels of n faces.

    Attributes:
        classes: of each task that is learnt, those that are.
        learnt: task -> (n,) class number, the old counted from ``senior_from`` on.
        true: the same, the old counted from 60 on: what early stopping and calibration go by.
        notes: lines about what cannot be learnt.
    """

    classes: Mapping[Task, tuple[str, ...]]
    learnt: Mapping[Task, Ints]
    true: Mapping[Task, Ints]
    notes: tuple[str, ...]


def targets_of(table: pd.DataFrame, people: Ints, settings: Settings, named: bool) -> Targets:
    """Class numbers of all faces of a table for the tasks of the settings.

    A class that fewer than two people show is not learnt, and a task with fewer than two such classes is left out;
    a note says so.

    Args:
        people: (n,) person of each face.
        named: the tasks were asked for by name: one that cannot be learnt is an error then.

    Raises:
        MaskclsError: there is only one person, no task can be learnt, or one that was named cannot.
    """
    if len(np.unique(people)) < 2:
        raise MaskclsError("all faces are of one person; it takes other people to train on and to be held out")
    words = _words(table, settings.senior_from), _words(table, BAND_STARTS[2])
    classes: dict[Task, tuple[str, ...]] = {}
    notes = []
    for task in settings.tasks:
        shown = pd.Series(people).groupby(words[0][task].to_numpy(object)).nunique()
        usable = tuple(name for name in CLASSES[task] if shown.get(name, 0) >= FEWEST_PEOPLE)
        lacking = [name for name in CLASSES[task] if name not in usable]
        lack = f"{task} {', '.join(lacking)}: fewer than {FEWEST_PEOPLE} people show it"
        if len(usable) >= 2:
            classes[task] = usable
            notes += [f"{lack}, so it is not learnt and never predicted"] if lacking else []
        elif named:
            raise MaskclsError(f"{lack}, so {task} cannot be learnt; add such faces, or leave it out of --tasks")
        else:
            notes.append(f"{lack}, so {task} is left out")
    if not classes:
        raise MaskclsError(f"nothing to learn: {'; '.join(notes)}")
    learnt, true = ({task: _numbers(one[task], names) for task, names in classes.items()} for one in words)
    return Targets(classes, learnt, true, tuple(notes))


def age_words(low: pd.Series[float], high: pd.Series[float], senior_from: int) -> pd.Series[str]:
    """Band of each age from ``low`` to ``high`` (n,) years, null where unknown or across a border."""
    borders = [BAND_STARTS[1], senior_from]
    first, last = (np.digitize(end.to_numpy(np.float64), borders) for end in (low, high))
    known = low.notna().to_numpy() & high.notna().to_numpy() & (first == last)
    return pd.Series(np.array(AGE_BANDS, object)[first.clip(0, 2)], low.index, dtype="str").where(known)


def _words(table: pd.DataFrame, senior_from: int) -> dict[Task, pd.Series[str]]:
    age = age_words(table["age_low"], table["age_high"], senior_from)
    return {"mask": table["mask"], "gender": table["gender"], "age": age}


def _numbers(words: pd.Series[str], classes: tuple[str, ...]) -> Ints:
    return pd.Index(classes, dtype=object).get_indexer(pd.Index(words.to_numpy(object))).astype(np.int64)


def sampling_weights(labels: Sequence[Ints], balance: float, factors: Floats) -> Floats:
    """How often each face is drawn in relation to others (n,), mean 1.

    Args:
        labels: class numbers (n,) of each task a network learns; faces alike in all of them are one kind, and the
            faces of a kind weigh ``number of its faces ** -balance``.
        balance: 0 draws kinds as they come, 1 all kinds equally often.
        factors: (n,) times as often, see :func:`sample_factors`.
    """
    kinds = np.unique(np.stack(labels), axis=1, return_inverse=True)[1].ravel()
    weights = np.bincount(kinds)[kinds].astype(np.float64) ** -balance * factors
    return np.asarray(weights / weights.mean(), np.float64)


def sample_factors(table: pd.DataFrame, wanted: Mapping[str, float]) -> Floats:
    """(n,) the product of the factors of ``race:NAME`` and ``source:NAME`` that fit a face, case ignored.

    Raises:
        MaskclsError: no face has such a race or source; those that there are are named.
    """
    factors = np.ones(len(table))
    for name, factor in wanted.items():
        column, _, value = name.partition(":")
        fits = (table[column].str.lower() == value.lower()).fillna(False).to_numpy(bool)
        if not fits.any():
            have = ", ".join(sorted(table[column].dropna().unique())) or "none"
            raise MaskclsError(f"--weight {name}: no face has this {column}; there are: {have}")
        factors[fits] *= factor
    return factors


def order(weights: Floats, seed: int, epoch: int) -> Ints:
    """Positions (n,) of the faces of an epoch: each once, at random, or drawn by weight where weights differ."""
    generator = torch.Generator().manual_seed(int(np.random.default_rng((seed, epoch)).integers(2**62)))
    uneven = bool(np.ptp(weights) > 0)
    sampler = WeightedRandomSampler(weights.tolist(), len(weights), replacement=uneven, generator=generator)
    return np.fromiter(sampler, np.int64, len(weights))


def smoothed_targets(classes: int, share: float, neighbours: bool = False) -> Tensor:
    """Target distribution (classes, classes) of each true class, rows adding up to 1.

    Args:
        share: of the target (0-1) that is spread: over all classes, the true one among them (Szegedy et al. 2016,
            https://arxiv.org/abs/1512.00567), as torch does it.
        neighbours: spread it over the classes beside the true one only, for classes that have an order.
    """
    if not neighbours:
        return (1 - share) * torch.eye(classes) + share / classes
    beside = torch.zeros(classes, classes)
    for row in range(classes):
        near = [column for column in (row - 1, row + 1) if 0 <= column < classes]
        beside[row, near] = 1 / len(near) if near else 0.0
    targets = torch.eye(classes) * (1 - share) + beside * share
    return targets / targets.sum(dim=1, keepdim=True)


def class_balanced(counts: Sequence[int], beta: float) -> Tensor:
    """Weight (classes,) of each class by its effective number of faces, adding up to the number of classes.

    The effective number is ``(1 - beta ** n) / (1 - beta)`` (Cui et al. 2019, https://arxiv.org/abs/1901.05555);
    a ``beta`` of 0 weighs all classes alike, one near 1 by inverse frequency. A class without a face weighs nothing.
    """
    number = torch.tensor(counts, dtype=torch.float64)
    weights = torch.where(number > 0, (1 - beta) / (1 - beta**number).clamp(min=1e-12), 0.0)
    return (weights * (len(counts) / weights.sum())).float()


class TaskLoss(nn.Module):
    """Mean loss over the faces of a batch that have a label; 0 where none has.

    Args:
        targets: see :func:`smoothed_targets`.
        weights: (classes,) weight of each true class; the mean is weighted by it, as in torch's cross entropy.
        focal: exponent gamma by which well answered faces count less (Lin et al. 2017,
            https://arxiv.org/abs/1708.02002); 0 is plain cross entropy.
    """

    def __init__(self, targets: Tensor, weights: Tensor, focal: float = 0.0) -> None:
        super().__init__()
        self.targets, self.weights, self.focal = nn.Buffer(targets), nn.Buffer(weights), focal

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss () of logits (n, classes) and labels (n,), -1 where there is none."""
        known = labels >= 0
        if not bool(known.any()):
            return logits.sum() * 0
        log_probabilities, true = logits[known].float().log_softmax(dim=1), labels[known]
        each = -(self.targets[true] * (1 - log_probabilities.exp()) ** self.focal * log_probabilities).sum(dim=1)
        weight = self.weights[true]
        return (weight * each).sum() / weight.sum().clamp(min=1e-12)
