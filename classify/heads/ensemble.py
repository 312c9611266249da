"""Networks of one shape side by side: an ensemble that reads FaceNet's feature map and embedding in one pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...embedder.facenet.encoder import EMBEDDING_DIM, MAP_SHAPE

MEMBERS = 3
"""Networks of an ensemble, of different initial weights, whose outputs are averaged (deep ensembles: Lakshminarayanan
et al. 2017, https://arxiv.org/abs/1612.01474)."""
KERNEL = 3


@dataclass(frozen=True)
class Sizes:
    """Of the networks of an ensemble.

    Attributes:
        width, narrow: channels after the first and after the second convolution.
        embedding: width of the layer on the embedding.
        side: of the map after the second convolution: 2, or 4 where the map is padded.
        members: number of networks.
        channels: of the maps that are read.
    """

    width: int
    narrow: int
    embedding: int
    side: int = MAP_SHAPE[1] - KERNEL + 1
    members: int = MEMBERS
    channels: int = MAP_SHAPE[0]

    @property
    def features(self) -> int:
        """Numbers that the branches of one member give."""
        return self.narrow * self.side**2 + self.embedding

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], after: str) -> Sizes:
        """The sizes of a stored ensemble: a model keeps the network it was built with.

        Args:
            tensors: of a :class:`TwoBranches`.
            after: name of the :class:`MemberLinear` that reads the features.

        Raises:
            KeyError, ValueError: they are of another network.
        """
        first, second = tensors["map_branch.0.weight"], tensors["map_branch.3.weight"]
        layer, on_embedding = tensors[f"{after}.weight"], tensors["embedding_branch.1.weight"]
        members, features, _ = layer.shape
        if not members or len(first) % members or len(second) % members or len(on_embedding) % members:
            raise ValueError("no ensemble")
        narrow, embedding = len(second) // members, len(on_embedding) // members
        side = math.isqrt(max(0, features - embedding) // max(1, narrow))
        found = cls(len(first) // members, narrow, embedding, side, members, first.shape[1])
        if found.features != features or side not in (cls.side, MAP_SHAPE[1]):
            raise ValueError("no ensemble")
        return found


class GroupedConv2d(nn.Conv2d):
    """A convolution in as many groups as its input has times the channels it reads: one for what all members read."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        groups = x.shape[1] // self.in_channels
        return nn.functional.conv2d(x, self.weight, self.bias, padding=self.padding, groups=groups)


class GroupedLinear(nn.Linear):
    """The same for a linear layer; the groups of the input (n, groups * features) lie side by side."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        groups = x.shape[1] // self.in_features
        weight = self.weight.view(groups, -1, self.in_features).transpose(1, 2)
        parts = torch.baddbmm(self.bias.view(groups, 1, -1), x.view(len(x), groups, -1).transpose(0, 1), weight)
        return parts.transpose(0, 1).reshape(len(x), -1)  # a grouped convolution of one place takes ten times as long


def map_branch(channels: int, width: int, narrow: int, padding: int, members: int = 1) -> nn.Sequential:
    """Two convolutions: maps (n, channels, side, side) become (n, members * narrow, side, side).

    Without padding the side becomes 2 shorter.
    """
    return nn.Sequential(
        GroupedConv2d(channels, members * width, 1),
        nn.BatchNorm2d(members * width),
        nn.ReLU(),
        GroupedConv2d(width, members * narrow, KERNEL, padding=padding),
        nn.BatchNorm2d(members * narrow),
        nn.ReLU(),
    )


def embedding_branch(width: int) -> nn.Sequential:
    """A small layer: embeddings (n, 512) of variance 1 become (n, width)."""
    return nn.Sequential(nn.Dropout(0.2), GroupedLinear(EMBEDDING_DIM, width), nn.BatchNorm1d(width), nn.ReLU())


class MemberLinear(nn.Module):
    """A linear layer of each member: (members, n, features) become (members, n, outputs)."""

    def __init__(self, members: int, features: int, outputs: int) -> None:
        super().__init__()
        bound = features**-0.5  # as nn.Linear begins
        self.weight = nn.Parameter(torch.empty(members, features, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.baddbmm(self.bias, x, self.weight)


class TwoBranches(nn.Module):
    """Two convolutions on the feature map, beside a small layer on the embedding: the input of every network here.

    The members share nothing, or nothing but the input: each layer is one for all of them, in groups. The unit
    embedding is scaled by sqrt(512), so that its entries have variance 1.
    """

    def __init__(self, sizes: Sizes, dropout: float) -> None:
        super().__init__()
        members = self.members = sizes.members
        padding = 1 if sizes.side == MAP_SHAPE[1] else 0
        self.map_branch = map_branch(sizes.channels, sizes.width, sizes.narrow, padding, members)
        self.embedding_branch = embedding_branch(members * sizes.embedding)
        self.dropout = nn.Dropout(dropout)

    def features(self, maps: Tensor, embeddings: Tensor) -> Tensor:
        """Both branches of each member, (members, n, features).

        Args:
            maps: (n, channels, 4, 4) that all members read, or (n, members * channels, 4, 4), each its own.
            embeddings: (n, 512), or (n, members * 512).
        """
        branches = self.map_branch(maps), self.embedding_branch(embeddings * EMBEDDING_DIM**0.5)
        parts = [branch.reshape(len(maps), self.members, -1) for branch in branches]
        features: Tensor = self.dropout(torch.cat(parts, dim=2))
        return features.transpose(0, 1)

    def read_whole_maps(self, directions: Tensor) -> None:
        """Make an ensemble that reads maps along some directions read the maps themselves, with the same output.

        Its weights are rounded to half precision again.

        Args:
            directions: (896, channels), orthonormal columns; see :func:`~..data.reduction.reduced`.
        """
        old = self.map_branch[0]
        assert isinstance(old, GroupedConv2d)
        new = GroupedConv2d(len(directions), old.out_channels, 1)
        new.bias = old.bias
        with torch.no_grad():
            new.weight.copy_((old.weight[:, :, 0, 0] @ directions.T)[:, :, None, None])
        self.map_branch[0] = new
        in_half_precision(self.eval())


def in_half_precision(net: nn.Module) -> None:
    """Round a network's weights as they are stored, so that its output is the same before and after."""
    net.half().float()


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as they are stored: half precision, which rounded weights (:func:`in_half_precision`) lose nothing by."""
    return {name: (x.half() if x.is_floating_point() else x).contiguous() for name, x in state.items()}


def batch(embeddings: npt.NDArray[np.float32], maps: npt.NDArray[np.float16]) -> tuple[Tensor, Tensor]:
    """Maps and embeddings as networks read them: float32, the channels of a place side by side in memory."""
    whole = torch.from_numpy(maps).to(torch.float32, memory_format=torch.channels_last)
    return whole, torch.from_numpy(np.ascontiguousarray(embeddings))


def mirrored_mean(
    net: nn.Module, embeddings: npt.NDArray[np.float32], maps: npt.NDArray[np.float16], width: int
) -> Tensor:
    """Output of a network (n, width), mean of the map and its mirror image, in evaluation mode and block by block."""
    outputs = [torch.empty(0, width)]
    net.eval()
    with torch.inference_mode():
        for start in range(0, len(maps), 512):
            part = slice(start, start + 512)
            x, e = batch(embeddings[part], maps[part])
            outputs.append((net(x, e) + net(x.flip(3), e)) / 2)
    return torch.cat(outputs)
