from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from maskcls.classify.data.face_set import FaceSet, Rows
from maskcls.classify.heads import ensemble_training
from maskcls.classify.heads.ensemble_training import WARM_UP, rate, train_members
from maskcls.classify.heads.network import SIZES, Head


def test_rate_rises_then_falls() -> None:
    rates = [rate(step, 200) for step in range(200)]
    top = int(np.argmax(rates))
    assert 0.9 < rates[top] <= 1
    assert abs(top - WARM_UP * 200) <= 1
    assert rates == sorted(rates[: top + 1]) + sorted(rates[top + 1 :], reverse=True)
    assert 0 < rates[0] < 0.1
    assert 0 < rates[-1] < 0.01


def trained(pool: FaceSet, rows: Rows, draw: Rows) -> tuple[Head, list[Rows], list[tuple[int, int]]]:
    """A head that learns nothing but zeros, the faces each step has drawn, and the progress."""
    torch.manual_seed(0)
    net, seen, steps = Head(2, replace(SIZES, channels=pool.channels)), [], []

    def loss(maps: Tensor, embeddings: Tensor, chosen: Rows) -> Tensor:
        seen.append(chosen)
        return net.member_logits(maps, embeddings).square().mean()

    random = np.random.default_rng(0)
    train_members(net, pool, rows, draw / draw.sum(), loss, random, lambda done, total: steps.append((done, total)))
    return net, seen, steps


@pytest.mark.parametrize(("faces", "passes"), [(300, 12), (3, 12)])
def test_each_member_draws_its_own_faces(pool: FaceSet, faces: int, passes: int) -> None:
    rows = np.arange(len(pool))[:faces]
    draw = (np.arange(faces) % 3).astype(np.int64)
    net, seen, steps = trained(pool, rows, draw)
    total = passes * -(-faces // ensemble_training.BATCH)
    assert len(seen) == total
    assert steps == [(done, total) for done in range(total + 1)]
    drawn = np.stack(seen)
    assert drawn.shape == (total, net.members, min(faces, ensemble_training.BATCH))
    assert set((drawn % 3).ravel().tolist()) == ({1, 2})  # those with a chance
    assert not (drawn[:, 0] == drawn[:, 1]).all()
    assert not net.training
    assert all(torch.equal(x, x.half().float()) for x in net.state_dict().values() if x.is_floating_point())


def test_fewer_passes_over_more_faces(pool: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble_training, "FACES_SHOWN", 100)
    _, seen, _ = trained(pool, np.arange(300), np.ones(300, np.int64))
    assert len(seen) == ensemble_training.PASSES[0] * 3


def test_training_does_not_load_the_compiler() -> None:
    code = """
import sys, numpy as np, torch
from maskcls.classify.heads.ensemble_training import _AdamW
from maskcls.classify.heads.network import Head
net = Head(2)
net(torch.rand(4, 896, 4, 4), torch.rand(4, 512)).sum().backward()
before = net.output.weight.detach().clone()
_AdamW(net).step(0.01)
assert not torch.equal(before, net.output.weight)
assert "torch._dynamo" not in sys.modules, "four seconds"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
