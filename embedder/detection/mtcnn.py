"""facenet-pytorch's MTCNN: mended where it is unstable, and with its networks run by any runtime."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from facenet_pytorch import MTCNN
from facenet_pytorch.models.utils import detect_face
from torch import Tensor, nn

from ..facenet.openvino import OpenVinoNet

Array = npt.NDArray[np.float32]

_suppress = detect_face.nms_numpy


def _suppress_without_ties(boxes: Array, scores: Array, threshold: float, method: str) -> npt.NDArray[np.int16]:
    """MTCNN's last suppression of overlapping boxes, by rank instead of by score.

    It sorts unstably, and many sure faces score exactly 1: the box that won changed with the rest of the batch.
    """
    ranks = np.argsort(np.argsort(scores, kind="stable")).astype(np.float32)
    kept: npt.NDArray[np.int16] = _suppress(boxes, ranks, threshold, method)
    return kept


detect_face.nms_numpy = _suppress_without_ties


class _Elsewhere(nn.Module):
    """A network of MTCNN that OpenVINO runs."""

    def __init__(self, net: OpenVinoNet) -> None:
        super().__init__()
        self._net = net
        self.dtype = nn.Parameter(torch.zeros(()), requires_grad=False)  # where MTCNN looks for it

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(part) for part in self._net(pixels.numpy()))


def load_mtcnn(device: str = "cpu", nets: Mapping[str, OpenVinoNet] | None = None) -> MTCNN:
    """MTCNN that keeps all faces; ``nets``, ``rnet`` or ``onet``, take the place of its own."""
    mtcnn = MTCNN(keep_all=True, device=torch.device(device)).eval()
    mtcnn.to(memory_format=torch.channels_last)  # R-Net and O-Net are three times as fast
    for name, net in (nets or {}).items():
        setattr(mtcnn, name, _Elsewhere(net))
    return mtcnn


def net_of(name: str) -> nn.Module:
    """A network of MTCNN, to export it."""
    net: nn.Module = getattr(MTCNN(keep_all=True), name)
    return net


def ask_onet(mtcnn: MTCNN, tiles: Array) -> list[Array]:
    """Answers of its O-Net to scaled tiles (n, 3, 48, 48)."""
    with torch.inference_mode():
        return [part.cpu().numpy() for part in mtcnn.onet(torch.from_numpy(tiles).to(mtcnn.device))]
