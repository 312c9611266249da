from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from maskcls.classify.age.network import AgeNet
from maskcls.classify.heads.ensemble import Sizes, in_half_precision
from maskcls.classify.heads.network import Head

SMALL = Sizes(width=6, narrow=5, embedding=7, members=3, channels=20)


def faces(count: int, channels: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(count, channels, 4, 4, generator=generator)
    return maps, torch.nn.functional.normalize(torch.randn(count, 512, generator=generator))


def head(sizes: Sizes, seed: int = 0) -> Head:
    """Of 4 classes, with running statistics of its own."""
    torch.manual_seed(seed)
    net = Head(4, sizes).train()
    for _ in range(3):
        net(*faces(50, sizes.channels))
    return net.eval()


def member(net: Head, sizes: Sizes, number: int) -> Head:
    """One member of a head as a head of its own."""
    alone = Head(4, replace(sizes, members=1))
    own = {}
    for name, value in alone.state_dict().items():
        whole = net.state_dict()[name]
        own[name] = whole if whole.ndim == 0 else whole.chunk(sizes.members)[number]
        assert own[name].shape == value.shape
    alone.load_state_dict(own)
    return alone.eval()


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("members", [1, 3])
def test_members_answer_as_if_alone(members: int, side: int) -> None:
    sizes = replace(SMALL, members=members, side=side)
    net = head(sizes)
    maps, embeddings = faces(8, 20)
    with torch.inference_mode():
        together = net.member_logits(maps, embeddings)
        assert together.shape == (members, 8, 4)
        for number, logits in enumerate(together):
            torch.testing.assert_close(logits, member(net, sizes, number)(maps, embeddings))


def test_each_member_reads_faces_of_its_own() -> None:
    net = head(SMALL)
    maps, embeddings = faces(24, 20)
    rows = torch.arange(24).reshape(8, 3)
    with torch.inference_mode():
        apart = net.member_logits(maps[rows].flatten(1, 2), embeddings[rows].flatten(1))
        for number in range(3):
            expected = member(net, SMALL, number)(maps[rows[:, number]], embeddings[rows[:, number]])
            torch.testing.assert_close(apart[number], expected)


def test_members_begin_with_different_weights() -> None:
    torch.manual_seed(0)
    first, second, third = AgeNet().hidden.weight
    assert not torch.allclose(first, second, atol=1e-3)
    assert not torch.allclose(second, third, atol=1e-3)


def test_reading_whole_maps_gives_the_same_answers() -> None:
    maps, embeddings = faces(8, 896)
    directions = torch.linalg.qr(torch.randn(896, 20, generator=torch.Generator().manual_seed(1))).Q
    along = torch.einsum("nchw,cd->ndhw", maps, directions)
    net = head(SMALL)
    in_half_precision(net)
    with torch.inference_mode():
        expected = net(along, embeddings)
    net.read_whole_maps(directions)
    with torch.inference_mode():
        torch.testing.assert_close(net(maps, embeddings), expected, atol=5e-3, rtol=1e-2)
    assert Sizes.of(net.state_dict(), "output") == replace(SMALL, channels=896)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param(SMALL, id="small"),
        pytest.param(replace(SMALL, side=4), id="padded"),
        pytest.param(replace(SMALL, members=1), id="one member"),
        pytest.param(Sizes(96, 64, 128, side=4), id="of older models"),
    ],
)
def test_sizes_are_read_from_the_tensors(sizes: Sizes) -> None:
    assert Sizes.of(Head(2, sizes).state_dict(), "output") == sizes
    assert Sizes.of(AgeNet(sizes).state_dict(), "hidden") == sizes


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"output.weight": torch.zeros(0, 27, 4)}, id="no member"),
        pytest.param({"output.weight": torch.zeros(4, 27, 4)}, id="a member without layers"),
        pytest.param({"output.weight": torch.zeros(3, 26, 4)}, id="other features"),
        pytest.param({"output.weight": torch.zeros(3, 52, 4)}, id="no such side"),
    ],
)
def test_other_tensors_are_no_ensemble(changed: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="no ensemble"):
        Sizes.of(Head(4, SMALL).state_dict() | changed, "output")
