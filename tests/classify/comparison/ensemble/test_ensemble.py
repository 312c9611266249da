from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from maskcls.classify.comparison.ensemble.ensemble import AGE, QUESTIONS, Mixed, fitted, mix
from maskcls.classify.comparison.ensemble.members import ENSEMBLE, read_members
from maskcls.classify.metrics.scored import scored_faces
from maskcls.classify.tasks import CLASSES, PROBABILITIES
from maskcls.cli.main import app

Make = Callable[..., pd.DataFrame]
Write = Callable[[str, pd.DataFrame], Path]
COLUMNS = [*CLASSES, *(name for names in PROBABILITIES.values() for name in names.values()), "class_id", "age"]
COLUMNS += ["age_low", "age_high"]


def mixed(write: Write, *tables: pd.DataFrame) -> Mixed:
    return mix(read_members([write(f"m{i}.parquet", table) for i, table in enumerate(tables)]), rounds=20)


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "with gaps"])
def test_an_ensemble_of_one_and_of_copies_of_one_is_that_one(
    copies: int, gaps: bool, make_answers: Make, write: Write
) -> None:
    table = make_answers(1, 1.0, 5.0)
    if gaps:
        table.loc[4, ["age_band", "p_lt30", "p_30_59", "p_ge60", "age", "age_low", "age_high", "class_id"]] = None
        table.loc[9, ["age_low", "age_high"]] = None
        table["age_band"] = table["age_band"].where(table.index != 11, ">=60")  # corrected by its model
        table["class_id"] = scored_faces(table).joint.predicted
        table["class_id"] = table["class_id"].astype("Int64").where(table["class_id"] >= 0)
    done = mixed(write, *[table] * copies)
    for name in COLUMNS:
        ours, theirs = done.answers[name], table[name]
        if name in CLASSES:
            assert ours.fillna("").tolist() == theirs.fillna("").tolist()
        else:
            np.testing.assert_allclose(ours.astype(float), theirs.astype(float), atol=1e-9)
    for figure, one in done.scores["m0"].items():
        np.testing.assert_allclose(done.scores[ENSEMBLE][figure].value, one.value)
    assert all(abs(float(one.value)) < 1e-9 for _, one in done.differences.values())


def test_weights_of_all_folds_and_questions_are_convex(make_answers: Make, write: Write) -> None:
    done = mixed(write, make_answers(1, 2.0, 3.0), make_answers(2, 1.0, 6.0), make_answers(3, 0.2, 12.0))
    assert set(done.folds) == {0, 1, 2}
    for mixing in [*done.folds.values(), done.everywhere]:
        assert set(mixing.weights) == set(QUESTIONS)
        for weights in mixing.weights.values():
            assert (weights >= 0).all()
            assert weights.sum() == pytest.approx(1)
            assert weights[0] == weights.max()
        assert mixing.prior.sum() == pytest.approx(1)


def test_two_that_err_apart_are_better_together(make_answers: Make, write: Write) -> None:
    done = mixed(write, make_answers(1, 1.5, 6.0), make_answers(2, 1.5, 6.0))
    for figure in ("mask accuracy", "gender accuracy"):
        best = max(float(done.scores[name][figure].value) for name in ("m0", "m1"))
        assert float(done.scores[ENSEMBLE][figure].value) > best
    assert float(done.differences["age MAE"][1].value) < -0.5


def test_weights_of_a_fold_do_not_depend_on_its_own_answers_and_labels(make_answers: Make, write: Write) -> None:
    tables = [make_answers(1, 1.5, 6.0), make_answers(2, 1.0, 4.0)]
    before = mixed(write, *tables)
    changed = [table.copy() for table in tables]
    other = make_answers(7, 0.1, 30.0)
    for table in changed:
        mine = table["fold"] == 1
        for name in ("true_mask", "true_gender"):
            table.loc[mine, name] = table.loc[mine, name].iloc[::-1].to_numpy()
    changed[0].loc[changed[0]["fold"] == 1, COLUMNS] = other.loc[other["fold"] == 1, COLUMNS]
    after = mixed(write, *changed)
    assert after.folds[1].content() == before.folds[1].content()
    assert after.folds[0].content() != before.folds[0].content()


