from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.age.vote import NOBODY, AgeVotes, VoteSettings, band_prior, from_years, year_profiles
from maskcls.classify.answer import answer_faces
from maskcls.classify.data.face_set import FaceSet
from maskcls.classify.model.model import Model
from maskcls.classify.predict.evidence import NEIGHBOURS_SHOWN, faces_of, read_voters, share_line, shares, without
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
    np.testing.assert_array_equal(got.said, expected.said)


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
    share = shares(model, ages)
    assert share.shape == ages.voters.shape
    np.testing.assert_allclose(share.sum(axis=1), 1, rtol=1e-5)
    assert (share[ages.voters < 0] == 0).all()
    assert (np.diff(share, axis=1) <= 1e-7).all()  # those shown, the nearest, have the largest shares

    low, high = (model.table[name].to_numpy(np.float32)[ages.voters] for name in ("age_low", "age_high"))
    profiles = np.stack([year_profiles(a, b, model.settings.softness) for a, b in zip(low, high, strict=True)])
    years = np.einsum("nk,nky->ny", share, profiles).astype(np.float32)
    assert_equal(ages.votes, from_years(years, model.prior, model.settings))


@settings(deadline=None, max_examples=40)
@given(count=st.integers(1, 60), seed=st.integers(0, 2**16), k=st.integers(1, NEIGHBOURS_SHOWN))
def test_an_answer_can_be_counted_again_from_its_row(
    made_up: MakeModel, questions: Ask, count: int, seed: int, k: int
) -> None:
    model = made_up(count, seed, VoteSettings(voters=k))
    embeddings, maps = questions(2, seed)
    ages = model.ages(embeddings, maps, np.full(2, NOBODY))
    for position, row in enumerate(answer_faces(model, ages, embeddings, maps)):
        near = read_voters(row, NEIGHBOURS_SHOWN)
        assert row["voters"] == len(near) == (ages.voters[position] >= 0).sum()
        ends = np.array([[float(end) for end in (one["age"].split("-") * 2)[:2]] for one in near], np.float32)
        weight = np.array([one["weight"] for one in near])
        assert weight.sum() == pytest.approx(1, abs=5e-4 * len(near) + 1e-6)
        years = weight @ year_profiles(ends[:, 0], ends[:, 1], model.settings.softness)
        again = from_years((years / years.sum())[None].astype(np.float32), model.prior, model.settings)
        stated = [row["p_lt30"], row["p_30_59"], row["p_ge60"]]
        np.testing.assert_allclose(again.bands[0], stated, atol=0.02)  # weights are rounded to 3 decimals
        assert f"{len(near)} of {len(near)} voters, 100 % of the vote" == share_line(row, near)


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
    assert nobody.votes.said.tolist() == [NOBODY] * 2
    assert np.isnan(nobody.votes.age).all()


def test_real_answers_change_as_counted_without_the_winning_side(model: Model, pool: FaceSet) -> None:
    asked = np.arange(5, len(pool), 45)
    embeddings, maps, own = pool.embeddings[asked], pool.maps(asked), pool.people[asked]
    ages = model.ages(embeddings, maps, own)
    middle = model.table[["age_low", "age_high"]].mean(axis=1).to_numpy()
    vectors = model.age_space.project(embeddings, maps)
    groups = model.table["group"].to_numpy()
    changed = 0
    for position, row in enumerate(answer_faces(model, ages, embeddings, maps)):
        shown = ages.voters[position][:NEIGHBOURS_SHOWN]
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


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, "2 of 3 voters, 80 % of the vote", id="whole"),
        pytest.param({"weights": "0.500"}, "", id="fewer weights than voters"),
        pytest.param({"weights": None}, "", id="no weights"),
        pytest.param({"voters": float("nan")}, "", id="count unknown"),
        pytest.param({"neighbours": float("nan"), "weights": float("nan")}, "", id="no voters"),
    ],
)
def test_share_line(change: dict[str, object], expected: str) -> None:
    row = {"neighbours": "a:20:0.9 b:30:0.8 c:40:0.7", "weights": "0.500 0.300 0.200", "voters": 3} | change
    assert share_line(row, read_voters(row, 2)) == expected


def test_faces_of_people(made_up: MakeModel) -> None:
    model = made_up(40, 0, VoteSettings())
    groups = model.table["group"]
    expected = np.flatnonzero(groups.isin(groups[[3, 8]]))
    assert len(expected) > 2
    np.testing.assert_array_equal(faces_of(model, np.array([3, NOBODY, 8])), expected)
    assert not len(faces_of(model, np.array([NOBODY])))


def test_without_leaves_the_model_alone(model: Model) -> None:
    before = model.gallery.ids.copy()
    less = without(model, np.array([0, 3, NOBODY]))
    assert len(less.table) == len(less.gallery) == len(model.table) - 2
    assert (less.fingerprint, less.settings) == ("", model.settings)
    np.testing.assert_array_equal(model.gallery.ids, before)
    gone = gallery_ids(model.table["face_id"].iloc[[0, 3]])
    np.testing.assert_array_equal(replace(less).gallery.ids, np.setdiff1d(before, gone))
