"""One encoder behind a small interface: aligned crops in; embeddings, feature maps and a fingerprint out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from . import align, finder
from .errors import MaskclsError
from .trunk import scaled, trunk_pass
from .weights import load_facenet, tune

EMBEDDING_DIM = 512
MAP_SHAPE = (896, 4, 4)
"""Feature map kept for the heads: FaceNet's ``repeat_2`` output, 8 x 8 averaged to 4 x 4."""


class Encoded(NamedTuple):
    """What the trunk says of n faces.

    Attributes:
        embeddings: (n, 512) float32 of unit length.
        maps: (n, 896, 4, 4) float16, not negative.
        norms: (n,) float32, length of the embeddings before they were normalised: small for blurred, hidden and
            missing faces (Ranjan et al. 2017, https://arxiv.org/abs/1703.09507).
    """

    embeddings: npt.NDArray[np.float32]
    maps: npt.NDArray[np.float16]
    norms: npt.NDArray[np.float32]


@dataclass(frozen=True)
class EncoderInfo:
    """What vectors were made with. Two sets may be mixed only if their fingerprints are equal."""

    name: str
    weights_sha256: str
    preprocessing: dict[str, object]

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over everything that changes a vector."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


class Encoder(Protocol):
    """Another trunk takes FaceNet's place by implementing this."""

    @property
    def info(self) -> EncoderInfo:
        """Name, weights and preprocessing."""

    def encode(self, crops: npt.NDArray[np.uint8]) -> Encoded:
        """Embed aligned RGB crops, shape (n, 160, 160, 3)."""


class FaceNetEncoder:
    """Inception-ResNet-v1 trained on VGGFace2 (Schroff et al. 2015, https://arxiv.org/abs/1503.03832)."""

    def __init__(
        self, weights: Path | None = None, device: str = "cpu", tuned: Mapping[str, Tensor] | None = None
    ) -> None:
        """Load the weights (see :func:`~.weights.load_facenet`); ``tuned`` tensors take the place of theirs."""
        net, found = load_facenet(weights)
        if tuned is not None:
            found = tune(net, found, tuned)
        self._device = torch.device(device)
        self._net = net.to(self._device, memory_format=torch.channels_last)
        self.info = EncoderInfo(
            found.name,
            found.sha256,
            {
                "crop_size": align.CROP_SIZE,
                "margin": align.MARGIN,
                "eyes_at": list(align.EYES_AT),
                "finder": finder.RULES,
                "detector": hashlib.sha256("".join(finder.MTCNN_SHA256.values()).encode()).hexdigest()[:16],
                "map": ["repeat_2", *MAP_SHAPE],
            },
        )

    def encode(self, crops: npt.NDArray[np.uint8]) -> Encoded:
        """See :class:`Encoder`. Pixels are scaled to ``(x - 127.5) / 128``."""
        if not len(crops):
            return Encoded(
                np.empty((0, EMBEDDING_DIM), np.float32), np.empty((0, *MAP_SHAPE), np.float16), np.empty(0, np.float32)
            )
        with torch.inference_mode():
            pixels = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)  # stays channels-last in memory
            maps, vectors = trunk_pass(self._net, scaled(pixels))
            maps = nn.functional.adaptive_avg_pool2d(maps, MAP_SHAPE[1:])
            embeddings, norms = nn.functional.normalize(vectors), vectors.norm(dim=1)
        return Encoded(embeddings.cpu().numpy(), maps.contiguous().half().cpu().numpy(), norms.cpu().numpy())


def pick_device(name: str) -> str:
    """``cpu``, ``cuda`` or ``auto`` (a GPU when there is one) as a torch device.

    Raises:
        MaskclsError: a GPU was asked for and there is none, or the name is unknown.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise MaskclsError("--device cuda: no usable GPU; use --device cpu or auto")
    if name not in ("cpu", "cuda"):
        raise MaskclsError(f"--device {name}: choose auto, cpu or cuda")
    return name
