"""How training faces are changed at random: torchvision's transforms, each face by itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels (0-1), which torchvision's weights expect."""
CUTOUT_OFTEN = 0.5
"""Share of the faces that cutout blanks a square of."""
OPERATIONS = tuple(v2.RandAugment._AUGMENTATION_SPACE)
"""Operations that RandAugment can choose from."""

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
        operations: names of :data:`OPERATIONS`; none turns RandAugment off.
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
