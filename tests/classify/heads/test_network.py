from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from maskcls.classify.heads.ensemble import MEMBERS, in_half_precision
from maskcls.classify.heads.network import Head, TrainedHead, head_settings, load_heads, save_heads
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import MAP_SHAPE
from maskcls.embedder.labels import GENDERS, MASKS


def trained(classes: tuple[str, ...], seed: int, temperature: float = 0.7) -> TrainedHead:
    torch.manual_seed(seed)
    net = Head(len(classes))
    in_half_precision(net)
    return TrainedHead(net, classes, temperature)


@pytest.fixture(scope="module")
def heads() -> dict[str, TrainedHead]:
    return {"mask": trained(MASKS, 0), "gender": trained(GENDERS, 1, temperature=2.5)}


@pytest.fixture(scope="module")
def faces() -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float32]]:
    random = np.random.default_rng(0)
    maps = random.random((40, *MAP_SHAPE), np.float32).astype(np.float16)
    return maps, random.standard_normal((40, 512)).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 3])
def test_heads_are_small(classes: int) -> None:
    assert sum(p.numel() for p in Head(classes).parameters()) < 1_000_000


def test_a_head_says_the_mean_of_what_its_members_say(
    faces: tuple[npt.NDArray[np.float16], npt.NDArray[np.float32]],
) -> None:
    net = trained(MASKS, 0).net.eval()
    maps, embeddings = torch.from_numpy(faces[0]).float(), torch.from_numpy(faces[1])
    with torch.inference_mode():
        alone = net.member_logits(maps, embeddings)
        assert alone.shape == (MEMBERS, 40, 3)
        assert not torch.allclose(alone[0], alone[1], atol=1e-2)
        torch.testing.assert_close(net(maps, embeddings), alone.mean(dim=0))


@pytest.mark.parametrize("task", ["mask", "gender"])
def test_probabilities_are_calibrated_softmax(
    heads: dict[str, TrainedHead], faces: tuple[npt.NDArray[np.float16], npt.NDArray[np.float32]], task: str
) -> None:
    head = heads[task]
    probabilities = head.probabilities(*faces)
    assert probabilities.shape == (40, len(head.classes))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    expected = torch.softmax(head.logits(*faces) / head.temperature, dim=1).numpy()
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    assert len(np.unique(probabilities[:, 0])) > 30


def test_mirror_image_gets_the_same_answer(
    heads: dict[str, TrainedHead], faces: tuple[npt.NDArray[np.float16], npt.NDArray[np.float32]]
) -> None:
    maps, embeddings = faces
    mirrored = np.ascontiguousarray(maps[:, :, :, ::-1])
    np.testing.assert_allclose(
        heads["mask"].probabilities(mirrored, embeddings), heads["mask"].probabilities(maps, embeddings), atol=1e-5
    )


def test_no_faces_give_no_rows(
    heads: dict[str, TrainedHead], faces: tuple[npt.NDArray[np.float16], npt.NDArray[np.float32]]
) -> None:
    assert heads["mask"].probabilities(faces[0][:0], faces[1][:0]).shape == (0, 3)


def test_save_and_load_give_identical_probabilities(
    tmp_path: Path, heads: dict[str, TrainedHead], faces: tuple[npt.NDArray[np.float16], npt.NDArray[np.float32]]
) -> None:
    save_heads(tmp_path / "new" / "heads", heads)
    loaded = load_heads(tmp_path / "new" / "heads", head_settings(heads))
    assert list(loaded) == ["mask", "gender"]
    for task, head in heads.items():
        assert loaded[task].classes == head.classes
        np.testing.assert_array_equal(loaded[task].probabilities(*faces), head.probabilities(*faces))


def test_no_heads_can_be_saved(tmp_path: Path) -> None:
    save_heads(tmp_path / "heads", {})
    assert load_heads(tmp_path / "heads", {}) == {}


SETTINGS: dict[str, dict[str, object]] = {
    "mask": {"classes": ["wear", "incorrect", "normal"], "temperature": 0.7},
    "gender": {"classes": ["male", "female"], "temperature": 2.5},
}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize(
    ("damage", "settings"),
    [
        pytest.param(lambda path: path.unlink(), SETTINGS, id="missing"),
        pytest.param(lambda path: path.write_bytes(b""), SETTINGS, id="empty"),
        pytest.param(lambda path: path.write_bytes(b"\xff" * 99), SETTINGS, id="not safetensors"),
        pytest.param(truncate, SETTINGS, id="truncated"),
        pytest.param(lambda path: None, SETTINGS | {"smile": SETTINGS["gender"]}, id="no such head"),
        pytest.param(lambda path: None, {"mask": SETTINGS["gender"]}, id="other number of classes"),
        pytest.param(lambda path: None, {"mask": {"classes": ["a", "b", "c"]}}, id="no temperature"),
        pytest.param(lambda path: None, {"mask": {"temperature": 1.0}}, id="no classes"),
    ],
)
def test_bad_file_is_one_line(
    tmp_path: Path,
    heads: dict[str, TrainedHead],
    damage: Callable[[Path], object],
    settings: dict[str, dict[str, object]],
) -> None:
    path = tmp_path / "heads"
    save_heads(path, heads)
    damage(path)
    with pytest.raises(MaskclsError, match="not the heads of this model; build the model again") as caught:
        load_heads(path, settings)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
