from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskcls.classify.data.augmentation import BATCH, AugmentedFaces, augment
from maskcls.classify.data.face_set import FaceSet, merge_sets, open_face_set
from maskcls.classify.heads.training import train_head
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.faceset.store import EmbeddingSet

MakeSet = Callable[..., EmbeddingSet]
Wrap = Callable[..., Any]
FACES = BATCH + 6
"""One whole batch and a part of another."""


@pytest.fixture(scope="module")
def few(contest_faces: Path) -> FaceSet:
    return open_face_set([contest_faces]).subset(np.arange(FACES))


@pytest.fixture(scope="module")
def seen(few: FaceSet, encoder: FaceNetEncoder) -> FaceSet:
    return augment(few, encoder, 2, seed=3)


def same(one: AugmentedFaces, other: AugmentedFaces) -> bool:
    rows = np.arange(len(one.norms))
    vectors = np.array_equal(one.embeddings, other.embeddings) and np.array_equal(one.norms, other.norms)
    return vectors and np.array_equal(one.maps(rows), other.maps(rows))


def test_views_are_the_same_faces_a_little_different(few: FaceSet, seen: FaceSet) -> None:
    assert len(seen.augmentations) == 2
    np.testing.assert_array_equal(seen.embeddings, few.embeddings)
    for view in seen.augmentations:
        alike = np.asarray(view.embeddings @ few.embeddings.T)
        own = np.diag(alike)
        assert 0.6 < np.median(own) < 0.999
        other_people = few.people[:, None] != few.people[None, :]
        assert np.median(own) > np.quantile(alike[other_people], 0.99)
        np.testing.assert_allclose(np.linalg.norm(view.embeddings, axis=1), 1, rtol=1e-5)
        assert view.maps(np.arange(3)).shape == (3, 896, 4, 4)
        assert (view.norms > 1).all()
    assert not same(*seen.augmentations)


def test_the_seed_says_which_views(few: FaceSet, seen: FaceSet, encoder: FaceNetEncoder) -> None:
    part = few.subset(np.arange(BATCH))
    assert same(augment(part, encoder, 1, seed=3).augmentations[0], seen.augmentations[0].subset(np.arange(BATCH)))
    assert not same(augment(part, encoder, 1, seed=4).augmentations[0], seen.augmentations[0].subset(np.arange(BATCH)))


def test_subset_of_a_subset(seen: FaceSet) -> None:
    rows, again = np.array([69, 0, 3, 64, 5]), np.array([4, 1, 1])
    part = seen.subset(rows).subset(again)
    for view, whole in zip(part.augmentations, seen.augmentations, strict=True):
        assert same(view, whole.subset(rows[again]))
        np.testing.assert_array_equal(view.maps(np.array([2, 0])), whole.maps(np.array([0, 5])))


def test_training_is_shown_every_view_and_the_faces_as_they_are(seen: FaceSet) -> None:
    rows = np.random.default_rng(0).integers(0, len(seen), 3000)
    embeddings, maps = seen.training_batch(rows, np.random.default_rng(1))
    everything = [(seen.embeddings, seen.maps), *((view.embeddings, view.maps) for view in seen.augmentations)]
    hits = np.stack([(vectors[rows] == embeddings).all(axis=1) for vectors, _ in everything])
    np.testing.assert_array_equal(hits.sum(axis=0), 1)
    np.testing.assert_allclose(hits.mean(axis=1), 1 / 3, atol=0.04)
    for mine, (_, read) in zip(hits, everything, strict=True):
        np.testing.assert_array_equal(maps[mine], read(rows[mine]))


def test_without_views_training_is_shown_the_faces_and_draws_nothing(few: FaceSet) -> None:
    random = np.random.default_rng(1)
    embeddings, maps = few.training_batch(np.array([4, 4, 1]), random)
    np.testing.assert_array_equal(embeddings, few.embeddings[[4, 4, 1]])
    np.testing.assert_array_equal(maps, few.maps(np.array([4, 4, 1])))
    assert random.integers(1 << 60) == np.random.default_rng(1).integers(1 << 60)


