from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest
from PIL import Image

from maskcls.classify.answer import Answer
from maskcls.classify.serving.answerer import Answerer
from maskcls.classify.serving.engine import BusyError, Engine, Upload
from maskcls.embedder.detection.detector import Found
from maskcls.embedder.detection.finder import FaceMode

from .conftest import Colours, photo

COLOURS = ("red", "green", "yellow", "orange", "purple", "gray")


def ask(engine: Engine, *names: str) -> list[Answer]:
    return [answer for (answer,) in asyncio.run(engine.ask([Upload(name, photo(name)) for name in names]))]


def until(what: object) -> None:
    end = time.monotonic() + 10
    while not what() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.005)
    assert what()  # type: ignore[operator]


def test_photos_of_many_clients_pass_together(engine: Engine, colours: Colours) -> None:
    colours.free.clear()
    answers: dict[str, Answer] = {}
    clients = [
        threading.Thread(target=lambda name=name: answers.update({name: ask(engine, name)[0]})) for name in COLOURS
    ]
    clients[0].start()
    until(lambda: engine.waiting == 1)
    time.sleep(0.05)  # it is on its way through the networks
    for one in clients[1:]:
        one.start()
    until(lambda: engine.waiting == 6)
    colours.free.set()
    for one in clients:
        one.join(10)
    assert colours.batches == [1, 4, 1]
    assert {name: answered.path for name, answered in answers.items()} == {name: name for name in COLOURS}


def test_together_or_alone_the_answers_are_the_same(engine: Engine) -> None:
    together = ask(engine, *COLOURS)
    for name, answered in zip(COLOURS, together, strict=True):
        (alone,) = ask(engine, name)
        assert alone == answered


def test_no_more_than_there_is_room_for(engine: Engine, colours: Colours) -> None:
    colours.free.clear()
    waiting = threading.Thread(target=ask, args=(engine, *COLOURS))
    waiting.start()
    until(lambda: engine.waiting == 6)
    with pytest.raises(BusyError):
        ask(engine, *COLOURS)
    colours.free.set()
    waiting.join(10)
    assert len(ask(engine, *COLOURS)) == 6


def test_one_who_gives_up_takes_the_photos_back(engine: Engine, colours: Colours) -> None:
    async def impatient() -> None:
        async with asyncio.timeout(0.2):
            await engine.ask([Upload(name, photo(name)) for name in COLOURS])

    colours.free.clear()
    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    until(lambda: engine.waiting <= 4)  # what is on its way cannot be stopped
    colours.free.set()
    until(lambda: engine.waiting == 0)
    assert sum(colours.batches) <= 4


def test_closing_answers_for_those_that_wait(answerer: Answerer, colours: Colours) -> None:
    engine = Engine(answerer, batch=2)
    colours.free.clear()
    answers: list[Answer] = []
    waiting = threading.Thread(target=lambda: answers.extend(ask(engine, *COLOURS)))
    waiting.start()
    until(lambda: engine.waiting == 6)
    colours.free.set()
    engine.close()
    waiting.join(10)
    assert [answered.path for answered in answers] == list(COLOURS)
    assert not engine.alive


def test_warming_up_runs_every_network(answerer: Answerer, colours: Colours, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str | None] = []
    find = answerer.finder.find_all

    def counted(images: Sequence[Image.Image], mode: FaceMode = "auto") -> list[list[Found]]:
        looked.append(mode)
        return find(images, mode)

    monkeypatch.setattr(answerer.finder, "find_all", counted)
    answerer.warm_up()
    assert looked == ["detect", "whole"]
    assert colours.batches == [1]
