from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.model.model import Model
from maskcls.classify.predict.submission import write_submission
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.labels import class_id
from maskcls.index.flat import Gallery


def table_of(*classes: int | None) -> pd.DataFrame:
    names = [f'folder/{i}, \r"a".jpg' for i in range(len(classes))]
    return pd.DataFrame({"path": names, "class_id": pd.array(list(classes), "Int64")})


@pytest.mark.parametrize(
    ("classes", "unanswered"),
    [
        pytest.param((0, 17, 9), 0, id="all answered"),
        pytest.param((None, 17, None, 3), 2, id="some unanswered"),
        pytest.param((None, None), 2, id="none answered"),
        pytest.param((), 0, id="no photos"),
    ],
)
def test_every_photo_has_an_answer(
    model: Model, tmp_path: Path, classes: tuple[int | None, ...], unanswered: int
) -> None:
    path = tmp_path / "new" / "submission.csv"
    assert write_submission(path, table_of(*classes), model) == unanswered
    written = pd.read_csv(path)
    assert list(written.columns) == ["ImageID", "ans"]
    assert written["ImageID"].tolist() == table_of(*classes)["path"].tolist()
    common = class_id("normal", "female", "<30")  # what the photos of the shared world have most
    assert written["ans"].tolist() == [common if one is None else one for one in classes]
    assert written["ans"].between(0, 17).all()


def test_filler_is_the_most_common_class_of_the_training_data(model: Model, tmp_path: Path) -> None:
    counts: dict[str, Any] = {
        "mask": {"wear": 9, "normal": 8},
        "gender": {"female": 1, "male": 7},
        "age_band": {"<30": 2, ">=60": 3},
    }
    other = replace(model, card={"counts": counts})
    write_submission(tmp_path / "s.csv", table_of(None), other)
    assert pd.read_csv(tmp_path / "s.csv")["ans"].tolist() == [class_id("wear", "male", ">=60")]


def lacking(model: Model, part: str) -> Model:
    if part == "age":
        dimension = model.gallery.dimension
        return replace(model, gallery=Gallery(dimension), table=model.table.iloc[:0])
    return replace(model, heads={task: head for task, head in model.heads.items() if task != part})


@pytest.mark.parametrize("part", ["mask", "gender", "age"])
def test_model_that_cannot_answer_all_is_refused(model: Model, tmp_path: Path, part: str) -> None:
    with pytest.raises(MaskclsError, match="mask, gender and age") as caught:
        write_submission(tmp_path / "s.csv", table_of(1), lacking(model, part))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "s.csv").exists()


def test_model_without_a_card_is_refused_the_same_way(model: Model, tmp_path: Path) -> None:
    with pytest.raises(MaskclsError, match="mask, gender and age"):
        write_submission(tmp_path / "s.csv", table_of(1), replace(lacking(model, "gender"), card={}))


def test_answers_stay_whole_numbers(model: Model, tmp_path: Path) -> None:
    table = table_of(3, None).astype({"class_id": np.float64})
    write_submission(tmp_path / "s.csv", table, model)
    assert "." not in "".join(line.rsplit(",", 1)[1] for line in (tmp_path / "s.csv").read_text().splitlines())
