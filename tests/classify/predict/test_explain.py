from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.age.vote import NOBODY, Floats, Ints, VoteSettings
from maskcls.classify.age.voters import RAW_PER_VOTER
from maskcls.classify.data.face_set import FaceSet
from maskcls.classify.model.model import Model
from maskcls.classify.predict import explain
from maskcls.classify.predict.evidence import faces_of, without
from maskcls.classify.predict.explain import Evidence, evidence_of, flip_line, write_evidence
from maskcls.classify.predict.flips import Flip
from maskcls.classify.predict.job import COLUMNS
from maskcls.embedder.labels import AGE_BANDS

Maps = npt.NDArray[np.float16]
MakeModel = Callable[[int, int, VoteSettings], Model]
Ask = Callable[[int, int], tuple[Floats, Maps]]


def explained(model: Model, embeddings: Floats, maps: Maps, own: Ints) -> list[Evidence | None]:
    near, similarities = model.nearest(embeddings, maps, own, 2 * model.settings.voters)
    ages = model.ages(embeddings, maps, own)
    assert np.array_equal(ages.voters, near[:, : model.settings.voters])
    return evidence_of(model, near, similarities, ages, [f"{i:016x}" for i in range(len(embeddings))])


def said(model: Model, embedding: Floats, map_: Maps, own: int, gone: Ints) -> tuple[str | None, float]:
    """Band and age by the model that never held the people of some gallery rows."""
    less = without(model, faces_of(model, gone))
    votes = less.ages(embedding[None], map_[None], np.array([own])).votes
    return None if votes.said[0] == NOBODY else AGE_BANDS[votes.said[0]], float(votes.age[0])


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(3, 70),
    seed=st.integers(0, 2**16),
    k=st.integers(1, 5),
    correction=st.sampled_from([0.0, 0.5, 1.0]),
    temperature=st.sampled_from([0.1, 0.5]),
)
def test_sets_are_the_smallest_that_flip_the_model(
    made_up: MakeModel, questions: Ask, count: int, seed: int, k: int, correction: float, temperature: float
) -> None:
    model = made_up(count, seed, VoteSettings(k, temperature, correction=correction))
    embeddings, maps = questions(2, seed)
    own = np.array([NOBODY, int(model.table["group"].iloc[0])])
    before = [said(model, *one, np.array([NOBODY]))[0] for one in zip(embeddings, maps, own.tolist(), strict=True)]
    for i, evidence in enumerate(explained(model, embeddings, maps, own)):
        one = embeddings[i], maps[i], int(own[i])
        if evidence is None:
            assert before[i] is None
            continue
        assert evidence.exact
        voters = np.array(evidence.voters)
        assert sum(evidence.weights) == pytest.approx(1, abs=1e-5)
        if evidence.flip:
            band, age = said(model, *one, voters[list(evidence.flip)])
            assert band == evidence.band != before[i]
            assert age == pytest.approx(evidence.age, abs=0.06)
        for size in range(1, evidence.safe + 1):
            for gone in combinations(voters.tolist(), size):
                assert said(model, *one, np.array(gone))[0] in (before[i], None)


def test_sets_flip_the_real_model(model: Model, pool: FaceSet) -> None:
    asked = np.arange(5, len(pool), 23)
    embeddings, maps, own = pool.embeddings[asked], pool.maps(asked), pool.people[asked]
    before = model.ages(embeddings, maps, own).votes.said
    flipped = 0
    for i, evidence in enumerate(explained(model, embeddings, maps, own)):
        assert evidence is not None
        assert len(evidence.voters) == model.settings.voters
        if evidence.flip:
            band, age = said(model, embeddings[i], maps[i], int(own[i]), np.array(evidence.voters)[list(evidence.flip)])
            assert band == evidence.band != AGE_BANDS[before[i]]
            assert age == pytest.approx(evidence.age, abs=0.06)
            flipped += 1
    assert flipped > len(asked) / 10


def test_people_out_of_reach_limit_the_size(made_up: MakeModel, questions: Ask) -> None:
    """Who would move up is known as far as the nearest faces go; a person with many photos fills these."""
    model = made_up(60, 3, VoteSettings(4))
    crowded = replace(model, table=model.table.assign(group=np.r_[np.zeros(30, int), np.arange(1, 6), np.full(25, 6)]))
    assert len(crowded.table) > crowded.reach == 4 * RAW_PER_VOTER
    embeddings, maps = questions(40, 0)
    near, _ = crowded.nearest(embeddings, maps, np.full(40, NOBODY), 8)
    known = (near >= 0).sum(axis=1)
    assert known.min() < 8
    for count, evidence in zip(known, explained(crowded, embeddings, maps, np.full(40, NOBODY)), strict=True):
        assert evidence is not None
        assert max(len(evidence.flip), evidence.safe) <= max(0, count - 4)


