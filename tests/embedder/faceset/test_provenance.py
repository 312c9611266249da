from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.faceset.provenance import (
    COLUMNS,
    PSEUDO_LABELS,
    TEACHER,
    PseudoLabels,
    SeenPeople,
    Teacher,
    read_pseudo_labels,
    read_seen,
    seen_content,
)

photos = st.lists(st.text("0123456789abcdef", min_size=4, max_size=8), unique=True, max_size=12)


@given(photos, st.data())
def test_each_photo_shows_the_person_it_was_listed_with(names: list[str], data: st.DataObject) -> None:
    groups = [data.draw(st.integers(0, 4)) for _ in names]
    seen = SeenPeople.of(groups, names)
    persons = seen.persons(names)
    assert len(seen.people) == len(set(groups))
    for i in range(len(names)):
        for j in range(len(names)):
            assert (persons[i] == persons[j]) == (groups[i] == groups[j])
    assert (persons >= 0).all()
    assert seen.persons(["another photo"]).tolist() == [-1]


@given(photos, st.data())
def test_photos_that_are_taken_off_are_not_known_any_more(names: list[str], data: st.DataObject) -> None:
    gone = {name for name in names if data.draw(st.booleans())}
    left = SeenPeople.of([0] * len(names), names).without(gone)
    assert [name for name, person in zip(names, left.persons(names), strict=True) if person < 0] == [
        name for name in names if name in gone
    ]
    assert all(left.people)


def test_the_list_names_no_photo_and_is_the_same_each_time() -> None:
    names = [f"{number:064x}" for number in range(5)]
    seen = SeenPeople.of([0, 0, 1, 1, 2], names)
    assert seen == SeenPeople.of([0, 0, 1, 1, 2], names)
    text = json.dumps(seen_content([seen]))
    assert not any(name in text for name in names)
    assert read_seen(json.loads(text)) == (seen,)
    assert seen.salt != SeenPeople.of([0], names[:1]).salt


def rows(count: int = 3) -> pd.DataFrame:
    table = pd.DataFrame({"face_id": list("abc"[:count]), "teacher": "f" * 64})
    return table.assign(p_mask=0.5, p_gender=np.nan, p_age=1.0).astype(COLUMNS)


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    made = PseudoLabels(Teacher("f" * 64, (SeenPeople.of([0], ["x"]),)), rows())
    made.save(tmp_path)
    read = read_pseudo_labels(tmp_path, list("abc"))
    assert read.teacher == made.teacher
    pd.testing.assert_frame_equal(read.rows, made.rows)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda folder: (folder / TEACHER).write_text("{}"), id="no list"),
        pytest.param(lambda folder: (folder / TEACHER).write_text("not json"), id="no JSON"),
        pytest.param(lambda folder: (folder / TEACHER).unlink(), id="no teacher"),
        pytest.param(lambda folder: (folder / PSEUDO_LABELS).write_bytes(b"no table"), id="no table"),
        pytest.param(lambda folder: rows(2).to_parquet(folder / PSEUDO_LABELS), id="other faces"),
        pytest.param(lambda folder: rows()[["face_id"]].to_parquet(folder / PSEUDO_LABELS), id="no columns"),
    ],
)
def test_damaged_provenance_is_one_line(tmp_path: Path, spoil: object) -> None:
    PseudoLabels(Teacher("f" * 64, ()), rows()).save(tmp_path)
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(MaskclsError, match="maskcls pseudo-label"):
        read_pseudo_labels(tmp_path, list("abc"))


def test_rows_and_photos_that_are_forgotten_go() -> None:
    made = PseudoLabels(Teacher("f", (SeenPeople.of([0, 1], ["x", "y"]),)), rows())
    left = made.without(np.array([True, False, False]), ["x"])
    assert left.rows["face_id"].tolist() == ["b", "c"]
    assert left.teacher.seen[0].persons(["x", "y"]).tolist() == [-1, 0]
