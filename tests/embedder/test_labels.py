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
        ("", (None, None)),
        ("  ", (None, None)),
    ],
)
def test_ages(text: str, years: tuple[float | None, float | None]) -> None:
    assert parse_age(text) == years


@pytest.mark.parametrize("text", ["-3", "inf", "-inf", "200", "120.5", "39-30", "1e9", "110-130", "500+"])
def test_ages_out_of_range(text: str) -> None:
    with pytest.raises(LabelError) as error:
        parse_age(text)
    assert str(error.value) == f"age {text!r} is outside 0-120 years"


@pytest.mark.parametrize("text", ["old", "30-", "30--39", "3O", "thirty", "<30", "30-39-49", "2_5", "30\n40"])
def test_texts_that_are_no_age(text: str) -> None:
    with pytest.raises(LabelError) as error:
        parse_age(text)
    assert str(error.value) == f"age {text!r} is neither years (37) nor a band (30-39)"


@given(st.integers(0, 120), st.integers(0, 120))
def test_every_band_within_0_to_120_is_read(a: int, b: int) -> None:
    low, high = sorted((a, b))
    assert parse_age(f"{low}-{high}") == check_age(low, high, "") == (low, high)


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


@pytest.mark.parametrize(
    ("text", "mask"),
    [("wear", "wear"), ("Incorrect", "incorrect"), (" NORMAL ", "normal"), ("", None), (" ", None)],
)
def test_masks(text: str, mask: str | None) -> None:
    assert parse_mask(text) == mask


@pytest.mark.parametrize("text", ["on", "off", "mask", "0", "wears"])
def test_unknown_masks(text: str) -> None:
    with pytest.raises(LabelError) as error:
        parse_mask(text)
    assert str(error.value) == f"mask {text!r} is none of wear, incorrect, normal"


@pytest.mark.parametrize(
    ("text", "gender"),
    [("male", "male"), ("Female", "female"), ("M", "male"), ("f", "female"), (" FEMALE ", "female"), ("", None)],
)
def test_genders(text: str, gender: str | None) -> None:
    assert parse_gender(text) == gender


@pytest.mark.parametrize("text", ["x", "0", "1", "man", "woman", "females"])
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
