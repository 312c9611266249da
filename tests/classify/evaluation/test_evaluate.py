from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.comparison.ensemble.ensemble import mix
from maskcls.classify.comparison.ensemble.members import read_members
from maskcls.classify.data.face_set import FaceSet, Rows, merge_sets, open_face_set
from maskcls.classify.evaluation import cross_validation as crossval
from maskcls.classify.evaluation import evaluate as evaluation
from maskcls.classify.evaluation.baselines import BASELINES, without_vote
from maskcls.classify.evaluation.cross_validation import MASKCLS, Tables, cross_validate
from maskcls.classify.evaluation.evaluate import (
    TRAIN_ONLY,
    Evaluation,
    EvaluationSettings,
    datasets_to_build_from,
    evaluate,
    plan,
)
from maskcls.classify.model.build import build_model
from maskcls.classify.model.model import Model
from maskcls.classify.tasks import ANSWER_COLUMNS
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.faceset.store import EmbeddingSet
from maskcls.embedder.storage.atomic import write_table
from maskcls.embedder.storage.step_cache import StepCache

MakeSet = Callable[..., EmbeddingSet]
FOLDS = 3


@pytest.fixture(scope="module")
def built() -> list[crossval.FoldModel]:
    """The models of :func:`done`, in the order they were built."""
    return []


@pytest.fixture(scope="module")
def done(pool: FaceSet, built: list[crossval.FoldModel]) -> Evaluation:
    """Real photos, 3 folds, with baselines and leakage; the fold models are kept in :func:`built`."""
    chosen = plan(pool, [], folds=FOLDS)
    original = crossval.cross_validate

    def keep(
        pool: FaceSet,
        fold: Rows,
        scored: Rows,
        settings: EvaluationSettings,
        each: Callable[[crossval.FoldModel], Tables],
        *more: object,
    ) -> Tables:
        def both(model: crossval.FoldModel) -> Tables:
            built.append(model)
            return each(model)

        return original(pool, fold, scored, settings, both, *more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "cross_validate", keep)
        return evaluate(pool, chosen, EvaluationSettings(baselines=True, leakage=True, rounds=50))


def test_every_face_is_answered_once_in_order(done: Evaluation, pool: FaceSet) -> None:
    assert done.predictions["face_id"].tolist() == pool.table["face_id"].tolist()
    assert set(ANSWER_COLUMNS) <= set(done.predictions.columns)
    assert done.predictions["age_band"].notna().all()
    assert sorted(done.predictions["fold"].unique()) == list(range(FOLDS))


def test_no_person_is_answered_for_by_a_model_that_has_seen_them(
    done: Evaluation, built: list[crossval.FoldModel], pool: FaceSet
) -> None:
    assert len(built) == FOLDS
    for fold in built:
        assert not set(pool.people[fold.fit]) & set(pool.people[fold.scored])
        gallery = set(fold.model.table["face_id"])
        assert not gallery & set(pool.table["face_id"].iloc[fold.scored])
        mine = done.predictions[done.predictions["fold"] == fold.fold]
        voters = {one.split(":")[0] for text in mine["neighbours"] for one in text.split()}
        assert voters <= gallery


def test_answers_are_what_the_fold_model_says(done: Evaluation, built: list[crossval.FoldModel], pool: FaceSet) -> None:
    fold = built[1]
    again = crossval.predictions_of(fold.model, pool, fold.scored)
    mine = done.predictions[done.predictions["fold"] == fold.fold].reset_index(drop=True)
    columns = ["face_id", *ANSWER_COLUMNS]
    pd.testing.assert_frame_equal(mine[columns], again[columns], check_dtype=False)


def test_truth_stands_beside_the_answer(done: Evaluation, pool: FaceSet) -> None:
    for column in crossval.TRUTH:
        assert done.predictions[f"true_{column}"].equals(pool.table[column].rename(f"true_{column}"))
    assert done.predictions["person"].tolist() == pool.people.tolist()


def test_real_figures_are_better_than_chance_and_json(done: Evaluation) -> None:
    summary = json.loads(json.dumps(done.summary, allow_nan=False))
    overall = summary["overall"]
    assert overall["mask accuracy"]["value"] > 0.85
    assert overall["gender accuracy"]["value"] > 0.7
    assert overall["age band macro F1"]["value"] > 0.4
    for found in overall.values():
        assert found["low"] <= found["value"] <= found["high"]
    assert summary["data"]["people"] == done.predictions["person"].nunique()
    assert done.predictions["voters"].gt(0).all()


def test_every_baseline_stands_beside_the_vote_and_the_majority_is_the_worst(done: Evaluation) -> None:
    part = done.summary["baselines"]
    rows = {row["name"]: row for row in part["rows"]}
    assert list(rows) == ["maskcls", *BASELINES]
    majority = rows["majority class"]
    for name, row in rows.items():
        if name != "majority class":
            assert row["mask accuracy"]["value"] >= majority["mask accuracy"]["value"]
            assert row["age band macro F1"]["value"] > majority["age band macro F1"]["value"]


