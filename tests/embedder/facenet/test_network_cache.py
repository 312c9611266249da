from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from maskcls.embedder.facenet.network_cache import KEPT, MANIFEST, cache_folder, cached


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "maskcls"


class Exporter:
    """Writes one file, and counts how often."""

    def __init__(self, content: str = "net") -> None:
        self.content, self.calls = content, 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "net.bin").write_text(self.content)


def test_a_network_is_exported_once(cache: Path) -> None:
    export = Exporter()
    folder = cached("backbone", ("weights", 1), export)
    assert cached("backbone", ("weights", 1), export) == folder
    assert (export.calls, folder.parent) == (1, cache)
    assert (folder / "net.bin").read_text() == "net"
    assert [path.name for path in cache.iterdir()] == [folder.name]


@pytest.mark.parametrize("other", [("weights", 2), ("weights",), ("weights1",)], ids=str)
def test_other_parts_are_another_network(other: tuple[object, ...]) -> None:
    assert cached("backbone", ("weights", 1), Exporter()) != cached("backbone", other, Exporter())


def _cut(folder: Path) -> None:
    (folder / "net.bin").write_text("ne")


def _lose(folder: Path) -> None:
    (folder / "net.bin").unlink()


def _unmark(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def _age(folder: Path) -> None:
    content = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(content | {"format": 0}))


@pytest.mark.parametrize("damage", [_cut, _lose, _unmark, _age], ids=lambda f: f.__name__)
def test_a_damaged_network_is_exported_again(damage: object) -> None:
    export = Exporter()
    folder = cached("backbone", ("weights",), export)
    damage(folder)  # type: ignore[operator]
    assert cached("backbone", ("weights",), export) == folder
    assert ((folder / "net.bin").read_text(), export.calls) == ("net", 2)


def test_a_killed_export_leaves_nothing_that_is_used(cache: Path) -> None:
    def killed(folder: Path) -> None:
        (folder / "net.bin").write_text("ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("backbone", ("weights",), killed)
    assert list(cache.iterdir()) == []
    assert (cached("backbone", ("weights",), Exporter()) / "net.bin").read_text() == "net"


def test_of_two_runs_that_export_at_once_both_go_on() -> None:
    inner = Exporter()

    def export(folder: Path) -> None:
        cached("backbone", ("weights",), inner)
        Exporter()(folder)

    folder = cached("backbone", ("weights",), export)
    assert ((folder / "net.bin").read_text(), inner.calls) == ("net", 1)


def test_those_not_used_for_the_longest_time_go() -> None:
    folders = [cached("backbone", (number,), Exporter()) for number in range(KEPT)]
    for age, folder in enumerate(folders):
        os.utime(folder, (1000 - age, 1000 - age))
    cached("backbone", (KEPT - 1,), Exporter())  # the oldest is used again
    cached("backbone", ("new",), Exporter())
    assert [folder.exists() for folder in folders] == [True] * (KEPT - 2) + [False, True]


def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(OSError, match=r"exists|directory"):
        cached("backbone", ("weights",), Exporter())


@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_without_a_cache_home_it_is_below_the_home(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache_folder() == Path.home() / ".cache" / "maskcls"
