"""Erasure and editing are killed and fail at any moment: what is left is old or new, and the same command goes on."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskcls.classify.model.model import Model
from maskcls.classify.privacy.erase import Erasure, erase_person
from maskcls.classify.privacy.person import PersonSelector
from maskcls.cli import index
from maskcls.embedder.faceset.store import open_set
from maskcls.embedder.storage import atomic
from maskcls.embedder.storage.atomic_folder import recover
from maskcls.embedder.storage.lock import locked

KILLS = 16
"""Of forgetting; each of the two edits is killed half as often."""
PRELOADED = ["maskcls.classify.privacy.erase", "maskcls.cli.index", "maskcls.classify.model.gallery_edit"]


@pytest.fixture(scope="module")
def server() -> ForkServerContext:
    """A process that has imported everything and ran nothing, which forks a child for every run."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@pytest.fixture
def fresh(world: Any) -> Callable[[], None]:
    """Brings the world back as it was."""
    saved = world.folder.with_name("saved")
    shutil.copytree(world.folder, saved)

    def restore() -> None:
        shutil.rmtree(world.folder)
        for path in world.folder.parent.glob("*receipt*"):
            path.unlink()
        shutil.copytree(saved, world.folder)

    return restore


def forget(world: Any) -> Erasure:
    return erase_person(PersonSelector(name="anna"), [world.folder], world.folder.parent / "receipt.json")


def delays(seconds: float, kills: int, seed: int = 0) -> Iterator[float]:
    """Moments all over a run, each part of it once."""
    random = np.random.default_rng(seed)
    yield from (seconds * (number + random.random()) / kills for number in range(kills))


def killed(server: ForkServerContext, delay: float, target: Callable[..., Any], *arguments: Any) -> bool:
    """Run in a child and kill it after a while; whether it was still running."""
    child = server.Process(target=target, args=arguments)
    child.start()
    child.join(delay)
    assert child.pid
    alive = child.is_alive()
    if alive:
        os.kill(child.pid, signal.SIGKILL)
    child.join()
    return alive


def measured(server: ForkServerContext, fresh: Callable[[], None], target: Callable[..., Any], *given: Any) -> float:
    """Seconds of an undisturbed run."""
    killed(server, 60, time.sleep, 0)  # the first one waits for the imports
    fresh()
    begin = time.monotonic()
    killed(server, 60, target, *given)
    return time.monotonic() - begin


def state(world: Any) -> tuple[int, ...]:
    """Faces in the model and in the sets, all of them whole."""
    for folder in world.sets:
        with locked(folder):
            recover(folder)
    return len(Model.load(world.model).table), *(len(open_set(folder)) for folder in world.sets)


def finished(world: Any) -> None:
    atomic._left_over.cache_clear()  # which a run asks once, and every call here stands for a run
    done = forget(world)
    assert done.verified
    assert done.faces == 7
    assert state(world) == (42, 21, 21)
    counts = {what: 0 for what, _ in done.removed}
    for (what, _), count in done.removed.items():
        counts[what] += count
    assert (counts["faces of a gallery"], counts["faces of an embedding set"]) == (7, 7)
    assert not list(world.folder.parent.glob(".receipt*"))


def test_forgetting_goes_on_after_any_kill(server: ForkServerContext, world: Any, fresh: Callable[[], None]) -> None:
    receipt = world.folder.parent / "receipt.json"
    arguments = (PersonSelector(name="anna"), [world.folder], receipt)
    seconds = measured(server, fresh, erase_person, *arguments)
    cut = 0
    for delay in delays(seconds, KILLS):
        fresh()
        cut += killed(server, delay, erase_person, *arguments)
        gallery, named, drawn = state(world)
        assert (gallery in (42, 49), named in (21, 24), drawn in (21, 25)) == (True, True, True)
        if receipt.exists():  # written last
            assert (gallery, named, drawn) == (42, 21, 21)
            if not list(receipt.parent.glob(".receipt.json.*")):
                continue
        finished(world)
    assert cut


@pytest.mark.parametrize("command", ["add", "remove"])
def test_a_killed_edit_leaves_the_old_or_the_new_model(
    server: ForkServerContext, world: Any, fresh: Callable[[], None], command: str
) -> None:
    faces = sorted(Model.load(world.model).table["face_id"])[:10]
    before, after = (39, 49) if command == "add" else (49, 39)
    if command == "add":
        index.remove(world.model, face=faces)
        shutil.rmtree(world.folder.parent / "saved")
        shutil.copytree(world.folder, world.folder.parent / "saved")

    run = (index.add, world.model, world.sets) if command == "add" else (index.remove, world.model, faces)
    seconds = measured(server, fresh, *run)
    cut = 0
    for delay in delays(seconds, KILLS // 2, seed=1):
        fresh()
        cut += killed(server, delay, *run)
        found = len(Model.load(world.model).table)
        assert found in (before, after)
        if found == before:
            index.add(world.model, world.sets) if command == "add" else index.remove(world.model, face=faces)
        assert len(Model.load(world.model).table) == after
    assert cut


CHANGES = ((os, "replace"), (os, "unlink"), (Path, "unlink"), (Path, "rename"), (shutil, "rmtree"))


def broken(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """Every change on disk from the n-th on fails, as on a full or broken disk; the changes that were asked for."""
    asked: list[str] = []

    def wrap(place: Any, name: str) -> None:
        real = getattr(place, name)

        def change(*arguments: Any, **options: Any) -> Any:
            asked.append(name)
            if len(asked) > number:
                raise OSError(5, "Input/output error")
            return real(*arguments, **options)

        monkeypatch.setattr(place, name, change)

    for place, name in CHANGES:
        wrap(place, name)
    return asked


def test_forgetting_goes_on_after_a_failure_at_any_change(
    world: Any, fresh: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        asked = broken(patch, 10**6)
        forget(world)
        total = len(asked)
    assert total > 30
    for number in range(0, total, 6):
        fresh()
        with monkeypatch.context() as patch:
            broken(patch, number)
            with pytest.raises(OSError, match="Input/output"):
                forget(world)
        finished(world)
