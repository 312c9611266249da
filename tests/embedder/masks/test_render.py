from __future__ import annotations

import gc
import os
import re
import shutil
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskcls.classify.data.face_set import open_face_set
from maskcls.embedder.datasets.dataset import Dataset, Listed
from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.detection.detector import Found
from maskcls.embedder.detection.finder import FaceFinder, FaceMode
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import Encoder, FaceNetEncoder
from maskcls.embedder.faceset.embed import embed_folder
from maskcls.embedder.faceset.store import open_set
from maskcls.embedder.labels import NOBODY, Labels
from maskcls.embedder.masks import render as rendering
from maskcls.embedder.masks.drawing import draw_mask
from maskcls.embedder.masks.render import COLUMNS, RenderReport, render_masks
from maskcls.embedder.photo import PassedOver, Photo, read_photo, stored
from maskcls.embedder.pipeline import NO_FACE
from maskcls.embedder.storage.lock import locked

Render = Callable[..., RenderReport]
PEOPLE = 4
CROWD = 60


@pytest.fixture
def originals(contest_photos: Path, tmp_path: Path) -> Path:
    """A bare and a masked photo of each of a few people."""
    root = tmp_path / "originals"
    for folder in sorted(contest_photos.iterdir())[:PEOPLE]:
        (root / folder.name).mkdir(parents=True)
        for pattern in ("normal.*", "mask1.*"):
            shutil.copy(next(folder.glob(pattern)), root / folder.name)
    return root


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where :func:`render` draws."""
    return tmp_path / "drawn"


@pytest.fixture
def render(originals: Path, out: Path, finder: FaceFinder) -> Render:
    """Draw masks on :func:`originals` by default."""

    def run(root: Path = originals, to: Path = out, **options: Any) -> RenderReport:
        return render_masks(read_dataset(root, "auto"), root, to, finder, **options)

    return run


@pytest.fixture(scope="module")
def crowd(utkface_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bare photos of nameless people."""
    root = tmp_path_factory.mktemp("crowd")
    for path in sorted(utkface_photos.iterdir())[:: 240 // CROWD]:
        shutil.copy(path, root)
    return root


@pytest.fixture(scope="module")
def crowd_drawn(crowd: Path, finder: FaceFinder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Worn masks drawn on :func:`crowd`."""
    out = tmp_path_factory.mktemp("drawn") / "crowd"
    render_masks(read_dataset(crowd, "auto"), crowd, out, finder, incorrect=0)
    return out


def table_of(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "labels.csv", dtype=str, keep_default_na=False)


def rejects_of(out: Path) -> dict[str, str]:
    table = pd.read_csv(out / "rejects.csv", dtype=str, keep_default_na=False)
    assert list(table.columns) == ["path", "reason"]
    return dict(table.to_numpy().tolist())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def drawings(out: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(out).items() if name.startswith("photos/")}


def tables(out: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(out).items() if name.endswith(".csv")}


def bare_photos(root: Path) -> list[Path]:
    return sorted(root.glob("*/normal.*"))


def test_labels_say_what_was_drawn_on_what(render: Render, originals: Path, out: Path) -> None:
    assert render(copies=2) == RenderReport(drawn=2 * PEOPLE, reused=0, masked=PEOPLE, rejects=0)
    table = table_of(out)
    assert tuple(table.columns) == COLUMNS
    assert table["original"].tolist() == [str(p.relative_to(originals)) for p in bare_photos(originals) for _ in "ab"]
    assert table["path"].is_unique
    assert set(table["path"]) == set(drawings(out))
    labels = {item.path: item.labels for item in read_dataset(originals, "contest").photos}
    drawn = {item.path: item for item in read_dataset(out, "auto").photos}
    for row in table.to_dict("records"):
        original, drawing = originals / row["original"], out / row["path"]
        digest = sha256(original.read_bytes()).hexdigest()
        own = labels[original]
        assert row["drawn_on"] == digest
        assert drawn[drawing] == Listed(drawing, replace(own, mask=row["mask"], drawn_on=digest))
        assert (row["person"], row["gender"], row["race"]) == (own.person, own.gender, own.race)
        assert row["path"].endswith(f"-{row['mask']}.jpg")
        with Image.open(drawing) as image, Image.open(original) as before:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", before.size)
    assert sorted(path.name for path in out.iterdir()) == ["labels.csv", "photos", "rejects.csv"]
    assert rejects_of(out) == {}


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).map(str.strip)
whole_years = st.lists(st.integers(0, 120), min_size=1, max_size=2)


@settings(deadline=None, max_examples=40)
@given(
    person=words.map(lambda word: word or None),
    gender=st.sampled_from(["male", "female", None]),
    race=words.map(lambda word: word or None),
    ages=whole_years | st.none(),
    mask=st.sampled_from(["normal", None]),
)
def test_any_labels_are_read_back_as_they_were(
    portrait: Path, finder: FaceFinder, tmp_path_factory: pytest.TempPathFactory, **words: Any
) -> None:
    out = tmp_path_factory.getbasetemp() / "any-labels"
    ages = words.pop("ages")
    low, high = (float(min(ages)), float(max(ages))) if ages else (None, None)
    labels = Labels(**words, age_low=low, age_high=high)
    render_masks(Dataset("csv", [Listed(portrait, labels)], PassedOver()), portrait.parent, out, finder, incorrect=0)
    [item] = read_dataset(out, "auto").photos
    assert item.refused is None
    assert item.labels == replace(
        labels,
        person=None if labels.person in NOBODY else labels.person,
        mask="wear",
        drawn_on=sha256(portrait.read_bytes()).hexdigest(),
    )


@pytest.mark.parametrize(
    ("age", "text"),
    [("37", "37-37"), ("30-39", "30-39"), ("60+", "60-100"), ("0", "0-0"), ("0.5", "0.5-0.5"), ("", "")],
)
def test_age_as_text(render: Render, originals: Path, out: Path, age: str, text: str) -> None:
    photo = bare_photos(originals)[0].relative_to(originals)
    (originals / "labels.csv").write_text(f"path,age\n{photo},{age}\n")
    others = len(read_dataset(originals, "contest").photos) - 1
    assert render() == RenderReport(drawn=1, reused=0, masked=0, rejects=others)
    assert table_of(out)["age"].tolist() == [text]
    [before] = (item for item in read_dataset(originals, "auto").photos if item.refused is None)
    [after] = read_dataset(out, "auto").photos
    assert (after.labels.age_low, after.labels.age_high) == (before.labels.age_low, before.labels.age_high)


def test_photos_of_unknown_mask_state_are_drawn_on_and_masked_ones_passed_over(
    render: Render, originals: Path, out: Path, tmp_path: Path
) -> None:
    root = tmp_path / "folders"
    bare = bare_photos(originals)
    for folder, photo in zip((".", "normal", "wear", "incorrect"), bare, strict=True):
        (root / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, root / folder)
    assert render(root) == RenderReport(drawn=2, reused=0, masked=2, rejects=0)
    assert table_of(out)["original"].tolist() == [f"normal/{bare[1].name}", bare[0].name]
    assert render(out, tmp_path / "again") == RenderReport(drawn=0, reused=0, masked=2, rejects=0)


def test_refused_photos_have_reasons_and_no_row(render: Render, originals: Path, out: Path) -> None:
    person = bare_photos(originals)[0].parent
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)).save(person / "normal2.png")
    (person / "normal3.jpg").touch()
    (person / "normal4.jpg").write_bytes(bare_photos(originals)[0].read_bytes()[:200])
    (person / "normal5.jpg").write_text("no photo")
    (person / "holiday.jpg").touch()
    (person / "normal6.jpg").symlink_to("gone.jpg")
    expected = {
        "normal2.png": NO_FACE,
        "normal3.jpg": r"empty file \(0 bytes\)",
        "normal4.jpg": r"truncated or damaged .*",
        "normal5.jpg": r"not a photo \(.*",
        "normal6.jpg": r"cannot be read: .*",
        "holiday.jpg": r"label refused: file name 'holiday\.jpg' is not mask1-5, incorrect_mask or normal",
    }
    assert render() == RenderReport(drawn=PEOPLE, reused=0, masked=PEOPLE, rejects=6)
    before = contents(out)
    reasons = rejects_of(out)
    assert set(reasons) == {f"{person.name}/{name}" for name in expected}
    for name, pattern in expected.items():
        assert re.fullmatch(pattern, reasons[f"{person.name}/{name}"])
    assert len(drawings(out)) == len(table_of(out)) == PEOPLE
    assert render() == RenderReport(drawn=0, reused=PEOPLE, masked=PEOPLE, rejects=6)
    assert contents(out) == before


def test_more_copies_come_beside_the_former_and_fewer_go(render: Render, out: Path) -> None:
    render()
    one = drawings(out)
    assert render(copies=3) == RenderReport(drawn=2 * PEOPLE, reused=PEOPLE, masked=PEOPLE, rejects=0)
    three = drawings(out)
    assert len(set(three.values())) == len(three) == 3 * PEOPLE
    assert one.items() < three.items()
    assert set(table_of(out)["original"].value_counts()) == {3}
    assert render() == RenderReport(drawn=0, reused=PEOPLE, masked=PEOPLE, rejects=0)
    assert drawings(out) == one


@pytest.mark.parametrize(("share", "states"), [(0, {"wear"}), (1, {"incorrect"}), (0.5, {"wear", "incorrect"})])
def test_share_of_wrongly_worn_masks(render: Render, out: Path, share: float, states: set[str]) -> None:
    render(incorrect=share, copies=4)
    assert set(table_of(out)["mask"]) == states


def test_the_outcome_depends_on_content_and_seed_alone(render: Render, originals: Path, tmp_path: Path) -> None:
    render(to=tmp_path / "a", seed=1)
    render(to=tmp_path / "b", seed=1, jobs=4)
    render(to=tmp_path / "c", seed=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert not set(drawings(tmp_path / "a").values()) & set(drawings(tmp_path / "c").values())
    for number, folder in enumerate(sorted(originals.iterdir(), reverse=True)):
        folder.rename(originals / f"{number:06}_male_Black_77")
    assert render(to=tmp_path / "a", seed=1) == RenderReport(drawn=0, reused=PEOPLE, masked=PEOPLE, rejects=0)
    assert drawings(tmp_path / "a") == drawings(tmp_path / "b")
    assert set(table_of(tmp_path / "a")["age"]) == {"77-77"}


def test_a_second_run_draws_and_searches_nothing(
    render: Render, out: Path, finder: FaceFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    render()
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (out / "photos").iterdir()}
    labels = contents(out)
    searched: list[Image.Image] = []

    def find(images: Sequence[Image.Image], mode: str) -> list[None]:
        searched.extend(images)
        return [None] * len(images)

    monkeypatch.setattr(finder, "find", find)
    assert render() == RenderReport(drawn=0, reused=PEOPLE, masked=PEOPLE, rejects=0)
    assert searched == []
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (out / "photos").iterdir()} == before
    assert contents(out) == labels


def test_drawings_go_with_their_originals(render: Render, originals: Path, out: Path) -> None:
    render(copies=2)
    before, gone = drawings(out), bare_photos(originals)[0]
    row = table_of(out).set_index("path")["original"] == str(gone.relative_to(originals))
    gone.unlink()
    assert render(copies=2) == RenderReport(drawn=0, reused=2 * PEOPLE - 2, masked=PEOPLE, rejects=0)
    assert drawings(out) == {path: before[path] for path in row[~row].index}
    assert set(table_of(out)["path"]) == set(drawings(out))


@pytest.mark.parametrize("settings", [pytest.param({"seed": 1}, id="seed"), pytest.param({"incorrect": 1}, id="share")])
def test_drawings_of_other_settings_go(render: Render, out: Path, settings: dict[str, Any]) -> None:
    render(incorrect=0)
    old = drawings(out)
    assert render(**{"incorrect": 0} | settings) == RenderReport(drawn=PEOPLE, reused=0, masked=PEOPLE, rejects=0)
    assert not old.keys() & drawings(out).keys()
    assert set(table_of(out)["path"]) == set(drawings(out))


def test_an_edited_photo_is_drawn_on_anew(render: Render, originals: Path, out: Path) -> None:
    render()
    old = table_of(out)
    first, second = bare_photos(originals)[:2]
    with Image.open(second) as image:
        image.rotate(3).convert("RGB").save(first, "JPEG")
    assert render() == RenderReport(drawn=1, reused=PEOPLE - 1, masked=PEOPLE, rejects=0)
    new = table_of(out)
    assert new["drawn_on"][0] == sha256(first.read_bytes()).hexdigest()
    assert (new["path"] == old["path"]).tolist() == [False, *[True] * (PEOPLE - 1)]


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "holiday.jpg", "photos/holiday.jpg", "photos/0123456789abcdef-wear.png", "photos/old/0-wear.jpg"],
)
def test_other_files_are_left_alone(render: Render, out: Path, name: str) -> None:
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("keep me")
    render()
    assert (out / name).read_text() == "keep me"
    assert name not in set(table_of(out)["path"])


def test_a_label_file_of_other_photos_is_not_overwritten(render: Render, out: Path) -> None:
    out.mkdir()
    (out / "labels.csv").write_text("path,mask\nmine.jpg,wear\n")
    with pytest.raises(MaskclsError):
        render()
    assert (out / "labels.csv").read_text() == "path,mask\nmine.jpg,wear\n"


def test_a_killed_run_is_gone_on_with(
    render: Render, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "BATCH", 2)
    render(to=tmp_path / "whole", copies=2)
    drawn: list[Any] = []

    def killed(*arguments: Any) -> Image.Image:
        drawn.append(arguments)
        if len(drawn) > 5:
            raise KeyboardInterrupt
        return draw_mask(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(rendering, "draw_mask", killed)
        with pytest.raises(KeyboardInterrupt):
            render(copies=2, jobs=1)
    before = contents(out)
    assert before.keys() == drawings(out).keys()
    assert len(before) == 5
    assert render(copies=2) == RenderReport(drawn=2 * PEOPLE - 5, reused=5, masked=PEOPLE, rejects=0)
    assert contents(out).keys() == contents(tmp_path / "whole").keys()
    assert contents(out).items() >= before.items()
    assert tables(out) == tables(tmp_path / "whole")


@pytest.mark.parametrize("lost", ["labels.csv", "rejects.csv", "photos", "photos/*-wear.jpg"])
def test_what_is_missing_is_made_again(render: Render, out: Path, lost: str) -> None:
    render(copies=2)
    before = contents(out)
    for path in out.glob(lost):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    kept = contents(out)
    missing = 2 * PEOPLE - len(drawings(out))
    assert render(copies=2) == RenderReport(missing, 2 * PEOPLE - missing, masked=PEOPLE, rejects=0)
    assert contents(out).keys() == before.keys()
    assert contents(out).items() >= kept.items()
    assert tables(out).items() <= before.items()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda root: root, id="the folder itself"),
        pytest.param(lambda root: root / "drawn", id="in it"),
        pytest.param(lambda root: root / "a" / "b", id="deep in it"),
        pytest.param(lambda root: root.parent / "x" / ".." / root.name / "drawn", id="by a detour"),
        pytest.param(lambda root: root.parent / "link" / "drawn", id="through a link"),
    ],
)
def test_drawings_do_not_go_into_the_photo_folder(
    render: Render, originals: Path, make: Callable[[Path], Path]
) -> None:
    (originals.parent / "link").symlink_to(originals)
    before = contents(originals.parent)
    with pytest.raises(MaskclsError, match=r": lies inside the photo folder; choose another --out$"):
        render(to=make(originals))
    assert contents(originals.parent) == before
    assert not list(originals.parent.rglob(".lock"))


def test_a_photo_folder_that_would_receive_the_drawings_is_refused(
    render: Render, originals: Path, tmp_path: Path
) -> None:
    root = originals.rename(tmp_path / "photos")
    with pytest.raises(MaskclsError):
        render(root, tmp_path)


def test_beside_the_photo_folder_is_fine(render: Render, originals: Path) -> None:
    assert render(to=originals.with_name(f"{originals.name}-drawn")).drawn == PEOPLE


def test_a_folder_in_use_or_a_file_is_refused(render: Render, out: Path) -> None:
    with locked(out), pytest.raises(MaskclsError, match=f"^{re.escape(str(out))}: another maskcls run is writing here"):
        render()
    assert contents(out) == {}
    out.touch()
    with pytest.raises(MaskclsError, match=f"^{re.escape(str(out))}: cannot be written"):
        render()


def test_exact_copies_of_a_photo_do_not_spoil_its_drawing(render: Render, originals: Path, out: Path) -> None:
    first = bare_photos(originals)[0]
    shutil.copy(first, first.with_name(f"normal2{first.suffix}"))
    render(jobs=1)
    assert {item.refused for item in read_dataset(out, "auto").photos} == {None}


@pytest.mark.parametrize(
    "name",
    [b"normal\n.jpg", b"normal\r.jpg", 'normal "," 😷.jpg'.encode(), b"normal \xe9.jpg"],
    ids=["LF", "CR", "quotes", "latin-1"],
)
def test_odd_names_of_originals(render: Render, originals: Path, out: Path, name: bytes) -> None:
    photo = bare_photos(originals)[0]
    photo.rename(os.fsdecode(os.path.join(os.fsencode(photo.parent), name)))
    assert render() == RenderReport(drawn=PEOPLE, reused=0, masked=PEOPLE, rejects=0)
    assert pd.read_csv(out / "labels.csv")["original"][0] == stored(f"{photo.parent.name}/{os.fsdecode(name)}")


def test_progress_and_photos_of_several_batches(render: Render, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "BATCH", 3)
    steps: list[tuple[int, int]] = []
    render(progress=lambda done, total: steps.append((done, total)))
    assert steps == [(0, 4), (3, 4), (4, 4)]
    assert len(table_of(out)) == PEOPLE


@pytest.mark.parametrize("jobs", [1, 3])
def test_few_photos_are_in_memory(
    render: Render, originals: Path, out: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    bare = bare_photos(originals)
    for number in range(2, 6):
        for photo in bare:
            with Image.open(photo) as image:
                image.rotate(number).convert("RGB").save(photo.with_name(f"normal{number}.jpg"))
    images: list[weakref.ref[Image.Image]] = []
    numbers: list[int] = []

    def alive() -> int:
        return sum(image() is not None for image in images)

    def counted(path: Path) -> Photo:
        photo = read_photo(path)
        images.append(weakref.ref(photo.image))
        numbers.append(alive())
        return photo

    monkeypatch.setattr(rendering, "read_photo", counted)
    monkeypatch.setattr(rendering, "BATCH", 2)
    render(jobs=jobs)
    assert len(numbers) == 5 * PEOPLE
    assert max(numbers) <= 3 * 2
    gc.collect()
    assert alive() == 0


def test_faces_are_sought_while_the_batch_before_is_drawn_on(
    render: Render, finder: FaceFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "BATCH", PEOPLE // 2)
    second = threading.Event()
    find, searches, waited = finder.find, [], []

    def noted(images: Sequence[Image.Image], mode: FaceMode) -> list[Found | None]:
        searches.extend([mode] if images else [])
        if len(searches) == 2:
            second.set()
        return find(images, mode)

    def draw(*arguments: Any) -> Image.Image:
        waited.append(second.wait(60))
        return draw_mask(*arguments)

    monkeypatch.setattr(finder, "find", noted)
    monkeypatch.setattr(rendering, "draw_mask", draw)
    assert render().drawn == PEOPLE
    assert waited == [True] * PEOPLE


@pytest.mark.parametrize("broken", ["read_photo", "draw_mask", "_find"])
def test_an_error_ends_all_threads(render: Render, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def fail(*arguments: Any) -> None:
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    monkeypatch.setattr(rendering, "BATCH", 1)
    monkeypatch.setattr(rendering, broken, fail)
    with pytest.raises(KeyboardInterrupt):
        render()
    assert set(threading.enumerate()) <= before


def test_drawn_faces_are_embedded_with_their_link(
    render: Render, originals: Path, out: Path, tmp_path: Path, finder: FaceFinder, pixel_encoder: Encoder
) -> None:
    render(incorrect=1)
    dataset = read_dataset(out, "auto")
    report = embed_folder(dataset, out, tmp_path / "faces", pixel_encoder, finder, mode="whole")
    assert (dataset.layout, report.faces, report.rejects) == ("csv", PEOPLE, 0)
    table = open_set(tmp_path / "faces").table
    assert set(table["drawn_on"]) == {sha256(path.read_bytes()).hexdigest() for path in bare_photos(originals)}
    assert set(table["mask"]) == {"incorrect"}
    assert table["person"].is_unique


def test_most_worn_masks_leave_a_face_to_be_found(crowd_drawn: Path, finder: FaceFinder) -> None:
    images = [Image.open(path).convert("RGB") for path in sorted((crowd_drawn / "photos").iterdir())]
    assert len(images) > 0.9 * CROWD
    assert sum(face is not None for face in finder.find(images)) >= 0.8 * len(images)


def test_drawings_do_not_depend_on_what_is_found_together(
    crowd: Path, crowd_drawn: Path, tmp_path: Path, finder: FaceFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "BATCH", 1)
    render_masks(read_dataset(crowd, "auto"), crowd, tmp_path, finder, incorrect=0)
    for name in drawings(crowd_drawn):
        first, second = (np.asarray(Image.open(folder / name), np.int16) for folder in (crowd_drawn, tmp_path))
        assert np.abs(first - second).mean() < 2


def test_drawing_and_original_are_one_person(
    crowd: Path, crowd_drawn: Path, tmp_path: Path, finder: FaceFinder, encoder: FaceNetEncoder
) -> None:
    sets = {crowd: tmp_path / "bare", crowd_drawn: tmp_path / "drawn"}
    for root, faces in sets.items():
        embed_folder(read_dataset(root, "auto"), root, faces, encoder, finder)
    pool = open_face_set(list(sets.values()))
    drawn = pool.table["drawn_on"].notna()
    assert drawn.sum() > 0.8 * CROWD
    people = dict(zip(pool.table["file_sha256"][~drawn], pool.people[~drawn], strict=True))
    assert pool.people[drawn].tolist() == pool.table["drawn_on"][drawn].map(people).tolist()
    assert len(set(pool.people.tolist())) > 0.9 * CROWD
