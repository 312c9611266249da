from __future__ import annotations

import csv
import datetime
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from unicodedata import normalize

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskcls.embedder.datasets.contest import contest_labels
from maskcls.embedder.datasets.dataset import Listed, Misread
from maskcls.embedder.datasets.folders import folder_labels
from maskcls.embedder.datasets.layouts import guess_layout, read_dataset
from maskcls.embedder.datasets.table import Columns
from maskcls.embedder.datasets.utkface import utkface_labels
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.labels import LabelError, Labels


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def by_name(photos: Sequence[Listed], root: Path) -> dict[str, Listed]:
    return {item.path.relative_to(root).as_posix(): item for item in photos}


def write_csv(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_real_contest_agrees_with_its_people_file(data: Path) -> None:
    dataset = read_dataset(data / "contest" / "images", "auto")
    with (data / "contest" / "people.csv").open() as file:
        people = {row["id"]: row for row in csv.DictReader(file)}
    assert (dataset.layout, len(dataset.photos)) == ("contest", 7 * len(people))
    masks: Counter[str | None] = Counter()
    for item in dataset.photos:
        row = people[str(item.labels.person)]
        age = float(row["age"])
        assert item.refused is None
        assert (item.labels.gender, item.labels.race) == (row["gender"], row["race"])
        assert (item.labels.age_low, item.labels.age_high) == (age, age)
        masks[item.labels.mask] += 1
    assert masks == {"wear": 5 * len(people), "incorrect": len(people), "normal": len(people)}


def test_real_utkface(data: Path) -> None:
    dataset = read_dataset(data / "utkface" / "photos", "auto")
    assert (dataset.layout, len(dataset.photos)) == ("utkface", 7476)
    for item in dataset.photos:
        age, gender = item.path.name.split("_")[:2]
        assert item.refused is None
        assert (item.labels.age_low, item.labels.age_high) == (float(age), float(age))
        assert item.labels.gender == ("male", "female")[int(gender)]
        assert (item.labels.mask, item.labels.person) == ("normal", None)


def test_real_fairface(data: Path) -> None:
    dataset = read_dataset(data / "fairface", "auto")
    assert (dataset.layout, len(dataset.photos)) == ("fairface", 6000)
    with (data / "fairface" / "fairface_label_train.csv").open() as file:
        table = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    for item in dataset.photos:
        row = table[item.path.name]
        band = row["age"]
        years = (70, 100) if band == "more than 70" else tuple(float(year) for year in band.split("-"))
        assert item.refused is None
        assert item.path.is_file()
        assert (item.labels.age_low, item.labels.age_high) == years
        assert item.labels.gender == row["gender"].lower()
        assert (item.labels.race, item.labels.mask) == (row["race"], None)


@pytest.mark.parametrize(
    ("folder", "masks"),
    [
        ("street", {"wear": 708, "normal": 108, "incorrect": 40}),
        ("portraits", {"wear": 855, "normal": 1656}),
        ("rendered", {"wear": 289, "incorrect": 1218}),
    ],
)
def test_real_masks_are_labelled_by_folder(data: Path, folder: str, masks: dict[str, int]) -> None:
    dataset = read_dataset(data / "masks" / folder, "auto")
    assert dataset.layout == "folders"
    assert Counter(item.labels.mask for item in dataset.photos) == masks
    assert {item.labels.gender for item in dataset.photos} == {None}


def test_contest_with_mixed_extensions_and_litter(tmp_path: Path) -> None:
    person = "000001_female_Asian_45"
    wanted = ["mask1.JPG", "mask2.jpeg", "mask3.png", "incorrect_mask.webp", "normal.bmp"]
    touch(tmp_path, *(f"{person}/{name}" for name in wanted))
    touch(tmp_path, f"{person}/._mask1.JPG", f"{person}/.DS_Store", "._000001_female_Asian_45")
    dataset = read_dataset(tmp_path, "auto")
    assert (dataset.layout, len(dataset.passed_over)) == ("contest", 3)
    labels = {item.path.name: item.labels for item in dataset.photos}
    assert set(labels) == set(wanted)
    assert labels["normal.bmp"] == Labels("000001", "normal", "female", "Asian", 45, 45)
    assert labels["incorrect_mask.webp"].mask == "incorrect"
    assert labels["mask3.png"].mask == "wear"


@pytest.mark.parametrize(
    ("reader", "path", "reason"),
    [
        (contest_labels, "000001_female_Asian_-3/mask1.jpg", "age '-3' is outside 0-120 years"),
        (contest_labels, "000001_female_Asian_inf/mask1.jpg", "age 'inf' is outside 0-120 years"),
        (contest_labels, "000001_x_Asian_45/mask1.jpg", "gender 'x' is neither male nor female"),
        (contest_labels, "000001_female_45/mask1.jpg", "folder '000001_female_45' is not <id>_<gender>_<race>_<age>"),
        (
            contest_labels,
            "000001_female_Asian_45/face.jpg",
            "file name 'face.jpg' is not mask1-5, incorrect_mask or normal",
        ),
        (utkface_labels, "-3_1_0_20170109.jpg", "age '-3' is outside 0-120 years"),
        (utkface_labels, "200_1_0_20170109.jpg", "age '200' is outside 0-120 years"),
        (utkface_labels, "25_3_0_20170109.jpg", "gender '3' is neither 0 (male) nor 1 (female)"),
        (utkface_labels, "me.jpg", "file name 'me.jpg' is not <age>_<gender>_<race>_<date>"),
    ],
)
def test_refused_names(reader: Callable[[Path], Labels], path: str, reason: str) -> None:
    with pytest.raises(LabelError) as error:
        reader(Path(path))
    assert str(error.value) == reason


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("25_1_2_20170116.jpg.chip.jpg", Labels(None, "normal", "female", "Asian", 25, 25)),
        ("1_0_4_20170116.jpg", Labels(None, "normal", "male", "Other", 1, 1)),
        ("61_1_20170109142408075.jpg.chip.jpg", Labels(None, "normal", "female", None, 61, 61)),
        ("25_0_9_20170116.jpg", Labels(None, "normal", "male", None, 25, 25)),
    ],
)
def test_utkface_names(name: str, labels: Labels) -> None:
    assert utkface_labels(Path("part1") / name) == labels


