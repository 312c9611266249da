"""MTCNN (Zhang et al. 2016, https://arxiv.org/abs/1604.02878) behind two calls: search a photo, or score one box."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import MaskclsError
from ..facenet.openvino import OpenVinoNet
from ..facenet.runtimes import Engine

if TYPE_CHECKING:
    from facenet_pytorch import MTCNN
    from torch import Tensor, nn

Array = npt.NDArray[np.float32]

MTCNN_SHA256 = {
    "pnet.pt": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "rnet.pt": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "onet.pt": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}
_SHAPES = {"rnet": (-1, 3, 24, 24), "onet": (-1, 3, 48, 48)}
"""Of what OpenVINO may run. P-Net sees photos of any size, and compiling for each costs more than it gains."""


def detector_digest() -> str:
    """16 hexadecimal digits that name the detector, for the fingerprint of what was embedded with it."""
    return hashlib.sha256("".join(MTCNN_SHA256.values()).encode()).hexdigest()[:16]


class Candidates(NamedTuple):
    """Faces of one image: boxes (k, 4), scores (k,) and landmarks (k, 5, 2), float32, in pixels."""

    boxes: Array
    scores: Array
    landmarks: Array

    def where(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Candidates:
        """Some of them: a mask, or numbers in a new order."""
        return Candidates(self.boxes[rows], self.scores[rows], self.landmarks[rows])


@dataclass(frozen=True)
class Found:
    """A face in an image.

    Attributes:
        box: ``x0, y0, x1, y1`` in pixels of the image; may reach beyond its edges.
        landmarks: (5, 2) left eye, right eye, nose, mouth corners, or (0, 2) for a whole photo.
        score: probability of a face, 0-1 (1 in the mode ``whole``).
        faces: number of faces in the photo, this one included.
        how: ``detect`` or ``whole``.
        turn: degrees counter-clockwise by which the image must be turned to see the face upright.
    """

    box: Array
    landmarks: Array
    score: float
    faces: int
    how: Literal["detect", "whole"]
    turn: int = 0


def no_candidates() -> Candidates:
    """No face."""
    return Candidates(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))


class Detector:
    """The packaged networks, always in float32; their weights are checked by SHA-256 before they are parsed."""

    def __init__(self, device: str = "cpu", engine: Engine = "torch") -> None:
        package = importlib.util.find_spec("facenet_pytorch")  # unlike importlib.resources it does not import it
        if package is None or package.origin is None:
            raise MaskclsError("the face detector is missing: run `pip install facenet-pytorch==2.5.3`")
        data = Path(package.origin).parent / "data"
        for name, expected in MTCNN_SHA256.items():
            if hashlib.sha256((data / name).read_bytes()).hexdigest() != expected:
                raise MaskclsError(f"detector weights {name} are damaged: reinstall facenet-pytorch==2.5.3")
        self._device, self._engine = device, engine

    def score(self, tiles: npt.NDArray[np.uint8]) -> tuple[Array, Array, Array]:
        """O-Net's answers to tiles (n, 48, 48, 3): box offsets (n, 4), landmarks (n, 10), probabilities of no face and
        face (n, 2)."""
        scaled = ((tiles.transpose(0, 3, 1, 2) - np.float32(127.5)) / np.float32(128)).astype(np.float32)
        if self._engine == "openvino":
            box, points, probabilities = self._onet(scaled)
        else:
            from .mtcnn import ask_onet

            box, points, probabilities = ask_onet(self._mtcnn, scaled)
        return box, points, probabilities

    def refine(self, tiles: npt.NDArray[np.uint8], squares: Array) -> Candidates:
        """O-Net's boxes, scores and landmarks for the contents (n, 48, 48, 3) of squares (n, 4), in their pixels."""
        offsets, points, probabilities = self.score(tiles)
        side = squares[:, 2:] - squares[:, :2]
        boxes = squares + offsets * np.tile(side, 2)
        landmarks = points.reshape(-1, 2, 5).transpose(0, 2, 1) * side[:, None] + squares[:, None, :2]
        return Candidates(boxes.astype(np.float32), probabilities[:, 1], landmarks.astype(np.float32))

    def search(
        self, batch: npt.NDArray[np.uint8], thresholds: tuple[float, float, float], smallest: float
    ) -> list[Candidates | None]:
        """All faces of at least ``smallest`` pixels in each image of a batch (n, height, width, 3).

        Args:
            thresholds: of P-, R- and O-Net.
        """
        self._mtcnn.thresholds = list(thresholds)
        self._mtcnn.min_face_size = smallest
        try:
            boxes, scores, points = self._mtcnn.detect(batch, landmarks=True)
        except RuntimeError as error:
            # facenet-pytorch concatenates an empty list when every candidate lies on an edge
            if "non-empty" not in str(error):
                raise
            if len(batch) == 1:
                return [None]
            return [self.search(batch[i : i + 1], thresholds, smallest)[0] for i in range(len(batch))]
        return [
            None
            if box is None
            else Candidates(np.asarray(box, np.float32), np.asarray(score, np.float32), np.asarray(point, np.float32))
            for box, score, point in zip(boxes, scores, points, strict=True)
        ]

    @cached_property
    def _mtcnn(self) -> MTCNN:
        from .mtcnn import load_mtcnn

        if self._engine == "torch":
            return load_mtcnn(self._device)
        return load_mtcnn(self._device, {"rnet": self._net("rnet"), "onet": self._onet})

    @cached_property
    def _onet(self) -> OpenVinoNet:
        return self._net("onet")

    def _net(self, name: str) -> OpenVinoNet:
        def example() -> tuple[nn.Module, Tensor]:
            import torch

            from .mtcnn import net_of

            return net_of(name), torch.zeros(2, *_SHAPES[name][1:])

        return OpenVinoNet(name, MTCNN_SHA256[f"{name}.pt"], example, _SHAPES[name])
