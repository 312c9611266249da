from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score

from maskcls.classify.metrics.scored import COLUMNS
from maskcls.classify.metrics.scores import summarise
from maskcls.classify.tasks import CLASSES, PROBABILITIES
from maskcls.embedder.labels import AGE_BANDS, GENDERS, MASKS, age_band, class_id

METRICS = (
    *("mask accuracy", "mask macro F1", "gender accuracy", "gender macro F1"),
    *("gender accuracy, bare", "gender accuracy, masked", "age band accuracy", "age band macro F1"),
    *("recall <30", "recall 30-59", "recall >=60", "age MAE", "age MAE, bare", "age MAE, masked"),
    *("recall >=60, bare", "recall >=60, masked", "age band macro F1, bare", "age band macro F1, masked"),
    *("80% interval coverage", "18-class accuracy", "18-class macro F1"),
)
IN_YEARS = {"age MAE", "age MAE, bare", "age MAE, masked"}


def random_answers(count: int, seed: int = 0, *, gaps: float = 0.0) -> pd.DataFrame:
    """Answers that are often right; a share of all labels and of all tasks' answers is missing."""
    random = np.random.default_rng(seed)
    ages = random.integers(0, 90, count).astype(float)
    columns: dict[str, Any] = {
        "person": random.integers(0, max(1, count // 3), count),
        "source": random.choice(["one", "two"], count),
        "true_mask": random.choice(MASKS, count),
        "true_gender": random.choice(GENDERS, count),
        "true_race": random.choice(["x", "y"], count),
        "true_age_low": ages,
        "true_age_high": ages,
    }
    truth = {"mask": columns["true_mask"], "gender": columns["true_gender"], "age_band": list(map(age_band, ages))}
    for task, classes in CLASSES.items():
        shares = random.dirichlet(np.ones(len(classes)), count)
        shares += 0.7 * (np.array(truth[task], object)[:, None] == np.array(classes, object))
        shares /= shares.sum(axis=1, keepdims=True)
        columns[task] = np.array(classes, object)[shares.argmax(axis=1)]
        columns |= dict(zip(PROBABILITIES[task].values(), shares.T, strict=True))
    columns["age"] = (ages + random.normal(0, 6, count)).clip(0, 120)
    columns |= {"age_low": columns["age"] - 8, "age_high": columns["age"] + 8}
    table = pd.DataFrame(columns)
    together = [["true_age_low", "true_age_high"], ["age", "age_low", "age_high"]]
    together += [[task, *PROBABILITIES[task].values()] for task in CLASSES]
    for names in (*together, ["true_mask"], ["true_gender"], ["true_race"]):
        table.loc[random.random(count) < gaps, names] = None
    return table


def perfect_answers(faces_a_class: int = 2) -> pd.DataFrame:
    """All 18 classes, all right, all sure."""
    age = dict(zip(AGE_BANDS, (20.0, 45.0, 61.0), strict=True))
    rows: list[dict[str, Any]] = []
    for mask, gender, band in list(product(MASKS, GENDERS, AGE_BANDS)) * faces_a_class:
        predicted = {"mask": mask, "gender": gender, "age_band": band}
        row: dict[str, Any] = {
            "person": len(rows),
            "source": "set",
            "true_mask": mask,
            "true_gender": gender,
            **predicted,
        }
        row |= {name: age[band] for name in ("true_age_low", "true_age_high", "age", "age_low", "age_high")}
        for task, classes in CLASSES.items():
            row |= dict(
                zip(PROBABILITIES[task].values(), (float(predicted[task] == name) for name in classes), strict=True)
            )
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def figures(part: object) -> list[float]:
    """All numbers of a summary in order, ``None`` as -1."""
    if isinstance(part, dict | list):
        return [value for one in (part.values() if isinstance(part, dict) else part) for value in figures(one)]
    return [] if isinstance(part, str) else [-1.0 if part is None else float(part)]  # type: ignore[arg-type]


def test_parts() -> None:
    got = summarise(random_answers(200), rounds=20)
    assert list(got) == [
        "overall",
        "classes",
        "confusion",
        "calibration",
        "abstention",
        "slices",
        "masked_vs_bare",
    ]
    assert set(got["overall"]) == set(METRICS)
    assert list(got["classes"]) == list(got["abstention"]) == ["mask", "gender", "age_band", "joint"]
    assert list(got["confusion"]) == ["mask", "gender", "age_band", "joint", "age_by_decade"]
    assert list(got["calibration"]) == ["mask", "gender", "age_band"]
    assert [len(rows) for rows in got["classes"].values()] == [3, 2, 3, 18]


def test_overall_equals_scikit_learn() -> None:
    table = random_answers(600, 1)
    got = {name: row["value"] for name, row in summarise(table, rounds=0)["overall"].items()}
    bands = table["true_age_low"].map(age_band)
    error = (table["age"] - table["true_age_low"]).abs()
    bare, worn, old = table["true_mask"] == "normal", table["true_mask"] == "wear", bands == ">=60"
    right = table["gender"] == table["true_gender"]
    truth = [class_id(*names) for names in zip(table["true_mask"], table["true_gender"], bands, strict=True)]
    predicted = [class_id(*names) for names in zip(table["mask"], table["gender"], table["age_band"], strict=True)]
    recalls = recall_score(bands, table["age_band"], labels=list(AGE_BANDS), average=None)
    assert got == pytest.approx(
        {
            "mask accuracy": accuracy_score(table["true_mask"], table["mask"]),
            "mask macro F1": f1_score(table["true_mask"], table["mask"], average="macro"),
            "gender accuracy": right.mean(),
            "gender macro F1": f1_score(table["true_gender"], table["gender"], average="macro"),
            "gender accuracy, bare": right[bare].mean(),
            "gender accuracy, masked": right[worn].mean(),
            "age band accuracy": accuracy_score(bands, table["age_band"]),
            "age band macro F1": f1_score(bands, table["age_band"], average="macro"),
            **dict(zip(("recall <30", "recall 30-59", "recall >=60"), recalls, strict=True)),
            "age MAE": error.mean(),
            "age MAE, bare": error[bare].mean(),
            "age MAE, masked": error[worn].mean(),
            "recall >=60, bare": (table["age_band"] == ">=60")[old & bare].mean(),
            "recall >=60, masked": (table["age_band"] == ">=60")[old & worn].mean(),
            "age band macro F1, bare": f1_score(bands[bare], table["age_band"][bare], average="macro"),
            "age band macro F1, masked": f1_score(bands[worn], table["age_band"][worn], average="macro"),
            "80% interval coverage": (error <= 8).mean(),
            "18-class accuracy": accuracy_score(truth, predicted),
            "18-class macro F1": f1_score(truth, predicted, average="macro"),
        }
    )


def test_perfect_answers() -> None:
    got = summarise(perfect_answers(), rounds=50)
    for name, row in got["overall"].items():
        assert row["value"] == row["low"] == row["high"] == (0 if name in IN_YEARS else 1)
    assert all(row["f1"] == row["low"] == row["high"] == 1 for rows in got["classes"].values() for row in rows)
    for row in got["calibration"].values():
        assert row["ece"]["value"] == row["ece"]["high"] == row["brier"]["value"] == row["log_loss"] == 0
    for row in got["abstention"].values():
        assert row["aurc"] == 0
        assert [point[name] for name in ("accuracy", "macro_f1") for point in row["points"]] == pytest.approx([1] * 14)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 80), st.integers(0, 999), st.sampled_from([0.0, 0.3, 1.0]))