def test_a_refused_label_is_listed_with_its_reason(tmp_path: Path) -> None:
    touch(tmp_path, "1_male_White_20/normal.jpg", "2_male_White_30/normal.jpg", "3_x_White_40/normal.jpg")
    photos = by_name(read_dataset(tmp_path, "auto").photos, tmp_path)
    assert photos["3_x_White_40/normal.jpg"].refused == "gender 'x' is neither male nor female"
    assert photos["3_x_White_40/normal.jpg"].labels == Labels()
    assert photos["1_male_White_20/normal.jpg"].refused is None


STAMP = "20170116174525125.jpg.chip.jpg"
UTKFACE = [f"{age}_1_2_{STAMP}" for age in range(20, 29)]


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        pytest.param(["1_male_White_20/normal.jpg", "2_male_White_20/mask1.jpg", "odd.jpg"], "contest", id="contest"),
        pytest.param(["001498-1_male_Asian_23/normal.jpg"], "contest", id="contest ids"),
        pytest.param(["photos_of_the_sea/normal.jpg"], "folders", id="no gender and age"),
        pytest.param([*UTKFACE, "odd.jpg"], "utkface", id="utkface"),
        pytest.param([f"part1/{name}" for name in UTKFACE], "utkface", id="utkface in a folder"),
        pytest.param([f"61_1_{STAMP}"], "utkface", id="utkface without a race"),
        pytest.param(["24_0_1_20170116220224657 .jpg.chip.jpg"], "utkface", id="utkface with a space"),
        pytest.param(["24_0_1_20170116220224.jpg"], "utkface", id="utkface cropped by others"),
        pytest.param([*UTKFACE[:8], "odd.jpg"], "folders", id="not nearly all"),
        pytest.param([f"117_1_2_{STAMP}"], "folders", id="too old"),
        pytest.param([f"25_2_2_{STAMP}"], "folders", id="no gender"),
        pytest.param([f"25_1_5_{STAMP}"], "folders", id="no race"),
        pytest.param(["25_1_2_2017.jpg"], "folders", id="a year"),
        pytest.param(["25_01_2021.jpg", "05_01_2021.jpg"], "folders", id="dates"),
        pytest.param(["25_1_2_99999999999999999.jpg"], "folders", id="no time stamp"),
    ],
)
def test_auto_guesses_what_fits(tmp_path: Path, names: list[str], layout: str) -> None:
    touch(tmp_path, *names)
    dataset = read_dataset(tmp_path, "auto")
    assert (dataset.layout, dataset.guessed) == (layout, True)
    if layout == "folders":
        assert [item for item in dataset.photos if item.labels != Labels() or item.refused] == []


