"""Losses that an age space can be learnt with; part of ``age_ablation.py``.

Every loss sees the hidden layer (n, 128) of n faces and what the head says of it (n, outputs), and reads what the head
says as distributions over years (n, 121). Ages are given by both ends in years, both included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from maskcls.classify.age.network import BIN_YEARS, HIDDEN, AgeTargets, smooth_error
from maskcls.classify.age.vote import YEARS, year_profiles

Floats = npt.NDArray[np.float32]
Contrast = Callable[[Tensor, Tensor], Tensor]
"""Loss of unit vectors (n, d) of faces whose ages (n,) in years are known."""

BINS = -(-YEARS // BIN_YEARS)
POINT_SPREAD = 6.0
"""Standard deviation in years of the bell put around an answer that is a single number."""
PROXY_SCALE = 16.0
CONTRAST_TEMPERATURE = 0.1
KERNEL_YEARS = 4.0


class Loss(Protocol):
    """One way of learning ages."""

    def head(self) -> nn.Module:
        """From a hidden layer (n, 128) to what :meth:`years` reads."""

    def __call__(self, hidden: Tensor, head: nn.Module, low: Tensor, high: Tensor) -> Tensor:
        """The mean loss of n faces of ages ``low`` to ``high`` (n,)."""

    def years(self, outputs: Floats) -> Floats:
        """Distributions over years (n, 121)."""


def _dropped(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Dropout(0.2), nn.Linear(HIDDEN, outputs))


@dataclass(frozen=True)
class Distribution:
    """The default, label distributions (Gao et al. 2017, https://arxiv.org/abs/1611.01731), with or without a contrast.

    Attributes:
        contrast: a loss on the hidden layer beside it, scaled to unit length.
        weight: of that loss.
        alone: the hidden layer learns from the contrast only; the head just reads it.
    """

    contrast: Contrast | None = None
    weight: float = 0.5
    alone: bool = False

    def head(self) -> nn.Module:
        """See :class:`Loss`."""
        return _dropped(YEARS)

    def __call__(self, hidden: Tensor, head: nn.Module, low: Tensor, high: Tensor) -> Tensor:
        """See :class:`Loss`."""
        outputs = head(hidden.detach() if self.alone else hidden)
        loss = AgeTargets(low.numpy(), high.numpy()).loss(outputs, np.arange(len(outputs)))
        if self.contrast is not None:
            loss = loss + self.weight * self.contrast(functional.normalize(hidden), (low + high) / 2)
        return loss

    def years(self, outputs: Floats) -> Floats:
        """See :class:`Loss`."""
        return _softmax(outputs)


@dataclass(frozen=True)
class Proxies(Distribution):
    """One unit vector a year that faces of that year are drawn to (Zhai & Wu 2019, https://arxiv.org/abs/1811.12649)."""

    def head(self) -> nn.Module:
        """See :class:`Loss`."""
        return _Cosine()


class _Cosine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(YEARS, HIDDEN))

    def forward(self, hidden: Tensor) -> Tensor:
        """Scaled cosines (n, 121)."""
        cosines = functional.normalize(hidden) @ functional.normalize(self.proxies).T
        return PROXY_SCALE * cosines


@dataclass(frozen=True)
class Regression:
    """One number, its absolute error in years; the head says it in units of 20 years around 35."""

    def head(self) -> nn.Module:
        """See :class:`Loss`."""
        return _dropped(1)

    def __call__(self, hidden: Tensor, head: nn.Module, low: Tensor, high: Tensor) -> Tensor:
        """See :class:`Loss`."""
        return smooth_error(35 + 20 * head(hidden)[:, 0], low, high) / 10

    def years(self, outputs: Floats) -> Floats:
        """See :class:`Loss`."""
        age = (35 + 20 * outputs[:, 0]).clip(0, YEARS - 1)
        return year_profiles(age, age, POINT_SPREAD)


@dataclass(frozen=True)
class Bins:
    """Cross entropy on bins of five years; a band counts for all bins it touches."""

    def head(self) -> nn.Module:
        """See :class:`Loss`."""
        return _dropped(BINS)

    def __call__(self, hidden: Tensor, head: nn.Module, low: Tensor, high: Tensor) -> Tensor:
        """See :class:`Loss`."""
        sharp = functional.pad(
            torch.from_numpy(year_profiles(low.numpy(), high.numpy(), 0.0)), (0, BINS * BIN_YEARS - YEARS)
        )
        target = sharp.reshape(len(sharp), BINS, BIN_YEARS).sum(dim=2)
        loss: Tensor = -(target * head(hidden).log_softmax(dim=1)).sum(dim=1).mean()
        return loss

    def years(self, outputs: Floats) -> Floats:
        """See :class:`Loss`."""
        years = np.repeat(_softmax(outputs), BIN_YEARS, axis=1)[:, :YEARS]
        return np.asarray(years / years.sum(axis=1, keepdims=True), np.float32)


@dataclass(frozen=True)
class Ordinal:
    """Is the face older than y, for all y, on one scale (CORAL: Cao et al. 2020, https://arxiv.org/abs/1901.07884)."""

    def head(self) -> nn.Module:
        """See :class:`Loss`."""
        return _Thresholds()

    def __call__(self, hidden: Tensor, head: nn.Module, low: Tensor, high: Tensor) -> Tensor:
        """See :class:`Loss`; the years within a band are left out."""
        year = torch.arange(float(YEARS - 1))
        older, known = year < low[:, None], (year < low[:, None]) | (year >= high[:, None])
        each = functional.binary_cross_entropy_with_logits(head(hidden), older.float(), reduction="none")
        return (each * known).sum(dim=1).mean() / 10

    def years(self, outputs: Floats) -> Floats:
        """See :class:`Loss`."""
        older = np.pad(1 / (1 + np.exp(-outputs)), ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
        years = (older[:, :-1] - older[:, 1:]).clip(1e-6)
        return np.asarray(years / years.sum(axis=1, keepdims=True), np.float32)


class _Thresholds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = _dropped(1)
        self.offsets = nn.Parameter(torch.linspace(4, -8, YEARS - 1))

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits (n, 120) of being older than 0, 1, … 119 years."""
        logits: Tensor = 10 * self.scale(hidden) + self.offsets.sort(descending=True).values
        return logits


def rank_n_contrast(vectors: Tensor, ages: Tensor) -> Tensor:
    """Every pair against all that are as far apart in age or farther (Zha et al. 2023, https://arxiv.org/abs/2210.01189).

    With cosines in place of the negative distances of the paper, since neighbours are sought by cosine.
    """
    others = ~torch.eye(len(ages), dtype=torch.bool)
    logits = (vectors @ vectors.T / CONTRAST_TEMPERATURE)[others].reshape(len(ages), -1)
    apart = (ages[:, None] - ages).abs()[others].reshape(len(ages), -1)
    order = apart.argsort(dim=1, descending=True)
    logits, apart = logits.gather(1, order), apart.gather(1, order).neg().contiguous()
    last = torch.searchsorted(apart, apart, right=True) - 1  # of those equally far apart
    return (logits.logcumsumexp(dim=1).gather(1, last) - logits).mean()


def kernel_contrast(vectors: Tensor, ages: Tensor) -> Tensor:
    """Neighbours in age are the positives, by a bell (y-aware: Dufumier et al. 2021, https://arxiv.org/abs/2106.08808)."""
    self_pairs = torch.eye(len(ages), dtype=torch.bool)
    weight = (-0.5 * ((ages[:, None] - ages) / KERNEL_YEARS) ** 2).exp().masked_fill(self_pairs, 0)
    logits = (vectors @ vectors.T / CONTRAST_TEMPERATURE).masked_fill(self_pairs, -1e4)
    each = -(weight * logits.log_softmax(dim=1)).sum(dim=1) / weight.sum(dim=1).clamp(min=1e-3)
    return each.mean()


def _softmax(outputs: Floats) -> Floats:
    return torch.from_numpy(outputs).softmax(dim=1).numpy()
