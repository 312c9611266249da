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
from torch import Tensor

from ...embedder.errors import MaskclsError
from ...embedder.photo import shown
from ...embedder.storage.atomic import write_bytes
from .ensemble import MemberLinear, Sizes, TwoBranches, halved, mirrored_mean

SIZES = Sizes(width=32, narrow=32, embedding=64)
DROPOUT = 0.2


class Head(TwoBranches):
    """Networks whose logits are averaged; 0.2 million parameters."""

    def __init__(self, classes: int, sizes: Sizes = SIZES) -> None:
        super().__init__(sizes, DROPOUT)
        self.output = MemberLinear(sizes.members, sizes.features, classes)

    def member_logits(self, maps: Tensor, embeddings: Tensor) -> Tensor:
        """Each member's logits (members, n, classes); arguments as of :meth:`forward`."""
        logits: Tensor = self.output(self.features(maps, embeddings))
        return logits

    def forward(self, maps: Tensor, embeddings: Tensor) -> Tensor:
        """Logits (n, classes) for maps (n, 896, 4, 4) and embeddings (n, 512), both float32."""
        return self.member_logits(maps, embeddings).mean(dim=0)


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
            prefix = f"{task}."
            mine = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            net = Head(len(classes), Sizes.of(mine, "output"))
            net.load_state_dict(mine)
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
