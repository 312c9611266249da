from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from maskcls.classify.answer import AgePrediction, Answer, ClassPrediction
from maskcls.classify.model.model import Model
from maskcls.classify.predict.submission import common_class, write_submission
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.labels import AGE_BANDS, GENDERS, MASKS, class_id
from maskcls.index.flat import Gallery


def answers_of(*classes: int | None) -> list[Answer]:
    answers = []
    for i, one in enumerate(classes):
        path = f'folder/{i}, \r"a".jpg'
        if one is None:
            answers.append(Answer(path, "no_face"))
        else:
            mask, gender, band = MASKS[one // 6], GENDERS[one // 3 % 2], AGE_BANDS[one % 3]
            labels = ClassPrediction(mask, {}), ClassPrediction(gender, {}), AgePrediction(band, {})
            answers.append(Answer(path, "ok", None, *labels))
    return answers


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
    assert write_submission(path, answers_of(*classes), model) == unanswered
    written = pd.read_csv(path)
    assert list(written.columns) == ["ImageID", "ans"]
    assert written["ImageID"].tolist() == [answer.path for answer in answers_of(*classes)]
    common = common_class(model)
    assert written["ans"].tolist() == [common if one is None else one for one in classes]
    assert written["ans"].between(0, 17).all()


LABELS = [
    *[("wear", "male", 70)] * 3,
    *[("wear", "female", 40)] * 2,
    *[("normal", "female", 40)] * 2,
    *[("incorrect", "female", 20)] * 2,
]
"""The most common class is wear, male, >=60; the most common labels of each task are wear, female, 30-59."""


Labels = tuple[str | None, str | None, float]


def of_faces(model: Model, labels: Sequence[Labels], **columns: Any) -> Model:
    table = model.table.head(len(labels)).assign(
        mask=pd.Series([mask for mask, _, _ in labels], dtype="str"),
        gender=pd.Series([gender for _, gender, _ in labels], dtype="str"),
        age_low=[age for _, _, age in labels],
        age_high=[age for _, _, age in labels],
        **columns,
    )
    return replace(model, table=table)


def test_a_photo_without_an_answer_gets_the_most_common_joint_class(model: Model, tmp_path: Path) -> None:
    write_submission(tmp_path / "s.csv", answers_of(None), of_faces(model, LABELS))
    assert pd.read_csv(tmp_path / "s.csv")["ans"].tolist() == [class_id("wear", "male", ">=60")]


def test_a_prototype_counts_as_its_people(model: Model) -> None:
    members = [1.0, 1.0, 1.0, 9.0, 1.0, 1.0, 1.0, 1.0, float("nan")]
    assert common_class(of_faces(model, LABELS, members=members)) == class_id("wear", "female", "30-59")


def test_labels_that_no_face_has_together_are_counted_by_task(model: Model) -> None:
    counts = {"mask": {"wear": 9, "normal": 8}, "gender": {"female": 1, "male": 7}, "age_band": {"<30": 2, ">=60": 3}}
    apart: list[Labels] = [("wear", None, 20), (None, "male", 20)]
    other = replace(of_faces(model, apart), card={"counts": counts})
    assert common_class(other) == class_id("wear", "male", ">=60")


def lacking(model: Model, part: str) -> Model:
    if part == "age":
        dimension = model.gallery.dimension
        return replace(model, gallery=Gallery(dimension), table=model.table.iloc[:0])
    return replace(model, heads={task: head for task, head in model.heads.items() if task != part})


@pytest.mark.parametrize("part", ["mask", "gender", "age"])
def test_model_that_cannot_answer_all_is_refused(model: Model, tmp_path: Path, part: str) -> None:
    with pytest.raises(MaskclsError, match="mask, gender and age") as caught:
        write_submission(tmp_path / "s.csv", answers_of(1), lacking(model, part))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "s.csv").exists()


def test_model_without_a_card_is_refused_the_same_way(model: Model, tmp_path: Path) -> None:
    with pytest.raises(MaskclsError, match="mask, gender and age"):
        write_submission(tmp_path / "s.csv", answers_of(1), replace(lacking(model, "gender"), card={}))
