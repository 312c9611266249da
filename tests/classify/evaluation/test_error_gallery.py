from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskcls.classify.evaluation import error_gallery
from maskcls.classify.evaluation.error_gallery import write_error_gallery
from maskcls.embedder.photo import read_photo

from .rows import OLD, RIGHT, TRUTH, WRONG_GENDER, WRONG_MASK

SCRIPT = "<script>alert(1)</script>.jpg"
NAMES = [SCRIPT, 'quote" onmouseover="x.jpg', "two\nlines.jpg", "not\\udcfe.jpg", "a & b/<b>.jpg"]

PLACE = {"root": "/nowhere", "box": [0.0, 0.0, 64.0, 64.0], "source": "contest", "person": 7, "fold": 1}
Rows = list[dict[str, Any]]


def table(*changes: dict[str, Any]) -> pd.DataFrame:
    """One row for each dict, right but for what it changes."""
    rows: Rows = [
        {"face_id": f"{i:016x}", "path": f"{i}.jpg", "neighbours": "", **PLACE, **TRUTH, **RIGHT, **change}
        for i, change in enumerate(changes)
    ]
    return pd.DataFrame(rows)


NO_FACES = pd.DataFrame({"path": [], "root": [], "box": []}, index=pd.Index([], name="face_id"))


class Page(HTMLParser):
    """Tags, attributes, and the visible text, also of each card."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.cards: list[str] = []
        self.names: list[str] = []
        self._in = ""
        self._card = False
        self.feed(page)
        self.cards = [" ".join(text.split()) for text in self.cards]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "article":
            self.cards.append("")
        self._card = self._card or tag == "article"
        self._in = tag
        if tag in ("td", "th", "br"):
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        self._card = self._card and tag != "article"
        self._in = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._card:
            self.cards[-1] += data
        if self._in == "h2":
            self.names.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def read(folder: Path, page: str = "index.html") -> Page:
    return Page((folder / page).read_text(encoding="utf-8"))


def test_every_wrong_face_is_one_card_most_severe_first(tmp_path: Path) -> None:
    answers = table({}, WRONG_MASK, OLD, {}, WRONG_GENDER, {**WRONG_MASK, **WRONG_GENDER, **OLD}, {"true_mask": None})
    done: list[tuple[int, int]] = []
    count = write_error_gallery(tmp_path / "book", answers, NO_FACES, progress=lambda *at: done.append(at))
    page = read(tmp_path / "book")
    assert count == 4
    assert page.names == ["5.jpg", "2.jpg", "4.jpg", "1.jpg"]
    assert page.values("data-wrong") == ["m01 g01 a21", "a21", "g01", "m01"]
    assert re.findall(r"severity (\d\.\d\d)", " ".join(page.cards)) == ["2.74", "1.20", "0.99", "0.55"]
    assert "4 of 7 faces have a wrong prediction: mask 2, gender 2, age 2." in " ".join(page.text.split())
    assert done[-1] == (4, 4)


def test_card_has_true_and_predicted_classes_and_their_probabilities(tmp_path: Path) -> None:
    write_error_gallery(tmp_path / "book", table({**WRONG_GENDER, "path": "some/face.jpg"}), NO_FACES)
    (card,) = read(tmp_path / "book").cards
    assert "some/face.jpg severity 0.99 · contest · person 7 · fold 1 · race Asian" in card
    assert "mask wear 0.90 wear 0.90 gender male 0.80 female 0.99 ✗ age 30-59 0.70 30-59 0.70" in card
    assert "true age 40, predicted 41 (80 % interval 33–50) years" in card


def test_border_has_correct_and_wrong_faces_by_age(tmp_path: Path) -> None:
    ages = [(56, 56), (62, 62), (57, 57), (63, 63), (60, 69), (60, 60), (59, 61)]
    answers = table(*({"true_age_low": low, "true_age_high": high} for low, high in ages))
    write_error_gallery(tmp_path / "book", answers, NO_FACES)
    page = read(tmp_path / "book", "border.html")
    assert page.names == ["2.jpg", "6.jpg", "5.jpg", "1.jpg"]
    assert page.values("data-wrong") == ["", "", "a21", "a21"]
    text = " ".join(page.text.split())
    assert "57 1 0 1 0 1.000 60 1 0 1 0 0.000 62 1 0 1 0 0.000" in text
    assert "all correct" in page.cards[0]


def test_filters_have_only_choices_that_match_a_card(tmp_path: Path) -> None:
    write_error_gallery(tmp_path / "book", table(WRONG_MASK, WRONG_MASK, OLD), NO_FACES)
    html = (tmp_path / "book" / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<option value="(\w+)">([^<]+)<', html) == [
        ("m", "mask (2)"),
        ("a", "age (1)"),
        ("m0", "wear (2)"),
        ("a2", "&gt;=60 (1)"),
        ("m1", "incorrect (2)"),
        ("a1", "30-59 (1)"),
    ]
    assert re.findall(r'<label>([\w ]+) <(?:select|input) id="(\w+)"', html) == [
        ("Wrong", "task"),
        ("True class", "truth"),
        ("Predicted class", "predicted"),
        ("Name", "name"),
    ]


@pytest.mark.parametrize("page", ["index.html", "border.html"])
def test_names_are_escaped(tmp_path: Path, page: str) -> None:
    rows = [{**OLD, "path": name, "source": SCRIPT, "true_race": '"><b>'} for name in NAMES]
    write_error_gallery(tmp_path / "book", table(*rows), NO_FACES)
    parsed = read(tmp_path / "book", page)
    assert parsed.tags.count("script") == 1
    assert "b" not in parsed.tags
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    shown = [name.replace("\n", "\\n") for name in NAMES]
    assert sorted(parsed.names) == sorted(shown)
    assert sorted(parsed.values("data-name")) == sorted(name.lower() for name in shown)


@pytest.mark.parametrize("page", ["index.html", "border.html"])
def test_pages_need_nothing_from_outside(tmp_path: Path, page: str) -> None:
    write_error_gallery(tmp_path / "book", table(OLD), NO_FACES)
    html = (tmp_path / "book" / page).read_text(encoding="utf-8")
    parsed = Page(html)
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html
    assert "default-src 'none'" in html
    assert not {"link", "iframe", "object", "embed"} & set(parsed.tags)
    assert set(parsed.values("href")) == {"border.html" if page == "index.html" else "index.html"}
    assert "biometric" in parsed.text


def test_no_errors_and_no_predictions(tmp_path: Path) -> None:
    assert write_error_gallery(tmp_path / "right", table({}), NO_FACES) == 0
    assert write_error_gallery(tmp_path / "empty", table({}).head(0), NO_FACES) == 0
    for folder in ("right", "empty"):
        assert read(tmp_path / folder).cards == []
        assert list((tmp_path / folder / "faces").iterdir()) == []


def test_voters_are_shown_with_their_weights(tmp_path: Path) -> None:
    voters = " ".join(f"{i:016x}:{i - 80}:{0.9 - i / 100:.3f}" for i in range(100, 110))
    weights = [round(0.11 - i / 100, 3) for i in range(10)]
    weighted_row = {
        **OLD,
        "neighbours": voters,
        "weights": " ".join(f"{weight:.3f}" for weight in weights),
        "voters": 50,
    }
    answers = table(weighted_row, {**OLD, "neighbours": voters}, {**OLD, "neighbours": None})
    write_error_gallery(tmp_path / "book", answers, NO_FACES)
    weighted, unweighted, none = read(tmp_path / "book").cards
    for i, share in enumerate(weights[: error_gallery.NEIGHBOURS]):
        assert f"{20 + i} y {-0.1 - i / 100:.3f} {100 * share:.1f} %" in weighted
        assert f"{20 + i} y {-0.1 - i / 100:.3f}" in unweighted
    assert f"{error_gallery.NEIGHBOURS} of 50 voters, 56 % of the vote" in weighted
    assert weighted.count("no photo") == error_gallery.NEIGHBOURS + 1
    assert "no photo: not in the table of faces" in weighted
    assert "56 %" not in unweighted
    assert not re.search(r"\d\.\d %", unweighted)
    assert "no photo" not in none


@pytest.fixture
def photographed(contest_photos: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ten wrongly predicted real photos, each with three real voters, and the table of all faces."""
    photos = sorted(path for path in contest_photos.rglob("*") if path.is_file())[:40]
    rows = [
        {
            "face_id": f"{i:016x}",
            "path": str(path.relative_to(contest_photos)),
            "root": str(contest_photos),
            "box": np.array([40.0, 30.0, 160.0, 150.0], np.float32),
            "neighbours": " ".join(f"{10 + (3 * i + k) % 30:016x}:30:0.8" for k in range(3)),
        }
        for i, path in enumerate(photos)
    ]
    faces = pd.DataFrame(rows).set_index("face_id")
    return table(*({**OLD, **row} for row in rows[:10])), faces[["path", "root", "box"]]


