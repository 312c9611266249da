from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskcls.classify import checkpoint
from maskcls.classify.cnn.fit import Part, Trained, train_network
from maskcls.classify.cnn.photos import Photos, read_photos
from maskcls.classify.cnn.recipes import NO_RECIPE
from maskcls.classify.cnn.settings import Settings
from maskcls.classify.cnn.targets import Targets, targets_of
from maskcls.classify.pool import Pool, open_pool

SETTINGS = NO_RECIPE.settings({"image_size": 32, "epochs": 3, "batch_size": 20, "learning_rate": 0.003, "cutout": 0.1})


@pytest.fixture(scope="module")
def pool(painted: Path) -> Pool:
    return open_pool([painted])


@pytest.fixture(scope="module")
def photos(pool: Pool) -> Photos:
    return read_photos(pool.table, "face", 32)


@pytest.fixture(scope="module")
def targets(pool: Pool) -> Targets:
    return targets_of(pool.table, pool.people, SETTINGS, named=False)


@pytest.fixture(scope="module")
def part(pool: Pool) -> Part:
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
    monkeypatch.setattr(checkpoint, "EVERY_SECONDS", 0.0)
    begun: list[int] = []

    def kill(done: int, total: int) -> None:
        begun.append(done)
        if done == at and len(begun) <= at + 1:
            raise KilledError

    arguments = (photos, targets, part, ("mask", "age"), SETTINGS, 5)
    with pytest.raises(KilledError):
        train_network(*arguments, checkpoint_folder=tmp_path, key=("a",), progress=kill)  # type: ignore[arg-type]
    again = train_network(*arguments, checkpoint_folder=tmp_path, key=("a",), progress=kill)  # type: ignore[arg-type]
    assert begun[at + 1] == at
    assert same(whole, again)
    assert without_seconds(whole) == without_seconds(again)


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_learning_rates_and_early_stopping(schedule: str, photos: Photos, targets: Targets, part: Part) -> None:
    still: Settings = SETTINGS.model_copy(
        update={"schedule": schedule, "learning_rate": 1e-12, "epochs": 12, "patience": 4, "batch_size": 60}
    )
    curve = train_network(photos, targets, part, ("gender",), still, 0).curve
    losses = [row["validation_loss"] for row in curve]
    assert len(curve) == 12 or len(curve) - 1 - int(np.argmin(losses)) == 4
    rates = [row["learning_rate"] for row in curve]
    assert rates[-1] < rates[1] if schedule == "cosine" else set(np.round(np.log10(rates))) <= {-12, -13, -14}
