from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskcls.embedder.labels import (
    AGE_BANDS,
    GENDERS,
    MASKS,
    UNKNOWN,
    LabelError,
    age_band,
    age_text,
    check_age,
    class_id,
    parse_age,
    parse_gender,
    parse_mask,
)


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("37", (37, 37)),
        (" 37 ", (37, 37)),
        ("37.0", (37, 37)),
        ("0", (0, 0)),
        ("120", (120, 120)),
        ("30-39", (30, 39)),
        ("0 - 2", (0, 2)),
        ("60+", (60, 100)),
        ("60 +", (60, 100)),
        (">=60", (60, 100)),
        (">= 60", (60, 100)),
        ("over 60", (60, 100)),
        ("more than 70", (70, 100)),
        ("More Than 70", (70, 100)),
        *((text, (25, 32)) for text in ("25–32", "25—32", "25‐32", "25−32", "25~32", "25 to 32", "25 - 32 years")),
        *((text, (25, 32)) for text in ("(25, 32)", "(25,32)", "[ 25, 32 ]", "25 years to 32 years", "25살-32살")),
        *((text, (33, 33)) for text in ("33 years", "33 years old", "33y", "33 yrs", "33.0", "33세")),
        *((text, (20, 29)) for text in ("20s", "20's", "20 s", "20대")),
        *((text, (60, 100)) for text in ("60 and over", "60 or older", "60 and above", "≥60", "at least 60")),
        *((text, (0, 29)) for text in ("<30", "< 30", "under 30", "below 30", "Less Than 30", "<=29", "29 or younger")),
        (">60", (61, 100)),
        ("0s", (0, 9)),
        ("<1", (0, 0)),
        ("", (None, None)),
        ("  ", (None, None)),
    ],
)
def test_ages(text: str, years: tuple[float | None, float | None]) -> None:
    assert parse_age(text) == years


@pytest.mark.parametrize(
    "text", ["-3", "inf", "-inf", "200", "120.5", "39-30", "1e9", "110-130", "500+", "<0", "120s", "<" + "9" * 400]
)
def test_ages_out_of_range(text: str) -> None:
    with pytest.raises(LabelError) as error:
        parse_age(text)
    assert str(error.value) == f"age {text!r} is outside 0-120 years"


@pytest.mark.parametrize(
    "text",
    ["old", "30-", "30--39", "3O", "thirty", "<", "+", "30-39-49", "2_5", "30\n40", "30, 39", "(30, 39", "25s", "s"],
)
def test_texts_that_are_no_age(text: str) -> None:
    with pytest.raises(LabelError) as error:
        parse_age(text)
    assert str(error.value) == f"age {text!r} is neither years (37) nor a band (30-39)"


@given(st.integers(0, 120), st.integers(0, 120))
def test_every_band_within_0_to_120_is_read(a: int, b: int) -> None:
    low, high = sorted((a, b))
    assert parse_age(f"{low}-{high}") == check_age(low, high, "") == (low, high)
    assert parse_age(f"({low}, {high})") == parse_age(f"{low}–{high}") == (low, high)
    assert parse_age(age_text(low, high)) == (low, high)


@pytest.mark.parametrize("name", AGE_BANDS)
def test_the_bands_of_the_classes_are_ages_of_that_band(name: str) -> None:
    low, high = parse_age(name)
    assert low is not None
    assert high is not None
    assert age_band(low) == age_band(high) == name
    assert age_band(low - 1) != name or low == 0
    assert age_band(high + 1) != name or high == 100


@given(st.text(max_size=12))
def test_any_text_is_an_age_or_a_label_error(text: str) -> None:
    low: float | None = 0.0
    high: float | None = 0.0
    with contextlib.suppress(LabelError):
        low, high = parse_age(text)
    if low is None or high is None:
        assert low is high is None
        assert text.strip().lower() in UNKNOWN
    else:
        assert 0 <= low <= high <= 120


