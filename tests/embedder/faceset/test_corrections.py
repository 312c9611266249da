from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import EncoderInfo
from maskcls.embedder.faceset.corrections import Outcome, apply_patch, corrected, labels_of, read_patch, undo_patch
from maskcls.embedder.faceset.embed import EmbedReport
from maskcls.embedder.faceset.store import LOG_COLUMNS, PATCH_COLUMNS, REJECT_COLUMNS, SetTables, SetWriter, open_set
from maskcls.embedder.table import face_table

Run = Callable[..., EmbedReport]
INFO = EncoderInfo("facenet", "0" * 64, {"crop_size": 160})
SETTINGS = {"root": "/photos", "layout": "contest", "face": "auto"}
FACES = [
    ("a1", "anna/1.jpg", "wear", "female", 30, 39),
    ("b2", "bob/1.jpg", "normal", "male", 61, 61),
    ("b3", "bob/2.jpg", "incorrect", "male", 61, 61),
    ("c4", "cy.jpg", None, None, np.nan, np.nan),
    ("d5", "copy/1.jpg", "wear", "male", 20, 20),
    ("d5", "copy/2.jpg", "normal", "male", 20, 20),
]
NAMES = ("face_id", "path", "mask", "gender", "age_low", "age_high")


def table() -> pd.DataFrame:
    rest = {"box": [0, 0, 9, 9], "landmarks": [], "face": "whole", "face_score": 1, "faces_in_photo": 1, "norm": 9}
    rest |= {"sharpness": 1, "file_sha256": "0" * 64, "file_size": 1, "file_mtime_ns": 1}
    return face_table(dict(zip(NAMES, face, strict=True)) | rest for face in FACES)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    save(folder, table())
    return folder


def save(folder: Path, rows: pd.DataFrame) -> None:
    writer = SetWriter(folder, len(rows))
    writer.embeddings[:] = 1
    writer.maps[:] = 1
    writer.commit(SetTables(rows, pd.DataFrame(columns=list(REJECT_COLUMNS)).astype(REJECT_COLUMNS), INFO, SETTINGS))


def patch(*lines: tuple[str, str, str, str]) -> pd.DataFrame:
    rows = [dict(zip(("face_id", "field", "old", "new"), line, strict=True)) for line in lines]
    return pd.DataFrame(rows).reindex(columns=list(PATCH_COLUMNS), fill_value="")


def labels(folder: Path) -> list[tuple[str, ...]]:
    return list(labels_of(open_set(folder).table).itertuples(index=False, name=None))


BEFORE = [
    ("wear", "female", "30-39"),
    ("normal", "male", "61"),
    ("incorrect", "male", "61"),
    ("", "", ""),
    ("wear", "male", "20"),
    ("normal", "male", "20"),
]


@pytest.mark.parametrize(
    ("line", "row", "after"),
    [
        pytest.param(("a1", "mask", "wear", "normal"), 0, ("normal", "female", "30-39"), id="mask"),
        pytest.param(("a1", "gender", "female", "male"), 0, ("wear", "male", "30-39"), id="gender"),
        pytest.param(("a1", "gender", "F", "m"), 0, ("wear", "male", "30-39"), id="as a person writes it"),
        pytest.param(("a1", "age", "30-39", "67"), 0, ("wear", "female", "67"), id="band to years"),
        pytest.param(("b2", "age", "61", "60+"), 1, ("normal", "male", "60-100"), id="years to open band"),
        pytest.param(("b2", "age", "61", ""), 1, ("normal", "male", ""), id="no longer known"),
        pytest.param(("c4", "mask", "", "wear"), 3, ("wear", "", ""), id="known now"),
    ],
)
def test_a_line_changes_one_label_and_undo_brings_it_back(
    faces: Path, line: tuple[str, str, str, str], row: int, after: tuple[str, ...]
) -> None:
    first = open_set(faces).table
    assert apply_patch([faces], patch(line)) == Outcome(changed={2})
    assert labels(faces) == [*BEFORE[:row], after, *BEFORE[row + 1 :]]
    assert undo_patch(faces) == 1
    assert labels(faces) == BEFORE
    assert_frame_equal(open_set(faces).table, first)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(("zz", "mask", "wear", "normal"), "no face zz", id="unknown face"),
        pytest.param(("a1", "race", "", "x"), "field 'race' is none of mask, gender, age", id="unknown field"),
        pytest.param(("a1", "mask", "wear", "half"), "mask 'half' is none of", id="no such mask"),
        pytest.param(("a1", "gender", "x", "male"), "gender 'x' is neither", id="no such gender"),
        pytest.param(("a1", "age", "30-39", "-3"), "age '-3' is", id="negative age"),
        pytest.param(("a1", "age", "30-39", "300"), "outside 0-120", id="age of a tortoise"),
        pytest.param(("a1", "mask", "normal", "incorrect"), "anna/1.jpg: mask is wear, not normal", id="outdated"),
        pytest.param(("c4", "mask", "wear", "normal"), "cy.jpg: mask is nothing, not wear", id="never known"),
        pytest.param(("d5", "mask", "wear", "incorrect"), "mask is normal and wear, not wear", id="copies differ"),
    ],
)
def test_a_line_that_does_not_fit_is_refused_with_its_number(
    faces: Path, line: tuple[str, str, str, str], reason: str
) -> None:
    outcome = apply_patch([faces], patch(("b2", "mask", "normal", "normal"), line))
    assert outcome.refused.keys() == {3}
    assert reason in outcome.refused[3]
    assert outcome.confirmed == {2}
    assert labels(faces) == BEFORE


