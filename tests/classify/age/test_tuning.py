from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from maskcls.classify.age import tuning
from maskcls.classify.age.interval import COVERAGE, MAX_MISCOVERAGE, miscoverage_of
from maskcls.classify.age.space import AgeSpace, fit_age_space
from maskcls.classify.age.vote import NOBODY, VoteSettings, from_years
from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.model.model import Model
from maskcls.embedder.faceset.store import EmbeddingSet

Floats = npt.NDArray[np.float32]
MakeSet = Callable[..., EmbeddingSet]
PEOPLE = 48


@pytest.fixture
def faces(make_set: MakeSet) -> FaceSet:
    """48 people, 4 faces each, of random age."""
    ages = np.repeat(np.random.default_rng(0).integers(10, 80, PEOPLE), 4)
    return merge_sets([make_set(4 * PEOPLE, person=[f"p{i // 4}" for i in range(4 * PEOPLE)], age=ages.tolist())])


def ages_of(pool: FaceSet) -> Floats:
    return pool.table["age_low"].to_numpy(np.float32)


@pytest.mark.parametrize(("most", "fits"), [(4000, 5), (100, 3), (50, 2), (30, 1)])
def test_the_query_person_neither_votes_nor_fits_the_space(
    faces: FaceSet, monkeypatch: pytest.MonkeyPatch, most: int, fits: int
) -> None:
    seen: list[set[int]] = []

    def spy(part: FaceSet) -> AgeSpace:
        seen.append(set(part.people.tolist()))
        return fit_age_space(part, 0)

    monkeypatch.setattr(tuning, "MAX_QUERIES", most)
    folds = tuning.queried_folds(faces, 0)
    queries = np.sort(np.concatenate([asked for _, asked in folds]))
    assert len(queries) == len(set(queries.tolist())) == min(most, len(faces))
    found = tuning.held_out_voters(faces, folds, spy)
    voters, similarities = found.rows[queries], found.similarities[queries]

    assert (np.delete(found.rows, queries, axis=0) == NOBODY).all()
    assert voters.shape == similarities.shape == (len(queries), max(tuning.VOTERS))
    everyone = set(faces.people.tolist())
    held_out = [everyone - people for people in seen]
    assert len(seen) == fits
    assert sum(map(len, held_out)) == len(set().union(*held_out))  # nobody is in two folds
    assert (set().union(*held_out) == everyone) == (fits == tuning.FOLDS)
    for face, row, similarity in zip(queries, voters, similarities, strict=True):
        chosen = row[row != NOBODY]
        people = faces.people[chosen].tolist()
        assert len(people) == len(set(people)) >= PEOPLE // 2
        assert faces.people[face] not in people
        (without,) = (people for people in seen if faces.people[face] not in people)
        assert set(people) <= without
        assert (np.diff(similarity[: len(chosen)]) <= 0).all()
        assert np.isneginf(similarity[len(chosen) :]).all()


def test_full_tuning_chooses_from_the_grid_and_reports(faces: FaceSet) -> None:
    steps: list[tuple[int, int]] = []
    tuned = tuning.fit_vote(faces, 0, lambda done, total: steps.append((done, total)))
    settings, report = tuned.settings, tuned.report
    assert report is not None
    assert settings.senior_from == 60
    assert 0 <= settings.miscoverage <= MAX_MISCOVERAGE
    assert report.settings == settings
    assert report.at_grid_end == tuning.at_grid_end(settings)
    assert settings.voters in tuning.VOTERS
    assert settings.temperature in tuning.TEMPERATURES
    assert settings.correction in tuning.CORRECTIONS
    assert report.faces == len(faces)
    assert 0 <= report.macro_recall <= 1
    assert steps[-1] == (tuning.FOLDS + 1, tuning.FOLDS + 1)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def bells(count: int, seed: int) -> tuple[Floats, Floats]:
    """Distributions over years, and ages drawn from them once the bells are half as wide as they should be."""
    random = np.random.default_rng(seed)
    centre, width = random.uniform(20, 70, count), random.uniform(2, 6, count)
    ages = np.round(centre + 2 * width * random.standard_normal(count)).clip(0, 120)
    years = np.exp(-0.5 * ((np.arange(121) - centre[:, None]) / width[:, None]) ** 2)
    return (years / years.sum(axis=1, keepdims=True)).astype(np.float32), ages.astype(np.float32)


@pytest.mark.parametrize("count", [30, 200])
def test_intervals_cover_the_ages_of_other_people(count: int) -> None:
    held = []
    for seed in range(60):
        miscoverage = miscoverage_of(*bells(count, seed), np.ones(count))
        years, ages = bells(400, 1000 + seed)
        got = from_years(years, np.full(3, 1 / 3, np.float32), VoteSettings(miscoverage=miscoverage))
        held.append(np.mean((got.low <= ages) & (ages <= got.high)))
    assert COVERAGE - 0.01 < np.mean(held) < COVERAGE + 1 / (count + 1) + 0.02


