from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from maskcls.classify.comparison.cnn.targets import TaskLoss, class_balanced, smoothed_targets

EVEN = torch.ones(3)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(12, 3, generator=generator), torch.randint(0, 3, (12,), generator=generator)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_smoothing_is_that_of_torch(batch: tuple[torch.Tensor, torch.Tensor], share: float) -> None:
    logits, labels = batch
    ours = TaskLoss(smoothed_targets(3, share), EVEN)(logits, labels)
    torch.testing.assert_close(ours, cross_entropy(logits, labels, label_smoothing=share))


def test_class_weights_are_those_of_torch(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = batch
    weights = torch.tensor([0.2, 1.0, 1.8])
    ours = TaskLoss(smoothed_targets(3, 0), weights)(logits, labels)
    torch.testing.assert_close(ours, cross_entropy(logits, labels, weights))


def test_ordinal_smoothing_reaches_the_neighbours_only() -> None:
    targets = smoothed_targets(3, 0.2, neighbours=True)
    torch.testing.assert_close(targets, torch.tensor([[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]]))


@given(classes=st.integers(1, 6), share=st.floats(0, 0.95), neighbours=st.booleans())
def test_targets_are_distributions(classes: int, share: float, neighbours: bool) -> None:
    targets = smoothed_targets(classes, share, neighbours)
    assert (targets >= 0).all()
    np.testing.assert_allclose(targets.sum(dim=1), 1, atol=1e-6)


def test_focal_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1]]))
    loss = TaskLoss(smoothed_targets(3, 0), EVEN, focal=2.0)(logits, torch.tensor([0]))
    assert float(loss) == pytest.approx(-(0.3**2) * np.log(0.7), rel=1e-5)


def test_unlabelled_faces_cost_nothing(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = batch
    loss = TaskLoss(smoothed_targets(3, 0.1), EVEN)
    some = torch.where(torch.arange(12) < 5, labels, -1)
    torch.testing.assert_close(loss(logits, some), loss(logits[:5], labels[:5]))
    nothing = loss(logits.requires_grad_(), torch.full((12,), -1))
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@given(counts=st.lists(st.integers(0, 5000), min_size=2, max_size=5).filter(any), beta=st.floats(0, 0.9999))
def test_class_balanced_weights(counts: list[int], beta: float) -> None:
    weights = class_balanced(counts, beta)
    assert float(weights.sum()) == pytest.approx(len(counts), rel=1e-4)
    by_count = sorted((count, float(weight)) for count, weight in zip(counts, weights, strict=True) if count)
    assert all(rare >= common - 1e-5 for (_, rare), (_, common) in itertools.pairwise(by_count))
    assert all(weight == 0 for count, weight in zip(counts, weights, strict=True) if not count)


def test_class_balanced_by_hand() -> None:
    numbers = np.array([(1 - 0.9**n) / 0.1 for n in (1, 10)])
    np.testing.assert_allclose(class_balanced([1, 10], 0.9), 2 / numbers / (1 / numbers).sum(), rtol=1e-5)