def test_each_answer_is_the_weighted_mean_of_its_fold(make_answers: Make, write: Write) -> None:
    tables = [make_answers(1, 1.5, 6.0), make_answers(2, 1.0, 4.0)]
    done = mixed(write, *tables)
    for row in (0, 100, 239):
        mixing = done.folds[int(done.answers["fold"][row])]
        for task, columns in PROBABILITIES.items():
            expected = sum(
                w * t.loc[row, list(columns.values())] for w, t in zip(mixing.weights[task], tables, strict=True)
            )
            np.testing.assert_allclose(
                done.answers.loc[row, list(columns.values())].astype(float), expected.astype(float)
            )
            assert done.answers[task][row] in {table[task][row] for table in tables}
        years = [table["age"][row] for table in tables]
        assert done.answers["age"][row] == pytest.approx(float(mixing.weights[AGE] @ years))
    assert done.answers["face_id"].tolist() == tables[0]["face_id"].tolist()
    assert (done.answers["age_low"] <= done.answers["age"]).all()


def test_a_member_that_does_not_answer_a_question_has_no_weight_in_it(make_answers: Make, write: Write) -> None:
    silent = make_answers(2, 1.0, 4.0, interval=False)
    silent[["mask", "p_wear", "p_incorrect", "p_normal", "class_id"]] = None
    done = mixed(write, make_answers(1, 1.5, 6.0), silent)
    assert done.everywhere.weights["mask"].tolist() == [1, 0]
    assert done.everywhere.weights["gender"].min() > 0
    assert done.answers["age_low"].isna().all(), "years of a member without intervals are mixed in"
    assert done.answers["mask"].notna().all()


def test_without_any_truth_of_a_question_its_weights_are_equal(make_answers: Make, write: Write) -> None:
    tables = [
        make_answers(seed, 1.0, 5.0).assign(true_mask=None, true_age_low=np.nan, true_age_high=np.nan)
        for seed in (1, 2)
    ]
    done = mixed(write, *tables)
    assert done.everywhere.weights["mask"].tolist() == [0.5, 0.5]
    assert done.everywhere.weights[AGE].tolist() == [0.5, 0.5]
    assert np.isnan(done.scores[ENSEMBLE]["mask accuracy"].value)
    assert "mask accuracy" not in done.differences


def test_rare_bands_are_weighed_up_as_far_as_that_helped_on_the_fitted_faces(make_answers: Make, write: Write) -> None:
    members = read_members([write(f"m{i}.parquet", make_answers(i, 0.8, 5.0)) for i in (1, 2)])
    scored = [scored_faces(table) for table in members.tables]
    mixing = fitted(members, scored, np.ones(len(members.fold), bool))
    assert 0 <= mixing.correction <= 1
    shares = pd.Series(scored[0].age_band.truth).value_counts(normalize=True).sort_index()
    np.testing.assert_allclose(mixing.prior, shares, atol=0.01)


def test_the_command_writes_answers_weights_and_scores(make_answers: Make, write: Write, tmp_path: Path) -> None:
    paths = [write("frozen.parquet", make_answers(1, 1.5, 6.0)), write("cnn.csv", make_answers(2, 1.0, 4.0))]
    out = tmp_path / "mixed.parquet"
    done = CliRunner().invoke(app, ["ensemble", *map(str, paths), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "frozen" in done.stdout
    assert "against" in done.stdout
    weights = json.loads((tmp_path / "mixed.weights.json").read_text())
    assert weights["members"] == ["frozen", "cnn"]
    assert set(weights["folds"]) == {"0", "1", "2"}
    assert set(weights["scores"]) == {"frozen", "cnn", "ensemble"}
    again = read_members([out, paths[0]])
    assert len(again.tables[0]) == 240
    failed = CliRunner().invoke(app, ["ensemble", str(paths[0]), str(tmp_path / "none.csv"), "--out", str(out)])
    assert failed.exit_code == 1
    assert len(failed.stderr.splitlines()) == 1
