from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskcls.classify.labels.review.changes import ACTS, CLEAR, CONFIRM, REJECT, SET, Change
from maskcls.classify.labels.review.decisions import Decisions
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.faceset.corrections import FIELDS, apply_patch, labels_of, read_patch
from maskcls.embedder.faceset.store import PATCH_COLUMNS, open_set

FACES = 60
# Row 4: wear, female, 20. Row 3: no mask, male, no age. Row 58: normal, no person. Row 8: wear, no gender, 37.
CASES: dict[str, tuple[list[Change], dict[int, dict[str, tuple[str, str]]]]] = {
    "a label": ([Change(4, SET, "mask", "normal")], {4: {"mask": ("normal", "changed")}}),
    "the same label": ([Change(4, SET, "mask", "wear")], {4: {"mask": ("wear", "confirmed")}}),
    "a missing label": ([Change(3, SET, "age", "30-39")], {3: {"age": ("30-39", "changed")}}),
    "away with a label": ([Change(4, SET, "age", "")], {4: {"age": ("", "changed")}}),
    "the last one wins": (
        [Change(4, SET, "age", "37"), Change(4, SET, "age", "40-49")],
        {4: {"age": ("40-49", "changed")}},
    ),
    "all labels right": (
        [Change(4, CONFIRM)],
        {4: {"mask": ("wear", "confirmed"), "gender": ("female", "confirmed"), "age": ("20", "confirmed")}},
    ),
    "one label right": ([Change(4, CONFIRM, "age")], {4: {"age": ("20", "confirmed")}}),
    "unknown labels are not confirmed": ([Change(3, CONFIRM)], {3: {"gender": ("male", "confirmed")}}),
    "the others right": (
        [Change(4, SET, "gender", "male"), Change(4, CONFIRM)],
        {4: {"mask": ("wear", "confirmed"), "gender": ("male", "changed"), "age": ("20", "confirmed")}},
    ),
    "right after all": (
        [Change(4, SET, "gender", "male"), Change(4, CONFIRM, "gender")],
        {4: {"gender": ("female", "confirmed")}},
    ),
    "rejected": ([Change(4, REJECT)], {4: {field: ("", "rejected") for field in FIELDS}}),
    "rejected without any label but one": ([Change(3, REJECT)], {3: {field: ("", "rejected") for field in FIELDS}}),
    "rejected after a label": (
        [Change(4, SET, "mask", "normal"), Change(4, REJECT)],
        {4: {field: ("", "rejected") for field in FIELDS}},
    ),
    "a label instead of a reject": (
        [Change(4, REJECT), Change(4, SET, "mask", "normal")],
        {4: {"mask": ("normal", "changed")}},
    ),
    "right instead of a reject": (
        [Change(4, REJECT), Change(4, CONFIRM, "gender")],
        {4: {"gender": ("female", "confirmed")}},
    ),
    "cleared": ([Change(4, REJECT), Change(4, CLEAR)], {}),
    "one cleared": (
        [Change(4, SET, "mask", "normal"), Change(4, SET, "age", "50"), Change(4, CLEAR, "age")],
        {4: {"mask": ("normal", "changed")}},
    ),
    "cleared where nothing is": ([Change(4, CLEAR)], {}),
    "several faces": (
        [Change(8, SET, "gender", "male"), Change(4, SET, "gender", "male")],
        {4: {"gender": ("male", "changed")}, 8: {"gender": ("male", "changed")}},
    ),
}


@pytest.mark.parametrize("one_batch", [True, False], ids=["at once", "one by one"])
@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES)
def test_decisions(
    decisions: Decisions,
    patch: Path,
    table: pd.DataFrame,
    changes: list[Change],
    expected: dict[int, Any],
    one_batch: bool,
) -> None:
    for batch in [changes] if one_batch else [[change] for change in changes]:
        decisions.decide(batch)
    assert decisions.all_verdicts() == expected
    decisions.close()
    again = Decisions(patch, table)
    assert again.all_verdicts() == expected
    assert again.counts() == decisions.counts()
    again.close()


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES)
def test_the_patch_does_what_was_decided(
    decisions: Decisions,
    patch: Path,
    review_faces: Path,
    tmp_path: Path,
    changes: list[Change],
    expected: dict[int, Any],
) -> None:

    decisions.decide(changes)
    if not patch.exists():
        assert not expected
        return
    copy = tmp_path / "set"
    shutil.copytree(review_faces, copy)
    outcome = apply_patch([copy], read_patch(patch))
    assert not outcome.refused
    labels = labels_of(open_set(copy).table)
    for row, verdicts in expected.items():
        for field, (value, _) in verdicts.items():
            assert labels.at[row, field] == value
    unchanged = labels.drop(index=list(expected))
    pd.testing.assert_frame_equal(unchanged, labels_of(open_set(review_faces).table).drop(index=list(expected)))
    decisions.close()
    after = Decisions(patch, open_set(copy).table)
    states = {row: "rejected" if "rejected" in str(verdicts) else "confirmed" for row, verdicts in expected.items()}
    assert {row: next(iter(found.values()))[1] for row, found in after.all_verdicts().items()} == states
    after.close()


def test_lines_of_the_patch(decisions: Decisions, patch: Path, table: pd.DataFrame) -> None:
    decisions.decide([Change(4, SET, "age", "37", 0.75), Change(4, CONFIRM, "mask"), Change(5, REJECT)])
    lines = read_patch(patch)
    assert list(lines.columns) == list(PATCH_COLUMNS)
    face, path = table["face_id"][4], table["path"][4]
    assert lines.iloc[0].tolist() == [face, path, "age", "20", "37", "seen and wrong, as the audit proposed", "0.75"]
    assert lines.iloc[1].tolist() == [face, path, "mask", "wear", "wear", "seen and right", ""]
    assert lines["reason"].iloc[2:].str.startswith("reject").all()
    assert lines["old"].iloc[2:].tolist() == ["incorrect", "female", "20"]
    assert not lines.duplicated(["face_id", "path", "field"]).any()


