"""torchvision's backbones with one linear head a task, and their ImageNet weights."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings

from ....embedder.errors import MaskclsError
from ....embedder.photo import shown
from .settings import PATCH, Backbone, Task


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
    """Name and module of the layer that outputs the classes: in all these networks the last linear one."""
    return [(name, module) for name, module in net.named_modules() if isinstance(module, nn.Linear)][-1]


def parameters(nets: Sequence[nn.Module]) -> int:
    """How many numbers the networks hold."""
    return sum(weight.numel() for net in nets for weight in net.parameters())


def logits_of(net: nn.Module, images: Tensor, flip: bool, bfloat16: bool) -> dict[str, Tensor]:
    """Outputs of a network in evaluation mode, float32; with ``flip`` the mean of each image and its mirror image."""
    with torch.inference_mode(), torch.autocast(images.device.type, torch.bfloat16, bfloat16):
        outputs = {task: logits.float() for task, logits in net(images).items()}
        if flip:
            mirrored = net(images.flip(3))
            outputs = {task: (logits + mirrored[task].float()) / 2 for task, logits in outputs.items()}
    return outputs


State = dict[str, Tensor]


@dataclass(frozen=True)
class Pretrained:
    """Tensors by their names in torchvision's network, the name of their file and its SHA-256 (empty if unknown)."""

    state: State
    name: str
    sha256: str


def read_pretrained(path: Path, backbone: Backbone) -> Pretrained:
    """Weights from a ``.safetensors`` file, or from one of torchvision's ``.pth`` files for this backbone.

    A ``.pth`` must be one that torchvision publishes: its SHA-256 begins with the hash in the published file's name.
    It is then read without running any code that it might hold.

    Raises:
        MaskclsError: the file is missing, is none of these, or holds something else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MaskclsError(f"weights {shown(path)}: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    if path.suffix == ".safetensors":
        try:
            return Pretrained(load(data), path.name, digest)
        except SafetensorError as error:
            raise MaskclsError(f"weights {shown(path)}: not a safetensors file ({error})") from error
    known = published(backbone)
    if not any(digest.startswith(prefix) for prefix in known.values()):
        names = ", ".join(f"{name}" for name in known)
        raise MaskclsError(
            f"weights {shown(path)}: SHA-256 is {digest[:16]}…, that of none of torchvision's files for {backbone} "
            f"({names}); download one again, or give a .safetensors file"
        )
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types on a damaged file
        raise MaskclsError(f"weights {shown(path)}: cannot be read as weights") from error
    return Pretrained(state, path.name, digest)


def published(backbone: Backbone) -> dict[str, str]:
    """Names of the files torchvision publishes for a backbone -> first digits of their SHA-256."""
    names = [weights.url.rsplit("/", 1)[1] for weights in models.get_model_weights(backbone)]
    return {name: match[1] for name in names if (match := re.search(r"-([0-9a-f]{8,})\.pth$", name))}


def download_pretrained(backbone: Backbone) -> Pretrained:
    """The weights torchvision recommends for a backbone, from torch's cache or its server, hash checked.

    Raises:
        MaskclsError: they are neither in the cache nor can they be fetched.
    """
    weights = next(one for one in models.get_model_weights(backbone) if one.name == "IMAGENET1K_V1")
    try:
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise MaskclsError(
            f"--allow-download: {weights.url} cannot be fetched ({shown(str(error))}); give --weights FILE, or neither "
            "to train from scratch"
        ) from error
    return Pretrained(state, weights.url.rsplit("/", 1)[1], "")


def put_in(net: nn.Module, backbone: Backbone, image_size: int, weights: Pretrained) -> None:
    """Load ImageNet weights into a network of :func:`~.network.headless`; its last layer's are left aside.

    Position embeddings of vit_b_16 are interpolated to the image size.

    Raises:
        MaskclsError: they do not fit the network.
    """
    state = dict(weights.state)
    if backbone == "vit_b_16" and "encoder.pos_embedding" in state:
        state = dict(interpolate_embeddings(image_size, PATCH, state))
    own = net.state_dict()
    state = {name: value for name, value in state.items() if name in own or not name.startswith(LAST[backbone])}
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise MaskclsError(f"weights {shown(weights.name)}: not of torchvision's {backbone} ({reason})") from error


LAST: dict[str, str] = {
    **dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet152"), "fc."),
    "efficientnet_b0": "classifier.1.",
    "vgg19": "classifier.6.",
    "vit_b_16": "heads.head.",
}
"""Prefix of the last layer's tensors in torchvision's files."""
