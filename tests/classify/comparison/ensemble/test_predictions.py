from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from maskcls.classify.comparison.ensemble.predictions import mix_predictions
from maskcls.classify.tasks import CLASSES, PROBABILITIES
from maskcls.cli.main import app
from maskcls.embedder.errors import MaskclsError

Make = Callable[..., pd.DataFrame]
Write = Callable[[str, pd.DataFrame], Path]
SAID = [*CLASSES, *(name for names in PROBABILITIES.values() for name in names.values()), "age", "age_low", "age_high"]


def predictions(table: pd.DataFrame) -> pd.DataFrame:
    return table[["path", *SAID]].assign(status="ok", reason=None)


def weights_file(path: Path, *shares: float) -> Path:
    weights = {question: list(shares) for question in (*CLASSES, "age")}
    mixing = {"weights": weights, "correction": 0.0, "prior": [0.4, 0.4, 0.2]}
    path.write_text(json.dumps({"members": [f"m{i}" for i in range(len(shares))], "all": mixing}))
    return path


def test_new_photos_are_answered_by_the_weighted_mean(make_answers: Make, write: Write, tmp_path: Path) -> None:
    first, second = predictions(make_answers(1, 1.0, 5.0)), predictions(make_answers(2, 1.0, 5.0))
    paths = [write("a.csv", first), write("b.parquet", second.sample(frac=1, random_state=1))]
    out = tmp_path / "mixed.csv"
    weights = weights_file(tmp_path / "w.json", 0.75, 0.25)
    done = CliRunner().invoke(app, ["ensemble", *map(str, paths), "--use", str(weights), "--out", str(out)])
    assert done.exit_code == 0, done.output
    mixed = pd.read_csv(out)
    assert mixed["path"].tolist() == first["path"].tolist()
    for name in ("p_wear", "p_ge60", "age", "age_low"):
        np.testing.assert_allclose(mixed[name], 0.75 * first[name] + 0.25 * second[name])
    assert set(mixed["status"]) == {"ok"}
    assert mixed["class_id"].between(0, 17).all()


def test_photos_that_one_or_all_cannot_answer(make_answers: Make, write: Write, tmp_path: Path) -> None:
    first, second = predictions(make_answers(1, 1.0, 5.0)), predictions(make_answers(2, 1.0, 5.0))
    first.loc[[3, 4], SAID] = None
    second.loc[[4], SAID] = None
    first.loc[[3, 4], ["status", "reason"]] = ["no_face", "no face found"]
    second.loc[[4], ["status", "reason"]] = ["no_face", "no face found"]
    mixed = mix_predictions(
        [write("a.csv", first), write("b.csv", second)], weights_file(tmp_path / "w.json", 0.5, 0.5)
    )
    assert mixed["gender"][3] == second["gender"][3]
    assert mixed["p_male"][3] == pytest.approx(second["p_male"][3])
    assert (mixed["status"][3], mixed["status"][4]) == ("ok", "no_face")
    assert mixed["reason"][4] == "no face found"
    assert mixed.loc[4, SAID].isna().all()


@pytest.mark.parametrize(
    ("content", "change", "reason"),
    [
        pytest.param(None, lambda table: table[1:], "about other photos .* such as 0.jpg", id="other photos"),
        pytest.param(None, lambda table: table.drop(columns="p_male"), "no column p_male", id="columns"),
        pytest.param(None, lambda table: pd.concat([table, table[:1]]), "two answers", id="twice"),
        pytest.param(None, lambda table: table.assign(gender="cat"), "cat", id="classes"),
        pytest.param("{}", lambda table: table, "no weights", id="no weights"),
        pytest.param("not json", lambda table: table, "no weights", id="no JSON"),
        pytest.param('{"members": ["a"], "all": []}', lambda table: table, "no weights", id="damaged"),
    ],
)
def test_what_cannot_be_mixed_is_one_line(
    content: str | None,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    reason: str,
    make_answers: Make,
    write: Write,
    tmp_path: Path,
) -> None:
    weights = weights_file(tmp_path / "w.json", 0.5, 0.5)
    if content is not None:
        weights.write_text(content)
    one = predictions(make_answers(1, 1.0, 5.0))
    with pytest.raises(MaskclsError, match=reason):
        mix_predictions([write("a.csv", one), write("b.csv", change(one))], weights)


def test_weights_of_another_number_of_members(make_answers: Make, write: Write, tmp_path: Path) -> None:
    one = write("a.csv", predictions(make_answers(1, 1.0, 5.0)))
    with pytest.raises(MaskclsError, match=r"weights of 2 members \(m0, m1\), and 1 files"):
        mix_predictions([one], weights_file(tmp_path / "w.json", 0.5, 0.5))
    with pytest.raises(MaskclsError, match="cannot be read"):
        mix_predictions([one], tmp_path / "none.json")
