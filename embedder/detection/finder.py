"""Find the face in a photo with MTCNN, and recognise photos that already are a tight face crop.

MTCNN searches a photo at many scales and fails where
the face fills it or a mask hides the mouth. Its last stage, O-Net, scores one candidate box; asked about the
photo as a whole it decides at once whether the photo is a face crop. ``docs/detection.md`` has the measurements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..facenet.runtimes import Engine, check_process
from .detector import Candidates, Detector

FaceMode = Literal["auto", "detect", "whole"]
Array = npt.NDArray[np.float32]

SEARCH_SIDES = (200, 512)
"""A photo is searched with its longest side scaled into this range, in pixels."""
MIN_FACE = (40, 1 / 8)
"""Smallest face searched for: pixels, and share of the longest side, whichever is larger."""
SURE = (0.6, 0.7, 0.7)
"""P-, R- and O-Net thresholds of the first search (facenet-pytorch's own)."""
UNSURE = (0.5, 0.5, 0.5)
"""Thresholds of the second search, with a border, for photos in which the first finds nothing."""
BORDER = 0.2
SEVERAL = 0.9
"""Faces counted as real competitors for "the largest" score at least this."""
CROP_SURE = 0.5
"""O-Net score from which a photo whose face fills it is taken whole without a search."""
CROP_UNSURE = 0.1
"""O-Net score from which a photo without a sure detection is still taken whole, if it beats the detection's score."""
FRAMINGS = (0.0, 0.1, 0.2)
"""Shares of the photo's width and height left out when O-Net is asked again; the best score counts."""
FILLS = (0.88, 1.4)
"""Height of O-Net's refined box over the photo's, within which the face fills the photo."""
OVERLAP = 0.5
"""Overlap (intersection over union) of a detected box with the photo's central square from which the photo is a face
crop after all: detectors frame masked faces unsteadily, and crops of one kind should be framed alike."""


RULES: dict[str, list[float]] = {
    "search": [*SEARCH_SIDES, *MIN_FACE, BORDER],
    "thresholds": [*SURE, *UNSURE, SEVERAL],
    "whole": [CROP_SURE, CROP_UNSURE, *FRAMINGS, *FILLS, OVERLAP],
}
"""All of the above, for the fingerprint of what was embedded with them."""


@dataclass(frozen=True)
class Found:
    """A face in an image.

    Attributes:
        box: ``x0, y0, x1, y1`` in pixels of the image; may reach beyond its edges.
        landmarks: (5, 2) left eye, right eye, nose, mouth corners, or (0, 2) for a whole photo.
        score: probability of a face, 0-1 (O-Net's softmax; 1 in the mode ``whole``).
        faces: number of faces in the photo, this one included.
        how: ``detect`` or ``whole``.
    """

    box: Array
    landmarks: Array
    score: float
    faces: int
    how: Literal["detect", "whole"]


class FaceFinder:
    """MTCNN and the rules above."""

    def __init__(self, device: str = "cpu", engine: Engine = "torch") -> None:
        """``engine`` runs the networks, always in float32: it changes no answer.

        Raises:
            MaskclsError: the detector's weights are damaged, or see :func:`~..facenet.runtimes.check_process`.
        """
        check_process()
        self._detector = Detector(device, engine)

    def find(self, images: Sequence[Image.Image], mode: FaceMode = "auto") -> list[Found | None]:
        """The largest face of every RGB image, or ``None`` where there is none.

        ``whole`` takes each image as it is; ``detect`` only searches; ``auto`` takes an image whole when its
        face fills it, searches otherwise, and falls back to the whole image when the search finds nothing, or
        nothing sure, and the image still looks like a face.

        Raises:
            MaskclsError: see :func:`~..facenet.runtimes.check_process`.
        """
        check_process()
        if mode == "whole":
            return [_whole(image, 1.0) for image in images]
        found: list[Found | None] = [None] * len(images)
        if mode == "auto" and images:
            scores, heights = self._ask_whole(images, 0.0)
            fills = (scores >= CROP_SURE) & (heights >= FILLS[0]) & (heights <= FILLS[1])
            for i in np.flatnonzero(fills).tolist():
                found[i] = _whole(images[i], float(scores[i]))
        for thresholds, border in ((SURE, 0.0), (UNSURE, BORDER)):
            todo = [i for i, face in enumerate(found) if face is None]
            for i, face in zip(todo, self._search([images[i] for i in todo], thresholds, border), strict=True):
                found[i] = face if mode == "detect" else _or_whole(face, images[i])
        todo = [i for i, face in enumerate(found) if face is None or (face.how == "detect" and face.score < SEVERAL)]
        if mode == "auto" and todo:
            unsure = [images[i] for i in todo]
            best = np.max([self._ask_whole(unsure, framing)[0] for framing in FRAMINGS], axis=0)
            for i, score in zip(todo, best.tolist(), strict=True):
                rival = found[i]
                if score >= CROP_UNSURE and (rival is None or score > rival.score):
                    found[i] = _whole(images[i], score)
        return found

    def landmarks(self, images: Sequence[Image.Image], faces: Sequence[Found]) -> Array:
        """Eyes, nose and mouth corners (n, 5, 2) in pixels; O-Net is asked for those of photos taken whole."""
        points = np.zeros((len(faces), 5, 2), np.float32)
        for i, (image, face) in enumerate(zip(images, faces, strict=True)):
            if len(face.landmarks):
                points[i] = face.landmarks
                continue
            x0, y0, x1, y1 = (float(v) for v in face.box)
            shares = self._ask([_tile(image, (x0, y0, x1, y1))])[1][0]  # five x, then five y
            points[i] = shares.reshape(2, 5).T * (x1 - x0, y1 - y0) + (x0, y0)
        return points

    def _ask_whole(self, images: Sequence[Image.Image], left_out: float) -> tuple[Array, Array]:
        """O-Net's score of each image without its rim, and the height of its refined box over the tile's."""
        box, _, probabilities = self._ask([_tile(image, _without_rim(image, left_out)) for image in images])
        return probabilities[:, 1], 1 + box[:, 3] - box[:, 1]

    def _ask(self, tiles: Sequence[npt.NDArray[np.uint8]]) -> tuple[Array, Array, Array]:
        return self._detector.score(np.stack(tiles))

    def _search(
        self, images: Sequence[Image.Image], thresholds: tuple[float, float, float], border: float
    ) -> list[Found | None]:
        found: list[Found | None] = [None] * len(images)
        by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
        canvases: list[npt.NDArray[np.uint8]] = []
        for i, image in enumerate(images):
            canvases.append(_canvas(image, border))
            by_size[canvases[i].shape[:2]].append(i)  # MTCNN batches images of one size only
        for members in by_size.values():
            faces = self._detect(np.stack([canvases[i] for i in members]), thresholds)
            for i, candidates in zip(members, faces, strict=True):
                found[i] = _largest(candidates, images[i], border)
        return found

    def _detect(self, batch: npt.NDArray[np.uint8], thresholds: tuple[float, float, float]) -> list[Candidates | None]:
        longest, shortest = max(batch.shape[1:3]), min(batch.shape[1:3])
        smallest = min(max(MIN_FACE[0], MIN_FACE[1] * longest), 0.95 * shortest)
        return self._detector.search(batch, thresholds, smallest)


def _scale(image: Image.Image) -> float:
    longest = max(image.size)
    return float(np.clip(longest, *SEARCH_SIDES)) / longest


def _canvas(image: Image.Image, border: float) -> npt.NDArray[np.uint8]:
    """The image at search size inside a black border (a share of its width and height, each side)."""
    scale = _scale(image)
    width, height = (max(1, round(side * scale)) for side in image.size)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    x, y = round(border * width), round(border * height)
    return np.pad(pixels, ((y, y), (x, x), (0, 0)))


def _without_rim(image: Image.Image, left_out: float) -> tuple[float, float, float, float]:
    """The box of an image without a share of its width and height."""
    x, y = (side * left_out / 2 for side in image.size)
    return x, y, image.width - x, image.height - y


def _tile(image: Image.Image, box: tuple[float, float, float, float]) -> npt.NDArray[np.uint8]:
    """A box of the image at O-Net's input size (48, 48, 3)."""
    return np.asarray(image.resize((48, 48), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0))


def _largest(candidates: Candidates | None, image: Image.Image, border: float) -> Found | None:
    if candidates is None:
        return None
    boxes, scores, points = candidates
    sure = scores >= SEVERAL
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    best = int(np.argmax(np.where(sure, areas, 0) if sure.any() else scores))
    scale = _scale(image)
    corner = np.round(np.float32(border) * np.round(np.array(image.size, np.float32) * scale))
    box = (boxes[best].reshape(2, 2) - corner) / scale
    landmarks = (points[best] - corner) / scale
    return Found(
        box.reshape(4).astype(np.float32),
        landmarks.astype(np.float32),
        float(scores[best]),
        max(1, int(sure.sum())),
        "detect",
    )


def _or_whole(face: Found | None, image: Image.Image) -> Found | None:
    """The whole image where a detected face fills it."""
    if face is None:
        return None
    whole = _whole(image, face.score)
    low, high = np.maximum(face.box[:2], whole.box[:2]), np.minimum(face.box[2:], whole.box[2:])
    shared = float((high - low).clip(0).prod())
    union = float((face.box[2:] - face.box[:2]).prod() + (whole.box[2:] - whole.box[:2]).prod()) - shared
    return whole if face.faces == 1 and shared >= OVERLAP * union else face


def _whole(image: Image.Image, score: float) -> Found:
    """The central square of a photo, as wide as its shorter side."""
    width, height = image.size
    side = min(width, height)
    x, y = (width - side) / 2, (height - side) / 2
    box = np.array([x, y, x + side, y + side], np.float32)
    return Found(box, np.empty((0, 2), np.float32), score, 1, "whole")
