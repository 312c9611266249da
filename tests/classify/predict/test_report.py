from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskcls.classify.data.face_set import FaceSet
from maskcls.classify.model.model import Model
from maskcls.classify.predict import report
from maskcls.classify.predict.explain import Evidence, flip_line
from maskcls.classify.predict.job import COLUMNS, EVIDENCE, Answers, answer
from maskcls.classify.predict.report import write_report
from maskcls.embedder.detection.finder import Found
from maskcls.embedder.photo import FileState
from maskcls.embedder.pipeline import NO_FACE, EncodedFace, EncodedPhoto

SCRIPT = "<script>alert(1)</script>.jpg"
NAMES = [SCRIPT, 'quote" onmouseover="x.jpg', "plain.jpg", "blank.jpg", "broken.jpg"]


class Page(HTMLParser):
    """Counts of tags, all attributes, and the visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def answers(pool: FaceSet, model: Model) -> Answers:
    """Three answered photos (their faces are the pool's, under strange names), one blank, one broken."""
    rows, maps = [0, 100, 300], pool.maps(np.array([0, 100, 300]))
    found = Found(np.array([0, 0, 99, 99], np.float32), np.empty((0, 2), np.float32), 1.0, 1, "whole")
    crop = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)
    photos = [
        EncodedPhoto(
            Path(name), FileState(1, 1), EncodedFace(found, crop, pool.embeddings[row], maps[i], 20.0, f"{i:064}"), None
        )
        for i, (row, name) in enumerate(zip(rows, NAMES, strict=False))
    ]
    for name, reason in zip(NAMES[3:], (NO_FACE, "truncated <b>or</b> damaged"), strict=True):
        photos.append(EncodedPhoto(Path(name), FileState(1, 1), None, reason))
    given = answer(photos, NAMES, model, explain=True)
    table = pd.DataFrame.from_records(given, columns=list(COLUMNS)).astype({"class_id": "Int64", "voters": "Int64"})
    return Answers(table, {i: crop for i in range(3)}, {i: Evidence(**given[i][EVIDENCE]) for i in range(3)})


def written(tmp_path: Path, answers: Answers, model: Model, title: str = "faces") -> str:
    write_report(tmp_path / "new" / "report.html", answers, model, title)
    return (tmp_path / "new" / "report.html").read_text(encoding="utf-8")


def test_page_is_self_contained(tmp_path: Path, answers: Answers, model: Model) -> None:
    page = written(tmp_path, answers, model)
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    parsed = Page(page)
    assert not {"link", "iframe", "object", "embed"} & set(parsed.tags)
    sources = [value for _, name, value in parsed.attributes if name in ("src", "href", "srcset")]
    assert len(sources) == 3
    assert all(value.startswith("data:image/jpeg;base64,") for value in sources)
    urls = re.findall(r"url\(([^)]{5})", page)
    assert urls
    assert set(urls) == {"data:"}


def test_names_and_reasons_are_escaped(tmp_path: Path, answers: Answers, model: Model) -> None:
    page = written(tmp_path, answers, model, title="<script>alert(2)</script>")
    parsed = Page(page)
    assert parsed.tags.count("script") == 1
    assert "<b>or</b>" not in page
    assert "<script>alert" not in page
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    for text in (*NAMES, "truncated <b>or</b> damaged", "<script>alert(2)</script>"):
        assert text in parsed.text
    assert [value for _, name, value in parsed.attributes if name == "data-name"] == [n.lower() for n in NAMES]


def test_every_photo_has_a_card_with_its_answer(tmp_path: Path, answers: Answers, model: Model) -> None:
    parsed = Page(written(tmp_path, answers, model))
    status = [value for tag, name, value in parsed.attributes if tag == "article" and name == "data-status"]
    assert status == ["ok", "ok", "ok", "no_face", "unreadable"]
    text = " ".join(parsed.text.split())
    assert "5 photos: 3 answered, 1 without a face, 1 unreadable" in text
    assert "No face" in text
    assert "Unreadable" in text
    assert NO_FACE in text
    for row in answers.table.head(3).to_dict("records"):
        assert f"{row['mask']} · {row['gender']} · {row['age_band']}" in text
        assert f"class {row['class_id']}" in text
    assert "Only the first" not in text


