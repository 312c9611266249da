from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold

from maskcls.classify.data.face_set import FaceSet, Rows, merge_sets
from maskcls.classify.heads import training
from maskcls.classify.heads.ensemble_training import PASSES
from maskcls.classify.heads.training import HeadReport, fit_temperature, train_head, usable_classes
from maskcls.embedder.faceset.store import EmbeddingSet
from maskcls.embedder.labels import GENDERS, MASKS

MakeSet = Callable[..., EmbeddingSet]


def mask_labels(pool: FaceSet) -> Rows:
    return np.array([MASKS.index(name) for name in pool.table["mask"]], np.int64)


def test_mask_head_on_people_it_has_not_seen(pool: FaceSet) -> None:
    labels = mask_labels(pool)
    answers = np.empty(len(pool), np.int64)
    for fit, held_out in StratifiedGroupKFold(3, shuffle=True, random_state=0).split(labels, labels, pool.people):
        head, _ = train_head(pool.subset(fit), "mask", MASKS, seed=0)
        answers[held_out] = head.probabilities(pool.maps(held_out), pool.embeddings[held_out]).argmax(axis=1)
    assert f1_score(labels, answers, average="macro") > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_no_person_on_both_sides(pool: FaceSet, seed: int) -> None:
    labels, rows = mask_labels(pool), np.arange(len(pool))
    fit, held_out = training._split(labels, pool.people, seed)
    assert sorted([*fit.tolist(), *held_out.tolist()]) == rows.tolist()
    assert not set(pool.people[fit].tolist()) & set(pool.people[held_out].tolist())
    assert 0.05 < len(held_out) / len(rows) < 0.2
    assert set(labels[fit].tolist()) == set(labels[held_out].tolist()) == {0, 1, 2}


def test_the_temperature_is_fitted_to_the_mean_of_the_members(few: FaceSet) -> None:
    head, report = train_head(few, "gender", GENDERS, 0)
    rows = training._labelled(few, "gender", GENDERS)
    labels = training._codes(few, "gender", GENDERS, rows)
    _, held_out = training._split(labels, few.people[rows], 0)
    logits = head.logits(few.maps(rows[held_out]), few.embeddings[rows[held_out]]).numpy()
    assert report.held_out_faces == len(held_out)
    assert head.temperature == pytest.approx(fit_temperature(logits, labels[held_out]), rel=0.02)


@pytest.mark.parametrize("faces_a_person", [1, 5])
@pytest.mark.parametrize("people_a_class", [2, 3])
def test_split_of_very_few_people(people_a_class: int, faces_a_person: int) -> None:
    labels = np.repeat([0, 1], people_a_class * faces_a_person)
    people = np.repeat(np.arange(2 * people_a_class), faces_a_person)
    fit, held_out = training._split(labels, people, 0)
    assert not set(people[fit].tolist()) & set(people[held_out].tolist())
    assert set(labels[fit].tolist()) == {0, 1}
    assert len(held_out)


@pytest.fixture
def few(make_set: MakeSet) -> FaceSet:
    """24 faces of 12 people without anything to learn; three have no gender, two people show ``incorrect``."""
    person = [f"p{i // 2}" for i in range(24)]
    mask = ["wear", "normal"] * 10 + ["incorrect", "normal"] * 2
    gender = [None] * 3 + (["male"] * 4 + ["female"] * 4) * 2 + ["male"] * 5
    return merge_sets([make_set(24, person=person, mask=mask, gender=gender)])


def test_training_uses_labelled_faces_only_and_reports(few: FaceSet) -> None:
    steps: list[tuple[int, int]] = []
    head, report = train_head(few, "gender", GENDERS, 0, lambda done, total: steps.append((done, total)))
    assert report.faces == 21
    assert 0 < report.held_out_faces < 21
    assert 0 <= report.macro_f1 <= 1
    assert 0 <= report.accuracy <= 1
    assert steps == [(done, PASSES[1]) for done in range(PASSES[1] + 1)]
    assert head.classes == GENDERS
    assert not head.net.training


def test_same_seed_same_head(few: FaceSet) -> None:
    def once(seed: int) -> tuple[list[float], HeadReport]:
        head, report = train_head(few, "mask", MASKS, seed)
        return head.probabilities(few.maps(np.arange(4)), few.embeddings[:4]).ravel().tolist(), report

    assert once(3) == once(3)
    assert once(3)[0] != once(4)[0]


@pytest.mark.parametrize(
    ("person", "mask", "expected"),
    [
        pytest.param(["a", "b", "c", "d"], ["wear", "wear", "normal", "normal"], ("wear", "normal"), id="two of each"),
        pytest.param(["a", "a", "c", "d"], ["wear", "wear", "normal", "normal"], ("normal",), id="one person wears"),
        pytest.param(["a", "a", "b", "b"], ["wear", "normal"] * 2, ("wear", "normal"), id="two people show both"),
        pytest.param(["a", "b", "c", "d"], [None] * 4, (), id="no labels"),
        pytest.param([None] * 4, ["incorrect"] * 2 + [None] * 2, ("incorrect",), id="people without names"),
    ],
)
def test_usable_classes(
    make_set: MakeSet, person: list[str | None], mask: list[str | None], expected: tuple[str, ...]
) -> None:
    assert usable_classes(merge_sets([make_set(4, person=person, mask=mask)]), "mask", MASKS) == expected


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 3.0])
def test_fit_temperature_recovers_a_known_one(temperature: float) -> None:
    random = np.random.default_rng(0)
    true = 2 * random.standard_normal((20_000, 3))
    chances = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    labels = (random.random((20_000, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    assert fit_temperature((true * temperature).astype(np.float32), labels) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize(("right", "expected"), [(True, 0.25), (False, 4.0)])
def test_fit_temperature_stays_in_bounds(right: bool, expected: float) -> None:
    logits = np.eye(3, dtype=np.float32)[np.arange(60) % 3]
    labels = (np.arange(60) + (0 if right else 1)) % 3
    assert fit_temperature(logits, labels) == pytest.approx(expected, rel=1e-2)


def test_rare_kinds_are_drawn_more_often_than_they_occur(few: FaceSet) -> None:
    rows = np.arange(len(few))
    chances = training._draw_probabilities(few, "mask", rows)
    assert chances.sum() == pytest.approx(1)
    share = {mask: float(chances[(few.table["mask"] == mask).to_numpy()].sum()) for mask in MASKS}
    assert share["incorrect"] > 2 / 24
    assert share["normal"] < 12 / 24
