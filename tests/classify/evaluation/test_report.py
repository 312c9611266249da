from __future__ import annotations

import copy
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from maskcls.classify.evaluation.report import write_evaluation

SCRIPT = "<script>alert(1)</script>"
QUOTE = '" onmouseover="alert(2)'
HOSTILE = [SCRIPT, QUOTE, "two\nlines", "\udcfe", "a & b"]

ESTIMATE = {"value": 0.9, "low": 0.85, "high": 0.95}
SUMMARY: dict[str, Any] = {
    "data": {
        "sets": [{"name": "contest", "faces": 5327}],
        "faces": 5327,
        "people": 763,
        "folds": 5,
        "seed": 0,
        "command": "maskcls evaluate faces/",
        "encoder": "facenet",
        "seconds": 12.3,
        "notes": ["a note"],
    },
    "overall": {
        "mask accuracy": {**ESTIMATE, "faces": 5327, "people": 763},
        "age MAE": {"value": 6.28, "low": 5.5, "high": 7.1, "faces": 5327, "people": 763},
        "recall >=60": {"value": None, "low": None, "high": None, "faces": 0, "people": 0},
        "gender accuracy": None,
    },
    "classes": {
        "mask": [
            {"class": "wear", "precision": 0.9, "recall": 0.8, "f1": 0.85, "support": 10, "low": 0.8, "high": 0.9},
            {"class": "normal", "precision": None, "recall": None, "f1": None, "support": 0, "low": None, "high": None},
        ]
    },
    "confusion": {
        "gender": {"classes": ["male", "female"], "counts": [[1234, 66], [0, 0]]},
        "joint": {
            "classes": [f"class {i}" for i in range(18)],
            "counts": [[7 * (i == j) for j in range(18)] for i in range(18)],
        },
        "age_by_decade": {
            "decades": ["20-29", "60-69", "90+"],
            "bands": ["<30", "30-59", ">=60"],
            "counts": [[8, 2, 0], [0, 3, 1], [0, 0, 0]],
            "mae": [4.0, 11.5, None],
            "bias": [1.5, -9.25, None],
            "faces": [10, 4, 0],
        },
    },
    "calibration": {
        "mask": {
            "ece": ESTIMATE,
            "brier": ESTIMATE,
            "log_loss": 0.4567,
            "bins": [
                {"confidence": 0.55, "accuracy": 0.5, "faces": 4},
                {"confidence": None, "accuracy": None, "faces": 0},
                {"confidence": 0.95, "accuracy": 0.97, "faces": 90},
            ],
        },
        "age_band": {"ece": ESTIMATE, "brier": ESTIMATE, "log_loss": ESTIMATE | {"value": 0.7654}, "bins": []},
    },
    "abstention": {
        "joint": {
            "points": [
                {"coverage": 1.0, "threshold": 0.2, "accuracy": 0.7, "macro_f1": 0.6},
                {"coverage": 0.5, "threshold": 0.9, "accuracy": 0.9, "macro_f1": None},
            ],
            "aurc": 0.123,
        },
        "mask": {"points": [], "aurc": None},
    },
    "slices": [
        {"slice": f"gender=male, age=>={i}", "faces": 40 + i, "people": 9, "joint_accuracy": i / 10, "age_mae": 7.0}
        for i in range(5)
    ],
    "masked_vs_bare": {
        "people": 700,
        "gender accuracy": {"bare": 0.96, "masked": 0.92, "difference": -0.04, "low": -0.06, "high": -0.02},
        "age MAE": {"bare": 5.5, "masked": 6.5, "difference": 1.0, "low": 0.5, "high": 1.5, "people": 12},
    },
    "leakage": {"rows": [{"name": "names only", "age MAE": 4.9}], "metrics": ["age MAE"], "note": "copies leak"},
    "baselines": {
        "rows": [{"name": "ridge", "age_mae": {"value": 7.47, "low": 7.0, "high": 8.0}, "gender_accuracy": None}],
        "metrics": ["age_mae", "gender_accuracy"],
        "note": None,
    },
}
PARTS = tuple(SUMMARY)


