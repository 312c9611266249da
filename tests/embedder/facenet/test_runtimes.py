from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from maskcls.embedder.detection.align import align
from maskcls.embedder.detection.detector import Detector
from maskcls.embedder.detection.finder import FaceFinder, FaceMode
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet import runtimes
from maskcls.embedder.facenet.encoder import Encoded, FaceNetEncoder
from maskcls.embedder.facenet.runtimes import Runtime, one_thread, pick_runtime, threads
from maskcls.embedder.facenet.weights import load_facenet
from maskcls.embedder.photo import read_photo

FASTER = [
    pytest.param(Runtime("torch", "bf16"), 0.999, id="torch bf16"),
    pytest.param(Runtime("openvino", "fp32"), 0.99999, id="openvino fp32"),
    pytest.param(Runtime("openvino", "bf16"), 0.999, id="openvino bf16"),
]
Crops = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def images(data: Path) -> list[Image.Image]:
    """Bare and masked faces of ten people that are crops, and four that must be searched for."""
    people = sorted((data / "contest" / "images").iterdir())[:10]
    crops = [next(person.glob(name)) for person in people for name in ("normal.*", "mask1.*")]
    scenes = sorted((data / "masks" / "rendered").rglob("*.*g"))[:4]
    return [read_photo(path).image for path in (*crops, *scenes)]


@pytest.fixture(scope="module")
def crops(images: list[Image.Image], finder: FaceFinder) -> Crops:
    faces = finder.find(images)
    return np.stack([align(image, face) for image, face in zip(images, faces, strict=True) if face is not None])


@pytest.fixture(scope="module")
def reference(crops: Crops, encoder: FaceNetEncoder) -> Encoded:
    """What torch says in float32."""
    return encoder.encode(crops)


@pytest.mark.parametrize(("runtime", "cosine"), FASTER)
def test_every_runtime_sees_what_torch_sees(runtime: Runtime, cosine: float, crops: Crops, reference: Encoded) -> None:
    encoder = FaceNetEncoder(runtime=runtime)
    encoded = encoder.encode(crops)
    assert (encoded.embeddings * reference.embeddings).sum(axis=1).min() > cosine
    assert encoded.norms == pytest.approx(reference.norms, rel=0.02)
    difference = encoded.maps.astype(np.float32) - reference.maps.astype(np.float32)
    assert np.abs(difference).mean() < 0.02 * reference.maps.astype(np.float32).mean()
    assert [part.dtype for part in encoded] == [part.dtype for part in reference]
    assert [part.shape for part in encoded] == [part.shape for part in reference]
    assert (encoder.info.runtime, encoder.info.fingerprint) == (str(runtime), FaceNetEncoder().info.fingerprint)
    assert encoder.info == FaceNetEncoder().info
    assert len(encoder.encode(crops[:0]).maps) == 0


@pytest.mark.parametrize("runtime", [Runtime("torch", "fp32"), Runtime("openvino", "fp32")], ids=str)
def test_a_face_alone_and_in_a_batch(runtime: Runtime, crops: Crops) -> None:
    encoder = FaceNetEncoder(runtime=runtime)
    together = encoder.encode(crops)
    for i in (0, 7, len(crops) - 1):
        alone = encoder.encode(crops[i : i + 1])
        assert np.abs(alone.embeddings[0] - together.embeddings[i]).max() < 1e-5
        assert np.abs(alone.maps[0].astype(np.float32) - together.maps[i]).max() < 1e-3


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_tuned_backbone_is_run_too(engine: runtimes.Engine, crops: Crops) -> None:
    backbone = load_facenet()[0].state_dict()
    tuned = {name: 1.5 * backbone[name] for name in backbone if name.startswith("block8.conv2d")}
    seen = FaceNetEncoder(tuned=tuned, runtime=Runtime(engine)).encode(crops[:2])
    expected = FaceNetEncoder(tuned=tuned).encode(crops[:2])
    plain = FaceNetEncoder().encode(crops[:2])
    assert np.abs(seen.embeddings - expected.embeddings).max() < 1e-5
    assert np.abs(seen.embeddings - plain.embeddings).max() > 1e-3


