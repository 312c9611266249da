from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import save_file

from maskcls.classify.age import space as age_space
from maskcls.classify.age.network import DIMENSION, HIDDEN, hidden_layers
from maskcls.classify.age.space import (
    MAP_GAIN,
    LearnedSpace,
    LinearSpace,
    age_features,
    fit_age_space,
    fit_linear,
    load_age_space,
    save_age_space,
)
from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.heads.ensemble import MEMBERS
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import MAP_SHAPE
from maskcls.embedder.faceset.store import EmbeddingSet
from maskcls.index.flat import Gallery

MakeSet = Callable[..., EmbeddingSet]
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


def linear(space: LinearSpace, features: Floats) -> Floats:
    return np.asarray((features - space.mean) @ space.matrix, np.float32)


def nearest_neighbour_error(gallery_vectors: Floats, gallery_ages: Floats, queries: Floats, ages: Floats) -> float:
    gallery = Gallery(gallery_vectors.shape[1])
    gallery.add(gallery_vectors, np.arange(len(gallery_vectors)))
    return float(np.abs(gallery_ages[gallery.search(queries, 1).ids[:, 0]] - ages).mean())


def test_neighbours_in_the_age_space_are_nearer_in_age() -> None:
    features, ages = ageing(1200, 1)
    queries, truth = ageing(300, 2)
    space = fit_linear(features, ages)
    raw = nearest_neighbour_error(features, ages, queries, truth)
    fitted = nearest_neighbour_error(linear(space, features), ages, linear(space, queries), truth)
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
    space = fit_linear(features, np.repeat(np.arange(bins, dtype=np.float32) * 5, 20))
    assert space.dimension == dimension
    assert space.mean.shape == (WIDTH,)
    assert space.matrix.shape == (WIDTH, dimension)


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
    space = fit_linear(features, np.array(ages, np.float32))
    assert space.dimension == 512
    np.testing.assert_array_equal(linear(space, features), features[:, :512])


@pytest.fixture(scope="module")
def ageing_faces(make_set: MakeSet) -> FaceSet:
    """600 faces, each another person, whose maps and embeddings carry the age faintly."""
    random = np.random.default_rng(0)
    ages = random.integers(10, 80, 600)
    faces = make_set(600, age=ages.tolist(), person=[f"p{i}" for i in range(600)])
    bump = np.exp(-0.5 * ((ages[:, None] - np.arange(0, 90, 6)) / 6) ** 2).astype(np.float32)
    faces.maps[:, : bump.shape[1]] += bump[:, :, None, None].astype(np.float16)
    return merge_sets([faces])


@pytest.fixture(scope="module")
def learned(ageing_faces: FaceSet) -> LearnedSpace:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(age_space, "MIN_FACES_TO_LEARN", 400)
        patch.setattr("maskcls.classify.heads.ensemble_training.PASSES", (20, 20))
        space = fit_age_space(ageing_faces.subset(np.arange(400)))
    assert isinstance(space, LearnedSpace)
    return space


def ages_of(pool: FaceSet) -> Floats:
    return pool.table["age_low"].to_numpy(np.float32)


def test_learned_space_orders_faces_it_has_not_seen_by_age(ageing_faces: FaceSet, learned: LearnedSpace) -> None:
    seen, new = (ageing_faces.subset(np.arange(*part)) for part in ((0, 400), (400, 600)))
    vectors = [learned.project(part.embeddings, part.maps(np.arange(len(part)))) for part in (seen, new)]
    assert vectors[0].shape == (400, learned.dimension)
    error = nearest_neighbour_error(vectors[0], ages_of(seen), vectors[1], ages_of(new))
    chance = np.abs(ages_of(new) - np.median(ages_of(seen))).mean()
    assert error < 0.6 * chance
    years = learned.years(new.embeddings, new.maps(np.arange(len(new))))
    np.testing.assert_allclose(years.sum(axis=1), 1, atol=1e-4)
    assert np.abs(years @ np.arange(years.shape[1]) - ages_of(new)).mean() < 0.6 * chance


def test_the_main_directions_keep_who_is_near(ageing_faces: FaceSet, learned: LearnedSpace) -> None:
    embeddings, maps = ageing_faces.embeddings, ageing_faces.maps(np.arange(len(ageing_faces)))
    hidden = hidden_layers(learned.net, embeddings, maps).numpy()
    space = learned.project(embeddings, maps)
    assert hidden.shape == (600, MEMBERS * HIDDEN)
    assert space.shape == (600, DIMENSION)
    np.testing.assert_allclose(learned.net.main.T @ learned.net.main, np.eye(DIMENSION), atol=1e-2)
    whole, kept = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (hidden, space))
    assert np.abs(whole @ whole.T - kept @ kept.T).max() < 0.05


def test_members_of_the_age_network_differ(learned: LearnedSpace) -> None:
    first, second, third = learned.net.hidden.weight.detach().numpy()
    assert not np.allclose(first, second, atol=1e-3)
    assert not np.allclose(second, third, atol=1e-3)


def test_same_seed_same_learned_space(ageing_faces: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(age_space, "MIN_FACES_TO_LEARN", 100)
    few = ageing_faces.subset(np.arange(150))
    rows = np.arange(5)
    spaces = [fit_age_space(few, seed).project(few.embeddings[rows], few.maps(rows)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(spaces[0], spaces[1])
    assert np.abs(spaces[0] - spaces[2]).max() > 0.01


def test_learns_from_bands_alone(make_set: MakeSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(age_space, "MIN_FACES_TO_LEARN", 100)
    lows = [10 * (i % 7) for i in range(140)]
    pool = merge_sets([make_set(140, age_low=lows, age_high=[low + 9 for low in lows])])
    space = fit_age_space(pool)
    assert isinstance(space, LearnedSpace)
    assert np.isfinite(space.project(pool.embeddings, pool.maps(np.arange(140)))).all()


def test_few_faces_give_a_linear_space(ageing_faces: FaceSet) -> None:
    assert isinstance(fit_age_space(ageing_faces), LinearSpace)


@pytest.mark.parametrize("kind", ["linear", "learned"])
def test_save_and_load(tmp_path: Path, ageing_faces: FaceSet, learned: LearnedSpace, kind: str) -> None:
    space = learned if kind == "learned" else fit_age_space(ageing_faces)
    save_age_space(tmp_path / "new" / "space", space)
    loaded = load_age_space(tmp_path / "new" / "space")
    assert type(loaded) is type(space)
    assert loaded.dimension == space.dimension
    embeddings, maps = ageing_faces.embeddings, ageing_faces.maps(np.arange(len(ageing_faces)))
    np.testing.assert_array_equal(loaded.project(embeddings, maps), space.project(embeddings, maps))
    assert loaded.project(embeddings[:0], np.empty((0, *MAP_SHAPE), np.float16)).shape == (0, space.dimension)


def save_without_mean(path: Path) -> None:
    save_file({"matrix": np.eye(3, dtype=np.float32)}, path)


def save_truncated(path: Path) -> None:
    save_age_space(path, LinearSpace(np.zeros(8, np.float32), np.eye(8, dtype=np.float32)))
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
        load_age_space(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
