"""Photos of several labelled faces: different people who stay together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.age.vote import NOBODY
from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.data.identity import MIN_NORM, kept_together
from maskcls.classify.evaluation.splits import pool_folds
from maskcls.classify.model.build import build_model
from maskcls.embedder.faceset.store import EmbeddingSet

MakeSet = Callable[..., EmbeddingSet]
PHOTOS, EACH = 30, 4


def photos_of_several(make_set: MakeSet, **labels: object) -> EmbeddingSet:
    """Photos of four strangers each."""
    count = PHOTOS * EACH
    return make_set(
        count,
        path=[f"{i // EACH}.jpg" for i in range(count)],
        file_sha256=[f"{i // EACH:064x}" for i in range(count)],
        label_box=[f"{i % EACH} 0 9 9" for i in range(count)],
        **labels,
    )


@pytest.fixture
def several(make_set: MakeSet) -> FaceSet:
    """The same as a face set."""
    return merge_sets([photos_of_several(make_set, age=list(range(20, 20 + PHOTOS)) * EACH)])


def test_faces_of_one_photo_are_no_copies_and_different_people(several: FaceSet) -> None:
    assert (len(several), several.copies) == (PHOTOS * EACH, 0)
    assert len(np.unique(several.persons)) == PHOTOS * EACH
    assert len(np.unique(several.people)) == PHOTOS


def test_a_split_keeps_the_faces_of_a_photo_together(several: FaceSet) -> None:
    fold = pd.Series(pool_folds(several, 5, 0))
    assert fold.groupby(several.table["path"]).nunique().eq(1).all()
    assert fold.nunique() == 5


@pytest.mark.parametrize("norm", [pytest.param(17.0, id="hardly seen"), pytest.param(18.0, id="seen well enough")])
def test_only_a_face_that_is_seen_well_is_known_by_looks(make_set: MakeSet, norm: float) -> None:
    norms = [20.0] * (PHOTOS * EACH)
    norms[EACH] = norm
    faces = photos_of_several(make_set, norm=norms)
    faces.embeddings[EACH] = faces.embeddings[0]
    pool = merge_sets([faces])
    assert (pool.persons[0] == pool.persons[EACH]) == (norm >= MIN_NORM)


def test_a_face_of_two_photos_joins_these(make_set: MakeSet) -> None:
    faces = photos_of_several(make_set)
    faces.embeddings[EACH] = faces.embeddings[0]  # the first face of the second photo, unnamed
    pool = merge_sets([faces])
    assert pool.persons[0] == pool.persons[EACH]
    assert len(np.unique(pool.persons)) == PHOTOS * EACH - 1
    assert len(np.unique(pool.people[: 2 * EACH])) == 1
    assert len(np.unique(pool.people)) == PHOTOS - 1


def test_a_named_person_of_two_photos_joins_these(make_set: MakeSet) -> None:
    names: list[str | None] = [None] * (PHOTOS * EACH)
    names[1] = names[EACH + 2] = "anna"
    pool = merge_sets([photos_of_several(make_set, person=names)])
    assert pool.persons[1] == pool.persons[EACH + 2]
    assert len(np.unique(pool.people)) == PHOTOS - 1


def test_the_photo_in_a_set_of_largest_faces_stays_with_it(make_set: MakeSet) -> None:
    pool = merge_sets([photos_of_several(make_set), make_set(1, seed=5, file_sha256=f"{3:064x}")])
    assert set(pool.people[3 * EACH : 4 * EACH]) == {pool.people[-1]}


def test_a_subset_keeps_its_persons(several: FaceSet) -> None:
    rows = np.array([5, 0, 7])
    np.testing.assert_array_equal(several.subset(rows).persons, several.persons[rows])


def test_without_labelled_boxes_groups_are_persons(make_set: MakeSet) -> None:
    pool = merge_sets([make_set(6, person=list("aabbcc"))])
    np.testing.assert_array_equal(pool.people, pool.persons)
    assert kept_together(pool.persons, pool.table) is pool.persons


def test_no_face_of_the_own_photo_votes(several: FaceSet) -> None:
    model, _ = build_model(several, seed=0)
    rows = np.arange(EACH)
    own = np.array([model.own_group(digest) for digest in several.table["file_sha256"][rows]])
    assert (own != NOBODY).all()
    voters = model.ages(several.embeddings[rows], several.maps(rows), own).voters
    seen = model.table["path"].iloc[voters[voters >= 0]]
    assert len(seen)
    assert not (seen == several.table["path"][0]).any()
