from __future__ import annotations

from pathlib import Path

import pytest

from maskcls.embedder.datasets.folders import folder_labels
from maskcls.embedder.datasets.layouts import read_dataset
from maskcls.embedder.datasets.legend import read_legend
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.labels import Labels


def read(root: Path, *names: str, legend: tuple[str, ...] = ()) -> dict[str, Labels]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    dataset = read_dataset(root, "auto", legend=read_legend(legend))
    assert dataset.layout == "folders"
    return {item.path.relative_to(root).as_posix(): item.labels for item in dataset.photos}


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("photo.jpg", Labels()),
        ("wear/photo.jpg", Labels(mask="wear")),
        ("Female/Normal/photo.jpg", Labels(mask="normal", gender="female")),
        ("wear/incorrect/photo.jpg", Labels(mask="incorrect")),
        ("wear/unknown/photo.jpg", Labels(mask="wear")),
        ("wearing/photo.jpg", Labels()),
        ("other/wear.jpg", Labels()),
        ("train/with_mask/photo.jpg", Labels(mask="wear")),
        ("WithoutMask/photo.jpg", Labels(mask="normal")),
        ("masks/mask_weared_incorrect/photo.jpg", Labels(mask="incorrect")),
        ("women/no mask/photo.jpg", Labels(mask="normal", gender="female")),
        ("boy/photo.jpg", Labels(gender="male")),
        ("25/photo.jpg", Labels()),
        ("20s/photo.jpg", Labels()),
        ("2021-03/photo.jpg", Labels()),
        ("0/photo.jpg", Labels()),
        ("f/photo.jpg", Labels()),
    ],
)
def test_folder_names(path: str, labels: Labels) -> None:
    assert folder_labels(Path(path)) == labels


@pytest.mark.parametrize(
    ("folders", "genders"),
    [
        pytest.param(("m", "f"), {"male", "female"}, id="both genders"),
        pytest.param(("M", "F", "unknown"), {"male", "female", None}, id="and unknown"),
        pytest.param(("a", "f", "m"), {None}, id="letters"),
        pytest.param(("f",), {None}, id="alone"),
    ],
)
def test_letters_are_genders_where_no_other_folder_lies_beside(
    tmp_path: Path, folders: tuple[str, ...], genders: set[str | None]
) -> None:
    labels = read(tmp_path, *(f"set/{folder}/{n}.jpg" for folder in folders for n in range(2)), "elsewhere/x/a.jpg")
    assert {one.gender for name, one in labels.items() if name.startswith("set/")} == genders


def test_bands_of_the_classes_are_ages_where_no_other_folder_lies_beside(tmp_path: Path) -> None:
    labels = read(tmp_path, "a/<30/1.jpg", "a/30-59/man/2.jpg", "a/>=60/3.jpg", "b/0-29/4.jpg", "b/30-59/5.jpg")
    assert labels == {
        "a/<30/1.jpg": Labels(age_low=0, age_high=29),
        "a/30-59/man/2.jpg": Labels(gender="male", age_low=30, age_high=59),
        "a/>=60/3.jpg": Labels(age_low=60, age_high=100),
        "b/0-29/4.jpg": Labels(),
        "b/30-59/5.jpg": Labels(),
    }


def test_a_legend_explains_folders(tmp_path: Path) -> None:
    names = ("train/0/a.jpg", "train/1/b.jpg", "train/2/c.jpg")
    assert set(read(tmp_path, *names).values()) == {Labels()}
    labels = read(tmp_path, *names, legend=("mask:0=normal,1=with_mask",))
    assert [labels[name].mask for name in names] == ["normal", "wear", None]


def test_a_folder_of_two_legends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MaskclsError, match="folder '0' is a code of mask and of gender; call it by a word"):
        read(tmp_path, "0/a.jpg", legend=("mask:0=normal,1=wear", "gender:0=male,1=female"))
