"""Small CNN heads that read mask and gender off FaceNet's own feature map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..embedder.encoder import EMBEDDING_DIM, MAP_SHAPE
from ..embedder.errors import MaskclsError
from ..embedder.files import replacing
from ..embedder.photo import shown

WIDTH = 64
EMBEDDING_WIDTH = 64


class Head(nn.Module):
    """Two convolutions on the feature map, beside a small layer on the embedding; 165 thousand parameters.

    The unit embedding is scaled by sqrt(512), so that its entries have variance 1.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        channels, height, width = MAP_SHAPE
        self.map_branch = nn.Sequential(
            nn.Dropout2d(0.1),
            nn.Conv2d(channels, WIDTH, 1),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
        )
        self.embedding_branch = nn.Sequential(
            nn.Dropout(0.2),
            nn.Linear(EMBEDDING_DIM, EMBEDDING_WIDTH),
            nn.BatchNorm1d(EMBEDDING_WIDTH),
            nn.ReLU(),
            nn.Dropout(0.3),
        )
        self.output = nn.Linear(WIDTH * height * width + EMBEDDING_WIDTH, classes)

    def forward(self, maps: Tensor, embeddings: Tensor) -> Tensor:
        """Logits (n, classes) for maps (n, 896, 4, 4) and embeddings (n, 512), both float32."""
        features = [self.map_branch(maps), self.embedding_branch(embeddings * EMBEDDING_DIM**0.5)]
        logits: Tensor = self.output(torch.cat(features, dim=1))
        return logits


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
        outputs = [torch.empty(0, len(self.classes))]
        self.net.eval()
        with torch.inference_mode():
            for start in range(0, len(maps), 512):
                x = torch.from_numpy(maps[start : start + 512]).float()
                e = torch.from_numpy(np.ascontiguousarray(embeddings[start : start + 512]))
                outputs.append((self.net(x, e) + self.net(x.flip(3), e)) / 2)
        return torch.cat(outputs)


def save_heads(path: Path, heads: Mapping[str, TrainedHead]) -> None:
    """Write all heads to one safetensors file, atomically."""
    tensors = {
        f"{task}.{name}": value.contiguous()
        for task, head in heads.items()
        for name, value in head.net.state_dict().items()
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary)


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
            heads[task] = TrainedHead(net.eval(), classes, float(str(setting["temperature"])))
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise MaskclsError(f"{shown(path)}: not the heads of this model; build the model again") from error
    return heads


def head_settings(heads: Mapping[str, TrainedHead]) -> dict[str, dict[str, object]]:
    """What :func:`load_heads` needs beside the tensors."""
    return {task: {"classes": list(head.classes), "temperature": head.temperature} for task, head in heads.items()}