@given(st.dates())
def test_no_date_is_taken_for_a_label(tmp_path_factory: pytest.TempPathFactory, date: datetime.date) -> None:
    forms = ("%d_%m_%Y", "%Y_%m_%d", "%m_%d_%y", "%d_%m_%Y_%H%M%S", "%y_%m_%d_%H%M%S", "%d_%m_1_%Y%m%d")
    paths = [Path(f"{date.strftime(form)}.jpg") for form in forms]
    assert guess_layout(tmp_path_factory.getbasetemp(), paths) == "folders"
    assert {folder_labels(Path(path.stem) / "a.jpg") for path in paths} == {Labels()}


@pytest.mark.parametrize("folder", ["001498-1", "a b", "person_7", "2021.03", "김", "x_male_Asian_40"])
def test_any_id_of_a_contest_folder_is_a_person(folder: str) -> None:
    labels = contest_labels(Path(f"{folder}_female_Asian_23/mask3.jpg"))
    assert labels == Labels(folder, "wear", "female", "Asian", 23, 23)


def test_labels_are_counted_by_task(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    table = write_csv(tmp_path / "labels.csv", "path,mask,gender,age", "a.jpg,wear,,37", "b.jpg,old,m,60+", "c.jpg,,m,")
    assert read_dataset(tmp_path, "csv", table).label_counts() == {"age": 2, "gender": 2, "mask": 1}


CONTEST_PHOTOS = ("1_male_White_20/normal.jpg", "1_male_White_20/mask1.jpg")


def test_labels_csv_in_the_folder_is_found_by_auto(tmp_path: Path) -> None:
    touch(tmp_path, *CONTEST_PHOTOS)
    write_csv(tmp_path / "labels.csv", "path,mask,age", f"{CONTEST_PHOTOS[0]},wear,60+")
    dataset = read_dataset(tmp_path, "auto")
    assert (dataset.layout, str(dataset.passed_over)) == ("csv", "1 .csv")
    assert dataset.photos == [
        Listed(tmp_path / CONTEST_PHOTOS[1], refused="not in the label file"),
        Listed(tmp_path / CONTEST_PHOTOS[0], Labels(None, "wear", None, None, 60, 100)),
    ]


def test_a_named_label_file_wins_over_the_one_in_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    touch(root, *CONTEST_PHOTOS)
    write_csv(root / "labels.csv", "path,gender", f"{CONTEST_PHOTOS[0]},female")
    table = write_csv(tmp_path / "other.csv", "path,gender", f"{CONTEST_PHOTOS[1]},male")
    for layout in ("auto", "csv"):
        assert read_dataset(root, layout, table).photos == [
            Listed(root / CONTEST_PHOTOS[1], Labels(gender="male")),
            Listed(root / CONTEST_PHOTOS[0], refused="not in the label file"),
        ]


@pytest.mark.parametrize("layout", ["contest", "folders"])
def test_a_named_layout_wins_over_labels_csv(tmp_path: Path, layout: str) -> None:
    touch(tmp_path, *CONTEST_PHOTOS)
    write_csv(tmp_path / "labels.csv", "path,gender", f"{CONTEST_PHOTOS[0]},female")
    dataset = read_dataset(tmp_path, layout)
    assert (dataset.layout, len(dataset.photos)) == (layout, 2)


@pytest.mark.parametrize("name", ["sub/labels.csv", "Labels.csv", "labels.csv/notes.txt", "labels.parquet"])
def test_only_a_file_called_labels_csv_at_the_top_is_found(tmp_path: Path, name: str) -> None:
    touch(tmp_path, *CONTEST_PHOTOS, name)
    assert read_dataset(tmp_path, "auto").layout == "contest"


def test_labels_csv_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    touch(tmp_path, *CONTEST_PHOTOS, "labels.csv")
    with pytest.raises(MaskclsError, match=f"^{tmp_path / 'labels.csv'}: cannot be read as a label table"):
        read_dataset(tmp_path, "auto")


def test_drawn_on_links_a_drawing_to_its_original(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    write_csv(tmp_path / "labels.csv", "path,drawn_on", f"a.jpg, {'0f' * 32} ", "b.jpg,")
    first, second = read_dataset(tmp_path, "auto").photos
    assert first.labels == Labels(drawn_on="0f" * 32)
    assert second.labels == Labels()


def test_drawn_on_under_another_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    write_csv(tmp_path / "labels.csv", "path,mask,drawn_on,source", "a.jpg,wear,x,y")
    [item] = read_dataset(tmp_path, "auto", columns=Columns(drawn_on="source")).photos
    assert item.labels == Labels(mask="wear", drawn_on="y")


def test_csv_with_renamed_columns(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    touch(root, "a.jpg", "sub/b.jpg", "unlisted.jpg")
    table = write_csv(
        tmp_path / "labels.csv", "Img,Who,State,Sex,Race,Years", "a.jpg,p1,wear,F,Asian,30-39", "sub/b.jpg,,,,,60+"
    )
    columns = Columns("Img", "Who", "State", "Sex", "Race", "Years")
    dataset = read_dataset(root, "auto", table, columns)
    assert dataset.layout == "csv"
    assert dataset.photos == [
        Listed(root / "a.jpg", Labels("p1", "wear", "female", "Asian", 30, 39)),
        Listed(root / "sub/b.jpg", Labels(None, None, None, None, 60, 100)),
        Listed(root / "unlisted.jpg", refused="not in the label file"),
    ]


@pytest.mark.parametrize("header", ["PATH,Mask,GENDER", " path , mask , gender ", "Path\t,mAsk,gender"])
def test_names_of_columns_in_any_case_and_with_spaces(tmp_path: Path, header: str) -> None:
    touch(tmp_path, "a.jpg")
    table = write_csv(tmp_path / "labels.csv", header, "a.jpg,wear,f")
    assert read_dataset(tmp_path, "csv", table).photos == [
        Listed(tmp_path / "a.jpg", Labels(mask="wear", gender="female"))
    ]


def test_the_exact_name_of_a_column_wins_and_two_others_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    table = write_csv(tmp_path / "labels.csv", "path,Age,age,AGE", "a.jpg,1,2,3")
    assert read_dataset(tmp_path, "csv", table).photos[0].labels == Labels(age_low=2, age_high=2)
    with pytest.raises(MaskclsError, match=r"labels.csv: columns 'Age' and 'age' and 'AGE' are both 'aGe'$"):
        read_dataset(tmp_path, "csv", table, Columns(age="aGe"))


def test_csv_rows_that_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    touch(root, "twice.jpg", "good.jpg", "forgotten.jpg")
    table = write_csv(
        tmp_path / "labels.csv",
        "path,mask,gender,age",
        "good.jpg,wear,male,30",
        "twice.jpg,wear,male,30",
        "./twice.jpg,normal,male,30",
        "twice.jpg,normal,male,30",
        "../out.jpg,wear,male,30",
        f"{tmp_path}/absolute.jpg,wear,male,30",
    )
    refused = {item.path.name: item.refused for item in read_dataset(root, "csv", table).photos}
    assert refused == {
        "good.jpg": None,
        "twice.jpg": "named twice in the label file, with different labels",
        "out.jpg": "lies outside the photo folder",
        "absolute.jpg": "lies outside the photo folder",
        "forgotten.jpg": "not in the label file",
    }


@pytest.mark.parametrize(
    ("row", "labels", "problem"),
    [
        (
            "on,male,30",
            Labels(gender="male", age_low=30, age_high=30),
            Misread("mask", "mask", "on", "mask 'on' is none of wear, incorrect, normal"),
        ),
        (
            "wear,x,30",
            Labels(mask="wear", age_low=30, age_high=30),
            Misread("gender", "gender", "x", "gender 'x' is neither male nor female"),
        ),
        (
            "wear,male,200",
            Labels(mask="wear", gender="male"),
            Misread("age", "age", "200", "age '200' is outside 0-120 years"),
        ),
        (
            "wear,male,old",
            Labels(mask="wear", gender="male"),
            Misread("age", "age", "old", "age 'old' is neither years (37) nor a band (30-39)"),
        ),
    ],
)
def test_a_cell_that_cannot_be_read_costs_that_cell_alone(
    tmp_path: Path, row: str, labels: Labels, problem: Misread
) -> None:
    touch(tmp_path, "a.jpg")
    table = write_csv(tmp_path / "labels.csv", "path,mask,gender,age", f"a.jpg,{row}")
    assert read_dataset(tmp_path, "csv", table).photos == [Listed(tmp_path / "a.jpg", labels, problems=(problem,))]


def test_cells_that_cannot_be_read_are_counted_by_column(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    rows = ("a.jpg,old,x", "b.jpg,young,m", "c.jpg,old,f")
    table = write_csv(tmp_path / "labels.csv", "path, Years ,gender", *rows)
    assert read_dataset(tmp_path, "csv", table, Columns(age="Years")).misread() == {
        ("age", "Years"): {"old": 2, "young": 1},
        ("gender", "gender"): {"x": 1},
    }


@pytest.mark.parametrize(
    "word", ["nan", "NaN", "NA", "None", "unknown", "-1", "-1.0", "?", "N/A", "null", "-", "<NA>", "#N/A", " ", ""]
)
def test_an_unknown_cell_is_no_problem(tmp_path: Path, word: str) -> None:
    touch(tmp_path, "a.jpg")
    row = ",".join(["a.jpg", *[word] * 5])
    table = write_csv(tmp_path / "labels.csv", "path,mask,gender,age,race,drawn_on", row)
    assert read_dataset(tmp_path, "csv", table).photos == [Listed(tmp_path / "a.jpg")]


@pytest.mark.parametrize(
    ("word", "person"), [("nan", None), ("None", None), ("NA", None), ("-1", None), ("Nan", "Nan"), ("Na", "Na")]
)
def test_an_unknown_person_is_nobody(tmp_path: Path, word: str, person: str | None) -> None:
    touch(tmp_path, "a.jpg")
    table = write_csv(tmp_path / "labels.csv", "path,person", f"a.jpg,{word}")
    [item] = read_dataset(tmp_path, "csv", table).photos
    assert item.labels.person == person


@pytest.mark.parametrize(
    "cell", ["a/0.jpg", "./a/0.jpg", "a/0.jpg ", "  a/0.jpg", r"a\0.jpg", "{root}/a/0.jpg", " {root}/a/0.jpg "]
)
@pytest.mark.parametrize("by_link", [False, True], ids=["folder", "link"])
def test_a_path_is_read_however_it_is_written(tmp_path: Path, cell: str, by_link: bool) -> None:
    root, link = tmp_path / "photos", tmp_path / "link"
    touch(root, "a/0.jpg")
    link.symlink_to(root)
    table = write_csv(tmp_path / "labels.csv", "path,mask", f"{cell.format(root=root)},wear")
    folder = link if by_link else root
    assert read_dataset(folder, "csv", table).photos == [Listed(folder / "a/0.jpg", Labels(mask="wear"))]


def test_equal_rows_are_one(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    table = write_csv(tmp_path / "labels.csv", "path,mask", "a.jpg,wear", "a.jpg,wear", "./a.jpg, wear")
    assert read_dataset(tmp_path, "csv", table).photos == [Listed(tmp_path / "a.jpg", Labels(mask="wear"))]


@pytest.mark.parametrize(("on_disk", "in_table"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC"), ("NFD", "NFD")])
def test_a_row_in_one_unicode_form_finds_a_file_in_the_other(tmp_path: Path, on_disk: str, in_table: str) -> None:
    folder, name = "홍길동", "é ü.jpg"
    path = tmp_path / normalize(on_disk, f"{folder}/{name}")  # type: ignore[arg-type]
    touch(tmp_path, normalize(on_disk, f"{folder}/{name}"))  # type: ignore[arg-type]
    touch(tmp_path, "other.jpg")
    cell = normalize(in_table, f"{folder}/{name}")  # type: ignore[arg-type]
    write_csv(tmp_path / "labels.csv", "path,person", f"{cell},{normalize(in_table, folder)}")  # type: ignore[arg-type]
    first, second = sorted(read_dataset(tmp_path, "auto").photos, key=lambda item: item.refused or "")
    assert first == Listed(path, Labels(person=normalize("NFC", folder)))  # the path opens the file, the name is in NFC
    assert second.refused == "not in the label file"


def test_two_files_that_differ_in_their_form_alone_stay_two(tmp_path: Path) -> None:
    names = [normalize("NFC", "é.jpg"), normalize("NFD", "é.jpg")]
    touch(tmp_path, *names)
    write_csv(tmp_path / "labels.csv", "path,mask", f"{names[0]},wear", f"{names[1]},normal")
    photos = by_name(read_dataset(tmp_path, "auto").photos, tmp_path)
    assert {name: item.labels.mask for name, item in photos.items()} == {names[0]: "wear", names[1]: "normal"}


def test_parquet_labels(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    pd.DataFrame({"path": ["a.jpg"], "age": [37], "mask": [None]}).to_parquet(tmp_path / "labels.parquet")
    [item] = read_dataset(tmp_path, "auto", tmp_path / "labels.parquet").photos
    assert item.labels == Labels(age_low=37, age_high=37)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"file,mask\na.jpg,wear\n", r"no column 'path' \(only file, mask\)", id="no path column"),
        pytest.param(b"path,note\na.jpg,hello\n", "none of its columns is a label", id="no label column"),
        pytest.param(b"", "cannot be read as a label table", id="empty file"),
        pytest.param(b"path,mask\n\xff\xfe.jpg,wear\n", "cannot be read as a label table", id="not UTF-8"),
        pytest.param(b"path,mask\na,b,c\nd,e,f,g\n", "cannot be read as a label table", id="ragged rows"),
        pytest.param(None, "cannot be read as a label table", id="missing file"),
    ],
)
def test_unusable_label_file(tmp_path: Path, content: bytes | None, message: str) -> None:
    touch(tmp_path, "photos/a.jpg")
    table = tmp_path / "labels.csv"
    if content is not None:
        table.write_bytes(content)
    with pytest.raises(MaskclsError, match=message) as error:
        read_dataset(tmp_path / "photos", "csv", table)
    assert str(error.value).startswith(f"{table}: ")
    assert str(error.value).isprintable()


def test_damaged_parquet_is_one_line(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(MaskclsError, match="cannot be read as a label table") as error:
        read_dataset(tmp_path, "csv", tmp_path / "labels.parquet")
    assert str(error.value).isprintable()


def test_fairface_photo_without_a_row_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.jpg", "photos/2.jpg", "photos/3.jpg")
    write_csv(
        tmp_path / "fairface_label_train.csv",
        "file,age,gender,race",
        "train/1.jpg,0-2,Male,White",
        "train/2.jpg,3-9,Female,Black",
    )
    photos = by_name(read_dataset(tmp_path, "auto").photos, tmp_path)
    assert list(photos) == ["photos/2.jpg", "photos/3.jpg", "train/1.jpg"]
    assert photos["train/1.jpg"].labels == Labels(None, None, "male", "White", 0, 2)
    assert photos["photos/2.jpg"].labels == Labels(None, None, "female", "Black", 3, 9)
    assert photos["photos/3.jpg"].refused == "not in the label file"


@pytest.mark.parametrize(
    ("prepare", "layout", "message"),
    [
        pytest.param([], "auto", r"no photo in this folder$", id="empty folder"),
        pytest.param(
            ["notes.txt", "._a.jpg"],
            "auto",
            r"no photo in this folder; passed over: 1 .txt, 1 hidden file$",
            id="no photos",
        ),
        pytest.param(["a.jpg"], "coco", "--layout coco: choose auto, contest", id="unknown layout"),
        pytest.param(["a.jpg"], "csv", "--layout csv and --labels FILE belong together", id="csv without labels"),
        pytest.param(["a.jpg"], "fairface", "no fairface_label_.*csv here", id="fairface without table"),
    ],
)
def test_unusable_folder(tmp_path: Path, prepare: list[str], layout: str, message: str) -> None:
    touch(tmp_path, *prepare)
    with pytest.raises(MaskclsError, match=message):
        read_dataset(tmp_path, layout)


def test_labels_with_another_layout(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    with pytest.raises(MaskclsError, match="--layout csv and --labels FILE belong together"):
        read_dataset(tmp_path, "folders", tmp_path / "labels.csv")


def test_no_folder(tmp_path: Path, portrait: Path) -> None:
    with pytest.raises(MaskclsError, match=r"no such folder$"):
        read_dataset(tmp_path / "gone", "auto")
    with pytest.raises(MaskclsError, match=r"is a file, not a folder$"):
        read_dataset(portrait, "auto")
    with pytest.raises(MaskclsError, match=r"line\\nbreak: no such folder$"):
        read_dataset(tmp_path / "line\nbreak", "auto")