def test_faces_are_written_once_each(tmp_path: Path, photographed: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    answers, faces = photographed
    write_error_gallery(tmp_path / "book", answers, faces)
    page = read(tmp_path / "book")
    files = sorted(path.name for path in (tmp_path / "book" / "faces").iterdir())
    assert files == [f"{i:016x}.jpg" for i in range(40)]
    sources = page.values("src")
    assert len(sources) == 10 + 30
    assert sorted({source.removeprefix("faces/") for source in sources}) == files
    assert page.values("loading") == ["lazy"] * 40
    assert all(page.values("alt"))
    with Image.open(tmp_path / "book" / "faces" / files[0]) as thumbnail:
        assert thumbnail.format == "JPEG"
        photo = read_photo(Path(answers["root"][0], answers["path"][0])).image.crop((40, 30, 160, 150))
        assert thumbnail.size == photo.size
        assert np.abs(np.asarray(thumbnail, float) - np.asarray(photo, float)).mean() < 8


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"path": "gone.jpg"}, "cannot be read: No such file or directory", id="gone"),
        pytest.param({"file_sha256": "0" * 64}, "another photo lies there now", id="another photo"),
        pytest.param({"box": [5000.0, 0.0, 6000.0, 9.0]}, "the face's box lies outside the photo", id="outside"),
        pytest.param({"box": [np.nan, 0.0, 9.0, 9.0]}, "the face's box is no box", id="NaN"),
        pytest.param({"box": None}, "the face's box is no box", id="no box"),
        pytest.param({"face_id": "../../escape"}, "its id is no name for a file", id="id with a path"),
    ],
)
def test_face_without_a_picture_says_why(
    tmp_path: Path, photographed: tuple[pd.DataFrame, pd.DataFrame], change: dict[str, Any], reason: str
) -> None:
    first = photographed[0].to_dict("records")[0] | {"neighbours": ""}
    write_error_gallery(tmp_path / "book", pd.DataFrame([first | change]), photographed[1])
    page = read(tmp_path / "book")
    assert page.cards[0].startswith(reason)
    assert "img" not in page.tags
    assert list((tmp_path / "book" / "faces").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["book"]
