"""The labelled faces of a photo among those that are found in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..datasets.box import Box
from ..detection.overlap import match
from ..pipeline import NO_FACE, EncodedFace

NO_FACE_AT = f"{NO_FACE} at "


def no_face_at(box: Box | str) -> str:
    """Why a labelled face is rejected that is not among those found."""
    return f"{NO_FACE_AT}{box}"


def labelled_faces(faces: Sequence[EncodedFace], boxes: Sequence[Box]) -> list[tuple[Box, EncodedFace | None]]:
    """Each labelled box of a photo with the found face that is it, see :func:`..detection.overlap.match`."""
    found = np.array([face.found.box for face in faces], np.float64).reshape(-1, 4)
    which = match(np.array(boxes, np.float64).reshape(-1, 4), found)
    return [(box, None if row < 0 else faces[row]) for box, row in zip(boxes, which.tolist(), strict=True)]
