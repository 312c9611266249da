from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from maskcls.classify.age.vote import NOBODY, Floats, VoteSettings
from maskcls.classify.answer import Answer, Face
from maskcls.classify.model.answers import answer_faces
from maskcls.classify.model.model import Model
from maskcls.classify.predict.explain import ANSWER_KEYS, write_explanations

MakeModel = Callable[[int, int, VoteSettings], Model]
Ask = Callable[[int, int], tuple[Floats, npt.NDArray[np.float16]]]


def test_all_voters_of_every_answer_are_written(made_up: MakeModel, questions: Ask, tmp_path: Path) -> None:
    model = made_up(80, 2, VoteSettings(18))
    embeddings, maps = questions(30, 0)
    ages = model.ages(embeddings, maps, np.full(30, NOBODY))
    answers = [
        replace(one, path=f"a\u2028b\n{i}.jpg", face=Face(f"{i:016x}", (0.0, 0.0, 9.0, 9.0), 1.0, "whole", 1))
        for i, one in enumerate(answer_faces(model, ages, embeddings, maps, 18))
    ]
    path = tmp_path / "new" / "voters.jsonl"
    assert write_explanations(path, [*answers, Answer("none.jpg", "no_face")]) == 30
    cards = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [card["path"] for card in cards] == [answer.path for answer in answers]
    for card, answer, rows in zip(cards, answers, ages.voters, strict=True):
        assert list(card) == ["path", "face_id", "answer", "voters"]
        assert card["answer"] == {key: answer[key] for key in ANSWER_KEYS}
        assert len(card["voters"]) == 18
        faces = model.table.iloc[rows]
        for name, column in {"person": "group"}.items() | {(n, n) for n in ("face_id", "age_low", "age_high", "path")}:
            assert [voter[name] for voter in card["voters"]] == faces[column].tolist()
        assert {voter["mask"] for voter in card["voters"]} <= {None, "wear", "normal"}
        assert all("members" not in voter for voter in card["voters"])
        assert sum(voter["weight"] for voter in card["voters"]) == pytest.approx(1, abs=1e-5)
    assert not list((tmp_path / "new").glob(".*"))
