from __future__ import annotations

import hashlib
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from maskcls.classify.comparison.cnn import network
from maskcls.classify.comparison.cnn.network import (
    LAST,
    Network,
    Pretrained,
    download_pretrained,
    headless,
    published,
    put_in,
    read_pretrained,
)
from maskcls.classify.comparison.cnn.settings import Backbone
from maskcls.embedder.errors import MaskclsError

BACKBONES: tuple[Backbone, ...] = get_args(Backbone)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_answers_and_takes_its_weights(backbone: Backbone) -> None:
    """On the meta device: shapes without numbers, so that vgg19 and vit_b_16 cost nothing."""
    with torch.device("meta"):
        net = Network(backbone, 64, {"mask": 3, "gender": 2, "age": 3}).eval()
        outputs = net(torch.empty(2, 3, 64, 64))
        whole = models.get_model(backbone, **({"image_size": 64} if backbone == "vit_b_16" else {}))
    assert {task: tuple(logits.shape) for task, logits in outputs.items()} == {
        "mask": (2, 3),
        "gender": (2, 2),
        "age": (2, 3),
    }
    left = {name for name in whole.state_dict() if not name.startswith(LAST[backbone])}
    assert left == set(net.backbone.state_dict())


def test_imagenet_weights_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = models.resnet18()
    save_file(whole.state_dict(), tmp_path / "mine.safetensors")
    weights = read_pretrained(tmp_path / "mine.safetensors", "resnet18")
    assert weights.sha256 == hashlib.sha256((tmp_path / "mine.safetensors").read_bytes()).hexdigest()
    net, _ = headless("resnet18", 64)
    put_in(net, "resnet18", 64, weights)
    torch.testing.assert_close(net.get_submodule("layer4.1.conv2").weight, whole.layer4[1].conv2.weight)


def test_position_embeddings_are_interpolated_to_the_image_size() -> None:
    with torch.device("meta"):
        net, _ = headless("vit_b_16", 128)
        state = models.vit_b_16(image_size=224).state_dict()
        put_in(net, "vit_b_16", 128, Pretrained(state, "vit.pth", ""))
    assert net.state_dict()["encoder.pos_embedding"].shape == (1, 1 + 8 * 8, 768)


def test_published_pth_is_read_and_any_other_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "any-name.pth"
    torch.save({"fc.weight": torch.ones(2)}, path)
    with pytest.raises(MaskclsError, match=r"any-name\.pth: SHA-256 is .* none of torchvision's files for resnet18"):
        read_pretrained(path, "resnet18")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(network, "published", lambda backbone: {"resnet18-x.pth": digest[:8]})
    assert torch.equal(read_pretrained(path, "resnet18").state["fc.weight"], torch.ones(2))


def test_hashes_of_torchvision_are_known() -> None:
    assert published("resnet18") == {"resnet18-f37072fd.pth": "f37072fd"}
    assert all(published(backbone) for backbone in BACKBONES)


def test_weights_of_another_network(tmp_path: Path) -> None:
    save_file({"layer1.weight": torch.ones(3)}, tmp_path / "other.safetensors")
    net, _ = headless("resnet18", 64)
    with pytest.raises(MaskclsError, match=r"other\.safetensors: not of torchvision's resnet18"):
        put_in(net, "resnet18", 64, read_pretrained(tmp_path / "other.safetensors", "resnet18"))


def test_no_network_to_download_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import urllib.request

    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(MaskclsError, match=r"--allow-download: .*resnet18.* cannot be fetched .*give --weights FILE"):
        download_pretrained("resnet18")