@given(
    st.text(max_size=12)
    | st.lists(st.sampled_from(["mask", "no", "worn", "face", "correctly", "with", "_"])).map(" ".join)
)
def test_any_text_is_a_mask_state_or_a_label_error(text: str) -> None:
    with contextlib.suppress(LabelError):
        assert parse_mask(text) in MASKS or text.strip().lower() in UNKNOWN


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("wear", "wear"),
        ("Incorrect", "incorrect"),
        (" NORMAL ", "normal"),
        ("", None),
        (" ", None),
        ("Unknown", None),
        *(
            (text, "wear")
            for text in ("with_mask", "WithMask", "withmask", "mask", "masked", "Masked Face", "face_mask")
        ),
        *((text, "wear") for text in ("wearing a mask", "correctly_masked", "mask_weared_correctly", "worn properly")),
        *((text, "normal") for text in ("without_mask", "WithoutMask", "no_mask", "No Mask", "no-mask", "nomask")),
        *((text, "normal") for text in ("unmasked", "unmasked_face", "not wearing mask", "mask off", "bare")),
        *(
            (text, "incorrect")
            for text in ("mask_weared_incorrect", "incorrect_mask", "worn_incorrectly", "improperly")
        ),
        *((text, "incorrect") for text in ("incorrectly_masked_face", "Improperly worn", "mask worn wrongly")),
        *((text, "incorrect") for text in ("mask not worn properly", "MaskWearedIncorrect", "incorrectly")),
    ],
)
def test_masks(text: str, mask: str | None) -> None:
    assert parse_mask(text) == mask


@pytest.mark.parametrize(
    "text",
    [
        "on",
        "off",
        "0",
        "1",
        "wears",
        "wearing",
        "masks",
        "mask1",
        "face",
        "no face",
        "without",
        "no",
        "wrong",
        "not a mask x",
    ],
)
def test_unknown_masks(text: str) -> None:
    with pytest.raises(LabelError) as error:
        parse_mask(text)
    assert str(error.value) == f"mask {text!r} is none of wear, incorrect, normal"


@pytest.mark.parametrize(
    ("text", "gender"),
    [("male", "male"), ("Female", "female"), ("M", "male"), ("f", "female"), (" FEMALE ", "female"), ("", None)]
    + [(text, "male") for text in ("man", "Men", "boy", "boys", "males", "남", "남자", "남성")]
    + [(text, "female") for text in ("woman", "WOMEN", "girl", "girls", "females", "여", "여자", "여성", "여자")],
)
def test_genders(text: str, gender: str | None) -> None:
    assert parse_gender(text) == gender


@pytest.mark.parametrize("text", ["x", "0", "1", "mf", "human", "ma le", "boyish"])
def test_unknown_genders(text: str) -> None:
    with pytest.raises(LabelError) as error:
        parse_gender(text)
    assert str(error.value) == f"gender {text!r} is neither male nor female"


def test_class_ids_are_0_to_17_in_the_contests_order() -> None:
    ids = {
        (m, g, a): class_id(MASKS[m], GENDERS[g], AGE_BANDS[a])
        for m, g, a in itertools.product(range(3), range(2), range(3))
    }
    assert sorted(ids.values()) == list(range(18))
    assert all(value == 6 * m + 3 * g + a for (m, g, a), value in ids.items())


@pytest.mark.parametrize(
    ("mask", "gender", "band", "expected"),
    [
        ("wear", "male", "<30", 0),
        ("wear", "female", ">=60", 5),
        ("incorrect", "male", "30-59", 7),
        ("normal", "female", ">=60", 17),
    ],
)
def test_class_ids_by_name(mask: str, gender: str, band: str, expected: int) -> None:
    assert class_id(mask, gender, band) == expected


@pytest.mark.parametrize(
    ("mask", "gender", "band"), [("on", "male", "<30"), ("wear", "x", "<30"), ("wear", "male", "60+")]
)
def test_class_id_of_unknown_words(mask: str, gender: str, band: str) -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        class_id(mask, gender, band)


@pytest.mark.parametrize(
    ("age", "band"),
    [
        (0, "<30"),
        (29, "<30"),
        (29.9, "<30"),
        (30, "30-59"),
        (59, "30-59"),
        (59.99, "30-59"),
        (60, ">=60"),
        (120, ">=60"),
    ],
)
def test_age_band_borders(age: float, band: str) -> None:
    assert age_band(age) == band
