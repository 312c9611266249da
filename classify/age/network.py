"""The learned age space: a small network on FaceNet's maps, in whose last hidden layer neighbours are sought."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..heads.ensemble import MemberLinear, Sizes, TwoBranches, mirrored_mean
from ..heads.ensemble_training import Progress, balanced, seeded, train_members
from .vote import YEARS, Floats, year_profiles

if TYPE_CHECKING:
    from ..data.face_set import FaceSet

SIZES = Sizes(width=64, narrow=64, embedding=128)
HIDDEN = 128
DIMENSION = 128
"""Of the age space: the hidden layers of all members side by side, and of these the main directions."""
DROPOUT = 0.3
SOFTNESS = 2.5
"""Standard deviation in years of the distribution that is learnt for an exact age."""
REGRESSION = 0.1
"""Weight of the error in years beside the cross entropy of the distribution."""
AGE_BALANCE = 0.25
"""Exponent of the sampling correction over bins of five years: 0 draws faces as they come, 1 all bins alike."""
BIN_YEARS = 5
CHUNK = 4096


class AgeNet(TwoBranches):
    """Networks of two branches, a hidden layer, and a distribution over years; 0.7 million parameters.

    Learnt as a label distribution (Gao et al. 2017, https://arxiv.org/abs/1611.01731), so that bands such as 30-39 can
    be learnt from as well as exact ages.

    Attributes:
        main: (members * 128, :data:`DIMENSION`) float32, orthonormal columns: the main directions of the hidden layers,
            see :func:`find_main_directions`.
    """

    main: Tensor

    def __init__(self, sizes: Sizes = SIZES) -> None:
        super().__init__(sizes, DROPOUT)
        self.hidden = MemberLinear(sizes.members, sizes.features, HIDDEN)
        self.norm = nn.BatchNorm1d(sizes.members * HIDDEN)
        self.output = nn.Sequential(nn.Dropout(0.2), MemberLinear(sizes.members, HIDDEN, YEARS))
        self.register_buffer("main", torch.eye(sizes.members * HIDDEN, DIMENSION))

    def forward(self, maps: Tensor, embeddings: Tensor) -> Tensor:
        """Hidden layers (n, members * 128) for maps (n, 896, 4, 4) and unit embeddings (n, 512), both float32."""
        hidden = self.hidden(self.features(maps, embeddings)).transpose(0, 1).reshape(len(maps), -1)
        return self.norm(hidden).relu()  # type: ignore[no-any-return]

    def member_years(self, hidden: Tensor) -> Tensor:
        """Each member's logits over years (members, n, 121) for hidden layers (n, members * 128)."""
        logits: Tensor = self.output(hidden.reshape(len(hidden), self.members, HIDDEN).transpose(0, 1))
        return logits

    def years(self, hidden: Tensor) -> Tensor:
        """Logits over years (n, 121), the mean of the members', for hidden layers (n, members * 128)."""
        return self.member_years(hidden).mean(dim=0)


def hidden_layers(net: AgeNet, embeddings: Floats, maps: npt.NDArray[np.float16]) -> Tensor:
    """Hidden layers (n, members * 128), mean of the map and its mirror image."""
    return mirrored_mean(net, embeddings, maps, len(net.main))


def project(net: AgeNet, embeddings: Floats, maps: npt.NDArray[np.float16]) -> Floats:
    """Vectors in age space (n, :data:`DIMENSION`)."""
    return (hidden_layers(net, embeddings, maps) @ net.main).numpy()


def years(net: AgeNet, embeddings: Floats, maps: npt.NDArray[np.float16]) -> Floats:
    """The network's own distributions over years (n, 121)."""
    with torch.inference_mode():
        return torch.softmax(net.years(hidden_layers(net, embeddings, maps)), dim=1).numpy()


def find_main_directions(net: AgeNet, pool: FaceSet) -> None:
    """Set :attr:`AgeNet.main`: the directions that keep most of the hidden layers' scalar products over a pool.

    Right singular vectors of the hidden layers, not centred (Eckart & Young 1936). A third of the numbers keeps the
    neighbours (``docs/age_space.md``).
    """
    products = torch.zeros(len(net.main), len(net.main), dtype=torch.float64)
    for start in range(0, len(pool), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(pool)))
        hidden = hidden_layers(net, pool.embeddings[rows], pool.maps(rows)).double()
        products += hidden.T @ hidden
    main = torch.linalg.eigh(products).eigenvectors[:, -DIMENSION:]
    net.main.copy_(main.float().half())  # as it is stored


def age_bins(low: Floats, high: Floats) -> npt.NDArray[np.int64]:
    """Number of the five years' bin of each age (n,), from 1 on; 0 where it is unknown (NaN)."""
    return np.nan_to_num((low + high) / 2 // BIN_YEARS + 1, nan=0).astype(np.int64)


def smooth_error(age: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Mean smooth L1 loss of ages (n,) in years, by their distance from ``low`` to ``high`` (n,), 0 inside."""
    error = torch.maximum(low - age, age - high).clamp(min=0)
    return nn.functional.smooth_l1_loss(error, torch.zeros_like(error))


class AgeTargets:
    """What is learnt of n ages, given as first and last year (n,)."""

    def __init__(self, low: Floats, high: Floats) -> None:
        self._profiles = torch.from_numpy(year_profiles(low, high, SOFTNESS))
        self._ends = torch.from_numpy(np.stack([low, high], axis=1))

    def loss(self, logits: Tensor, rows: npt.NDArray[np.int64]) -> Tensor:
        """Of logits over years (m, 121) for these rows: cross entropy, plus :data:`REGRESSION` x the error in years."""
        log_probabilities = logits.log_softmax(dim=1)
        mean = log_probabilities.exp() @ torch.arange(YEARS, dtype=torch.float32, device=logits.device)
        profiles, ends = (part[rows].to(logits.device) for part in (self._profiles, self._ends))
        loss = -(profiles * log_probabilities).sum(dim=1).mean()
        return loss + REGRESSION * smooth_error(mean, ends[:, 0], ends[:, 1])


def train_age_net(pool: FaceSet, seed: int, progress: Progress = lambda done, total: None) -> AgeNet:
    """Train on all faces of a pool as they are, without augmentations; all of them must have an age."""
    low, high = (pool.table[name].to_numpy(np.float32) for name in ("age_low", "age_high"))
    targets = AgeTargets(low, high)
    random = seeded(seed)
    net = AgeNet(replace(SIZES, channels=pool.channels))

    def loss(maps: Tensor, embeddings: Tensor, chosen: npt.NDArray[np.int64]) -> Tensor:
        logits = net.member_years(net(maps, embeddings)).flatten(0, 1)
        return net.members * targets.loss(logits, chosen.ravel())

    draw = balanced(age_bins(low, high), AGE_BALANCE, pool.people)
    train_members(net, replace(pool, augmentations=()), np.arange(len(pool)), draw, loss, random, progress)
    find_main_directions(net, pool)
    return net
