from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.labels.review.faces import CLASSES, MAP_STEPS, Faces
from maskcls.embedder.faceset.store import LOG_COLUMNS, EmbeddingSet
from maskcls.embedder.labels import class_id

MakeSet = Callable[..., EmbeddingSet]


def opened(*sets: EmbeddingSet) -> Faces:
    return Faces([Path(f"set{number}") for number in range(len(sets))], sets)


def test_codes_are_positions_in_names(faces: Faces) -> None:
    columns, names = faces.columns(), faces.columns()["names"]
    for row, face in enumerate(faces.table.to_dict("records")):
        for name in ("mask", "gender", "person"):
            code = columns[name][row]
            assert (names[name][code] if code >= 0 else None) == (face[name] if isinstance(face[name], str) else None)
        given = [
            names[name][columns[name][row]] if columns[name][row] >= 0 else None for name in ("mask", "gender", "band")
        ]
        known = None not in given
        assert columns["class"][row] == (class_id(*map(str, given)) if known else -1)
        assert not known or names["class"][columns["class"][row]] == ", ".join(map(str, given))
    assert names["class"] == CLASSES


@pytest.mark.parametrize(
    ("low", "high", "text", "band"),
    [(29.0, 29.0, "29", 0), (30.0, 39.0, "30-39", 1), (25.0, 35.0, "25-35", -1), (60.0, 100.0, "60-100", 2),
     (float("nan"), float("nan"), None, -1)],
)  # fmt: skip
def test_ages(make_set: MakeSet, low: float, high: float, text: str | None, band: int) -> None:
    columns = opened(make_set(2, age_low=low, age_high=high)).columns()
    assert columns["band"] == [band, band]
    assert [columns["names"]["age"][code] if code >= 0 else None for code in columns["age"]] == [text, text]


def test_ages_are_in_order(make_set: MakeSet) -> None:
    faces = opened(make_set(4, age_low=[9, 10, 30, 30], age_high=[9, 10, 39, 30]))
    assert faces.columns()["names"]["age"] == ["9", "10", "30", "30-39"]


def test_people_of_one_name_in_two_data_sets_are_two(make_set: MakeSet) -> None:
    columns = opened(make_set(2, seed=1, person="anna"), make_set(2, seed=2, person="anna")).columns()
    first, second = columns["person"][0], columns["person"][2]
    assert {first, second} == {0, 1}
    assert columns["person"] == [first, first, second, second]
    assert columns["names"]["person"] == ["anna", "anna"]
    assert columns["set"] == [0, 0, 1, 1]
    assert columns["names"]["set"] == ["set0", "set1"]


def test_both_unicode_forms_of_a_name_are_one_person(make_set: MakeSet) -> None:
    columns = opened(make_set(2, person=["Zo\u00eb", "Zoe\u0308"])).columns()
    assert columns["person"] == [0, 0]
    assert columns["names"]["person"] == ["Zo\u00eb"]


def test_a_face_of_two_sets_is_shown_once(make_set: MakeSet) -> None:
    one = make_set(5)
    faces = opened(one, one, make_set(3, seed=1))
    assert len(faces) == 8
    np.testing.assert_array_equal(faces.embeddings[:5], one.embeddings)
    moved = replace(one, table=one.table.assign(path="copy/" + one.table["path"]))
    copies = opened(one, moved)
    assert len(copies) == 10
    assert copies.rows() == {face_id: row for row, face_id in enumerate(one.table["face_id"])}


def test_near(faces: Faces) -> None:
    similarities = faces.embeddings @ faces.embeddings[7]
    expected = [row for row in np.argsort(-similarities) if row != 7][:5]
    found = faces.near(7, 5)
    assert [row for row, _ in found] == expected
    assert [value for _, value in found] == pytest.approx(similarities[expected], abs=1e-3)
    assert len(faces.near(0, 1000)) == len(faces) - 1


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_few_faces(make_set: MakeSet, count: int) -> None:
    faces = opened(make_set(count))
    plane = faces.plane()
    assert len(plane["x"]) == len(plane["y"]) == count
    assert all(0 <= value <= MAP_STEPS for value in plane["x"] + plane["y"])
    assert all(0 <= share <= 1 for share in plane["explained"])
    assert len(faces.near(0, 10)) == min(10, count - 1)


def test_reviewed_before(make_set: MakeSet) -> None:
    one = make_set(3, mask="wear", gender="male", age=[20.0, 20.0, float("nan")])
    ids = one.table["face_id"]
    given = [
        (0, "mask", "wear"),
        (0, "gender", "male"),
        (0, "age", "20"),
        (1, "mask", "wear"),
        (2, "mask", "wear"),
        (2, "gender", "male"),
    ]
    lines = [
        {**dict.fromkeys(LOG_COLUMNS, ""), "face_id": ids[row], "field": field, "new": new} for row, field, new in given
    ]
    log = pd.DataFrame(lines).assign(batch=1).astype(LOG_COLUMNS)
    assert opened(replace(one, corrections=log)).columns()["reviewed"] == [0, 2]
    assert opened(one).columns()["reviewed"] == []
