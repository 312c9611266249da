"""The pixels of a pool's faces, read once and kept in a temporary file while networks are trained on them."""

from __future__ import annotations

from collections.abc import Callable
from tempfile import TemporaryFile

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from ....embedder.faceset.crops import check_photos, read_crops, read_whole
from .settings import Crop

BATCH = 64

Progress = Callable[[int, int], None]
Ints = npt.NDArray[np.int64]


class Photos:
    """Images of n faces; nothing of them stays on disk when the program ends."""

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Hold RGB pixels (n, size, size, 3)."""
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def images(self, rows: Ints) -> Tensor:
        """uint8 (len(rows), 3, size, size)."""
        return torch.from_numpy(np.asarray(self._pixels[rows])).permute(0, 3, 1, 2)


def read_photos(
    table: pd.DataFrame,
    crop: Crop,
    size: int,
    progress: Progress = lambda done, total: None,
    jobs: int = 2,
) -> Photos:
    """The faces of a pool's table as square images: cut out as they were embedded, or their whole photos.

    Raises:
        MaskclsError: a photo is gone, unreadable or not the one that was embedded.
    """
    check_photos(table)
    read = read_crops if crop == "face" else read_whole
    with TemporaryFile() as file:  # the mapping outlives it
        pixels = np.memmap(file, np.uint8, "w+", shape=(max(1, len(table)), size, size, 3))[: len(table)]
    for start in range(0, len(table), BATCH):
        progress(start, len(table))
        part = slice(start, start + BATCH)
        pixels[part] = read(table[part], jobs, size)
    progress(len(table), len(table))
    return Photos(pixels)
