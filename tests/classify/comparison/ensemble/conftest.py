"""Out-of-fold answers of made-up models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from maskcls.classify.tasks import CLASSES, PROBABILITIES
from maskcls.embedder.labels import AGE_BANDS, band_numbers, class_id

FACES, PEOPLE, FOLDS = 240, 60, 3


def _truth() -> pd.DataFrame:
    random = np.random.default_rng(0)
    person = np.arange(FACES) % PEOPLE
    ages = random.integers(18, 80, PEOPLE)[person].astype(float)
    return pd.DataFrame(
        {
            "face_id": [f"{i:016x}" for i in range(FACES)],
            "path": [f"{i}.jpg" for i in range(FACES)],
            "source": "made-up",
            "true_mask": random.choice(CLASSES["mask"], FACES),
            "true_gender": random.choice(CLASSES["gender"], PEOPLE)[person],
            "true_race": None,
            "true_age_low": ages,
            "true_age_high": ages,
            "person": person,
            "fold": person % FOLDS,
        }
    )


def _answers(seed: int, skill: float, years: float, interval: bool = True) -> pd.DataFrame:
    """``skill`` is how much the true class's logit stands out, ``years`` the spread of the error of the age."""
    random = np.random.default_rng(seed)
    table = _truth()
    band = np.array(AGE_BANDS)[band_numbers(table["true_age_low"])]
    for task, columns in PROBABILITIES.items():
        truth = band if task == "age_band" else table[f"true_{task}"].to_numpy()
        logits = random.standard_normal((FACES, len(columns)))
        logits[np.arange(FACES), [list(columns).index(name) for name in truth]] += skill
        probabilities = softmax(logits, axis=1).round(4)
        table[task] = np.array(list(columns))[probabilities.argmax(axis=1)]
        table[list(columns.values())] = probabilities
    table["age"] = (table["true_age_low"] + years * random.standard_normal(FACES)).round(1)
    table["age_low"] = table["age"] - 5 if interval else np.nan
    table["age_high"] = table["age"] + 6 if interval else np.nan
    triples = table[list(CLASSES)].itertuples(index=False, name=None)
    return table.assign(class_id=pd.Series([class_id(*triple) for triple in triples], dtype="Int64"))


@pytest.fixture(scope="session")
def make_answers() -> Callable[..., pd.DataFrame]:
    """``make_answers(seed, skill, years, interval=True)``: 240 faces of 60 people in 3 folds."""
    return _answers


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, pd.DataFrame], Path]:
    """``write(name, table)`` writes answers, as Parquet or CSV by their name."""

    def to_file(name: str, table: pd.DataFrame) -> Path:
        path = tmp_path / name
        if path.suffix == ".parquet":
            table.to_parquet(path, index=False)
        else:
            table.to_csv(path, index=False)
        return path

    return to_file
