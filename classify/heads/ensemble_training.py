"""Train the members of an ensemble together, each on separately drawn batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.optim.adamw import adamw

from ...embedder.facenet.runtimes import one_thread
from .ensemble import TwoBranches, batch, in_half_precision

if TYPE_CHECKING:  # asking a model does not wait for what only training needs
    from ..data.face_set import FaceSet, Rows

BATCH = 128
PASSES = (3, 12)
FACES_SHOWN = 12_800
"""Faces shown in all, within these numbers of passes: with more passes over thousands of faces the networks overfit."""
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.1
WARM_UP = 0.15
"""Share of the steps in which the learning rate rises; then it falls as a cosine."""
PERSON_BALANCE = 0.5
"""Exponent of the sampling correction for people: at 0.5 a person of four photos is drawn twice as often as one of a
single photo."""

Loss = Callable[[Tensor, Tensor, "Rows"], Tensor]
"""Loss of maps and embeddings, each member its own, and of their positions (members, n) among the faces that are
trained on; the sum of the members'."""
Progress = Callable[[int, int], None]


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


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: a straight rise, then half a cosine."""
    rise = WARM_UP * steps
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


class _AdamW:
    """AdamW (Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101) by torch's function.

    Torch's class imports torch's compiler, which takes four seconds.
    """

    def __init__(self, net: TwoBranches) -> None:
        self._weights: list[Tensor] = list(net.parameters())
        self._means = [torch.zeros_like(weight) for weight in self._weights]
        self._squares = [torch.zeros_like(weight) for weight in self._weights]
        self._steps = [torch.zeros(()) for _ in self._weights]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Change the weights by their gradients, which are gone then."""
        adamw(
            self._weights,
            [cast(Tensor, weight.grad) for weight in self._weights],
            *(self._means, self._squares, [], self._steps),
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=WEIGHT_DECAY,
            eps=1e-8,
            maximize=False,
        )
        for weight in self._weights:
            weight.grad = None


@one_thread()
def train_members(
    net: TwoBranches,
    faces: FaceSet,
    rows: Rows,
    draw: npt.NDArray[np.float64],
    loss: Loss,
    random: np.random.Generator,
    progress: Progress = lambda done, total: None,
) -> None:
    """Train an ensemble, and round its weights to half precision.

    Each member draws its own faces: members that see the same batches are too alike, which costs 0.07 years of age. The
    learning rate ends at nothing, and held-out people show no better moment to stop at.

    Args:
        rows: (n,) of the faces to train on.
        draw: (n,) how likely each of them is drawn.
    """
    passes = int(np.clip(round(FACES_SHOWN / len(rows)), *PASSES))
    steps = passes * -(-len(rows) // BATCH)
    size = max(2, min(BATCH, len(rows)))
    optimiser = _AdamW(net)
    net.train()
    for step in range(steps):
        progress(step, steps)
        chosen = random.choice(len(rows), (size, net.members), p=draw)
        embeddings, maps = faces.training_batch(rows[chosen.ravel()], random)
        x, e = batch(embeddings.reshape(size, -1), maps.reshape(size, -1, *maps.shape[2:]))
        loss(x.flip(3) if step % 2 else x, e, chosen.T).backward()  # type: ignore[no-untyped-call]
        optimiser.step(LEARNING_RATE * rate(step, steps))
    progress(steps, steps)
    in_half_precision(net.eval())


def seeded(seed: int) -> np.random.Generator:
    """The random numbers of an ensemble's training; torch's are seeded from them."""
    random = np.random.default_rng(seed)
    torch.manual_seed(int(random.integers(2**62)))
    return random