@pytest.mark.parametrize("mode", ["auto", "detect"])
def test_openvino_finds_the_same_faces(mode: FaceMode, images: list[Image.Image], finder: FaceFinder) -> None:
    other = FaceFinder(engine="openvino")
    for one, two in zip(finder.find(images, mode), other.find(images, mode), strict=True):
        assert (one is None) == (two is None)
        if one is not None and two is not None:
            assert (one.how, one.faces) == (two.how, two.faces)
            assert two.score == pytest.approx(one.score, abs=1e-4)
            assert two.box == pytest.approx(one.box, abs=0.05)
            assert two.landmarks == pytest.approx(one.landmarks, abs=0.05)


def test_without_a_cache_networks_are_exported_on_every_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    (tmp_path / "maskcls").write_text("a file where the cache would be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tiles = rng.integers(0, 256, (3, 48, 48, 3), np.uint8)
    for one, two in zip(Detector(engine="openvino").score(tiles), Detector().score(tiles), strict=True):
        assert np.abs(one - two).max() < 1e-5


def test_openvino_reports_to_nobody() -> None:
    code = (
        "import sys; from maskcls.embedder.facenet.openvino import _openvino; _openvino();"
        "sys.exit(any(name.startswith('openvino_telemetry.') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("asked", "installed", "native", "expected"),
    [
        pytest.param(("auto", "auto", "cpu"), True, True, "openvino bf16", id="everything there"),
        pytest.param(("auto", "auto", "cpu"), False, True, "torch bf16", id="no OpenVINO"),
        pytest.param(("auto", "auto", "cpu"), True, False, "openvino fp32", id="no bf16"),
        pytest.param(("auto", "auto", "cpu"), False, False, "torch fp32", id="neither"),
        pytest.param(("auto", "auto", "cuda"), True, True, "torch bf16", id="GPU"),
        pytest.param(("torch", "auto", "cpu"), True, True, "torch bf16", id="torch"),
        pytest.param(("openvino", "fp32", "cpu"), True, True, "openvino fp32", id="fp32"),
        pytest.param(("torch", "bf16", "cpu"), False, True, "torch bf16", id="bf16"),
    ],
)
def test_pick_runtime(
    monkeypatch: pytest.MonkeyPatch, asked: tuple[str, str, str], installed: bool, native: bool, expected: str
) -> None:
    monkeypatch.setattr(runtimes, "has_openvino", lambda: installed)
    monkeypatch.setattr(runtimes, "has_bf16", lambda device: native)
    assert str(pick_runtime(*asked)) == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("onnx",), "--runtime onnx: choose auto, torch or openvino"),
        (("auto", "int8"), "--precision int8: choose auto, fp32 or bf16"),
        (("openvino", "auto", "cuda"), "--runtime openvino runs on the processor, not on --device cuda"),
        (("openvino",), "--runtime openvino: OpenVINO is not installed; run `pip install 'maskcls[fast]'`"),
        (("auto", "bf16"), "--precision bf16: this processor does not compute in bfloat16"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_pick_runtime_refuses(monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...], message: str) -> None:
    monkeypatch.setattr(runtimes, "has_openvino", lambda: False)
    monkeypatch.setattr(runtimes, "has_bf16", lambda device: False)
    with pytest.raises(MaskclsError) as error:
        pick_runtime(*asked)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(("asked", "expected"), [("3", 3), ("1", 1)])
def test_threads_are_as_many_as_asked_for(monkeypatch: pytest.MonkeyPatch, asked: str, expected: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads() == expected


@pytest.mark.parametrize("asked", ["", "0", "four"])
def test_threads_by_themselves(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads() >= 1


@pytest.fixture
def three_threads() -> Iterator[None]:
    """Torch with three threads, until the test ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_one_thread_also_in_new_threads_and_not_for_longer() -> None:
    def run() -> None:
        with one_thread(), ThreadPoolExecutor(1) as pool:
            assert (torch.get_num_threads(), pool.submit(torch.get_num_threads).result()) == (1, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert torch.get_num_threads() == 3
