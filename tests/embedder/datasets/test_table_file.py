from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.datasets.table_file import read_table
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.labels import Labels

ROWS = [{"path": "새/a.jpg", "person": "김", "age": "(25, 32)"}, {"path": "001.jpg", "person": "", "age": "60+"}]


def text(separator: str, end: str = "\n", tail: str = "") -> str:
    lines = [list(ROWS[0]), *([f'"{cell}"' for cell in row.values()] for row in ROWS)]
    return "".join(separator.join(line) + (tail if i else "") + end for i, line in enumerate(lines))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"], ids=["comma", "semicolon", "tab", "bar"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_csv_as_programs_write_it(tmp_path: Path, separator: str, encoding: str, end: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(text(separator, end).encode(encoding))
    assert read_table(path).to_dict("records") == ROWS


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"", "utf-16-le"), (b"", "utf-16-be")],
)
def test_either_order_of_bytes(tmp_path: Path, mark: bytes, encoding: str) -> None:
    path = tmp_path / "labels.tsv"
    path.write_bytes(mark + text("\t").encode(encoding))
    assert read_table(path).to_dict("records") == ROWS


def test_blank_lines_and_a_separator_inside_a_quoted_header(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text('\n\npath;"a, b, or c";age\n\nx.jpg;1;37\n', encoding="utf-8")
    assert read_table(path).to_dict("records") == [{"path": "x.jpg", "a, b, or c": "1", "age": "37"}]


@pytest.mark.parametrize("tail", [",", ",,"])
def test_separators_at_the_end_of_every_row_shift_nothing(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text(",", tail=tail), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_table(path).to_dict("records") == ROWS


def test_row_numbers_without_a_name_shift_nothing(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("path,mask\n1,a.jpg,wear\n2,b.jpg,normal\n")
    assert read_table(path).to_numpy().tolist() == [["a.jpg", "wear"], ["b.jpg", "normal"]]


def test_a_row_with_fewer_cells_lacks_the_last_ones(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("path,mask,age\na.jpg,wear\nb.jpg\n")
    assert read_table(path).to_numpy().tolist() == [["a.jpg", "wear", ""], ["b.jpg", "", ""]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"path,age\na.jpg,(25, 32)\nb.jpg,(25, 32)\n", "its rows have more cells than", id="all rows"),
        pytest.param(b"path,age\na.jpg,37\nb.jpg,(25, 32)\n", "Expected 2 fields in line 3, saw 3", id="one row"),
        pytest.param(b"path,age\n\xff\xfe\x00", "neither UTF-8 nor UTF-16 nor cp949", id="no text"),
        pytest.param(b"\xff\xfep", "truncated data", id="half a character"),
        pytest.param(b"", "No columns to parse from file", id="nothing"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(MaskclsError) as error:
        read_table(path)
    assert str(error.value).startswith(f"{path}: cannot be read as a label table (")
    assert reason in str(error.value)
    assert str(error.value).isprintable()


def test_excel_numbers_gaps_and_texts(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    path = tmp_path / "labels.xlsx"
    frame = pd.DataFrame({"Path ": ["a.jpg", "b.jpg"], "age": [34.0, None], "mask": [0, 1], "person": ["NA", "김"]})
    frame.to_excel(path, index=False)
    assert read_table(path).to_numpy().tolist() == [["a.jpg", "34", "0", "NA"], ["b.jpg", "", "1", "김"]]
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()
    first, second = read_dataset(tmp_path, "auto", path).photos
    assert (first.labels, second.labels) == (Labels(age_low=34, age_high=34), Labels("김"))


def test_excel_without_its_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "labels.xlsx").touch()
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MaskclsError) as error:
        read_table(tmp_path / "labels.xlsx")
    assert str(error.value) == (
        f"{tmp_path / 'labels.xlsx'}: Excel tables need an extra: pip install 'maskcls[excel]', or save it as CSV"
    )


def test_damaged_excel_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    (tmp_path / "labels.xlsx").write_bytes(b"PK nothing")
    with pytest.raises(MaskclsError, match="cannot be read as a label table") as error:
        read_table(tmp_path / "labels.xlsx")
    assert str(error.value).isprintable()


cells = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=8)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=4), st.sampled_from(",;\t|"))
def test_quoted_cells_come_back_whatever_they_hold(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], separator: str
) -> None:
    path = tmp_path_factory.mktemp("table") / "labels.csv"
    pd.DataFrame(rows, columns=["path", "person"]).to_csv(path, sep=separator, index=False, quoting=1)
    assert read_table(path).to_numpy().tolist() == [list(row) for row in rows]