def test_neighbours_are_shown_with_their_faces(tmp_path: Path, answers: Answers, model: Model) -> None:
    page = written(tmp_path, answers, model)
    first = [one.split(":") for one in answers.table["neighbours"][0].split()[: report.NEIGHBOURS]]
    weights = [float(one) for one in answers.table["weights"][0].split()[: report.NEIGHBOURS]]
    assert len(first) == len(weights) == 6
    for (face_id, age, similarity), weight in zip(first, weights, strict=True):
        assert f'class="n{face_id}"></i><b>{age}</b> y<br>{similarity}<br>{100 * weight:.1f} %' in page
        assert f".n{face_id} {{ background-image: url(data:image/jpeg" in page


def with_flip(answers: Answers, flip: list[int]) -> Answers:
    """The first answer, which flips without the voters at some places."""
    evidence = replace(answers.evidence[0], flip=flip, band=">=60" if flip else None, safe=max(0, len(flip) - 1))
    return Answers(answers.table.head(1), {}, {0: evidence})


@pytest.mark.parametrize(
    ("flip", "shown"),
    [
        pytest.param([], [0, 1, 2, 3, 4, 5], id="none"),
        pytest.param([1, 4], [0, 1, 2, 3, 4, 5], id="among the nearest"),
        pytest.param([5, 8, 20], [0, 1, 2, 3, 4, 5, 8, 20], id="further away"),
        pytest.param(list(range(2, 25)), list(range(12)), id="more than are shown"),
    ],
)
def test_voters_of_the_flipping_set_are_outlined(
    tmp_path: Path, answers: Answers, model: Model, flip: list[int], shown: list[int]
) -> None:
    flipping = (
        with_flip(answers, flip) if flip else replace(answers, evidence={0: replace(answers.evidence[0], flip=[])})
    )
    page = written(tmp_path, Answers(flipping.table.head(1), {}, flipping.evidence), model)
    evidence = flipping.evidence[0]
    ids = model.table["face_id"].iloc[[evidence.voters[place] for place in shown]].tolist()
    assert re.findall(r'<i class="n([0-9a-f]{16})">', page) == ids
    outlined = re.findall(r'<figure class="flips" title="([0-9a-f]{16})">', page)
    assert outlined == [face_id for face_id, place in zip(ids, shown, strict=True) if place in flip]
    share = 100 * sum(evidence.weights[place] for place in shown)
    text = Page(page).text
    assert f"{len(shown)} of {len(evidence.voters)} voters, {share:.0f} % of the vote" in text
    assert flip_line(evidence) in text


def test_every_answer_says_what_would_flip_it(tmp_path: Path, answers: Answers, model: Model) -> None:
    text = Page(written(tmp_path, answers, model)).text
    assert all(flip_line(evidence) in text for evidence in answers.evidence.values())


def moved(model: Model, root: Path) -> Model:
    return replace(model, table=model.table.assign(root=str(root)))


def test_gallery_photos_that_are_gone_leave_the_page_whole(tmp_path: Path, answers: Answers, model: Model) -> None:
    page = written(tmp_path, answers, moved(model, tmp_path / "gone"))
    assert "background-image: url" not in page
    assert page.count("<figure") >= 3 * report.NEIGHBOURS
    assert page.count("<article") == 5


def test_another_photo_in_place_of_a_gallery_photo_is_not_shown(tmp_path: Path, answers: Answers, model: Model) -> None:
    for path in model.table["path"]:
        (tmp_path / "other" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_stranger(tmp_path), tmp_path / "other" / path)
    assert "background-image: url" not in written(tmp_path, answers, moved(model, tmp_path / "other"))


def _stranger(folder: Path) -> Path:
    if not (folder / "stranger.png").exists():
        Image.new("RGB", (200, 200), "red").save(folder / "stranger.png")
    return folder / "stranger.png"


def test_cap_is_stated(tmp_path: Path, answers: Answers, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_REPORT", 2)
    page = written(tmp_path, answers, model)
    assert page.count("<article") == 2
    assert "Only the first 2 photos are on this page." in page
    assert "5 photos: 3 answered" in page
    assert "plain.jpg" not in page


def test_answered_photo_without_a_crop(tmp_path: Path, answers: Answers, model: Model) -> None:
    page = written(tmp_path, replace(answers, crops={}), model)
    assert page.count("no picture") == 4
    assert "<img" not in page


def test_title_that_is_not_unicode(tmp_path: Path, answers: Answers, model: Model) -> None:
    assert "\\udcfe" in written(tmp_path, answers, model, title="\udcfe")
