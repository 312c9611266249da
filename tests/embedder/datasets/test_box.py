from __future__ import annotations

from pathlib import Path

import pytest

from maskcls.embedder.datasets.box import Box, parse_box
from maskcls.embedder.datasets.dataset import UNLISTED
from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.labels import LabelError


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        pytest.param(["42", "109", "66", "140"], "42 109 66 140", id="whole pixels"),
        pytest.param(["42.0", " 109 ", "66.126", "140.5"], "42 109 66.13 140.5", id="as spreadsheets write them"),
        pytest.param(["-3", "-0.001", "1e2", "12345.67"], "-3 0 100 12345.67", id="beyond the photo"),
    ],
)
def test_a_box_is_four_numbers(cells: list[str], text: str) -> None:
    assert str(parse_box(cells)) == text


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        pytest.param(["", "1", "2", "3"], r"box '\? 1 2 3' is not four numbers", id="empty cell"),
        pytest.param(["left", "1", "2", "3"], "box 'left 1 2 3' is not four numbers", id="a word"),
        pytest.param(["1", "2", "nan", "4"], "not four numbers", id="not a number"),
        pytest.param(["1", "2", "inf", "4"], "not four numbers", id="infinite"),
        pytest.param(["1_0", "2", "30", "4"], "not four numbers", id="underscore"),
        pytest.param(["9", "2", "3", "4"], "box '9 2 3 4' has no area: x0 must be below x1", id="corners swapped"),
        pytest.param(["1", "2", "1", "4"], "has no area", id="no width"),
    ],
)
def test_what_is_no_box_has_a_reason(cells: list[str], reason: str) -> None:
    with pytest.raises(LabelError, match=reason):
        parse_box(cells)


def table(root: Path, *rows: str) -> Path:
    """A folder of two photos beside a label table of these rows."""
    photos = root / "photos"
    photos.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (photos / name).touch()
    (root / "boxes.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root / "boxes.csv"


def test_each_row_is_a_face_of_its_photo(tmp_path: Path) -> None:
    file = table(
        tmp_path,
        "Path, X0 ,Y0,x1,y1,Mask",
        "a.jpg,50,0,60,10,wear",
        "a.jpg,0,0,10,10,normal",
        "a.jpg,0,0,10.0,10,normal",
        "a.jpg,0,0,ten,10,normal",
        "a.jpg,,,,,wear",
        "a.jpg,20,20,30,30,wear",
        "a.jpg,20,20,30,30,normal",
        "../c.jpg,20,20,30,30,normal",
    )
    dataset = read_dataset(tmp_path / "photos", "auto", file, faces="all")
    twice = "named twice in the label file, with different labels"
    assert [(item.path.name, item.box, item.labels.mask, item.refused) for item in dataset.photos] == [
        ("c.jpg", None, None, "lies outside the photo folder"),
        ("a.jpg", Box(50, 0, 60, 10), "wear", None),
        ("a.jpg", Box(0, 0, 10, 10), "normal", None),
        ("a.jpg", None, None, "box '0 0 ten 10' is not four numbers (x0, y0, x1, y1)"),
        ("a.jpg", None, None, "box '? ? ? ?' is not four numbers (x0, y0, x1, y1)"),
        ("a.jpg", Box(20, 20, 30, 30), None, twice),
        ("b.jpg", None, None, UNLISTED),
    ]
    assert dataset.label_counts() == {"age": 0, "gender": 0, "mask": 2}
    assert dataset.photo_count() == 3


def test_the_largest_face_has_one_row_a_photo_as_before(tmp_path: Path) -> None:
    file = table(
        tmp_path, "path,x0,y0,x1,y1,mask", "a.jpg,0,0,9,9,wear", "a.jpg,5,5,9,9,normal", "b.jpg,left,0,9,9,wear"
    )
    items = read_dataset(tmp_path / "photos", "auto", file).photos
    assert [(item.box, item.labels.mask, item.refused) for item in items] == [
        (None, None, "named twice in the label file, with different labels"),
        (None, "wear", None),
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        pytest.param("path,mask", "boxes.csv: no column x0, y0, x1, y1; --faces all needs", id="none"),
        pytest.param("path,mask,x0,y0,x1", "boxes.csv: no column y1; --faces all needs", id="one is missing"),
    ],
)
def test_without_boxes_is_one_line(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(MaskclsError, match=message):
        read_dataset(tmp_path / "photos", "auto", table(tmp_path, header), faces="all")


def test_a_layout_without_a_table_has_no_boxes(tmp_path: Path) -> None:
    table(tmp_path, "path,mask")
    with pytest.raises(MaskclsError, match="--faces all needs a label table with the columns path, x0, y0, x1, y1"):
        read_dataset(tmp_path / "photos", "folders", faces="all")