def test_any_answers_can_be_written_and_read(count: int, seed: int, gaps: float) -> None:
    got = summarise(random_answers(count, seed, gaps=gaps), rounds=30)
    assert json.loads(json.dumps(got, allow_nan=False)) == got


@settings(deadline=None, max_examples=20)
@given(st.integers(30, 200), st.integers(0, 999), st.sampled_from([0.0, 0.3]))
def test_values_lie_in_their_intervals(count: int, seed: int, gaps: float) -> None:
    for name, row in summarise(random_answers(count, seed, gaps=gaps), rounds=200)["overall"].items():
        assert 0 <= row["faces"] <= count
        assert row["people"] <= row["faces"]
        if row["low"] is None:
            continue
        assert 0 <= row["low"] <= row["high"] <= (120 if name in IN_YEARS else 1)
        if "F1" not in name:  # F1 bends, so that its resamples may lie to one side when faces are few
            assert row["low"] <= row["value"] <= row["high"]


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 150), st.integers(0, 999), st.sampled_from([0.0, 0.3]))
def test_order_of_the_rows_does_not_matter(count: int, seed: int, gaps: float) -> None:
    table = random_answers(count, seed, gaps=gaps)
    first, second = (summarise(one, rounds=30) for one in (table, table.sample(frac=1, random_state=seed)))
    assert [row["slice"] for row in first["slices"]] == [row["slice"] for row in second["slices"]]
    assert figures(first) == pytest.approx(figures(second), abs=1e-9)


@pytest.mark.parametrize(
    ("missing", "nothing"),
    [
        pytest.param(["true_mask"], {"mask", "18-class", "bare", "masked"}, id="mask not labelled"),
        pytest.param(["gender", "p_male", "p_female"], {"gender", "18-class"}, id="no gender head"),
        pytest.param(["true_age_low", "true_age_high"], {"age", "recall", "80%", "18-class"}, id="age not labelled"),
        pytest.param(["age_low", "age_high"], {"80%"}, id="no interval"),
    ],
)
def test_missing_columns_give_none(missing: list[str], nothing: set[str]) -> None:
    overall = summarise(random_answers(200).assign(**dict.fromkeys(missing)), rounds=20)["overall"]
    for name, row in overall.items():
        gone = any(name.startswith(word) or name.endswith(f", {word}") for word in nothing)
        assert (row["value"] is None) == gone == (row["faces"] == 0) == (row["low"] is None), name


def test_faces_of_a_figure() -> None:
    table = random_answers(90)
    table.loc[:9, "true_gender"] = None
    table.loc[5:14, "gender"] = None
    row = summarise(table, rounds=5)["overall"]["gender accuracy"]
    assert (row["faces"], row["people"]) == (75, table["person"][15:].nunique())


@pytest.mark.parametrize(
    "empty",
    [
        pytest.param(random_answers(5).iloc[:0], id="typed columns"),
        pytest.param(pd.DataFrame(columns=list(COLUMNS)), id="columns without type"),
    ],
)
def test_no_face(empty: pd.DataFrame) -> None:
    got = summarise(empty, rounds=10)
    json.dumps(got, allow_nan=False)
    nothing = {"value": None, "low": None, "high": None, "faces": 0, "people": 0}
    assert all(row == nothing for row in got["overall"].values())
    assert got["slices"] == []
    assert got["masked_vs_bare"]["people"] == 0


def test_one_person_has_values_without_intervals() -> None:
    overall = summarise(random_answers(60).assign(person=7), rounds=20)["overall"]
    for row in overall.values():
        assert row["value"] is not None
        assert (row["low"], row["high"], row["people"]) == (None, None, 1)


def test_same_seed_same_summary() -> None:
    table = random_answers(100)
    assert summarise(table, 50, seed=1) == summarise(table, 50, seed=1) != summarise(table, 50, seed=2)
