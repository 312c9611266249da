from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.age.vote import NOBODY, AgeVotes, VoteSettings, band_prior, from_years, year_profiles
from maskcls.classify.answer import VOTERS_LISTED
from maskcls.classify.data.face_set import FaceSet
from maskcls.classify.model.answers import answer_faces, answer_rows, vote_shares
from maskcls.classify.model.gallery_edit import without
from maskcls.classify.model.model import Model
from maskcls.classify.tasks import ANSWER_COLUMNS, CLASSES
from maskcls.embedder.labels import AGE_BANDS
from maskcls.embedder.table import gallery_ids

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
MakeModel = Callable[[int, int, VoteSettings], Model]
Ask = Callable[[int, int], tuple[Floats, npt.NDArray[np.float16]]]
DIMENSION = 8


def assert_equal(got: AgeVotes, expected: AgeVotes) -> None:
    np.testing.assert_allclose(got.bands, expected.bands, atol=1e-4)
    for part in ("age", "low", "high"):
        np.testing.assert_allclose(getattr(got, part), getattr(expected, part), atol=0.02)
    np.testing.assert_array_equal(got.predicted, expected.predicted)


def by_hand(model: Model, kept: Ints, query: Floats) -> AgeVotes:
    """The answer to one vector in age space, voted by the gallery rows ``kept`` alone, by a plain loop."""
    table, chosen = model.table, model.settings
    vectors = model.gallery.vectors(gallery_ids(table["face_id"]))
    similarity = vectors @ (query / np.linalg.norm(query))
    low, high = (table[name].to_numpy(np.float32) for name in ("age_low", "age_high"))
    best: dict[int, int] = {}
    for row in kept.tolist():
        person = int(table["group"].iloc[row])
        if person not in best or similarity[row] > similarity[best[person]]:
            best[person] = row
    voters = np.array(sorted(best.values(), key=lambda row: -similarity[row])[: chosen.voters])
    weight = np.exp(similarity[voters] / chosen.temperature)
    years = (weight / weight.sum()) @ year_profiles(low[voters], high[voters], chosen.softness)
    prior = band_prior(low[kept], high[kept], table["group"].to_numpy()[kept], chosen.starts)
    return from_years(years[None].astype(np.float32), prior, chosen)


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 80),
    seed=st.integers(0, 2**16),
    k=st.integers(1, 30),
    temperature=st.sampled_from([0.03, 0.1, 0.5]),
)
def test_an_answer_is_its_voters_times_their_shares(
    made_up: MakeModel, questions: Ask, count: int, seed: int, k: int, temperature: float
) -> None:
    model = made_up(count, seed, VoteSettings(voters=k, temperature=temperature))
    embeddings, maps = questions(3, seed)
    ages = model.ages(embeddings, maps, np.full(3, NOBODY))
    share = vote_shares(model, ages)
    assert share.shape == ages.voters.shape
    np.testing.assert_allclose(share.sum(axis=1), 1, rtol=1e-5)
    assert (share[ages.voters < 0] == 0).all()
    assert (np.diff(share, axis=1) <= 1e-7).all()  # those shown, the nearest, have the largest shares

    low, high = (model.table[name].to_numpy(np.float32)[ages.voters] for name in ("age_low", "age_high"))
    profiles = np.stack([year_profiles(a, b, model.settings.softness) for a, b in zip(low, high, strict=True)])
    years = np.einsum("nk,nky->ny", share, profiles).astype(np.float32)
    assert_equal(ages.votes, from_years(years, model.prior, model.settings))


@settings(deadline=None, max_examples=40)
@given(count=st.integers(1, 60), seed=st.integers(0, 2**16), k=st.integers(1, 2 * VOTERS_LISTED), every=st.booleans())
def test_an_answer_can_be_counted_again_from_its_voters(
    made_up: MakeModel, questions: Ask, count: int, seed: int, k: int, every: bool
) -> None:
    model = made_up(count, seed, VoteSettings(voters=k))
    embeddings, maps = questions(2, seed)
    ages = model.ages(embeddings, maps, np.full(2, NOBODY))
    for i, answer in enumerate(answer_faces(model, ages, embeddings, maps, k if every else VOTERS_LISTED)):
        voters = answer.voters
        assert answer.voter_count == (ages.voters[i] >= 0).sum()
        assert len(voters) == min(answer.voter_count, k if every else VOTERS_LISTED)
        faces = model.table.iloc[ages.voters[i][: len(voters)]]
        assert [voter.face_id for voter in voters] == faces["face_id"].tolist()
        assert [voter.person for voter in voters] == faces["group"].tolist()
        assert [(voter.path, voter.root) for voter in voters] == list(zip(faces["path"], faces["root"], strict=True))
        if len(voters) < answer.voter_count:
            continue
        weight = np.array([voter.weight for voter in voters])
        assert weight.sum() == pytest.approx(1, abs=1e-5)
        ends = np.array([(voter.age_low, voter.age_high) for voter in voters], np.float32)
        years = weight @ year_profiles(ends[:, 0], ends[:, 1], model.settings.softness)
        again = from_years((years / years.sum())[None].astype(np.float32), model.prior, model.settings)
        assert answer.age is not None
        np.testing.assert_allclose(again.bands[0], list(answer.age.probabilities.values()), atol=1e-3)
        np.testing.assert_allclose(again.age[0], np.float32(answer.age.years or 0), atol=0.06)


