"""Doubts about photos themselves: no face, or too blurred to say."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .doubts import Doubt
from .label_noise import wrong_probability

NO_FACE_NORMS = (8.6, 9.6, 10.2, 10.9, 12.1, 13.0, 13.9, 15.1, 16.4, 17.9)
"""Lengths of embeddings of squares cut from pictures without faces: quantiles .05, .15, … of ``benchmarks/no_face.py``.
Those of faces are about 22."""
BLURRED_SHARPNESS = (0.8, 0.9, 1.1, 1.3, 1.4, 1.6, 1.9, 2.2)
"""Sharpness of 160-pixel faces after Gaussian blur of three to eight pixels, see ``benchmarks/no_face.py``: their
embeddings have a cosine of .83 to .2 to those of the same faces unblurred."""


def photo_doubts(table: pd.DataFrame) -> list[Doubt]:
    """Doubts about n photos, by the length of the embedding before it is normalised and by sharpness.

    A photo is no face as far as the face finder agrees. Faces labelled as masked are not asked about: theirs are
    short embeddings, and the finder misses some of them.

    Args:
        table: see :data:`maskcls.embedder.table.COLUMNS`.
    """
    norm, sharpness, score = (table[name].to_numpy(np.float64) for name in ("norm", "sharpness", "face_score"))
    no_face = wrong_probability(-norm, -np.array(NO_FACE_NORMS)) * (1 - score.clip(0, 1))
    no_face[table["mask"].isin(("wear", "incorrect")).to_numpy(bool)] = 0
    blurred = wrong_probability(-np.log(sharpness.clip(0.1)), -np.log(BLURRED_SHARPNESS))
    found = []
    for row, (empty, soft) in enumerate(zip(no_face.tolist(), blurred.tolist(), strict=True)):
        text = f"embedding of length {norm[row]:.1f} (faces: 22, other things: 12), face finder {score[row]:.2f}"
        found.append(Doubt("no_face", (row,), "", "", "", empty, text))
        text = f"sharpness {sharpness[row]:.1f} squared grey levels; from 2 on downwards a face can hardly be told"
        found.append(Doubt("blurred", (row,), "", "", "", soft, text))
    return found
