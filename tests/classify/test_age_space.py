from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import save_file

from maskcls.classify.age_space import MAP_GAIN, AgeSpace, age_features, fit_age_space
from maskcls.embedder.errors import MaskclsError
from maskcls.index.gallery import Gallery

Floats = npt.NDArray[np.float32]
WIDTH = 60


def ageing(count: int, seed: int) -> tuple[Floats, Floats]:
    """Features in which two faint directions carry the age and many strong ones do not."""
    random = np.random.default_rng(seed)
    ages = random.integers(0, 100, count).astype(np.float32)
    features = random.standard_normal((count, WIDTH)).astype(np.float32)
    features[:, 0] = np.sin(ages / 32) + 0.05 * features[:, 0]
    features[:, 1] = np.cos(ages / 32) + 0.05 * features[:, 1]
    return features, ages


def nearest_neighbour_error(gallery_vectors: Floats, gallery_ages: Floats, queries: Floats, ages: Floats) -> float:
    gallery = Gallery(gallery_vectors.shape[1])
    gallery.add(gallery_vectors, np.arange(len(gallery_vectors)))
    return float(np.abs(gallery_ages[gallery.search(queries, 1).ids[:, 0]] - ages).mean())


def test_neighbours_in_the_age_space_are_nearer_in_age() -> None:
    features, ages = ageing(1200, 1)
    queries, truth = ageing(300, 2)
    space = fit_age_space(features, ages)
    raw = nearest_neighbour_error(features, ages, queries, truth)
    fitted = nearest_neighbour_error(space.project(features), ages, space.project(queries), truth)
    assert fitted < 0.5 * raw


def test_age_features_are_embedding_and_pooled_map() -> None:
    random = np.random.default_rng(0)
    embeddings = random.random((1100, 512), np.float32)
    maps = random.random((1100, 896, 1, 2), np.float32).astype(np.float16)  # more than one block
    features = age_features(embeddings, maps)
    assert features.shape == (1100, 1408)
    np.testing.assert_array_equal(features[:, :512], embeddings)
    np.testing.assert_allclose(features[:, 512:], MAP_GAIN * maps.astype(np.float32).mean(axis=(2, 3)), rtol=1e-5)
    assert age_features(embeddings[:0], maps[:0]).shape == (0, 1408)


@pytest.mark.parametrize(("bins", "dimension"), [(4, 3), (20, 19)])
def test_dimension_is_one_less_than_the_bins(bins: int, dimension: int) -> None:
    features, _ = ageing(20 * bins, 0)
    space = fit_age_space(features, np.repeat(np.arange(bins, dtype=np.float32) * 5, 20))
    assert space.dimension == dimension
    assert space.mean.shape == (WIDTH,)
    assert space.matrix.shape == (WIDTH, dimension)
    projected = space.project(features[:7])
    assert projected.shape == (7, dimension)
    assert projected.dtype == np.float32
    np.testing.assert_allclose(projected, (features[:7] - space.mean) @ space.matrix, atol=1e-5)


@pytest.mark.parametrize(
    "ages",
    [
        pytest.param([], id="nobody"),
        pytest.param(range(100), id="few faces a bin"),
        pytest.param([20] * 50 + [30] * 50 + [40] * 50, id="three bins"),
        pytest.param([20] * 50 + [30] * 50 + [40] * 50 + [50] * 9, id="fourth bin too small"),
    ],
)
def test_too_few_faces_give_the_embedding_itself(ages: list[float]) -> None:
    features = np.random.default_rng(0).standard_normal((len(ages), 1408)).astype(np.float32)
    space = fit_age_space(features, np.array(ages, np.float32))
    assert space.dimension == 512
    np.testing.assert_array_equal(space.project(features), features[:, :512])


def test_save_and_load(tmp_path: Path) -> None:
    features, ages = ageing(500, 0)
    space = fit_age_space(features, ages)
    space.save(tmp_path / "new" / "space")
    loaded = AgeSpace.load(tmp_path / "new" / "space")
    np.testing.assert_array_equal(loaded.project(features), space.project(features))


def save_without_mean(path: Path) -> None:
    save_file({"matrix": np.eye(3, dtype=np.float32)}, path)


def save_truncated(path: Path) -> None:
    AgeSpace(np.zeros(8, np.float32), np.eye(8, dtype=np.float32)).save(path)
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda path: None, id="missing"),
        pytest.param(lambda path: path.mkdir(), id="a folder"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"\xff" * 99), id="not safetensors"),
        pytest.param(save_truncated, id="truncated"),
        pytest.param(save_without_mean, id="a tensor is missing"),
    ],
)
def test_bad_file_is_one_line(tmp_path: Path, write: Callable[[Path], object]) -> None:
    path = tmp_path / "space"
    write(path)
    with pytest.raises(MaskclsError, match="not an age space; build the model again") as caught:
        AgeSpace.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
