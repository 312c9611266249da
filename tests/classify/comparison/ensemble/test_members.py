from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.comparison.ensemble.members import read_members
from maskcls.embedder.errors import MaskclsError

Make = Callable[..., pd.DataFrame]
Write = Callable[[str, pd.DataFrame], Path]


def test_rows_in_another_order_and_another_format_are_brought_together(make_answers: Make, write: Write) -> None:
    first, second = make_answers(1, 1.0, 5.0), make_answers(2, 1.0, 5.0)
    members = read_members([write("a.parquet", first), write("b.csv", second.sample(frac=1, random_state=0))])
    assert members.names == ("a", "b")
    assert members.tables[1]["face_id"].tolist() == first["face_id"].tolist()
    assert members.tables[1]["age"].tolist() == second["age"].tolist()
    assert members.fold.tolist() == first["fold"].tolist()


def test_people_joined_in_one_file_are_joined_in_all(make_answers: Make, write: Write) -> None:
    first, second = make_answers(1, 1.0, 5.0), make_answers(2, 1.0, 5.0)
    second["person"] = second["person"].replace({3: 0}) + 100  # of one fold both
    members = read_members([write("a.parquet", first), write("b.parquet", second)])
    assert pd.Series(members.people).nunique() == first["person"].nunique() - 1
    together = members.people[np.isin(first["person"], [0, 3])]
    assert len(set(together)) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda t: t.iloc[5:], "b.parquet: no answer for 5 of 240 faces that .*a.parquet", id="faces gone"),
        pytest.param(
            lambda t: pd.concat([t, t[:3].assign(face_id=["x", "y", "z"])]),
            "a.parquet: no answer for 3 of 243 faces that .*b.parquet",
            id="more faces",
        ),
        pytest.param(lambda t: t.assign(fold=(t["fold"] + 1) % 3), "240 of 240 faces .* another fold", id="folds"),
        pytest.param(
            lambda t: t.assign(true_gender=["male", *t["true_gender"][1:]] if t["true_gender"][0] == "female"
                               else ["female", *t["true_gender"][1:]]),
            "1 faces have another true gender",
            id="labels",
        ),
        pytest.param(lambda t: t.assign(true_age_low=np.nan), "240 faces have another true age_low", id="no labels"),
        pytest.param(lambda t: t.assign(person=0), "people are in more than one fold", id="people"),
        pytest.param(lambda t: t.drop(columns=["p_wear", "fold"]), "no column fold, p_wear", id="columns"),
        pytest.param(lambda t: pd.concat([t, t[:1]]), "a face has two answers", id="twice"),
        pytest.param(lambda t: t[:0], "no answers", id="empty"),
        pytest.param(lambda t: t.assign(mask="helmet"), "helmet", id="classes"),
        pytest.param(lambda t: t.assign(fold="first"), "cannot be read as answers", id="no number"),
    ],
)  # fmt: skip
def test_what_cannot_be_mixed_is_said_in_one_line(
    change: Callable[[pd.DataFrame], pd.DataFrame], reason: str, make_answers: Make, write: Write
) -> None:
    paths = [write("a.parquet", make_answers(1, 1.0, 5.0)), write("b.parquet", change(make_answers(2, 1.0, 5.0)))]
    with pytest.raises(MaskclsError, match=reason) as caught:
        read_members(paths)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(make_answers: Make, write: Write, tmp_path: Path) -> None:
    one = write("a.parquet", make_answers(1, 1.0, 5.0))
    (tmp_path / "b.parquet").write_bytes(b"no table")
    (tmp_path / "ensemble.csv").write_text("a,b\n1,2\n")
    for path, reason in (
        (tmp_path / "b.parquet", "cannot be read"),
        (tmp_path / "c.csv", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "ensemble.csv", "no column"),
        (one, "named twice"),
    ):
        with pytest.raises(MaskclsError, match=reason):
            read_members([one, path])
    single = write("d.parquet", make_answers(1, 1.0, 5.0).assign(fold=0))
    with pytest.raises(MaskclsError, match="it takes two"):
        read_members([single])


def test_members_of_one_name_and_one_called_ensemble_are_told_apart(
    make_answers: Make, write: Write, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    first = write("a.parquet", make_answers(1, 1.0, 5.0))
    second = write("other/a.parquet", make_answers(2, 1.0, 5.0))
    assert len(set(read_members([first, second]).names)) == 2
    assert read_members([write("ensemble.parquet", make_answers(1, 1.0, 5.0))]).names != ("ensemble",)
