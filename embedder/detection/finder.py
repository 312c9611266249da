"""Find the faces in a photo, and recognise photos that already are a tight face crop.

A search (:mod:`.search`) frames a face that fills the photo or hides behind a mask unsteadily. MTCNN's last stage,
O-Net, scores one candidate box; asked about the photo as a whole it decides at once whether the photo is a face crop.
``docs/detection.md`` has the measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..facenet.runtimes import Engine, check_process
from . import search
from .align import MARGIN, lift
from .detector import Array, Candidates, Detector, Found
from .overlap import overlaps
from .search import SearchName, pick_search

FaceMode = Literal["auto", "detect", "whole"]

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

UPRIGHT = 1.08
"""An image with at least so much evidence of an upright face (:meth:`Evidence.upright`) is not turned."""
TURN_MARGIN = 0.04
"""By how much the evidence must grow for an image to be turned."""
TURN_OPINION = 0.6
"""libfacedetection's score that a turned image must have."""
CONFIRMED = (0.3, 0.9)
"""libfacedetection's score that a crop must have, and O-Net's from which it needs none."""
FILLED = 0.6
"""Height of libfacedetection's face over the photo's shorter side, from which the photo may be a crop."""
CONFIRMED_UNSURE = 0.5
"""libfacedetection's score from which a photo without a detection may be taken whole."""


RULES: dict[str, list[float]] = {
    "search": [*search.MTCNN_SIDES, *search.MIN_FACE, search.BORDER],
    "thresholds": [*search.SURE, *search.UNSURE, search.SEVERAL],
    "whole": [CROP_SURE, CROP_UNSURE, *FRAMINGS, *FILLS, OVERLAP],
}
"""How a face is framed, for the fingerprint of what was embedded: MTCNN's search and the rules above. The other search
frames faces alike (``docs/detection.md``), so it makes no difference."""


Points = Callable[[Array, int, int], Array]
TURNS: dict[int, tuple[Image.Transpose, Points]] = {
    90: (Image.Transpose.ROTATE_90, lambda xy, width, height: np.stack([height - xy[:, 1], xy[:, 0]], axis=1)),
    180: (
        Image.Transpose.ROTATE_180,
        lambda xy, width, height: np.stack([width - xy[:, 0], height - xy[:, 1]], axis=1),
    ),
    270: (Image.Transpose.ROTATE_270, lambda xy, width, height: np.stack([xy[:, 1], width - xy[:, 0]], axis=1)),
}
"""Degrees counter-clockwise: how an image is turned, and how points (n, 2) of the turned image (of this width and
height) are turned back."""


class Evidence(NamedTuple):
    """What both networks answer about n images as a whole.

    Attributes:
        scores: (n,) O-Net's probability that the image is a face.
        heights: (n,) of the face that it sees over the image's.
        best: (n,) its highest score with some of the rim left out.
        opinions: (n,) libfacedetection's score of the best face in it (0-1); 1 where it is not asked.
        filled: (n,) height of that face over the image's shorter side; 1 where it is not asked.
    """

    scores: Array
    heights: Array
    best: Array
    opinions: Array
    filled: Array

    def are_crops(self) -> npt.NDArray[np.bool_]:
        """Whether a face fills the image, so that no search is needed."""
        fills = (self.scores >= CROP_SURE) & (self.heights >= FILLS[0]) & (self.heights <= FILLS[1])
        seen = (self.opinions >= CONFIRMED[0]) & (self.filled >= FILLED)
        confirmed: npt.NDArray[np.bool_] = seen | ((self.opinions < CONFIRMED[0]) & (self.scores >= CONFIRMED[1]))
        return fills & confirmed

    def may_be_crop(self, i: int) -> bool:
        """Whether an image in which the search finds no face may be one nevertheless."""
        confirmed = self.opinions[i] >= CONFIRMED_UNSURE and self.filled[i] >= FILLED
        return bool(confirmed and self.best[i] >= CROP_UNSURE)

    def upright(self) -> Array:
        """(n,) Evidence of an upright face in it, 0-1.2: both networks score turned faces lower."""
        upright: Array = self.opinions + np.float32(0.2) * self.best
        return upright

    def of(self, rows: Sequence[int]) -> Evidence:
        """Of some of the images."""
        return Evidence(*(part[list(rows)] for part in self))