def test_a_path_tells_copies_of_a_photo_apart(faces: Path) -> None:
    line = patch(("d5", "mask", "normal", "wear")).assign(path="copy/2.jpg")
    assert apply_patch([faces], line).changed == {2}
    assert [row[0] for row in labels(faces)[4:]] == ["wear", "wear"]


def test_the_same_patch_twice_changes_and_logs_nothing_more(faces: Path) -> None:
    line = patch(("a1", "mask", "wear", "normal"))
    apply_patch([faces], line)
    before = {path.name: path.read_bytes() for path in faces.iterdir() if path.is_file()}
    assert apply_patch([faces], line) == Outcome(done={2})
    assert {path.name: path.read_bytes() for path in faces.iterdir() if path.is_file()} == before


def test_batches_are_taken_back_one_by_one(faces: Path) -> None:
    apply_patch([faces], patch(("a1", "age", "30-39", "40"), ("a1", "age", "40", "41"), ("b2", "gender", "male", "")))
    apply_patch([faces], patch(("a1", "age", "41", "42"), ("b3", "mask", "incorrect", "incorrect")))
    log = open_set(faces).corrections
    assert log["batch"].to_list() == [1, 1, 1, 2, 2]
    assert tuple(log.columns) == tuple(LOG_COLUMNS)
    assert labels(faces)[0][2] == "42"
    assert undo_patch(faces) == 1
    assert labels(faces)[0][2] == "41"
    assert undo_patch(faces) == 3
    assert labels(faces) == BEFORE
    with pytest.raises(MaskclsError, match="no corrections to take back"):
        undo_patch(faces)


def test_each_set_takes_its_own_lines(faces: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    save(other, table().assign(face_id=[f"e{i}" for i in range(6)]))
    both = patch(("a1", "mask", "wear", "normal"), ("e0", "mask", "wear", "incorrect"), ("zz", "mask", "", "wear"))
    outcome = apply_patch([faces, other], both)
    assert outcome.changed == {2, 3}
    assert outcome.refused.keys() == {4}
    assert (labels(faces)[0][0], labels(other)[0][0]) == ("normal", "incorrect")


@pytest.mark.parametrize(
    ("now", "after"),
    [
        pytest.param("wear", "normal", id="source says the same: corrected"),
        pytest.param("normal", "normal", id="source was corrected too"),
        pytest.param("incorrect", "incorrect", id="source says something else now: believed"),
    ],
)
def test_labels_read_anew_are_corrected_again(faces: Path, now: str, after: str) -> None:
    apply_patch([faces], patch(("a1", "mask", "wear", "normal")))
    anew = table()
    anew.loc[0, "mask"] = now
    fixed = corrected(anew, open_set(faces).corrections)
    assert fixed.loc[0, "mask"] == after
    assert fixed.drop(index=0).equals(table().drop(index=0))
    assert fixed.dtypes.equals(anew.dtypes)


@settings(max_examples=30, deadline=None)
@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from(["a1", "b2", "c4", "d5"]),
            st.sampled_from(["mask", "gender", "age"]),
            st.sampled_from(["", "wear", "normal", "male", "female", "20", "30-39", "61"]),
            st.sampled_from(["", "wear", "normal", "male", "female", "20", "30-39", "61"]),
        ),
        max_size=8,
    )
)
def test_any_log_replayed_on_the_first_labels_gives_the_last(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    save(folder, table())
    first = open_set(folder).table
    if lines:
        outcome = apply_patch([folder], patch(*lines))
        numbers = [*outcome.changed, *outcome.confirmed, *outcome.done, *outcome.refused]
        assert sorted(numbers) == list(range(2, 2 + len(lines)))
    opened = open_set(folder)
    assert_frame_equal(corrected(first, opened.corrections), opened.table)


@pytest.mark.parametrize("moved", range(6))
def test_a_kill_while_saving_leaves_old_or_new(faces: Path, monkeypatch: pytest.MonkeyPatch, moved: int) -> None:
    replace, count = os.replace, 0

    def die(source: Path, target: Path) -> None:
        nonlocal count
        if ".next" in str(source) and (count := count + 1) > moved:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            apply_patch([faces], patch(("a1", "mask", "wear", "normal")))
    line = patch(("a1", "mask", "wear", "normal"))
    assert apply_patch([faces], line) == (Outcome(done={2}) if moved > 1 else Outcome(changed={2}))
    assert labels(faces)[0][0] == "normal"


def test_a_second_run_of_embed_keeps_corrections(run: Run, photos: Path, out: Path) -> None:
    run()
    first = open_set(out).table
    face = first.iloc[0]
    line = patch((face["face_id"], "gender", "female", "male"), (face["face_id"], "age", "40", "61"))
    assert apply_patch([out], line).changed == {2, 3}
    changed = open_set(out).table
    run()
    assert_frame_equal(open_set(out).table, changed)
    (photos / first["path"].iloc[1]).unlink()  # other rows, so that the arrays are written anew as well
    run()
    assert_frame_equal(open_set(out).table, changed.drop(index=1).reset_index(drop=True))
    assert undo_patch(out) == 2
    assert open_set(out).table["gender"].eq("female").all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"face_id,field,old\n", "no column new", id="column lacking"),
        pytest.param(b"\xff\xfe\x00", "not a CSV table", id="not text"),
        pytest.param(b"", "not a CSV table", id="empty"),
    ],
)
def test_a_file_that_is_no_patch(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "patch.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MaskclsError, match=words):
        read_patch(path)
