"""The pixels of the faces, read once, and the random augmentation of training faces by torchvision's transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from tempfile import TemporaryFile

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

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


MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels (0-1), which torchvision's weights expect."""
CUTOUT_OFTEN = 0.5
"""Share of the faces that cutout blanks a square of."""

_scaled = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, DEVIATION)])


class ChosenRandAugment(v2.RandAugment):  # type: ignore[misc]
    """RandAugment (Cubuk et al. 2020, https://arxiv.org/abs/1909.13719) that draws from a chosen list of operations."""

    def __init__(self, names: Sequence[str], count: int, magnitude: int) -> None:
        super().__init__(count, magnitude, interpolation=InterpolationMode.BILINEAR)
        self._AUGMENTATION_SPACE = {name: v2.RandAugment._AUGMENTATION_SPACE[name] for name in names}


def augmentation(
    flip: bool, operations: Sequence[str], count: int, magnitude: int, cutout_share: float
) -> v2.Transform | nn.Module:
    """The transform of one training face, uint8 (3, size, size) to normalised float32 (3, size, size).

    Args:
        flip: mirror half of the faces.
        operations: names of :data:`.settings.OPERATIONS`; none turns RandAugment off.
        count: operations a face.
        magnitude: 0-30, of all of them.
        cutout_share: share of the area (0-1) of the square that is blanked (with the mean colour) in
            :data:`CUTOUT_OFTEN` of the faces (DeVries & Taylor 2017, https://arxiv.org/abs/1708.04552); 0 for none.
    """
    steps: list[nn.Module] = [v2.RandomHorizontalFlip()] if flip else []
    if operations:
        steps.append(ChosenRandAugment(operations, count, magnitude))
    steps.append(_scaled)
    if cutout_share:
        steps.append(v2.RandomErasing(CUTOUT_OFTEN, (cutout_share, cutout_share), (1.0, 1.0)))
    return v2.Compose(steps)


def augmented(images: Tensor, transform: v2.Transform | nn.Module) -> Tensor:
    """Each image of a uint8 batch (n, 3, size, size) by itself; channels last in memory."""
    return torch.stack([transform(image) for image in images]).contiguous(memory_format=torch.channels_last)


def normalised(images: Tensor) -> Tensor:
    """A uint8 batch (n, 3, size, size) as a network expects it, unchanged otherwise; channels last in memory."""
    scaled: Tensor = _scaled(images)
    return scaled.contiguous(memory_format=torch.channels_last)
