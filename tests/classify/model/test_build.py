from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from maskcls.classify.age.vote import NOBODY, VoteSettings
from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.model.build import build_model
from maskcls.classify.model.model import Model
from maskcls.classify.predict.job import answer_photos
from maskcls.embedder.detection.detector import Found
from maskcls.embedder.faceset.embed import face_id
from maskcls.embedder.faceset.store import EmbeddingSet
from maskcls.embedder.labels import GENDERS, MASKS
from maskcls.embedder.photo import FileState
from maskcls.embedder.pipeline import EncodedFace, EncodedPhoto

MakeSet = Callable[..., EmbeddingSet]
MASKED = {"mask": ["wear", "normal"] * 12}
GENDERED = {"gender": ["male", "male", "female"] * 8}
AGED = {"age": [*range(20, 80, 5), *range(20, 80, 5)]}


def asked(seed: int, faces: int = 1) -> EncodedPhoto:
    random = np.random.default_rng(seed)
    found = Found(np.array([0, 0, 9, 9], np.float32), np.empty((0, 2), np.float32), 1.0, faces, "whole")
    embedding = random.standard_normal(512).astype(np.float32)
    maps = random.random((896, 4, 4), np.float32).astype(np.float16)
    face = EncodedFace(found, np.zeros((160, 160, 3), np.uint8), embedding, maps, 20.0, f"{seed:064}")
    return EncodedPhoto(Path("a.jpg"), FileState(1, 1), (face,), None)


@pytest.mark.parametrize(
    ("labels", "heads", "gallery", "missing"),
    [
        pytest.param(MASKED | GENDERED | AGED, {"mask", "gender"}, 24, (), id="all"),
        pytest.param(MASKED | AGED | {"gender": None}, {"mask"}, 24, ("gender",), id="gender all null"),
        pytest.param(MASKED | AGED | {"gender": "male"}, {"mask"}, 24, ("gender",), id="one gender"),
        pytest.param(MASKED | AGED | {"gender": ["male"] * 23 + ["female"]}, {"mask"}, 24, ("gender",), id="one woman"),
        pytest.param(GENDERED | AGED | {"mask": "normal"}, {"gender"}, 24, ("mask",), id="one mask state"),
        pytest.param(MASKED | GENDERED, {"mask", "gender"}, 0, ("age",), id="no age"),
        pytest.param({}, set(), 0, ("mask", "gender", "age"), id="no labels"),
    ],
)
def test_sets_take_part_where_they_have_labels(
    make_set: MakeSet,
    labels: dict[str, object],
    heads: set[str],
    gallery: int,
    missing: tuple[str, ...],
    tmp_path: Path,
) -> None:
    built, report = build_model(merge_sets([make_set(24, **labels)]))
    assert (set(built.heads), len(built.gallery), report.missing) == (heads, gallery, missing)
    assert set(report.heads) == heads
    assert (report.faces, report.gallery, report.people, report.copies) == (24, gallery, 24, 0)
    assert report.vote is None
    assert built.settings == VoteSettings()
    built.save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")

    (row,) = answer_photos([asked(1)], ["a.jpg"], loaded)
    names = {"mask": "mask", "gender": "gender", "age": "age_band"}
    assert row["status"] == "ok"
    for task, column in names.items():
        assert (row[column] is None) == (task in missing)
        assert (task in (row["reason"] or "")) == (task in missing)
    assert (row["class_id"] is None) == bool(missing)
    assert {row[name] is None for name in ("age", "p_lt30", "neighbours", "weights", "voters")} == {"age" in missing}


def test_several_faces_for_a_model_without_any_age(make_set: MakeSet) -> None:
    built, _ = build_model(merge_sets([make_set(24, **MASKED)]))
    rows = answer_photos([asked(seed) for seed in range(3)], ["a", "b", "c"], built)
    assert [row["age"] for row in rows] == [None] * 3
    assert all("does not predict gender, age" in (row.reason or "") for row in rows)
    ages = built.ages(np.ones((3, 512), np.float32), np.ones((3, 896, 4, 4), np.float16), np.full(3, NOBODY))
    assert np.isnan(ages.votes.bands).all()


def test_only_faces_with_an_age_are_in_the_gallery(make_set: MakeSet) -> None:
    faces = make_set(24, **MASKED, age=[None, 40, 50] * 8, person=[f"p{i // 6}" for i in range(24)])
    pool = merge_sets([faces])
    built, report = build_model(pool)
    with_age = pool.table["age_low"].notna().to_numpy()
    assert report.gallery == 16
    assert built.table["face_id"].tolist() == pool.table["face_id"][with_age].tolist()
    assert built.table["group"].tolist() == pool.people[with_age].tolist()
    assert report.people == 4


def test_absent_class_is_never_answered(make_set: MakeSet) -> None:
    built, _ = build_model(merge_sets([make_set(24, **MASKED)]))
    assert built.heads["mask"].classes == ("wear", "normal")
    (row,) = answer_photos([asked(2)], ["a.jpg"], built)
    assert row["p_incorrect"] is None
    assert row["p_wear"] + row["p_normal"] == pytest.approx(1, abs=2e-4)


def test_card_holds_counts_and_no_names(make_set: MakeSet, tmp_path: Path) -> None:
    people = [f"Jane Roe {i // 2}" for i in range(24)]
    first = make_set(24, seed=1, person=people, race="White", **MASKED, **GENDERED, **AGED)
    second = make_set(5, seed=2, age_low=20, age_high=29, source="other")
    pool = merge_sets([first, second, first])
    built, report = build_model(pool, seed=5)
    built.save(tmp_path / "model")
    card = json.loads((tmp_path / "model" / "model.json").read_text())["data"]
    assert card["counts"] == {
        "source": {"made-up": 24, "other": 5},
        "mask": {"wear": 12, "normal": 12},
        "gender": {"male": 16, "female": 8},
        "race": {"White": 24},
        "age_band": {"<30": 9, "30-59": 12, ">=60": 8},
    }
    assert (card["faces"], card["gallery"], card["people"], card["seed"]) == (29, 29, 17, 5)
    assert report.copies == 24
    text = (tmp_path / "model" / "model.json").read_text()
    assert "Jane" not in text
    assert "00001.jpg" not in text


def test_card_and_gallery_of_the_real_pool(model: Model, pool: FaceSet) -> None:
    assert model.card["faces"] == len(pool) == len(model.gallery)
    assert sum(model.card["counts"]["mask"].values()) == len(pool)
    assert set(model.card["chosen_on_held_out_people"]) == {"age_vote", "mask", "gender"}
    assert model.heads["mask"].classes == MASKS
    assert model.heads["gender"].classes == GENDERS
    assert not set(pool.table["person"].dropna()) & set(json.dumps(dict(model.card)).replace('"', " ").split())


def test_progress_names_what_is_done(make_set: MakeSet) -> None:
    steps: list[str] = []
    build_model(merge_sets([make_set(24, **MASKED, **AGED)]), 0, lambda what, done, total: steps.append(what))
    assert set(steps) <= {"training mask", "fitting age vote"}
    assert "training mask" in steps


def test_face_ids_fit_into_a_gallery() -> None:
    ids = [face_id(f"{i:064}", [0, 0, i, i]) for i in range(200)]
    assert len(set(ids)) == 200
    assert all(len(one) == 16 and 0 <= int(one, 16) < 2**63 for one in ids)
