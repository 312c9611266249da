from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.metrics.scored import COLUMNS, scored_faces
from maskcls.classify.metrics.slices import FIGURES, MIN_FACES, slices

WEAR_MALE_40 = {"true_mask": "wear", "true_gender": "male", "true_age_low": 40, "true_age_high": 40}
SAID_SO = {"mask": "wear", "gender": "male", "age_band": "30-59", "age": 43}


def faces(count: int, **columns: Any) -> pd.DataFrame:
    """Right answers of two people in turn, off by three years, but for what is predicted otherwise."""
    same = {**dict.fromkeys(COLUMNS), "source": "set", **WEAR_MALE_40, **SAID_SO, **columns}
    return pd.DataFrame({**same, "person": np.arange(count) % 2}, index=range(count))


def by_name(*tables: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["slice"]: row for row in slices(scored_faces(pd.concat(tables, ignore_index=True)))}


def test_slices_and_pairs() -> None:
    found = by_name(faces(20, true_race="asian"))
    assert found.keys() == {
        "race=asian",
        "gender=male",
        "age=30-59",
        "mask=wear",
        "source=set",
        "mask=wear, gender=male",
        "mask=wear, age=30-59",
        "gender=male, age=30-59",
    }
    for row in found.values():
        assert row == {"slice": row["slice"], "faces": 20, "people": 2, "age_mae": 3} | {
            name: 1 for name in FIGURES if name != "age_mae"
        }


def test_figures_by_hand() -> None:
    row = by_name(faces(20), faces(5, mask="normal"), faces(10, gender="female", age_band="<30", age=20))["source=set"]
    assert row["faces"] == 35
    assert row["mask_accuracy"] == pytest.approx(30 / 35)
    assert row["gender_accuracy"] == row["age_band_accuracy"] == pytest.approx(25 / 35)
    assert row["joint_accuracy"] == pytest.approx(20 / 35)
    assert row["age_mae"] == pytest.approx((25 * 3 + 10 * 20) / 35)


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        pytest.param({"true_mask": None}, {"mask_accuracy", "joint_accuracy"}, id="mask not labelled"),
        pytest.param({"gender": None}, {"gender_accuracy", "joint_accuracy"}, id="gender not answered"),
        pytest.param({"true_age_low": 20}, {"age_band_accuracy", "joint_accuracy"}, id="true band across a border"),
        pytest.param({"age": None}, {"age_mae"}, id="no age in years"),
    ],
)
def test_figure_without_label_or_answer_is_none(columns: dict[str, Any], missing: set[str]) -> None:
    row = by_name(faces(20, **columns))["source=set"]
    assert {name for name in FIGURES if row[name] is None} == missing


def test_few_faces_make_no_slice_and_no_figure() -> None:
    found = by_name(faces(MIN_FACES - 1, true_race="rare"), faces(MIN_FACES, true_race="common", true_mask=None))
    assert "race=rare" not in found
    assert "mask=wear" not in found
    assert found["race=common"]["mask_accuracy"] is None
    assert found["source=set"]["mask_accuracy"] is None  # of the 39 faces only 19 have the label
    assert found["source=set"]["gender_accuracy"] == 1


def test_worst_first_by_joint_and_else_by_band_accuracy() -> None:
    some = [
        faces(30, source="joint 1/3").assign(mask=["wear"] * 10 + ["normal"] * 20),
        faces(30, source="band 1/2", true_mask=None).assign(age_band=["30-59"] * 15 + ["<30"] * 15),
        faces(30, source="all right"),
        faces(30, source="no age", true_mask=None, true_age_low=None),
    ]
    order = [name for name in by_name(*some) if name.startswith("source=")]
    assert order == ["source=joint 1/3", "source=band 1/2", "source=all right", "source=no age"]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 99), st.integers(0, 99))
def test_order_of_the_rows_does_not_matter(seed: int, order: int) -> None:
    random = np.random.default_rng(seed)
    table = faces(
        120,
        true_race=random.choice(np.array(["x", "y", None], object), 120),
        true_mask=random.choice(np.array(["wear", "normal", None], object), 120),
        gender=random.choice(["male", "female"], 120),
        age=random.integers(0, 90, 120),
    )
    first, second = slices(scored_faces(table)), slices(scored_faces(table.sample(frac=1, random_state=order)))
    assert [row["slice"] for row in first] == [row["slice"] for row in second]
    for one, other in zip(first, second, strict=True):
        assert one == pytest.approx(other)


def test_no_face() -> None:
    assert slices(scored_faces(pd.DataFrame(columns=list(COLUMNS)))) == []
