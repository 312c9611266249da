"""Networks to learn an age space with: one member of ``maskcls.classify.age.network``, with other inputs and losses.

Part of ``age_ablation.py``. Maps are padded and whole, and passes are six: what the age network was when its inputs and
losses were compared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.age_ablation_losses import Distribution, Loss
from maskcls.classify.age.network import AGE_BALANCE, HIDDEN, age_bins
from maskcls.classify.heads.ensemble import embedding_branch, map_branch
from maskcls.classify.heads.ensemble_training import BATCH, WEIGHT_DECAY, balanced
from maskcls.embedder.facenet.encoder import EMBEDDING_DIM
from maskcls.embedder.facenet.runtimes import one_thread

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]
Rows = npt.NDArray[np.int64]

WIDTH = 96
NARROW = 64
EMBEDDING_WIDTH = 128
DROPOUT = 0.4
EPOCHS = 6
LEARNING_RATE = 2e-3
POOLED_WIDTH = 256
PAIR_WEIGHT = 1.0


@dataclass(frozen=True)
class Faces:
    """What can be learnt from: row i of everything is face ``rows[i]`` of the maps and embeddings.

    Attributes:
        rows: (n,).
        maps: each (m, channels, side, side).
        embeddings: (m, 512).
        low, high: (n,) years.
        people: (n,) person of each face.
        extra: (n, e) further numbers that the hidden layer reads.
    """

    rows: Rows
    maps: Sequence[Halves]
    embeddings: Floats
    low: Floats
    high: Floats
    people: Rows
    extra: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def subset(self, part: Rows) -> Faces:
        """Some of the faces (positions)."""
        fields = {name: getattr(self, name)[part] for name in ("rows", "low", "high", "people", "extra")}
        return replace(self, **fields)

    def read(self, part: Rows) -> tuple[list[Tensor], Tensor, Tensor]:
        """Maps, embeddings and extra numbers of faces (positions), float32."""
        rows = self.rows[part]
        maps = [torch.from_numpy(array[rows]).float() for array in self.maps]
        return maps, torch.from_numpy(self.embeddings[rows]), torch.from_numpy(self.extra[part])


class Net(nn.Module):
    """Branches on maps and embedding and a hidden layer, as :class:`maskcls.classify.age.network.AgeNet` has them.

    Maps of one place have two linear layers in place of the convolutions.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]], extra: int, loss: Loss) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_pooled(c) if side == 1 else _mapped(c) for c, side in shapes)
        self.embedding = nn.Sequential(embedding_branch(EMBEDDING_WIDTH), nn.Dropout(DROPOUT))
        width = sum(POOLED_WIDTH if side == 1 else NARROW * side**2 for _, side in shapes) + EMBEDDING_WIDTH + extra
        self.hidden = nn.Sequential(nn.Linear(width, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU())
        self.head = loss.head()

    def forward(self, maps: Sequence[Tensor], embeddings: Tensor, extra: Tensor) -> Tensor:
        """Hidden layer (n, 128)."""
        parts = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        hidden: Tensor = self.hidden(torch.cat([*parts, self.embedding(embeddings * EMBEDDING_DIM**0.5), extra], dim=1))
        return hidden


def _mapped(channels: int) -> nn.Module:
    branch = map_branch(channels, WIDTH, NARROW, padding=1)
    return nn.Sequential(nn.Dropout2d(0.1), branch, nn.Flatten(), nn.Dropout(DROPOUT))


def _pooled(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(channels, WIDTH),
        nn.BatchNorm1d(WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, POOLED_WIDTH),
        nn.BatchNorm1d(POOLED_WIDTH),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
    )


@dataclass(frozen=True)
class Trained:
    """A network, its loss, and the seconds it took."""

    net: Net
    loss: Loss
    seconds: float

    def project(self, faces: Faces, mirror: bool = True) -> Floats:
        """Hidden layers (n, 128), mean of the maps and their mirror images by default."""
        out = np.empty((len(faces), HIDDEN), np.float32)
        with torch.inference_mode():
            for start in range(0, len(faces), 512):
                part = np.arange(start, min(start + 512, len(faces)))
                maps, *others = faces.read(part)
                hidden = self.net(maps, *others)
                if mirror:
                    hidden = (hidden + self.net([x.flip(3) for x in maps], *others)) / 2
                out[part] = hidden.numpy()
        return out

    def years(self, hidden: Floats) -> Floats:
        """The network's own answers (n, 121)."""
        with torch.inference_mode():
            return self.loss.years(self.net.head(torch.from_numpy(hidden)).numpy())


@one_thread()
def train(
    faces: Faces, seed: int, loss: Loss | None = None, pairs: Pairs | None = None, pull: float = PAIR_WEIGHT
) -> Trained:
    """Train as :func:`maskcls.classify.age.network.train_age_net` does.

    Args:
        pairs: half of every batch is partners of the other half,
        pull: whose distance (1 - cosine of the hidden layers) weighs so much beside the loss.
    """
    start = time.perf_counter()
    loss = loss or Distribution()
    low, high = torch.from_numpy(faces.low), torch.from_numpy(faces.high)
    draw = balanced(age_bins(faces.low, faces.high), AGE_BALANCE, faces.people)
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    net = Net([array.shape[1:3] for array in faces.maps], faces.extra.shape[1], loss)
    steps = -(-len(faces) // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=EPOCHS * steps)
    for step in range(EPOCHS * steps):
        rows = random.choice(len(faces), BATCH if pairs is None else BATCH // 2, p=draw)
        if pairs is not None:
            partner, has = pairs.draw(rows, random)
            rows = np.concatenate([rows, partner])
        maps, *others = faces.read(rows)
        hidden = net([x.flip(3) for x in maps] if step % 2 else maps, *others)
        total = loss(hidden, net.head, low[rows], high[rows])
        if pairs is not None:
            first, second = functional.normalize(hidden).chunk(2)
            total = total + pull * (1 - (first * second).sum(dim=1))[torch.from_numpy(has)].mean()
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return Trained(net.eval(), loss, time.perf_counter() - start)


class Pairs:
    """Of each face, the faces of the same photo or photo session in the other mask state, bare or masked."""

    def __init__(self, photos: Rows, masked: npt.NDArray[np.bool_]) -> None:
        """``photos`` (n,) is the number of the photo or session, ``masked`` (n,) whether a mask is on it."""
        state = photos * 2 + masked
        self._order = np.argsort(state, kind="stable")
        ordered = state[self._order]
        self._first, self._last = (np.searchsorted(ordered, state ^ 1, side) for side in ("left", "right"))

    def draw(self, rows: Rows, random: np.random.Generator) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """A partner of each row (n,), itself where there is none, and whether there is one."""
        first, count = self._first[rows], (self._last - self._first)[rows]
        place = np.minimum(first + (random.random(len(rows)) * count).astype(np.int64), len(self._order) - 1)
        return np.where(count > 0, self._order[place], rows), count > 0
