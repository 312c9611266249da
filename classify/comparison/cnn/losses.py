"""What a network is punished for: smoothed targets, focal and class-balanced cross entropy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


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
        said, true = logits[known].float().log_softmax(dim=1), labels[known]
        each = -(self.targets[true] * (1 - said.exp()) ** self.focal * said).sum(dim=1)
        weight = self.weights[true]
        return (weight * each).sum() / weight.sum().clamp(min=1e-12)
