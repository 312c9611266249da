"""Two searches for the faces in a photo: libfacedetection's, with MTCNN's last stage as a second opinion, and MTCNN's.

Both frame a face by MTCNN's O-Net, so that its crop hardly depends on which of them found it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from .detector import Array, Candidates, Detector, no_candidates
from .libfacedetection import has_libfacedetection, propose
from .overlap import overlaps

SearchName = Literal["libfacedetection", "mtcnn"]

SIDES = (320, 640)
"""libfacedetection searches a photo twice: with its longest side of the first length, in pixels, for large faces, and
:data:`ENLARGED` times enlarged, but to the second length at most, for small ones."""
ENLARGED = 1.6
SAME = 0.4
"""Overlap (intersection over union) from which two boxes are one face, the one with the higher score."""
SMALL_SIDE = 128
"""Longest side of the small copy in which libfacedetection looks for a face that fills the photo, in pixels."""
SURE_PROPOSAL = 0.75
"""libfacedetection's score from which a proposal is a face."""
PROPOSAL, SECONDED = 0.45, 0.3
"""The lower score from which it is one if O-Net scores it at least as the second number says."""
FRAMED = 0.5
"""O-Net's score from which its box and landmarks frame the face; below, libfacedetection's do."""

MTCNN_SIDES = (200, 512)
"""MTCNN searches a photo with its longest side scaled into this range, in pixels."""
MIN_FACE = (40, 1 / 8)
"""Smallest face that MTCNN searches for: pixels, and share of the longest side, whichever is larger."""
SURE = (0.6, 0.7, 0.7)
"""P-, R- and O-Net thresholds of MTCNN's first search (facenet-pytorch's own)."""
UNSURE = (0.5, 0.5, 0.5)
"""Thresholds of the second search, with a border, for photos in which the first finds nothing."""
BORDER = 0.2
SEVERAL = 0.9
"""Score from which MTCNN's boxes are faces; where none has it, the best box is."""


class Search(Protocol):
    """Finds faces in photos.

    Attributes:
        sure: score from which a face that was found is not doubted.
        turns: whether :meth:`opinions` can tell an upright face from a turned one.
    """

    sure: float
    turns: bool

    def find(self, images: Sequence[Image.Image]) -> list[Candidates]:
        """The faces of every RGB image, in its pixels, largest first; scores are probabilities (0-1)."""

    def opinions(self, images: Sequence[Image.Image]) -> tuple[Array, Array]:
        """A second opinion on whether each image as a whole is a face.

        Returns:
            scores (n,) of the best face in it, 0-1, and its height (n,) over the image's shorter side.
        """


def pick_search(name: SearchName | None, detector: Detector) -> Search:
    """The search of that name; without one libfacedetection's, where it is installed.

    Raises:
        MaskclsError: libfacedetection is not installed.
    """
    if name == "mtcnn" or (name is None and not has_libfacedetection()):
        return MtcnnSearch(detector)
    propose(np.zeros((32, 32, 3), np.uint8))
    return LibfacedetectionSearch(detector)


class LibfacedetectionSearch:
    """libfacedetection proposes; O-Net refines a box twice, and gives landmarks and a second opinion."""

    sure = 0.0
    turns = True

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def find(self, images: Sequence[Image.Image]) -> list[Candidates]:
        """See :class:`Search`. The score of a face is the higher one of both opinions."""
        proposals = [_proposals(image) for image in images]
        owners = np.repeat(np.arange(len(images)), [len(one.scores) for one in proposals])
        if not len(owners):
            return [no_candidates()] * len(images)
        proposed = Candidates(*(np.concatenate(parts) for parts in zip(*proposals, strict=True)))
        refined = proposed
        for _ in range(2):
            squares = _squares(refined.boxes)
            tiles = [_cut(images[i], square) for i, square in zip(owners.tolist(), squares, strict=True)]
            boxes, scores, landmarks = self._detector.refine(np.stack(tiles), squares)
            refined = Candidates(boxes.round(2), scores, landmarks.round(2))  # the last digits depend on the batch
        framed = refined.scores >= FRAMED
        faces = Candidates(
            np.where(framed[:, None], refined.boxes, proposed.boxes),
            np.maximum(refined.scores, proposed.scores),
            np.where(framed[:, None, None], refined.landmarks, proposed.landmarks),
        )
        kept = (proposed.scores >= SURE_PROPOSAL) | (refined.scores >= SECONDED)
        return [by_size(_distinct(faces.where(kept & (owners == i)))) for i in range(len(images))]

    def opinions(self, images: Sequence[Image.Image]) -> tuple[Array, Array]:
        """See :class:`Search`; a small copy of the image is searched."""
        scores, heights = np.zeros((2, len(images)), np.float32)
        for i, image in enumerate(images):
            small = _resized(image, SMALL_SIDE / max(image.size))
            faces = propose(np.asarray(small))
            if len(faces.scores):
                best = int(faces.scores.argmax())
                scores[i] = faces.scores[best]
                heights[i] = (faces.boxes[best, 3] - faces.boxes[best, 1]) / min(small.size)
        return scores, heights


