"""The learned age space: a small network on FaceNet's maps, in whose last hidden layer neighbours are sought."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..heads.network import MEMBERS, TwoBranches, in_half_precision, mirrored_mean
from ..heads.training import balanced, member_random, one_thread
from .vote import YEARS, Floats, year_profiles

if TYPE_CHECKING:
    from ..data.face_set import FaceSet

WIDTH = 96
NARROW = 64
EMBEDDING_WIDTH = 128
HIDDEN = 128
DIMENSION = 128
"""Of the age space: the hidden layers of all members side by side, and of these the main directions."""
DROPOUT = 0.4
EPOCHS = 6
BATCH = 128
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.1
SOFTNESS = 2.5
"""Standard deviation in years of the distribution that is learnt for an exact age."""
REGRESSION = 0.1
"""Weight of the error in years beside the cross entropy of the distribution."""
AGE_BALANCE = 0.25
"""Exponent of the sampling correction over bins of five years: 0 draws faces as they come, 1 all bins alike."""
BIN_YEARS = 5
CHUNK = 4096

Progress = Callable[[int, int], None]


class AgeMember(TwoBranches):
    """Two branches, a hidden layer, and a distribution over years; 371 thousand parameters.

    Learnt as a label distribution (Gao et al. 2017, https://arxiv.org/abs/1611.01731), so that bands such as 30-39 can
    be learnt from as well as exact ages.
    """

    def __init__(self) -> None:
        super().__init__(WIDTH, NARROW, EMBEDDING_WIDTH, DROPOUT)
        self.hidden = nn.Sequential(nn.Linear(self.features_width, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU())
        self.years = nn.Sequential(nn.Dropout(0.2), nn.Linear(HIDDEN, YEARS))

    def forward(self, maps: Tensor, embeddings: Tensor) -> Tensor:
        """Hidden layer (n, 128) for maps (n, 896, 4, 4) and unit embeddings (n, 512), both float32."""
        hidden: Tensor = self.hidden(self.features(maps, embeddings))
        return hidden


class AgeNet(nn.Module):
    """:data:`~..heads.network.MEMBERS` networks side by side, and the main directions of their hidden layers.

    Attributes:
        main: (members * 128, :data:`DIMENSION`) float32, orthonormal columns, see :func:`find_main_directions`.
    """

    main: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList(AgeMember() for _ in range(MEMBERS))
        self.register_buffer("main", torch.eye(MEMBERS * HIDDEN, DIMENSION))

    def forward(self, maps: Tensor, embeddings: Tensor) -> Tensor:
        """Hidden layers (n, members * 128) for maps (n, 896, 4, 4) and unit embeddings (n, 512), both float32."""
        return torch.cat([member(maps, embeddings) for member in self.members], dim=1)

    def years(self, hidden: Tensor) -> Tensor:
        """Logits over years (n, 121), the mean of the members', for hidden layers (n, members * 128)."""
        parts = zip(self.members, hidden.chunk(MEMBERS, dim=1), strict=True)
        return torch.stack([cast(AgeMember, member).years(part) for member, part in parts]).mean(dim=0)


def hidden_layers(net: AgeNet, embeddings: Floats, maps: npt.NDArray[np.float16]) -> Tensor:
    """Hidden layers (n, members * 128), mean of the map and its mirror image."""
    return mirrored_mean(net, embeddings, maps, MEMBERS * HIDDEN)


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
    products = torch.zeros(MEMBERS * HIDDEN, MEMBERS * HIDDEN, dtype=torch.float64)
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


@one_thread()
def train_age_net(pool: FaceSet, seed: int, progress: Progress = lambda done, total: None) -> AgeNet:
    """Train each member on all faces of a pool; all of them must have an age."""
    low, high = (pool.table[name].to_numpy(np.float32) for name in ("age_low", "age_high"))
    targets = AgeTargets(low, high)
    draw = balanced(age_bins(low, high), AGE_BALANCE, pool.people)
    net = AgeNet()
    for number in range(MEMBERS):
        for epoch in _passes(net, number, pool, targets, draw, seed):
            progress(number * EPOCHS + epoch, MEMBERS * EPOCHS)
    in_half_precision(net)
    find_main_directions(net, pool)
    return net


def _passes(
    whole: AgeNet, number: int, pool: FaceSet, targets: AgeTargets, draw: npt.NDArray[np.float64], seed: int
) -> Iterator[int]:
    """Train one member anew; yields the number of each pass that is done, from 1 on."""
    random = member_random(seed, number)
    net = whole.members[number] = AgeMember()
    steps = max(1, -(-len(pool) // BATCH))
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=EPOCHS * steps)
    net.train()
    for step in range(EPOCHS * steps):
        rows = random.choice(len(pool), max(2, min(BATCH, len(pool))), p=draw)
        maps = torch.from_numpy(pool.maps(rows)).float()
        maps = maps.flip(3) if step % 2 else maps
        loss = targets.loss(net.years(net(maps, torch.from_numpy(pool.embeddings[rows]))), rows)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if (step + 1) % steps == 0:
            yield (step + 1) // steps