class Page(HTMLParser):
    """Tags, attributes, cells of tables and the visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.rows: list[list[str]] = []
        self._in = ""
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._in = tag if tag in ("td", "th", "style") else self._in

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "style"):
            self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in != "style":
            self.text += data
        if self._in in ("td", "th"):
            self.rows[-1][-1] += data

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def written(folder: Path, summary: Any) -> str:
    write_evaluation(folder / "new" / "evaluation.html", summary)
    return (folder / "new" / "evaluation.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("page"), SUMMARY)


def test_page_needs_nothing_from_outside(page: str) -> None:
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert "url(" not in page
    parsed = Page(page)
    assert not {"script", "link", "img", "iframe", "object", "embed", "use", "image"} & set(parsed.tags)
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on") or name in ("src", "srcset")]
    anchors = [value for tag, name, value in parsed.attributes if (tag, name) == ("a", "href")]
    assert set(anchors) == {f"#{i}" for i in parsed.values("id")}
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(["mask accuracy", "0.900", "0.850 to 0.950", "", "5,327", "763"], id="share"),
        pytest.param(["age MAE", "6.28", "5.50 to 7.10", "", "5,327", "763"], id="years"),
        pytest.param(["recall >=60", "n/a", "n/a", "", "0", "0"], id="value is None"),
        pytest.param(["gender accuracy", "n/a", "n/a", "", "n/a", "n/a"], id="metric is None"),
        pytest.param(["wear", "0.900", "0.800", "0.850", "0.800 to 0.900", "", "10"], id="class"),
        pytest.param(["normal", "n/a", "n/a", "n/a", "n/a", "", "0"], id="class not in the truth"),
        pytest.param(["male", "1,23494.9 %", "665.1 %"], id="confusion with shares"),
        pytest.param(["female", "00.0 %", "00.0 %"], id="confusion without a face"),
        pytest.param(["class 17", *[""] * 17, "7"], id="large confusion"),
        pytest.param(["60-69", "00.0 %", "375.0 %", "125.0 %", "11.50", "−9.25", "4"], id="decade"),
        pytest.param(["calibration error", "0.900", "0.850 to 0.950"], id="calibration"),
        pytest.param(["log loss", "0.457", ""], id="log loss as a number"),
        pytest.param(["log loss", "0.765", "0.850 to 0.950"], id="log loss with an interval"),
        pytest.param(["0.950", "0.970", "90"], id="bin"),
        pytest.param(["0.500", "0.900", "0.900", "n/a"], id="abstention"),
        pytest.param(["gender male, age >=4", "44", "9", "0.400", "n/a", "n/a", "n/a", "7.00"], id="slice"),
        pytest.param(["gender accuracy", "0.960", "0.920", "−0.040", "−0.060 to −0.020", "", "n/a"], id="masked share"),
        pytest.param(["age MAE", "5.50", "6.50", "+1.00", "0.50 to 1.50", "", "12"], id="masked years"),
        pytest.param(["names only", "4.90"], id="leakage"),
        pytest.param(["ridge", "7.477.00 to 8.00", "n/a"], id="baseline"),
    ],
)
def test_every_part_has_its_rows(page: str, row: list[str]) -> None:
    assert row in Page(page).rows


def test_empty_decades_and_bins_have_no_row(page: str) -> None:
    firsts = [row[0] for row in Page(page).rows if row]
    assert "90+" not in firsts
    assert "n/a" not in firsts


def test_worst_three_slices_are_named_at_the_top(page: str) -> None:
    text = " ".join(Page(page).text.split())
    assert (
        "Weakest of 5 slices: gender male, age >=0 (18-class accuracy 0.000, 40 faces); "
        "gender male, age >=1 (18-class accuracy 0.100, 41 faces); "
        "gender male, age >=2 (18-class accuracy 0.200, 42 faces)." in text
    )
    assert page.index("Weakest") < page.index("<section")


def test_worst_slices_are_named_by_the_score_they_have(tmp_path: Path) -> None:
    rows = [{"slice": "source=masks", "faces": 30, "joint_accuracy": None, "mask_accuracy": 0.5}, {"slice": "x=y"}]
    text = " ".join(Page(written(tmp_path, {"slices": rows})).text.split())
    assert "source masks (mask accuracy 0.500, 30 faces); x y (18-class accuracy n/a, n/a faces)." in text


def test_tables_can_be_read_without_eyes_and_mouse(page: str) -> None:
    parsed = Page(page)
    assert parsed.tags.count("table") == len(re.findall("<thead>|calibration error", page))
    regions = re.findall(r'<div class="wide" role="region" tabindex="0" aria-label="([^"]+)"', page)
    assert len(regions) == len(set(regions)) == 9
    assert len(re.findall(r'<svg class="plot"[^>]* role="img" aria-label="[^"]+"', page)) == 2
    assert not re.search(r"<th(?! scope)[ >]", page)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("value", [pytest.param(None, id="None"), pytest.param({}, id="empty")])
def test_part_without_content_is_left_out(tmp_path: Path, part: str, value: object) -> None:
    assert "</html>" in written(tmp_path, SUMMARY | {part: value})


@pytest.mark.parametrize("part", PARTS)
def test_part_alone(tmp_path: Path, part: str) -> None:
    page = written(tmp_path, {part: SUMMARY[part]})
    assert "</html>" in page
    assert page.count("<section") == (part != "data") + (part == "confusion")


def test_nothing_at_all(tmp_path: Path) -> None:
    assert "<section" not in written(tmp_path, {})


def _leaves(node: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value that holds no others."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    return [
        pair
        for key, value in items
        for pair in (_leaves(value) if isinstance(value, dict | list) and value else [(node, key)])
    ]


@pytest.mark.parametrize("value", [pytest.param(None, id="None"), pytest.param(math.nan, id="NaN")])
def test_no_figure_is_indispensable(tmp_path: Path, value: object) -> None:
    summary = copy.deepcopy(SUMMARY)
    for container, key in _leaves(summary):
        container[key] = value
    assert "</html>" in written(tmp_path, summary)


@pytest.mark.parametrize("name", HOSTILE)
def test_texts_are_escaped(tmp_path: Path, name: str) -> None:
    summary = copy.deepcopy(SUMMARY)
    for container, key in _leaves(summary):
        if isinstance(container[key], str):
            container[key] = name
    for part in ("overall", "classes", "calibration", "abstention", "confusion", "masked_vs_bare"):
        summary[part] = {name: next(value for value in summary[part].values() if isinstance(value, dict | list))}
    summary["leakage"] = {"metrics": [name], "rows": [{"name": name, name: 1.0}], "note": name}
    page = written(tmp_path, summary)
    parsed = Page(page)
    assert "script" not in parsed.tags
    assert not [attribute for _, attribute, _ in parsed.attributes if attribute.startswith("on")]
    assert name.encode("utf-8", "backslashreplace").decode() in parsed.text
