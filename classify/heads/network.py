"""Small CNN heads that read mask and gender off FaceNet's own feature map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ...embedder.errors import MaskclsError
from ...embedder.facenet.encoder import EMBEDDING_DIM, MAP_SHAPE
from ...embedder.photo import shown
from ...embedder.storage.atomic import write_bytes

WIDTH = 64
EMBEDDING_WIDTH = 64
MEMBERS = 3
"""Networks of an ensemble, of different initial weights, whose outputs are averaged (deep ensembles: Lakshminarayanan
et al. 2017, https://arxiv.org/abs/1612.01474)."""


def map_branch(channels: int, width: int, narrow: int, dropout: float) -> nn.Sequential:
    """Two convolutions, flattened: maps (n, channels, side, side) become (n, narrow * side * side)."""
    return nn.Sequential(
        nn.Dropout2d(0.1),
        nn.Conv2d(channels, width, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, narrow, 3, padding=1),
        nn.BatchNorm2d(narrow),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
    )


def embedding_branch(width: int, dropout: float) -> nn.Sequential:
    """A small layer: embeddings (n, 512) of variance 1 become (n, width)."""
    return nn.Sequential(
        nn.Dropout(0.2),
        nn.Linear(EMBEDDING_DIM, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


class TwoBranches(nn.Module):
    """Two convolutions on the feature map, beside a small layer on the embedding: the input of every network here.

    The unit embedding is scaled by sqrt(512), so that its entries have variance 1.
    """

    def __init__(self, width: int, narrow: int, embedding_width: int, dropout: float) -> None:
        super().__init__()
        channels, height, width_of_map = MAP_SHAPE
        self.map_branch = map_branch(channels, width, narrow, dropout)
        self.embedding_branch = embedding_branch(embedding_width, dropout)
        self.features_width = narrow * height * width_of_map + embedding_width

    def features(self, maps: Tensor, embeddings: Tensor) -> Tensor:
        """Both branches side by side, (n, features_width)."""
        return torch.cat([self.map_branch(maps), self.embedding_branch(embeddings * EMBEDDING_DIM**0.5)], dim=1)


class HeadMember(TwoBranches):
    """Two branches and a linear layer; 130 thousand parameters."""

    def __init__(self, classes: int) -> None:
        super().__init__(WIDTH, WIDTH, EMBEDDING_WIDTH, 0.3)
        self.output = nn.Linear(self.features_width, classes)

    def forward(self, maps: Tensor, embeddings: Tensor) -> Tensor:
        """Logits (n, classes) for maps (n, 896, 4, 4) and embeddings (n, 512), both float32."""
        logits: Tensor = self.output(self.features(maps, embeddings))
        return logits


class Head(nn.Module):
    """:data:`MEMBERS` networks whose logits are averaged; 390 thousand parameters."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(HeadMember(classes) for _ in range(MEMBERS))

    def forward(self, maps: Tensor, embeddings: Tensor) -> Tensor:
        """Logits (n, classes) for maps (n, 896, 4, 4) and embeddings (n, 512), both float32."""
        return torch.stack([member(maps, embeddings) for member in self.members]).mean(dim=0)


def in_half_precision(net: nn.Module) -> None:
    """Round a network's weights as they are stored, so that its output is the same before and after."""
    net.half().float()


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as they are stored: half precision, which rounded weights (:func:`in_half_precision`) lose nothing by."""
    return {name: (x.half() if x.is_floating_point() else x).contiguous() for name, x in state.items()}


def mirrored_mean(
    net: nn.Module, embeddings: npt.NDArray[np.float32], maps: npt.NDArray[np.float16], width: int
) -> Tensor:
    """Output of a network (n, width), mean of the map and its mirror image, in evaluation mode and block by block."""
    outputs = [torch.empty(0, width)]
    net.eval()
    with torch.inference_mode():
        for start in range(0, len(maps), 512):
            x = torch.from_numpy(maps[start : start + 512]).float()
            e = torch.from_numpy(np.ascontiguousarray(embeddings[start : start + 512]))
            outputs.append((net(x, e) + net(x.flip(3), e)) / 2)
    return torch.cat(outputs)


@dataclass(frozen=True)
class TrainedHead:
    """A head with the names of its classes and the temperature that calibrates its probabilities."""

    net: Head
    classes: tuple[str, ...]
    temperature: float

    def probabilities(
        self, maps: npt.NDArray[np.float16], embeddings: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """(n, classes) float32 for maps (n, 896, 4, 4) and embeddings (n, 512); rows sum to 1.

        The map and its mirror image are both read and averaged.
        """
        with torch.inference_mode():
            return torch.softmax(self.logits(maps, embeddings) / self.temperature, dim=1).numpy()

    def logits(self, maps: npt.NDArray[np.float16], embeddings: npt.NDArray[np.float32]) -> Tensor:
        """Uncalibrated logits (n, classes), mean of the map and its mirror image."""
        return mirrored_mean(self.net, embeddings, maps, len(self.classes))


def save_heads(path: Path, heads: Mapping[str, TrainedHead]) -> None:
    """Write all heads to one safetensors file, atomically."""
    tensors = {
        f"{task}.{name}": value for task, head in heads.items() for name, value in halved(head.net.state_dict()).items()
    }
    write_bytes(path, save(tensors))


def load_heads(path: Path, settings: Mapping[str, Mapping[str, object]]) -> dict[str, TrainedHead]:
    """Read what :func:`save_heads` wrote.

    Args:
        settings: task -> ``classes`` and ``temperature``, as :func:`head_settings` gives them.

    Raises:
        MaskclsError: the file is missing, damaged or does not fit the settings.
    """
    heads: dict[str, TrainedHead] = {}
    try:
        tensors = load_file(path)
        for task, setting in settings.items():
            classes = tuple(str(name) for name in setting["classes"])  # type: ignore[attr-defined]
            net = Head(len(classes))
            prefix = f"{task}."
            net.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
            temperature = float(str(setting["temperature"]))
            if not (0 < temperature < math.inf and len(set(classes)) == len(classes) > 1):
                raise ValueError("no head")
            heads[task] = TrainedHead(net.eval(), classes, temperature)
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise MaskclsError(f"{shown(path)}: not the heads of this model; build the model again") from error
    return heads


def head_settings(heads: Mapping[str, TrainedHead]) -> dict[str, dict[str, object]]:
    """What :func:`load_heads` needs beside the tensors."""
    return {task: {"classes": list(head.classes), "temperature": head.temperature} for task, head in heads.items()}