class FaceFinder:
    """A search and the rules above."""

    def __init__(self, device: str = "cpu", engine: Engine = "torch", search: SearchName | None = None) -> None:
        """``engine`` runs MTCNN's networks, always in float32: it changes no answer.

        Args:
            search: ``libfacedetection`` or ``mtcnn``; by default the first, where it is installed.

        Raises:
            MaskclsError: MTCNN's weights are damaged, the search is not installed, or see
                :func:`~..facenet.runtimes.check_process`.
        """
        check_process()
        self._detector = Detector(device, engine)
        self._search = pick_search(search, self._detector)

    def find(self, images: Sequence[Image.Image], mode: FaceMode = "auto") -> list[Found | None]:
        """The largest face of every RGB image, or ``None`` where there is none; see :meth:`find_all`."""
        return [faces[0] if faces else None for faces in self.find_all(images, mode)]

    def find_all(self, images: Sequence[Image.Image], mode: FaceMode = "auto") -> list[list[Found]]:
        """All faces of every RGB image, the largest first.

        ``whole`` takes each image as it is; ``detect`` only searches; ``auto`` takes an image whole when its
        face fills it, searches otherwise, and falls back to the whole image when the search finds nothing, or
        nothing sure, and the image still looks like a face. It also turns an image in which a face would be upright
        then. Dark images are lifted before.

        Raises:
            MaskclsError: see :func:`~..facenet.runtimes.check_process`.
        """
        check_process()
        if mode == "whole":
            return [[_whole(image, 1.0)] for image in images]
        lifted = [lift(image) for image in images]
        if mode == "detect" or not images:
            return [_detected(faces) for faces in self._search.find(lifted)]
        evidence = self._evidence(lifted)
        found = self._found(lifted, evidence)
        if not self._search.turns:
            return found
        doubtful = [i for i in np.flatnonzero(evidence.upright() < UPRIGHT).tolist() if len(found[i]) < 2]
        turns = self._turns([lifted[i] for i in doubtful], evidence.of(doubtful))
        for i, (turn, seen) in zip(doubtful, turns, strict=True):
            if turn:
                turned = lifted[i].transpose(TURNS[turn][0])
                (again,) = self._found([turned], seen)
                found[i] = [self._turned_back(face, turned, turn) for face in again] or found[i]
        return found

    def _found(self, images: Sequence[Image.Image], evidence: Evidence) -> list[list[Found]]:
        found: list[list[Found]] = [[] for _ in images]
        for i in np.flatnonzero(evidence.are_crops()).tolist():
            found[i] = [_whole(images[i], float(evidence.scores[i]))]
        todo = [i for i, faces in enumerate(found) if not faces]
        for i, candidates in zip(todo, self._search.find([images[i] for i in todo]), strict=True):
            found[i] = _detected(candidates)
            if len(found[i]) == 1:
                found[i] = [_or_whole(found[i][0], images[i])]
            if all(face.how == "detect" and face.score < self._search.sure for face in found[i]):
                score = float(evidence.best[i])
                if evidence.may_be_crop(i) and all(score > rival.score for rival in found[i]):
                    found[i] = [_whole(images[i], score)]
        return found

    def _evidence(self, images: Sequence[Image.Image]) -> Evidence:
        """O-Net's and libfacedetection's answers about the images as a whole."""
        asked = [self._ask_whole(images, framing) for framing in FRAMINGS]
        return Evidence(*asked[0], np.max([scores for scores, _ in asked], axis=0), *self._search.opinions(images))

    def _turns(self, images: Sequence[Image.Image], evidence: Evidence) -> list[tuple[int, Evidence]]:
        """For each image the degrees, counter-clockwise, by which it is to be turned, and the evidence of it then."""
        best = [(0, evidence.of([i])) for i in range(len(images))]
        for turn, (way, _) in TURNS.items() if images else ():
            other = self._evidence([image.transpose(way) for image in images])
            for i, (before, seen) in enumerate(best):
                least = seen.upright()[0] + (0 if before else TURN_MARGIN)
                surer = other.opinions[i] >= TURN_OPINION and other.best[i] > seen.best[0]
                if surer and other.upright()[i] > least:
                    best[i] = (turn, other.of([i]))
        return best

    def _turned_back(self, face: Found, image: Image.Image, turn: int) -> Found:
        """A face of a turned image in pixels of the image before."""
        points, box = face.landmarks, face.box
        if face.how == "whole":  # a crop of the image before is turned by its landmarks
            points = self.landmarks([image], [face])[0]
            middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 / np.float32(1 + MARGIN)
            box = np.concatenate([middle - half, middle + half])
        back = TURNS[turn][1]
        corners = back(box.reshape(2, 2), *image.size)
        box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
        return Found(box, back(points, *image.size), face.score, face.faces, "detect", turn)

    def landmarks(self, images: Sequence[Image.Image], faces: Sequence[Found]) -> Array:
        """Eyes, nose and mouth corners (n, 5, 2) in pixels; O-Net is asked for those of photos taken whole."""
        points = np.zeros((len(faces), 5, 2), np.float32)
        for i, (image, face) in enumerate(zip(images, faces, strict=True)):
            if len(face.landmarks):
                points[i] = face.landmarks
                continue
            x0, y0, x1, y1 = (float(v) for v in face.box)
            points[i] = self._detector.refine(_tile(image, (x0, y0, x1, y1))[None], face.box[None]).landmarks[0]
        return points

    def _ask_whole(self, images: Sequence[Image.Image], left_out: float) -> tuple[Array, Array]:
        """O-Net's score of each image without its rim, and the height of its refined box over the tile's."""
        tiles = np.stack([_tile(image, _without_rim(image, left_out)) for image in images])
        box, _, probabilities = self._detector.score(tiles)
        return probabilities[:, 1], 1 + box[:, 3] - box[:, 1]


def _tile(image: Image.Image, box: tuple[float, float, float, float]) -> npt.NDArray[np.uint8]:
    """A box of the image at O-Net's input size (48, 48, 3)."""
    return np.asarray(image.resize((48, 48), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0))


def _detected(candidates: Candidates) -> list[Found]:
    count = len(candidates.scores)
    return [Found(box, points, float(score), count, "detect") for box, score, points in zip(*candidates, strict=True)]


def _without_rim(image: Image.Image, left_out: float) -> tuple[float, float, float, float]:
    """The box of an image without a share of its width and height."""
    x, y = (side * left_out / 2 for side in image.size)
    return x, y, image.width - x, image.height - y


def _or_whole(face: Found, image: Image.Image) -> Found:
    """The whole image where a detected face fills it."""
    whole = _whole(image, face.score)
    return whole if overlaps(face.box[None], whole.box[None])[0, 0] >= OVERLAP else face


def _whole(image: Image.Image, score: float) -> Found:
    """The central square of a photo, as wide as its shorter side."""
    width, height = image.size
    side = min(width, height)
    x, y = (width - side) / 2, (height - side) / 2
    box = np.array([x, y, x + side, y + side], np.float32)
    return Found(box, np.empty((0, 2), np.float32), score, 1, "whole")