@pytest.mark.parametrize("count", [0, 1])
def test_nobody_to_take_away(made_up: MakeModel, questions: Ask, count: int) -> None:
    model = made_up(count, 0, VoteSettings(3))
    for evidence in explained(model, *questions(2, 0), np.full(2, NOBODY)):
        assert (evidence is None) == (count == 0)
        if evidence is not None:
            assert (evidence.voters, evidence.weights, evidence.flip, evidence.safe) == ([0], [1.0], [], 1)
            assert evidence.exact


def test_a_set_that_does_not_flip_when_counted_again_is_not_said(
    made_up: MakeModel, questions: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made_up(60, 1, VoteSettings(5))
    monkeypatch.setattr(explain, "smallest_flip", lambda votes, settings: Flip((4,), 0))
    embeddings, maps = questions(30, 1)
    nobody = np.full(30, NOBODY)
    before = model.ages(embeddings, maps, nobody).votes.said
    found = explained(model, embeddings, maps, nobody)
    for i, evidence in enumerate(found):
        assert evidence is not None
        band, _ = said(model, embeddings[i], maps[i], NOBODY, np.array(evidence.voters)[[4]])
        assert bool(evidence.flip) == (band != AGE_BANDS[before[i]])
    assert any(evidence and not evidence.flip for evidence in found)


def some(voters: int, flip: list[int], band: str | None, safe: int) -> Evidence:
    return Evidence("0" * 16, list(range(voters)), [0.5] * voters, [1 / voters] * voters, flip, band, 30.0, safe)


@pytest.mark.parametrize(
    ("evidence", "line"),
    [
        pytest.param(
            some(50, [0, 4, 9], "30-59", 2), "without 3 of 50 voters (6 % of the vote) it would say 30-59", id="exact"
        ),
        pytest.param(
            some(10, [0, 1, 2, 3], ">=60", 1),
            "without 4 of 10 voters (40 % of the vote) it would say >=60; 2 to 3 may do",
            id="fewer may do",
        ),
        pytest.param(
            some(10, [0, 1, 2], "<30", 1),
            "without 3 of 10 voters (30 % of the vote) it would say <30; 2 may do",
            id="one fewer may do",
        ),
        pytest.param(some(10, [], None, 10), "no set of the 10 voters changes the band", id="none"),
        pytest.param(
            some(10, [], None, 7),
            "no set of up to 7 of 10 voters changes the band, and no larger one was found",
            id="none found",
        ),
    ],
)
def test_flip_line(evidence: Evidence, line: str) -> None:
    assert flip_line(evidence) == line


def test_evidence_passes_through_json(made_up: MakeModel, questions: Ask) -> None:
    for evidence in explained(made_up(60, 0, VoteSettings(8)), *questions(20, 0), np.full(20, NOBODY)):
        assert evidence is not None
        assert Evidence(**json.loads(json.dumps(asdict(evidence)))) == evidence


def test_written_file(made_up: MakeModel, questions: Ask, tmp_path: Path) -> None:
    model = made_up(80, 2, VoteSettings(8))
    found = explained(model, *questions(30, 0), np.full(30, NOBODY))
    rows: list[dict[str, Any]] = [dict.fromkeys(COLUMNS) | {"path": f"a\u2028b\n{i}.jpg"} for i in range(31)]
    for row in rows[:30]:
        row |= {"mask": "wear", "age_band": "<30", "p_lt30": 0.5, "age": 20.5}
    table = pd.DataFrame(rows).astype({"class_id": "Int64"})
    known = {i: one for i, one in enumerate(found) if one is not None}
    write_evidence(tmp_path / "new" / "evidence.jsonl", table, known, model)
    cards = [json.loads(line) for line in (tmp_path / "new" / "evidence.jsonl").read_text("utf-8").splitlines()]
    assert [card["path"] for card in cards] == table["path"].tolist()[:30]
    sizes = model.table.groupby("group").size()
    for card, evidence in zip(cards, known.values(), strict=True):
        assert list(card) == ["path", "face_id", "answer", "voters", "flips", "safe_without"]
        assert card["answer"] | {"mask": "wear", "gender": None, "class_id": None, "age": 20.5} == card["answer"]
        assert len(card["voters"]) == len(evidence.voters)
        faces = model.table.iloc[list(evidence.voters)]
        for name, column in {"person": "group"}.items() | {(n, n) for n in ("face_id", "age_low", "age_high", "path")}:
            assert [voter[name] for voter in card["voters"]] == faces[column].tolist()
        assert {voter["mask"] for voter in card["voters"]} <= {None, "wear", "normal"}
        assert sum(voter["weight"] for voter in card["voters"]) == pytest.approx(1, abs=1e-5)
        flips = card["flips"]
        assert (flips is None) == (not evidence.flip)
        if flips:
            gone = faces.iloc[list(evidence.flip)]
            assert flips["voters"] == gone["face_id"].tolist()
            assert flips["faces"] == sizes[gone["group"]].sum()
            assert flips["share"] == pytest.approx(sum(card["voters"][p]["weight"] for p in evidence.flip), abs=1e-6)
            assert (flips["to"], flips["exact"]) == (evidence.band, len(flips["voters"]) == card["safe_without"] + 1)
    assert any(card["flips"] for card in cards)
    assert not list((tmp_path / "new").glob(".*"))
