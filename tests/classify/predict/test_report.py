from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskcls.classify.data.face_set import FaceSet
from maskcls.classify.model.model import Model
from maskcls.classify.predict import report
from maskcls.classify.predict.job import PredictedPhotos, answer_photos
from maskcls.classify.predict.report import write_report
from maskcls.embedder.detection.detector import Found
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
def predicted(pool: FaceSet, model: Model) -> PredictedPhotos:
    """Three answered photos (their faces are the pool's, under strange names), one blank, one broken."""
    rows, maps = [0, 100, 300], pool.maps(np.array([0, 100, 300]))
    found = Found(np.array([0, 0, 99, 99], np.float32), np.empty((0, 2), np.float32), 1.0, 1, "whole")
    crop = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)
    photos = [
        EncodedPhoto(
            Path(name),
            FileState(1, 1),
            (EncodedFace(found, crop, pool.embeddings[row], maps[i], 20.0, f"{i:064}"),),
            None,
        )
        for i, (row, name) in enumerate(zip(rows, NAMES, strict=False))
    ]
    for name, reason in zip(NAMES[3:], (NO_FACE, "truncated <b>or</b> damaged"), strict=True):
        photos.append(EncodedPhoto(Path(name), FileState(1, 1), (), reason))
    return PredictedPhotos(answer_photos(photos, NAMES, model), {i: crop for i in range(3)})


def written(tmp_path: Path, predicted: PredictedPhotos, model: Model, title: str = "faces") -> str:
    write_report(tmp_path / "new" / "report.html", predicted, model, title)
    return (tmp_path / "new" / "report.html").read_text(encoding="utf-8")


def test_page_is_self_contained(tmp_path: Path, predicted: PredictedPhotos, model: Model) -> None:
    page = written(tmp_path, predicted, model)
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


def test_names_and_reasons_are_escaped(tmp_path: Path, predicted: PredictedPhotos, model: Model) -> None:
    page = written(tmp_path, predicted, model, title="<script>alert(2)</script>")
    parsed = Page(page)
    assert parsed.tags.count("script") == 1
    assert "<b>or</b>" not in page
    assert "<script>alert" not in page
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    for text in (*NAMES, "truncated <b>or</b> damaged", "<script>alert(2)</script>"):
        assert text in parsed.text
    assert [value for _, name, value in parsed.attributes if name == "data-name"] == [n.lower() for n in NAMES]


def test_every_photo_has_a_card_with_its_answer(tmp_path: Path, predicted: PredictedPhotos, model: Model) -> None:
    parsed = Page(written(tmp_path, predicted, model))
    status = [value for tag, name, value in parsed.attributes if tag == "article" and name == "data-status"]
    assert status == ["ok", "ok", "ok", "no_face", "unreadable"]
    text = " ".join(parsed.text.split())
    assert "5 photos: 3 answered, 1 without a face, 1 unreadable" in text
    assert "No face" in text
    assert "Unreadable" in text
    assert NO_FACE in text
    for answer in predicted.answers[:3]:
        assert f"{answer['mask']} · {answer['gender']} · {answer['age_band']}" in text
        assert f"class {answer.class_id}" in text
        assert f"{answer['age']:.0f} years" in text
    assert "Only the first" not in text


def test_neighbours_are_shown_with_their_faces(tmp_path: Path, predicted: PredictedPhotos, model: Model) -> None:
    page = written(tmp_path, predicted, model)
    first = predicted.answers[0].voters[: report.NEIGHBOURS]
    assert len(first) == 6
    for voter in first:
        figures = f"<b>{voter.age}</b> y<br>{voter.similarity:.3f}<br>{100 * (voter.weight or 0):.1f} %"
        assert f'class="n{voter.face_id}"></i>{figures}' in page
        assert f".n{voter.face_id} {{ background-image: url(data:image/jpeg" in page
    share = 100 * sum(voter.weight or 0 for voter in first)
    assert f"6 of {model.settings.voters} voters, {share:.0f} % of the vote" in Page(page).text
    assert page.count("<figure") == 3 * report.NEIGHBOURS


def moved(model: Model, root: Path) -> Model:
    return replace(model, table=model.table.assign(root=str(root)))


def test_gallery_photos_that_are_gone_leave_the_page_whole(
    tmp_path: Path, predicted: PredictedPhotos, model: Model
) -> None:
    page = written(tmp_path, predicted, moved(model, tmp_path / "gone"))
    assert "background-image: url" not in page
    assert page.count("<figure") == 3 * report.NEIGHBOURS
    assert page.count("<article") == 5


def test_another_photo_in_place_of_a_gallery_photo_is_not_shown(
    tmp_path: Path, predicted: PredictedPhotos, model: Model
) -> None:
    for path in model.table["path"]:
        (tmp_path / "other" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_stranger(tmp_path), tmp_path / "other" / path)
    assert "background-image: url" not in written(tmp_path, predicted, moved(model, tmp_path / "other"))


def _stranger(folder: Path) -> Path:
    if not (folder / "stranger.png").exists():
        Image.new("RGB", (200, 200), "red").save(folder / "stranger.png")
    return folder / "stranger.png"


def test_cap_is_stated(
    tmp_path: Path, predicted: PredictedPhotos, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MAX_REPORT", 2)
    page = written(tmp_path, predicted, model)
    assert page.count("<article") == 2
    assert "Only the first 2 photos are on this page." in page
    assert "5 photos: 3 answered" in page
    assert "plain.jpg" not in page


def test_answered_photo_without_a_crop(tmp_path: Path, predicted: PredictedPhotos, model: Model) -> None:
    page = written(tmp_path, replace(predicted, crops={}), model)
    assert page.count("no picture") == 4
    assert "<img" not in page


def test_title_that_is_not_unicode(tmp_path: Path, predicted: PredictedPhotos, model: Model) -> None:
    assert "\\udcfe" in written(tmp_path, predicted, model, title="\udcfe")