@settings(deadline=None, max_examples=40)
@given(count=st.integers(2, 60), seed=st.integers(0, 2**16), k=st.integers(1, 12), data=st.data())
def test_without_voters_is_a_gallery_that_never_held_them(
    made_up: MakeModel, questions: Ask, count: int, seed: int, k: int, data: st.DataObject
) -> None:
    model = made_up(count, seed, VoteSettings(voters=k))
    gone = np.array(data.draw(st.lists(st.integers(NOBODY, count - 1), max_size=count - 1)), np.int64)
    kept = np.setdiff1d(np.arange(count), gone)
    embeddings, maps = questions(1, seed)
    again = without(model, gone).ages(embeddings, maps, np.full(1, NOBODY))
    assert_equal(again.votes, by_hand(model, kept, embeddings[0, :DIMENSION]))
    assert (again.voters >= 0).sum() == min(k, model.table["group"].iloc[kept].nunique())


def test_nobody_left_is_no_answer(made_up: MakeModel, questions: Ask) -> None:
    model = made_up(5, 0, VoteSettings())
    nobody = without(model, np.arange(5)).ages(*questions(2, 0), np.full(2, NOBODY))
    assert nobody.votes.predicted.tolist() == [NOBODY] * 2
    assert np.isnan(nobody.votes.age).all()


def test_real_answers_change_as_counted_without_the_winning_side(model: Model, pool: FaceSet) -> None:
    asked = np.arange(5, len(pool), 45)
    embeddings, maps, own = pool.embeddings[asked], pool.maps(asked), pool.people[asked]
    ages = model.ages(embeddings, maps, own)
    middle = model.table[["age_low", "age_high"]].mean(axis=1).to_numpy()
    vectors = model.age_space.project(embeddings, maps)
    groups = model.table["group"].to_numpy()
    changed = 0
    for position, row in enumerate(answer_rows(model, ages, embeddings, maps)):
        shown = ages.voters[position][:VOTERS_LISTED]
        winning = np.digitize(middle[shown], (30, 60)) == AGE_BANDS.index(row["age_band"])
        gone = shown[winning]
        one = slice(position, position + 1)
        again = without(model, gone).ages(embeddings[one], maps[one], own[one])
        assert (again.voters >= 0).sum() == model.settings.voters  # the next nearest moved up
        ids = without(model, gone).table["face_id"].to_numpy()[again.voters[0]]
        assert not set(ids) & set(model.table["face_id"].iloc[gone])
        kept = np.setdiff1d(np.flatnonzero(groups != own[position]), gone)
        expected = by_hand(model, kept, vectors[position])
        for part in ("age", "low", "high"):
            np.testing.assert_allclose(getattr(again.votes, part), getattr(expected, part), atol=0.05)
        changed += bool(abs(again.votes.age[0] - ages.votes.age[position]) > 0.05) if len(gone) else 0
    assert changed > len(asked) / 2


def test_answers_of_real_faces(model: Model, pool: FaceSet) -> None:
    rows = np.arange(0, len(pool), 40)
    maps, embeddings = pool.maps(rows), pool.embeddings[rows]
    own = pool.people[rows]
    ages = model.ages(embeddings, maps, own)
    found = answer_faces(model, ages, embeddings, maps)
    for answer, person in zip(found, own, strict=True):
        for task, prediction in answer.tasks.items():
            assert prediction is not None
            assert prediction.label in CLASSES[task] == tuple(prediction.probabilities)
            assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=2e-4)
        assert person not in {voter.person for voter in answer.voters}
    table = [tuple(row) for row in answer_rows(model, ages, embeddings, maps)]
    assert set(table) == {ANSWER_COLUMNS}


def test_a_gallery_of_nobody_else_gives_no_age(model: Model, pool: FaceSet) -> None:
    rows = np.arange(3)
    maps, embeddings = pool.maps(rows), pool.embeddings[rows]
    ages = model.ages(embeddings, maps, np.full(3, NOBODY))
    nobody = model.vote(np.full_like(ages.voters, NOBODY), np.full_like(ages.similarities, -np.inf))
    for answer in answer_faces(model, nobody, embeddings, maps):
        assert (answer.age, answer.class_id, answer.voters, answer.voter_count) == (None, None, (), 0)
        assert answer.mask is not None


def test_without_leaves_the_model_alone(model: Model) -> None:
    before = model.gallery.ids.copy()
    less = without(model, np.array([0, 3, NOBODY]))
    assert len(less.table) == len(less.gallery) == len(model.table) - 2
    assert (less.fingerprint, less.settings) == ("", model.settings)
    np.testing.assert_array_equal(model.gallery.ids, before)
    gone = gallery_ids(model.table["face_id"].iloc[[0, 3]])
    np.testing.assert_array_equal(replace(less).gallery.ids, np.setdiff1d(before, gone))