def test_a_head_learns_from_what_only_the_views_show(make_set: MakeSet) -> None:
    gender = ["male", "female"] * 100
    pool = merge_sets([make_set(200, gender=gender, person=[f"{i}" for i in range(200)])])
    clear = pool.embeddings.copy()
    clear[:, 0] = np.where(np.array(gender) == "male", -0.5, 0.5)
    view = AugmentedFaces(clear, np.ones(200, np.float32), np.asarray(pool.maps(np.arange(200))), np.arange(200))
    queries = clear[:40] + np.random.default_rng(9).normal(0, 0.01, (40, 512)).astype(np.float32)
    head, _ = train_head(replace(pool, augmentations=(view,) * 4), "gender", ("male", "female"), seed=0)
    predicted = head.probabilities(pool.maps(np.arange(40)), queries).argmax(axis=1)
    assert (predicted == np.arange(40) % 2).mean() > 0.9


def test_another_encoder_sees_no_views_of_the_first(seen: FaceSet, encoder: FaceNetEncoder) -> None:
    assert seen.subset(np.arange(3)).encoded_by(encoder).augmentations == ()


def test_a_killed_run_goes_on_and_ends_the_same(
    few: FaceSet, seen: FaceSet, encoder: FaceNetEncoder, wrap: Wrap, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        augment(few, wrap(encoder, batches=3), 2, 3, tmp_path)
    rest = wrap(encoder)
    done = augment(few, rest, 2, 3, tmp_path)
    assert rest.crops == FACES - BATCH
    assert all(same(one, other) for one, other in zip(done.augmentations, seen.augmentations, strict=True))


def test_damaged_work_is_done_again(
    few: FaceSet, seen: FaceSet, encoder: FaceNetEncoder, wrap: Wrap, tmp_path: Path
) -> None:
    augment(few, encoder, 2, 3, tmp_path)
    step = sorted(tmp_path.rglob("*.step"))[0]
    content = bytearray(step.read_bytes())
    content[-100] ^= 1
    step.write_bytes(content)
    again = wrap(encoder)
    done = augment(few, again, 2, 3, tmp_path)
    assert again.crops == BATCH
    assert all(same(one, other) for one, other in zip(done.augmentations, seen.augmentations, strict=True))


@pytest.mark.parametrize(
    ("seed", "faces"), [pytest.param(4, FACES, id="another seed"), pytest.param(3, FACES - 1, id="other faces")]
)
def test_work_of_another_run_is_not_taken(
    few: FaceSet, encoder: FaceNetEncoder, wrap: Wrap, tmp_path: Path, seed: int, faces: int
) -> None:
    augment(few, encoder, 1, 3, tmp_path)
    again = wrap(encoder)
    augment(few.subset(np.arange(faces)), again, 1, seed, tmp_path)
    assert again.crops == faces


def test_progress_counts_the_faces_of_all_views(few: FaceSet, encoder: FaceNetEncoder) -> None:
    steps: list[tuple[int, int]] = []
    augment(few, encoder, 2, progress=lambda done, total: steps.append((done, total)))
    assert [done for done, _ in steps] == [0, BATCH, FACES, FACES, FACES + BATCH, 2 * FACES]
    assert {total for _, total in steps} == {2 * FACES}


def test_other_weights_are_refused(few: FaceSet, encoder: FaceNetEncoder) -> None:
    other = replace(few, encoder=replace(few.encoder, weights_sha256="0" * 64))
    with pytest.raises(MaskclsError, match=r"^--views: .*encoder facenet.* pass the same --weights"):
        augment(other, encoder, 1)


def test_missing_photos_are_named_before_any_is_read(few: FaceSet, encoder: FaceNetEncoder) -> None:
    away = replace(few, table=few.table.assign(root="/nowhere"))
    with pytest.raises(MaskclsError, match=r"^/nowhere/.*and 69 more photos.*gone or changed.*maskcls embed"):
        augment(away, encoder, 1)
