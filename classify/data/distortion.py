"""Faces changed a little at random, as another photo of them might be."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

ALIKE = 4
"""Faces of a batch that are distorted alike: three times as fast as one by one."""
_DISTORT = v2.Compose(
    [
        v2.RandomHorizontalFlip(),
        v2.RandomAffine(8, (0.06, 0.06), (0.92, 1.08), interpolation=InterpolationMode.BILINEAR),
        v2.ColorJitter(0.25, 0.25, 0.25),
    ]
)


def distorted(crops: Tensor) -> Tensor:
    """Crops (n, 160, 160, 3) mirrored, turned, shifted, scaled and relit, uint8 as they were.

    They come as images (n, 3, 160, 160), channels last in memory. The randomness is torch's own.
    """
    images = crops.permute(0, 3, 1, 2)
    parts = torch.cat([_DISTORT(part) for part in torch.split(images, ALIKE)])
    return parts.contiguous(memory_format=torch.channels_last)
