from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from maskcls.classify.comparison.cnn.fit import CPU, Part, Trained, face_logits, learning_rate, train_network
from maskcls.classify.comparison.cnn.photos import Photos, read_photos
from maskcls.classify.comparison.cnn.settings import NO_RECIPE
from maskcls.classify.comparison.cnn.targets import Targets, targets_of
from maskcls.classify.data.face_set import FaceSet, open_face_set
from maskcls.classify.heads.training import log_losses
from maskcls.classify.model import checkpoint
from maskcls.embedder.errors import MaskclsError

SETTINGS = NO_RECIPE.settings({"image_size": 32, "epochs": 3, "batch_size": 20, "learning_rate": 0.003, "cutout": 0.1})


@pytest.fixture(scope="module")
def pool(painted: Path, small_backbone: None) -> FaceSet:
    return open_face_set([painted])


@pytest.fixture(scope="module")
def photos(pool: FaceSet) -> Photos:
    return read_photos(pool.table, "face", 32)


@pytest.fixture(scope="module")
def targets(pool: FaceSet) -> Targets:
    return targets_of(pool.table, pool.people, SETTINGS, named=False)


@pytest.fixture(scope="module")
def part(pool: FaceSet) -> Part:
    held_out = pool.people % 4 == 0
    return Part(np.flatnonzero(~held_out), np.flatnonzero(held_out), np.ones(len(pool)))


def weights(trained: Trained) -> dict[str, torch.Tensor]:
    return trained.net.state_dict()


def same(one: Trained, other: Trained) -> bool:
    mine, others = weights(one), weights(other)
    return mine.keys() == others.keys() and all(torch.equal(mine[name], others[name]) for name in mine)


def without_seconds(trained: Trained) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in trained.curve]


@pytest.fixture(scope="module")
def whole(photos: Photos, targets: Targets, part: Part) -> Trained:
    """A training that was not cut."""
    return train_network(photos, targets, part, ("mask", "age"), SETTINGS, 5)


def test_it_learns(whole: Trained) -> None:
    assert [row["epoch"] for row in whole.curve] == [1, 2, 3]
    assert max(row["mask_accuracy"] for row in whole.curve) > 0.6
    assert set(whole.temperatures) == {"mask", "age"}


def test_same_seed_same_weights_bit_for_bit(whole: Trained, photos: Photos, targets: Targets, part: Part) -> None:
    again = train_network(photos, targets, part, ("mask", "age"), SETTINGS, 5)
    assert same(whole, again)
    assert without_seconds(whole) == without_seconds(again)
    assert whole.temperatures == again.temperatures
    assert not same(whole, train_network(photos, targets, part, ("mask", "age"), SETTINGS, 6))


class KilledError(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("at", [pytest.param(2, id="within an epoch"), pytest.param(6, id="between epochs")])
def test_a_cut_training_ends_as_if_it_had_not_been_cut(
    whole: Trained,
    photos: Photos,
    targets: Targets,
    part: Part,
    at: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[int] = []

    def kill(done: int, total: int) -> None:
        begun.append(done)
        monkeypatch.setattr(checkpoint, "EVERY_SECONDS", 0.0 if done == at - 1 else 1e9)  # saved once, before the kill
        if done == at and len(begun) <= at + 1:
            raise KilledError

    arguments = (photos, targets, part, ("mask", "age"), SETTINGS, 5)
    with pytest.raises(KilledError):
        train_network(*arguments, checkpoint_folder=tmp_path, key=("a",), progress=kill)  # type: ignore[arg-type]
    again = train_network(*arguments, checkpoint_folder=tmp_path, key=("a",), progress=kill)  # type: ignore[arg-type]
    assert begun[at + 1] == at
    assert same(whole, again)
    assert without_seconds(whole) == without_seconds(again)


def test_faces_without_a_label_of_the_task_are_not_shown(photos: Photos, targets: Targets, part: Part) -> None:
    few = targets.learnt["gender"].copy()
    few[part.fit[3:]] = -1
    few_targets = replace(targets, learnt={**targets.learnt, "gender": few})
    steps: list[int] = []
    settings = SETTINGS.model_copy(update={"epochs": 1, "batch_size": 2})
    train_network(photos, few_targets, part, ("gender",), settings, 0, progress=lambda _, total: steps.append(total))
    assert set(steps) == {1}  # three faces, and batch norm takes two or more
    none = replace(targets, learnt={"gender": np.full_like(few, -1)})
    with pytest.raises(MaskclsError, match="training gender: none of the people to train on has a label"):
        train_network(photos, none, part, ("gender",), settings, 0)


@pytest.mark.parametrize(
    ("schedule", "step", "validation", "share"),
    [
        pytest.param("cosine", 0, [], 1 / 16, id="cosine: first of 15 steps of rise"),
        pytest.param("cosine", 15, [], 1.0, id="cosine: top"),
        pytest.param("cosine", 99, [], 0.0003, id="cosine: end"),
        pytest.param("plateau", 50, [3, 2, 1, 1, 1], 1.0, id="plateau: two epochs no better"),
        pytest.param("plateau", 50, [3, 2, 1, 1, 1, 1], 0.1, id="plateau: three"),
        pytest.param("plateau", 50, [3, 2, 1, 1, 1, 1, 0.5], 0.1, id="plateau: never up again"),
    ],
)
def test_learning_rates(schedule: str, step: int, validation: list[float], share: float) -> None:
    settings = NO_RECIPE.settings({"schedule": schedule, "learning_rate": 0.5})
    assert learning_rate(settings, step, 100, validation) == pytest.approx(0.5 * share, rel=0.15)


def test_the_best_epoch_is_kept_and_patience_ends(photos: Photos, targets: Targets, part: Part) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 12, "patience": 1, "learning_rate": 0.02})
    random = np.random.default_rng(0).integers(2, size=len(photos))  # held-out labels that no epoch can predict
    targets = replace(targets, true={**targets.true, "gender": random})
    trained = train_network(photos, targets, part, ("gender",), settings, 0)
    losses = [row["validation_loss"] for row in trained.curve]
    assert len(losses) < 12
    assert losses[-1] > min(losses)
    logits = face_logits(trained.net, photos, part.held_out, settings.flip, CPU)["gender"]
    kept = log_losses(logits / trained.temperatures["gender"], targets.true["gender"][part.held_out]).mean()
    assert kept == pytest.approx(min(losses), abs=1e-6)