class MtcnnSearch:
    """MTCNN's own three stages, which search at many scales."""

    sure = SEVERAL
    turns = False

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def find(self, images: Sequence[Image.Image]) -> list[Candidates]:
        """See :class:`Search`."""
        found = self._search(images, SURE, 0.0)
        lost = [i for i, faces in enumerate(found) if not len(faces.scores)]
        for i, faces in zip(lost, self._search([images[i] for i in lost], UNSURE, BORDER), strict=True):
            found[i] = faces
        return found

    def opinions(self, images: Sequence[Image.Image]) -> tuple[Array, Array]:
        """See :class:`Search`; O-Net's opinion, the first one, is all that there is."""
        return np.ones(len(images), np.float32), np.ones(len(images), np.float32)

    def _search(
        self, images: Sequence[Image.Image], thresholds: tuple[float, float, float], border: float
    ) -> list[Candidates]:
        found = [no_candidates()] * len(images)
        by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
        canvases: list[npt.NDArray[np.uint8]] = []
        for i, image in enumerate(images):
            canvases.append(_canvas(image, border))
            by_shape[canvases[i].shape[:2]].append(i)  # MTCNN batches images of one size only
        for members in by_shape.values():
            batch = np.stack([canvases[i] for i in members])
            longest, shortest = max(batch.shape[1:3]), min(batch.shape[1:3])
            smallest = min(max(MIN_FACE[0], MIN_FACE[1] * longest), 0.95 * shortest)
            for i, candidates in zip(members, self._detector.search(batch, thresholds, smallest), strict=True):
                if candidates is not None:
                    found[i] = _in_image(_sure_or_best(candidates), images[i], border)
        return found


def by_size(faces: Candidates) -> Candidates:
    """The same faces, the largest box first."""
    areas = (faces.boxes[:, 2] - faces.boxes[:, 0]) * (faces.boxes[:, 3] - faces.boxes[:, 1])
    return faces.where(np.argsort(-areas, kind="stable"))


def _proposals(image: Image.Image) -> Candidates:
    """libfacedetection's boxes in pixels of the image, as far as O-Net is to be asked about them."""
    longest = max(image.size)
    found = []
    for side in sorted({float(SIDES[0]), float(np.clip(ENLARGED * longest, *SIDES))}):
        scale = side / longest
        boxes, scores, landmarks = propose(np.asarray(_resized(image, scale)))
        found.append(Candidates(boxes / scale, scores, landmarks / scale).where(scores >= PROPOSAL))
    return _distinct(Candidates(*(np.concatenate(parts).astype(np.float32) for parts in zip(*found, strict=True))))


def _distinct(proposals: Candidates) -> Candidates:
    """One box for each face: the one with the highest score."""
    kept: list[int] = []
    for i in np.argsort(-proposals.scores, kind="stable").tolist():
        if not kept or overlaps(proposals.boxes[i : i + 1], proposals.boxes[kept]).max() < SAME:
            kept.append(i)
    return proposals.where(np.array(kept, np.intp))


def _squares(boxes: Array) -> Array:
    """The boxes as squares around their middles, as high or wide as they are."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def _cut(image: Image.Image, square: Array) -> npt.NDArray[np.uint8]:
    """A square of an image at O-Net's input size (48, 48, 3), black beyond the edges."""
    x0, y0 = np.floor(square[:2]).astype(int).tolist()
    x1, y1 = np.ceil(square[2:]).astype(int).tolist()
    inside = np.clip(square - [x0, y0, x0, y0], 0, max(x1 - x0, y1 - y0)).tolist()
    part = image.crop((x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)))
    return np.asarray(part.resize((48, 48), Image.Resampling.BILINEAR, box=tuple(inside), reducing_gap=2.0))


def _resized(image: Image.Image, scale: float) -> Image.Image:
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _mtcnn_scale(image: Image.Image) -> float:
    longest = max(image.size)
    return float(np.clip(longest, *MTCNN_SIDES)) / longest


def _canvas(image: Image.Image, border: float) -> npt.NDArray[np.uint8]:
    """The image at MTCNN's size inside a black border (a share of its width and height, each side)."""
    pixels = np.asarray(_resized(image, _mtcnn_scale(image)))
    y, x = (round(border * side) for side in pixels.shape[:2])
    return np.pad(pixels, ((y, y), (x, x), (0, 0)))


def _sure_or_best(faces: Candidates) -> Candidates:
    """The sure faces, largest first; the best one where none is sure."""
    kept = faces.scores >= SEVERAL
    if not kept.any():
        kept = np.arange(len(faces.scores)) == int(np.argmax(faces.scores))
    return by_size(faces.where(kept))


def _in_image(faces: Candidates, image: Image.Image, border: float) -> Candidates:
    """Faces of a canvas in pixels of the image."""
    scale = _mtcnn_scale(image)
    corner = np.round(np.float32(border) * np.round(np.array(image.size, np.float32) * scale))
    boxes = ((faces.boxes.reshape(-1, 2, 2) - corner) / scale).reshape(-1, 4)
    return Candidates(boxes.astype(np.float32), faces.scores, ((faces.landmarks - corner) / scale).astype(np.float32))