def test_every_person_weighs_the_same_in_the_width() -> None:
    years, ages = bells(100, 0)
    once = miscoverage_of(years, ages, np.ones(100))
    photos = np.repeat(np.arange(100), np.arange(100) % 7 + 1)
    weight = 1 / np.bincount(photos)[photos]
    assert miscoverage_of(years[photos], ages[photos], weight) == pytest.approx(once, abs=2e-4)


def test_few_people_give_wide_intervals() -> None:
    assert miscoverage_of(*bells(3, 0), np.ones(3)) == 0


def held_out(ages: Floats, real: npt.NDArray[np.bool_]) -> tuning.HeldOut:
    """Faces of as many people, each the only voter for themselves."""
    voters = np.arange(len(ages))
    similarities = np.zeros((len(ages), 1), np.float32)
    ages_of_voters = tuning.VoterAges(ages, ages, voters)
    return tuning.HeldOut(ages, ages, real, np.ones(len(ages)), voters[:, None], similarities, ages_of_voters)


@pytest.mark.parametrize(
    ("voters", "temperature", "ends"),
    [
        pytest.param(tuning.VOTERS[1], tuning.TEMPERATURES[1], (), id="inside"),
        pytest.param(tuning.VOTERS[-1], tuning.TEMPERATURES[1], ("voters",), id="most voters"),
        pytest.param(tuning.VOTERS[0], tuning.TEMPERATURES[0], ("voters", "temperature"), id="both"),
    ],
)
def test_settings_at_the_end_of_their_grid_are_named(voters: int, temperature: float, ends: tuple[str, ...]) -> None:
    assert tuning.at_grid_end(VoteSettings(voters, temperature)) == ends


def test_drawn_masks_do_not_widen_the_interval() -> None:
    years, ages = bells(100, 0)
    drawn = np.arange(100) % 3 == 0
    ages[drawn] = (ages[drawn] + 60) % 120

    def miscoverage(real: npt.NDArray[np.bool_]) -> float:
        found = tuning.choose_bands(held_out(ages, real), VoteSettings(), years, np.full(3, 1 / 3, np.float32))
        return found.settings.miscoverage

    assert miscoverage(~drawn) == miscoverage_of(years[~drawn], ages[~drawn], np.ones((~drawn).sum())) > 0.001
    assert miscoverage(np.ones(100, bool)) < miscoverage(~drawn) / 2
    assert miscoverage(np.zeros(100, bool)) == VoteSettings().miscoverage  # no photo of exact age


def test_real_vote_beats_the_best_constant_guess(model: Model, pool: FaceSet) -> None:
    ages = (pool.table["age_low"] + pool.table["age_high"]).to_numpy() / 2
    weight = 1 / np.bincount(pool.people)[pool.people]
    constant = min(float(np.average(np.abs(ages - guess), weights=weight)) for guess in range(100))
    vote = model.card["chosen_on_held_out_people"]["age_vote"]
    assert vote["mae"] < 0.8 * constant
    assert vote["macro_f1"] > 0.5
    assert vote["faces"] == len(pool)


def test_queries_are_capped(make_set: MakeSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "MAX_QUERIES", 50)
    report = tuning.fit_vote(merge_sets([make_set(60, age_low=25, age_high=35)]), 0).report
    assert report is not None
    assert report.faces == 50


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"age": 30, "person": [f"p{i % 39}" for i in range(60)]}, id="39 people"),
        pytest.param({"age": [30] * 39 + [None] * 21}, id="39 of 60 have an age"),
        pytest.param({}, id="no age at all"),
    ],
)
def test_too_few_people_keep_the_defaults(make_set: MakeSet, labels: dict[str, object]) -> None:
    tuned = tuning.fit_vote(merge_sets([make_set(60, **labels)]), 0)
    assert tuned.settings == VoteSettings()
    assert tuned.report is None
    assert tuned.space.dimension == 512


def test_bands_that_all_cross_a_border_can_be_tuned(make_set: MakeSet) -> None:
    tuned = tuning.fit_vote(merge_sets([make_set(60, age_low=25, age_high=35)]), 0)
    assert tuned.report is not None
    assert tuned.report.mae == pytest.approx(0, abs=1)
    assert tuned.settings.voters in tuning.VOTERS
    assert tuned.space.dimension == 512


def test_with_age(make_set: MakeSet) -> None:
    pool = merge_sets([make_set(4, age=[None, 0, 35, None])])
    assert tuning.with_age(pool).tolist() == [1, 2]