def test_undo_goes_back_batch_by_batch(decisions: Decisions, patch: Path) -> None:
    states = [decisions.all_verdicts()]
    for batch in (
        [Change(4, CONFIRM)],
        [Change(4, REJECT), Change(5, SET, "age", "3")],
        [Change(4, SET, "mask", "normal")],
    ):
        decisions.decide(batch)
        states.append(decisions.all_verdicts())
    decisions.decide([Change(4, SET, "mask", "normal")])  # changes nothing, so there is nothing to take back
    for state in reversed(states[:-1]):
        assert decisions.undo()
        assert decisions.all_verdicts() == state
    assert decisions.undo() is None
    assert len(read_patch(patch)) == 0


def test_lines_of_others_stay(patch: Path, table: pd.DataFrame) -> None:
    face, place = table["face_id"][4], table["path"][4]
    text = (
        "face_id,path,field,old,new,reason\n"
        f"ffffffffffffffff,x.jpg,age,3,4,another set\n{face},{place},age,99,98,outdated\n"
        f"{face},,mask,WEAR,Normal,by hand\n"
    )
    patch.write_text(text, encoding="utf-8")
    decisions = Decisions(patch, table)
    assert decisions.passed_over == 2
    assert decisions.all_verdicts() == {4: {"mask": ("normal", "changed")}}
    decisions.decide([Change(5, CONFIRM, "age")])
    decisions.close()
    assert read_patch(patch)["reason"].tolist() == ["another set", "outdated", "by hand", "seen and right"]


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "\udcff", 'face_id,field,old,new\n"'], ids=["empty", "other", "bytes", "cut"]
)
def test_what_is_no_patch(patch: Path, table: pd.DataFrame, text: str) -> None:
    patch.write_text(text, encoding="utf-8", errors="surrogateescape")
    for _ in range(2):  # the lock is let go
        with pytest.raises(MaskclsError, match=r"decisions\.csv") as caught:
            Decisions(patch, table)
        assert "\n" not in str(caught.value)


def test_one_review_at_a_time(decisions: Decisions, patch: Path, table: pd.DataFrame) -> None:
    with pytest.raises(MaskclsError, match="another review"):
        Decisions(patch, table)
    decisions.close()
    Decisions(patch, table).close()


def test_a_full_disk_changes_nothing(decisions: Decisions, patch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decisions.decide([Change(4, CONFIRM)])
    before, states = patch.read_bytes(), decisions.all_verdicts()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            decisions.decide([Change(5, REJECT)])
        with pytest.raises(OSError, match="No space"):
            decisions.undo()
    assert (patch.read_bytes(), decisions.all_verdicts()) == (before, states)
    assert [path.name for path in patch.parent.iterdir() if "tmp" in path.name] == []
    assert decisions.undo() == [4]


def test_odd_names_survive(patch: Path, table: pd.DataFrame) -> None:
    names = ['a,"b"', "line\nbreak", "lone\rreturn", "é\u2028", " space ", "=1+1"]
    odd = table.iloc[: len(names)].assign(path=names)
    decisions = Decisions(patch, odd)
    decisions.decide([Change(row, SET, "age", "7") for row in range(len(names))])
    decisions.close()
    again = Decisions(patch, odd)
    assert list(again.all_verdicts()) == list(range(len(names)))
    assert again.passed_over == 0
    again.close()


CHANGES = st.builds(
    Change,
    st.integers(0, 5),
    st.sampled_from(ACTS),
    st.sampled_from(FIELDS),
    st.sampled_from(["", "male", "wear", "20"]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.lists(CHANGES, min_size=1, max_size=4), st.none()), max_size=12))
def test_the_file_says_what_memory_says(patch: Path, table: pd.DataFrame, steps: list[list[Change] | None]) -> None:
    patch.unlink(missing_ok=True)
    decisions, states = Decisions(patch, table), []
    for step in steps:  # None is an undo
        if step is not None:
            before = decisions.all_verdicts()
            if decisions.decide(step):
                states.append(before)
        elif decisions.undo() is not None:
            assert decisions.all_verdicts() == states.pop()
    decisions.close()
    again = Decisions(patch, table)
    again.close()
    assert again.all_verdicts() == decisions.all_verdicts()
    assert again.passed_over == 0


def decide_for_ever(patch: Path, table: pd.DataFrame, pipe: int, start: int) -> None:
    """Tell every decision to a pipe, as a row and an age, once it is made."""
    try:
        decisions = Decisions(patch, table)
        for number in range(start, start + 100_000):
            decisions.decide([Change(number % FACES, SET, "age", str(number % 100))])
            os.write(pipe, bytes([number % FACES, number % 100]))
    finally:
        os._exit(1)


def test_a_decision_that_was_told_survives_a_kill(patch: Path, table: pd.DataFrame) -> None:
    chance = random.Random(0)
    for kill in range(20):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            decide_for_ever(patch, table, write, 7 * kill)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            sent = pipe.read(2)
            time.sleep(chance.uniform(0, 0.03))
            os.kill(child, signal.SIGKILL)
            sent += pipe.read()
        os.waitpid(child, 0)
        assert sent
        after = Decisions(patch, table)
        after.close()
        unsent = (sent[-2] + 1) % FACES  # may have been saved, too
        for row, age in dict(zip(sent[::2], sent[1::2], strict=True)).items():
            assert after.verdicts(row)["age"][0] == str(age) or row == unsent
        assert after.passed_over == 0
