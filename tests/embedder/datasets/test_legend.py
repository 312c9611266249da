from __future__ import annotations

from pathlib import Path

import pytest

from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.datasets.legend import EXAMPLES, PARSERS, is_code, read_legend
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.labels import Labels

ROWS = "path,mask,gender,age\na.jpg,0,1.0,2\nb.jpg,wear,M,37\nc.jpg,1,3,\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "labels.csv").write_text(ROWS)
    return tmp_path / "labels.csv"


def test_codes_are_read_with_a_legend(table: Path) -> None:
    legend = read_legend(["gender: 0 = male, 1 = female", "mask:0=without_mask,1=unknown", EXAMPLES["age"]])
    photos = read_dataset(table.parent, "auto", legend=legend).photos
    assert [item.labels for item in photos] == [
        Labels(None, "normal", "female", None, 60, 100),
        Labels(None, "wear", "male", None, 37, 37),
        Labels(),
    ]
    assert [[problem.cell for problem in item.problems] for item in photos] == [[], [], ["3"]]


def test_codes_are_not_understood_without_a_legend(table: Path) -> None:
    dataset = read_dataset(table.parent, "auto")
    assert dataset.misread() == {("mask", "mask"): {"0": 1, "1": 1}, ("gender", "gender"): {"1.0": 1, "3": 1}}
    assert dataset.label_counts() == {"age": 2, "gender": 1, "mask": 1}


def test_a_legend_wins_over_words(table: Path) -> None:
    photos = read_dataset(table.parent, "auto", legend=read_legend(["gender:m=female,f=male"])).photos
    assert photos[1].labels.gender == "female"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0=male,1=female", "not of the form mask:0=normal,1=wear or gender:0=male,1=female or age:"),
        ("sex:0=male", "not of the form mask:"),
        ("gender:", "'' is not CODE=LABEL, as in gender:0=male,1=female"),
        ("gender:0", "'0' is not CODE=LABEL"),
        ("gender:=male", "'=male' is not CODE=LABEL"),
        ("gender:0=x", "gender 'x' is neither male nor female"),
        ("age:0=young", "age 'young' is neither years"),
        ("gender:0=male,0=female", "code '0' is given twice"),
    ],
)
def test_what_is_no_legend(text: str, reason: str) -> None:
    with pytest.raises(MaskclsError) as error:
        read_legend([text])
    assert str(error.value).startswith(f"legend {text!r}: ")
    assert reason in str(error.value)


@pytest.mark.parametrize("task", PARSERS)
def test_the_examples_are_legends(task: str) -> None:
    assert list(read_legend([EXAMPLES[task]]).words) == [task]


@pytest.mark.parametrize(("text", "code"), [("0", True), (" 1.0 ", True), ("12", True), ("x", False), ("1.5", False)])
def test_codes_are_whole_numbers(text: str, code: bool) -> None:
    assert is_code(text) is code
