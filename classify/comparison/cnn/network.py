"""torchvision's backbones with one linear head a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchvision import models

from .settings import Backbone, Task


class Network(nn.Module):
    """One backbone, and a linear head on its features for each task."""

    def __init__(self, backbone: Backbone, image_size: int, heads: Mapping[Task, int]) -> None:
        """Start from random weights; ``heads`` maps tasks to their numbers of classes."""
        super().__init__()
        self.backbone, width = headless(backbone, image_size)
        self.heads = nn.ModuleDict({task: nn.Linear(width, classes) for task, classes in heads.items()})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits (n, classes) by task, of normalised images (n, 3, size, size)."""
        features = self.backbone(images)
        return {task: head(features) for task, head in self.heads.items()}


def headless(backbone: Backbone, image_size: int) -> tuple[nn.Module, int]:
    """A torchvision network without its last layer, and how many features it gives."""
    more = {"image_size": image_size} if backbone == "vit_b_16" else {}
    net: nn.Module = models.get_model(backbone, weights=None, **more)
    name, last = last_layer(net)
    net.set_submodule(name, nn.Identity())
    return net, last.in_features


def last_layer(net: nn.Module) -> tuple[str, nn.Linear]:
    """Name and module of the layer that says the classes: in all these networks the last linear one."""
    return [(name, module) for name, module in net.named_modules() if isinstance(module, nn.Linear)][-1]


def parameters(nets: Sequence[nn.Module]) -> int:
    """How many numbers the networks hold."""
    return sum(weight.numel() for net in nets for weight in net.parameters())


def logits_of(net: nn.Module, images: Tensor, flip: bool, bfloat16: bool) -> dict[str, Tensor]:
    """What a network in evaluation mode says, as float32; with ``flip`` the mean of each image and its mirror image."""
    with torch.inference_mode(), torch.autocast(images.device.type, torch.bfloat16, bfloat16):
        said = {task: logits.float() for task, logits in net(images).items()}
        if flip:
            mirrored = net(images.flip(3))
            said = {task: (logits + mirrored[task].float()) / 2 for task, logits in said.items()}
    return said
