"""One encoder behind a small interface: aligned crops in; embeddings, feature maps and a fingerprint out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..detection import align, finder
from ..detection.detector import detector_digest
from ..errors import MaskclsError
from .openvino import OpenVinoNet
from .runtimes import REFERENCE, Runtime, check_process
from .weights import find_weights, load_facenet, tune, tuned_weights

if TYPE_CHECKING:
    from facenet_pytorch import InceptionResnetV1
    from torch import Tensor, nn

EMBEDDING_DIM = 512
CROP_SHAPE = (align.CROP_SIZE, align.CROP_SIZE, 3)
MAP_SHAPE = (896, 4, 4)
"""Feature map kept for the heads: FaceNet's ``repeat_2`` output, 8 x 8 averaged to 4 x 4."""


class Encoded(NamedTuple):
    """Outputs of the backbone for n faces.

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
    """What vectors were made with. Two sets may be mixed only if their fingerprints are equal.

    Attributes:
        name: of the weights.
        weights_sha256: 64 hexadecimal digits.
        preprocessing: what happens to a photo before.
        runtime: engine and precision, several joined by commas. All runtimes agree closely enough to be mixed
            (``docs/speed.md``), so it makes no difference.
    """

    name: str
    weights_sha256: str
    preprocessing: dict[str, object]
    runtime: str = field(default=str(REFERENCE), compare=False)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over everything that changes a vector."""
        parts = {"name": self.name, "weights_sha256": self.weights_sha256, "preprocessing": self.preprocessing}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Encoder(Protocol):
    """Another backbone takes FaceNet's place by implementing this."""

    @property
    def info(self) -> EncoderInfo:
        """Name, weights and preprocessing."""

    def encode(self, crops: npt.NDArray[np.uint8]) -> Encoded:
        """Embed aligned RGB crops, shape (n, 160, 160, 3)."""


class FaceNetEncoder:
    """Inception-ResNet-v1 trained on VGGFace2 (Schroff et al. 2015, https://arxiv.org/abs/1503.03832)."""

    def __init__(
        self,
        weights: Path | None = None,
        device: str = "cpu",
        tuned: Mapping[str, Tensor] | None = None,
        runtime: Runtime = REFERENCE,
    ) -> None:
        """Load the weights (see :func:`~.weights.load_facenet`); ``tuned`` tensors take the place of theirs.

        Raises:
            MaskclsError: see :func:`~.weights.load_facenet`, :func:`~.weights.tune`, :func:`~.runtimes.check_process`.
        """
        check_process()
        found = find_weights(weights)
        if tuned is not None:
            found = tuned_weights(found, tuned)
        self.info = EncoderInfo(
            found.name,
            found.sha256,
            {
                "crop_size": align.CROP_SIZE,
                "margin": align.MARGIN,
                "eyes_at": list(align.EYES_AT),
                "finder": finder.RULES,
                "detector": detector_digest(),
                "map": ["repeat_2", *MAP_SHAPE],
            },
            str(runtime),
        )

        def network() -> InceptionResnetV1:
            net, _ = load_facenet(weights)
            if tuned is not None:
                tune(net, tuned)
            return net

        def example() -> tuple[nn.Module, Tensor]:
            import torch

            from .network import Backbone

            return Backbone(network()), torch.zeros(2, *CROP_SHAPE, dtype=torch.uint8)

        if runtime.engine == "openvino":
            self._backbone: Callable[[npt.NDArray[np.uint8]], list[npt.NDArray[Any]]] = OpenVinoNet(
                "backbone", found.sha256, example, (-1, *CROP_SHAPE), runtime.precision
            )
        else:
            from .network import TorchBackbone

            self._backbone = TorchBackbone(network(), device, runtime.precision)

    def encode(self, crops: npt.NDArray[np.uint8]) -> Encoded:
        """See :class:`Encoder`. Pixels are scaled to ``(x - 127.5) / 128``.

        Raises:
            MaskclsError: see :func:`~.runtimes.check_process`.
        """
        check_process()
        if not len(crops):
            return Encoded(
                np.empty((0, EMBEDDING_DIM), np.float32), np.empty((0, *MAP_SHAPE), np.float16), np.empty(0, np.float32)
            )
        maps, vectors = self._backbone(crops)
        norms = np.linalg.norm(vectors, axis=1)
        return Encoded(vectors / np.maximum(norms, 1e-12)[:, None], maps, norms)


def pick_device(name: str) -> str:
    """``cpu``, ``cuda`` or ``auto`` (a GPU when there is one) as a torch device.

    Raises:
        MaskclsError: a GPU was asked for and there is none, or the name is unknown.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise MaskclsError("--device cuda: no usable GPU; use --device cpu or auto")
    if name not in ("cpu", "cuda"):
        raise MaskclsError(f"--device {name}: choose auto, cpu or cuda")
    return name
