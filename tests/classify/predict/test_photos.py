from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskcls.classify.predict.photos import check_image_ids, named_photos
from maskcls.embedder.errors import MaskclsError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder: ``a.jpg``, and the folders ``one`` and ``two``, each with photos of the same names."""
    for name in ("a.jpg", "one/x.jpg", "one/deep/y.jpg", "two/x.jpg", "two/deep/y.jpg", "two/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*places: str | Path) -> list[str]:
    return [photo.name for photo in named_photos(list(map(Path, places)))[0]]


ONE, TWO = ["one/deep/y.jpg", "one/x.jpg"], ["two/deep/y.jpg", "two/x.jpg"]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        pytest.param(["one"], ["deep/y.jpg", "x.jpg"], id="a folder alone"),
        pytest.param(["one/"], ["deep/y.jpg", "x.jpg"], id="a folder alone, with a slash"),
        pytest.param(["a.jpg"], ["a.jpg"], id="a photo alone"),
        pytest.param(["one/deep/y.jpg"], ["one/deep/y.jpg"], id="a photo alone, deep"),
        pytest.param(["one", "two"], [*ONE, *TWO], id="two folders"),
        pytest.param(["two", "a.jpg", "one"], [*TWO, "a.jpg", *ONE], id="in the order given"),
        pytest.param(["./a.jpg", "one//x.jpg"], ["a.jpg", "one/x.jpg"], id="plain forms of paths"),
        pytest.param(["a.jpg", "./a.jpg", "a.jpg"], ["a.jpg"], id="one photo three times"),
        pytest.param(["one/x.jpg", "one"], ["one/x.jpg", "one/deep/y.jpg"], id="a photo of a folder first"),
        pytest.param(["one", "one/deep"], ONE, id="a folder in a folder"),
        pytest.param(["one", "two/../one"], ONE, id="one folder by two paths"),
        pytest.param([".", "a.jpg"], ["a.jpg", *ONE, *TWO], id="here"),
        pytest.param(["../{here}/a.jpg"], ["../{here}/a.jpg"], id="from above"),
        pytest.param(["two/notes.txt"], ["two/notes.txt"], id="what is named is tried"),
    ],
)
def test_names(here: Path, places: Sequence[str], expected: Sequence[str]) -> None:
    assert names(*(place.format(here=here.name) for place in places)) == [
        name.format(here=here.name) for name in expected
    ]


def test_every_name_leads_to_its_photo(here: Path) -> None:
    for photo in named_photos([Path("two"), here / "one", Path("a.jpg")])[0]:
        assert Path(photo.name).samefile(photo.path)


@given(st.permutations(["a.jpg", "one", "two", "one/x.jpg", "."]), st.integers(2, 5))
def test_no_two_photos_have_one_name_and_no_photo_two(
    tmp_path_factory: pytest.TempPathFactory, places: list[str], count: int
) -> None:
    root = tmp_path_factory.getbasetemp() / "named"
    for name in ("a.jpg", "one/x.jpg", "two/x.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    photos, _ = named_photos([root / place for place in places[:count]])
    assert len({photo.name for photo in photos}) == len({photo.path.resolve() for photo in photos}) == len(photos)


def test_what_is_passed_over_is_summed(here: Path) -> None:
    assert str(named_photos([Path("one"), Path("two"), Path("a.jpg")])[1]) == "1 .txt"


@pytest.mark.parametrize(
    ("places", "words"),
    [
        pytest.param(["a.jpg", "gone.jpg"], "^gone.jpg: no such file or folder$", id="no such photo"),
        pytest.param(["one", "empty"], "^empty: no photo in this folder$", id="empty folder"),
    ],
)
def test_what_cannot_be_predicted(here: Path, places: list[str], words: str) -> None:
    with pytest.raises(MaskclsError, match=words):
        names(*places)


def test_a_folder_that_holds_only_a_linked_folder_says_so(here: Path) -> None:
    (here / "empty" / "link").symlink_to(here / "one")
    with pytest.raises(MaskclsError) as error:
        names("empty")
    assert str(error.value) == (
        "empty: no photo in this folder; passed over: 1 folder that is a link; empty/link is a link to a folder, and "
        f"these are not followed: name its target, {os.path.realpath(here)}/one, instead"
    )
    assert names("empty/link") == ["deep/y.jpg", "x.jpg"]


@pytest.mark.parametrize(
    ("places", "ids"),
    [
        (["one"], ["deep/y.jpg", "x.jpg"]),
        (["a.jpg", "one"], ["a.jpg", "deep/y.jpg", "x.jpg"]),
        (["one/deep/y.jpg", "two/x.jpg"], ["y.jpg", "x.jpg"]),
    ],
    ids=str,
)
def test_a_submission_has_paths_below_the_folders_named(here: Path, places: list[str], ids: list[str]) -> None:
    photos, _ = named_photos(list(map(Path, places)))
    check_image_ids(photos)
    assert [photo.image_id for photo in photos] == ids


def test_a_submission_of_two_photos_of_one_name_is_refused(here: Path) -> None:
    photos, _ = named_photos([Path("one"), Path("two")])
    with pytest.raises(MaskclsError, match=r"^one/deep/y.jpg and two/deep/y.jpg: both are deep/y.jpg in a submission"):
        check_image_ids(photos)