def test_predictions_of_the_baselines_can_be_mixed_with_those_of_the_vote(done: Evaluation, tmp_path: Path) -> None:
    assert set(done.others) == set(BASELINES)
    paths = [tmp_path / "vote.parquet", tmp_path / "linear.parquet"]
    for path, table in zip(paths, [done.predictions, done.others["linear on the same features"]], strict=True):
        write_table(path, table)
    mixed = mix(read_members(paths), rounds=20)
    assert mixed.answers["face_id"].tolist() == done.predictions["face_id"].tolist()
    assert mixed.answers["fold"].tolist() == done.predictions["fold"].tolist()


def test_a_learned_space_also_answers_without_a_vote(
    contest_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskcls.classify.age.tuning.MIN_FACES_TO_LEARN", 100)
    pool = open_face_set([contest_faces])
    built: list[crossval.FoldModel] = []
    chosen = plan(pool, [], folds=2).fold
    always = np.flatnonzero(pool.people < 5)
    chosen[always] = TRAIN_ONLY
    scored = np.setdiff1d(np.arange(len(pool)), always)

    def each(fold: crossval.FoldModel) -> Tables:
        built.append(fold)
        return {}

    answers = cross_validate(pool, chosen, scored, each=each)[MASKCLS]
    assert answers["face_id"].tolist() == pool.table["face_id"].iloc[scored].tolist()
    assert [one.fold for one in built] == [0, 1]
    assert all(set(always) <= set(one.fit) for one in built)
    fold = built[0]
    direct = without_vote(fold)
    assert direct is not None
    assert direct["mask"].equals(fold.predictions["mask"])
    assert (direct["age"] != fold.predictions["age"]).mean() > 0.9
    assert np.allclose(direct[["p_lt30", "p_30_59", "p_ge60"]].sum(axis=1), 1, atol=1e-3)
    fold.model.save(tmp_path / "model")
    again = crossval.predictions_of(Model.load(tmp_path / "model"), pool, fold.scored)
    columns = ["age", "p_ge60", "neighbours", "weights", "voters"]
    pd.testing.assert_frame_equal(again[columns], fold.predictions[columns])


def test_some_folds_may_be_left_unanswered(pool: FaceSet) -> None:
    whole, some = plan(pool, [], folds=FOLDS), plan(pool, [], folds=FOLDS, score_folds=2)
    assert some.folds == 2
    assert np.array_equal(some.fold, whole.fold)  # the people of the third are built from
    assert set(whole.fold[some.scored].tolist()) == {0, 1}
    assert set(some.scored) == set(whole.scored[whole.fold[whole.scored] < 2])


def test_a_random_split_of_some_folds_leaks_as_well(make_set: MakeSet, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = merge_sets([make_set(60, person=[f"p{i // 6}" for i in range(60)], age=30)])
    chosen = plan(pool, [], folds=5, score_folds=1)
    built_from: list[set[str]] = []

    def built(faces: FaceSet, *arguments: object, **named: object) -> None:
        built_from.append(set(faces.table["face_id"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "build_model", built)
    with pytest.raises(KeyboardInterrupt):
        evaluation._leaks(pool, chosen, EvaluationSettings(), StepCache(None), lambda what, done, total: None)
    held_out = ~pool.table["face_id"].isin(built_from[0]).to_numpy(bool)
    assert held_out.sum() == 12
    assert np.isin(pool.people[held_out], pool.people[~held_out]).all()


def test_a_data_set_is_scored_or_built_from(make_set: MakeSet) -> None:
    scored, other = make_set(4, root="/photos"), make_set(4, seed=1, root="/photos")
    assert datasets_to_build_from([scored, other], 1) == [other.dataset]
    with pytest.raises(MaskclsError, match=r"^/photos: these photos are scored; name them only once$"):
        datasets_to_build_from([scored, replace(other, dataset=scored.dataset)], 1)


def test_a_second_set_of_the_same_photo_folder_does_not_unscore_the_first(make_set: MakeSet) -> None:
    people = [f"p{i}" for i in range(20)]
    scored, again = make_set(20, person=people, age=30), make_set(20, person=people, age=30)
    chosen = plan(merge_sets([scored, again]), datasets_to_build_from([scored, again], 1), folds=4)
    assert chosen.scored.tolist() == list(range(20))


def test_a_random_split_flatters_most_when_the_own_person_votes(done: Evaluation) -> None:
    honest, forbidden, allowed = (row["age MAE"]["value"] for row in done.summary["leakage"]["rows"])
    assert allowed < 0.8 * honest
    assert allowed < forbidden


def test_drawn_masks_are_held_out_with_their_person_and_never_scored(make_set: MakeSet) -> None:
    people = [f"p{i // 2}" for i in range(40)]
    real = make_set(40, person=people, mask="normal", age=[20 + i for i in range(40)])
    drawn = make_set(
        40,
        seed=1,
        mask="wear",
        drawn_on=real.table["file_sha256"].tolist(),
        age=[20 + i for i in range(40)],
        root="drawn",
    )
    pool = merge_sets([real, drawn])
    chosen = plan(pool, [], folds=4)
    assert chosen.scored.tolist() == list(range(40))
    assert chosen.fold[:40].tolist() == chosen.fold[40:].tolist()


def test_sets_that_are_only_trained_on(make_set: MakeSet) -> None:
    scored = make_set(40, person=[f"p{i}" for i in range(40)], age=30)
    other = make_set(30, seed=1, person=[f"q{i}" for i in range(30)], age=30, root="other")
    pool = merge_sets([scored, other])
    chosen = plan(pool, [other.dataset], folds=4)
    assert chosen.scored.tolist() == list(range(40))
    assert (chosen.fold[40:] == TRAIN_ONLY).all()
    assert sorted(set(chosen.fold[:40].tolist())) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("train_only", "folds", "message"),
    [
        pytest.param(
            ["0" * 16],
            5,
            "no face to score: every set is drawn, only trained on, or has pseudo-labels",
            id="nothing scored",
        ),
        pytest.param([], 41, "41 folds need 41 people, and there are 40; choose fewer folds", id="too few people"),
        pytest.param([], 1, "a split has at least 2 folds, not 1", id="one fold"),
    ],
)
def test_what_cannot_be_planned(make_set: MakeSet, train_only: list[str], folds: int, message: str) -> None:
    faces = make_set(40, person=[f"p{i}" for i in range(40)], root="photos")
    pool = merge_sets([replace(faces, dataset="0" * 16)])
    with pytest.raises(MaskclsError) as error:
        plan(pool, train_only, folds=folds)
    assert str(error.value) == message


def test_without_a_label_its_figures_are_not_available(contest_faces: Path) -> None:
    pool = open_face_set([contest_faces])
    people = np.unique(pool.people)[:24]
    few = pool.subset(np.flatnonzero(np.isin(pool.people, people)))
    bare = pd.DataFrame({"gender": None, "age_low": np.nan, "age_high": np.nan}, index=few.table.index)
    few = FaceSet(**{**few.__dict__, "table": few.table.assign(**bare)})
    summary = evaluate(few, plan(few, [], folds=2), EvaluationSettings(rounds=20, baselines=True)).summary
    assert summary["overall"]["mask accuracy"]["value"] is not None
    for name in ("gender accuracy", "age MAE", "18-class macro F1", "80% interval coverage"):
        assert summary["overall"][name]["value"] is None


def test_finished_folds_are_not_reused_when_identities_change(labelled: EmbeddingSet, tmp_path: Path) -> None:
    """``--known`` may show that two people are one: the faces, the labels and even the folds stay the same."""
    pool = merge_sets([labelled])
    chosen, settings = plan(pool, [], folds=2), EvaluationSettings(rounds=2)
    evaluate(pool, chosen, settings, tmp_path / ".folds")
    one, other = np.unique(pool.people[chosen.fold == 0])[:2]
    joined = replace(pool, people=np.where(pool.people == other, one, pool.people))
    resumed = evaluate(joined, chosen, settings, tmp_path / ".folds")
    assert resumed.predictions["person"].tolist() == joined.people.tolist()


def test_a_killed_run_goes_on_with_the_fold_it_was_in(
    labelled: EmbeddingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskcls.classify.heads.ensemble_training.FACES_SHOWN", 100)
    pool = merge_sets([labelled])
    chosen = plan(pool, [], folds=3)
    keep, settings = tmp_path / ".folds", EvaluationSettings(rounds=20, leakage=True)
    builds: list[int] = []
    build = build_model

    def counted(*arguments: object, **named: object) -> object:
        builds.append(len(builds))
        if len(builds) == 3:
            raise KeyboardInterrupt
        return build(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(crossval, "build_model", counted)
    monkeypatch.setattr(evaluation, "build_model", counted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(pool, chosen, settings, keep)
    resumed = evaluate(pool, chosen, settings, keep)
    assert len(builds) == 3 + 1 + 3
    again = evaluate(pool, chosen, settings, keep)
    assert len(builds) == 7
    whole = evaluate(pool, chosen, settings)
    assert len(builds) == 7 + 6
    assert resumed.summary == again.summary == whole.summary
    columns = ["face_id", "fold", *ANSWER_COLUMNS]
    pd.testing.assert_frame_equal(resumed.predictions[columns], whole.predictions[columns], check_dtype=False)
    evaluate(pool, chosen, EvaluationSettings(rounds=20, seed=1), keep)
    assert len(builds) == 13 + 3
    resumed.cache.clear()
    assert not keep.exists()
