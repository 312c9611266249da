"""FaceNet as one pass: aligned crops in; embedding and mid-level feature maps out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from facenet_pytorch import InceptionResnetV1
from facenet_pytorch.models.inception_resnet_v1 import BasicConv2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .encoder import MAP_SHAPE
from .runtimes import Precision

CROP_SIZE = 160
EMBEDDING_DIM = 512
BLOCKS = (
    "conv2d_1a",
    "conv2d_2a",
    "conv2d_2b",
    "maxpool_3a",
    "conv2d_3b",
    "conv2d_4a",
    "conv2d_4b",
    "repeat_1",
    "mixed_6a",
    "repeat_2",
    "mixed_7a",
    "repeat_3",
    "block8",
)
"""FaceNet's convolutional blocks, in the order in which an image passes them."""
MAP_BLOCK = "repeat_2"
"""The block whose output, (n, 896, 8, 8), is the feature map."""


def unfused_facenet() -> InceptionResnetV1:
    """facenet-pytorch's network with freshly initialised weights (nothing is downloaded)."""
    return InceptionResnetV1(pretrained=None, classify=False).eval()


def folded_facenet() -> InceptionResnetV1:
    """The same network with batch norm and residual scales folded away: 266 tensors, a strict load target."""
    net = unfused_facenet()
    for module in net.modules():
        if isinstance(module, BasicConv2d):
            conv = module.conv
            module.conv = nn.Conv2d(
                conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, bias=True
            )
            module.bn = nn.Identity()
        elif hasattr(module, "scale"):
            module.scale = 1.0
    net.last_linear = nn.Linear(net.last_linear.in_features, EMBEDDING_DIM, bias=True)
    net.last_bn = nn.Identity()
    return net.eval()


def fold(net: InceptionResnetV1) -> dict[str, Tensor]:
    """State dict for :func:`folded_facenet` of a network with batch norm, as the official checkpoint has it."""
    state: dict[str, Tensor] = {}
    for name, module in net.named_modules():
        if isinstance(module, BasicConv2d):
            bn = module.bn
            weight, bias = fuse_conv_bn_weights(
                module.conv.weight, None, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
            )
            state[f"{name}.conv.weight"], state[f"{name}.conv.bias"] = weight, bias
        elif hasattr(module, "scale"):
            state[f"{name}.conv2d.weight"] = module.conv2d.weight * module.scale
            state[f"{name}.conv2d.bias"] = module.conv2d.bias * module.scale
    gain = net.last_bn.weight / torch.sqrt(net.last_bn.running_var + net.last_bn.eps)
    state["last_linear.weight"] = net.last_linear.weight * gain[:, None]
    state["last_linear.bias"] = net.last_bn.bias - net.last_bn.running_mean * gain
    return {key: value.detach().clone().contiguous() for key, value in state.items()}


def scaled(pixels: Tensor) -> Tensor:
    """Pixels 0-255 of any dtype as FaceNet expects them: ``(x - 127.5) / 128``, float32."""
    return (pixels.float() - 127.5) / 128


def backbone_pass(net: InceptionResnetV1, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Feature map (n, 896, 8, 8) and embedding (n, 512), not normalised, of scaled pixels (n, 3, 160, 160)."""
    z = maps = pixels
    for name in BLOCKS:
        z = getattr(net, name)(z)
        if name == MAP_BLOCK:
            maps = z
    vectors: Tensor = net.last_bn(net.last_linear(net.avgpool_1a(z).flatten(1)))
    return maps, vectors


class Backbone(nn.Module):
    """Crops to maps and embeddings in one network, the way every runtime has it."""

    def __init__(self, net: InceptionResnetV1) -> None:
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (n, 896, 4, 4) float16 and embeddings (n, 512) float32, not normalised, of crops (n, 160, 160, 3)."""
        pixels = scaled(crops.permute(0, 3, 1, 2))  # stays channels-last in memory
        maps, vectors = backbone_pass(self.net, pixels)
        pooled = nn.functional.adaptive_avg_pool2d(maps.float(), MAP_SHAPE[1:])
        return pooled.contiguous().half(), vectors.float()


class TorchBackbone:
    """The backbone run by torch; with ``bf16`` its convolutions compute in bfloat16 (autocast)."""

    def __init__(self, net: InceptionResnetV1, device: str, precision: Precision) -> None:
        self._device, self._half = torch.device(device), precision == "bf16"
        self._backbone = Backbone(net.to(self._device, memory_format=torch.channels_last))

    def __call__(self, crops: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
        """See :meth:`Backbone.forward`."""
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
            return [part.cpu().numpy() for part in self._backbone(torch.from_numpy(crops).to(self._device))]


def blocks_from(depth: str) -> tuple[str, ...]:
    """The blocks from ``depth`` (one of :data:`BLOCKS`) on, and the embedding layer behind them."""
    return (*BLOCKS[BLOCKS.index(depth) :], "last_linear")
