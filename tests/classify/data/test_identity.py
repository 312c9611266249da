from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.classify.data import identity as people
from maskcls.classify.data.identity import (
    BARE_SIMILARITY,
    MASKED_SIMILARITY,
    MIXED_SIMILARITY,
    infer_identities,
    person_keys,
    rows_by_value,
)
from maskcls.embedder.faceset.store import open_set

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def words(*values: str | None) -> pd.Series[str]:
    return pd.Series(list(values), dtype="str")


def nobody(count: int) -> pd.Series[str]:
    return words(*[None] * count)


def strangers(count: int, seed: int = 0) -> Floats:
    vectors = np.random.default_rng(seed).standard_normal((count, 512)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def beside(vector: Floats, similarity: float, seed: int = 99) -> Floats:
    """A unit vector at this cosine similarity to a unit vector."""
    other = strangers(1, seed)[0]
    other -= (other @ vector) * vector
    other /= np.linalg.norm(other)
    return np.asarray(similarity * vector + np.sqrt(1 - similarity**2) * other, np.float32)


def together(groups: Ints) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a in range(len(groups)) for b in range(a) if groups[a] == groups[b]}


def test_a_name_is_a_person_within_one_data_set_in_any_unicode_form() -> None:
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    table = pd.DataFrame(
        {"dataset": ["a", "a", "b", "a", None], "person": [composed, decomposed, composed, None, composed]}
    )
    keys = person_keys(table)
    assert keys.tolist()[:3] == [f"a:{composed}", f"a:{composed}", f"b:{composed}"]
    assert keys.isna().tolist() == [False, False, False, True, True]


def test_no_names_are_nobody() -> None:
    assert person_keys(pd.DataFrame({"dataset": ["a"], "person": [None]})).isna().all()
    assert person_keys(pd.DataFrame({"dataset": [None], "person": [np.nan]})).isna().all()
    assert not len(person_keys(pd.DataFrame({"dataset": [], "person": []})))


def test_a_pair_found_from_one_side_only_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.stack([strangers(1)[0]] * 2)
    one_way = (np.array([1]), np.array([0]), np.array([1.0], np.float32))
    monkeypatch.setattr(people, "nearest_pairs", lambda embeddings: one_way)
    assert infer_identities(vectors, nobody(2), nobody(2)).tolist() == [0, 0]


def test_rows_by_value() -> None:
    assert [rows.tolist() for rows in rows_by_value(words("b", None, "a", "b"))] == [[0, 3], [2]]
    assert rows_by_value(nobody(3)) == rows_by_value(words()) == []


@pytest.mark.parametrize("similarity", [-0.5, 0.0, 0.64, 0.66, 0.74, 0.76, 0.79, 0.81, 1.0])
@pytest.mark.parametrize(
    ("masks", "needed"),
    [
        pytest.param(("normal", "normal"), BARE_SIMILARITY, id="bare"),
        pytest.param((None, None), BARE_SIMILARITY, id="mask unknown"),
        pytest.param(("incorrect", "normal"), BARE_SIMILARITY, id="incorrect"),
        pytest.param(("wear", "normal"), MIXED_SIMILARITY, id="one masked"),
        pytest.param(("wear", "wear"), MASKED_SIMILARITY, id="both masked"),
    ],
)
def test_near_copies_without_names_are_joined(
    masks: tuple[str | None, str | None], needed: float, similarity: float
) -> None:
    vector = strangers(1)[0]
    groups = infer_identities(np.stack([vector, beside(vector, similarity)]), nobody(2), words(*masks))
    assert (groups[0] == groups[1]) == (similarity > needed)


def test_names_join_what_does_not_look_alike_and_links_join_names() -> None:
    vectors = strangers(5)
    vectors[4] = beside(vectors[1], 0.9)
    groups = infer_identities(vectors, words("a", "a", "b", None, "c"), nobody(5))
    assert together(groups) == {(1, 0), (4, 0), (4, 1)}


def test_masks_drawn_on_one_photo_are_one_person_however_they_look() -> None:
    vectors = strangers(6)
    photos = words("p", "p", "q", "q", "r", "r")
    names = words(None, None, None, "a", "a", None)
    assert together(infer_identities(vectors, names, nobody(6), photos)) == together(np.array([0, 0, 1, 1, 1, 1]))


def test_strangers_stay_apart() -> None:
    assert infer_identities(strangers(300), nobody(300), nobody(300)).tolist() == list(range(300))


@settings(deadline=None, max_examples=50)
@given(
    names=st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=40),
    copies=st.integers(1, 6),
    seed=st.integers(0, 999),
)
def test_faces_of_one_name_are_always_one_group(names: list[str | None], copies: int, seed: int) -> None:
    vectors = strangers(copies, seed)[np.random.default_rng(seed).integers(0, copies, len(names))]
    groups = infer_identities(vectors, words(*names), nobody(len(names)))
    assert sorted(set(groups.tolist())) == list(range(groups.max() + 1))
    for name in {name for name in names if name}:
        assert len({group for group, other in zip(groups.tolist(), names, strict=True) if other == name}) == 1


def test_real_bare_faces_without_names(contest_faces: Path) -> None:
    faces = open_set(contest_faces)
    bare = np.flatnonzero((faces.table["mask"] != "wear").to_numpy())
    table = faces.table.iloc[bare].reset_index(drop=True)
    joined = together(infer_identities(np.asarray(faces.embeddings)[bare], nobody(len(bare)), table["mask"]))
    true = together(pd.factorize(table["person"])[0].astype(np.int64))
    assert len(joined & true) > 0.9 * len(joined)
    assert len(joined & true) > 0.75 * len(true)


def chain(count: int, similarity: float) -> Floats:
    """Unit vectors on a walk that never comes back: similarity ``similarity ** steps`` between two of them."""
    across = np.linalg.qr(strangers(count, 5).T)[0].T
    vectors = [across[0]]
    for step in across[1:]:
        vectors.append(similarity * vectors[-1] + np.sqrt(1 - similarity**2) * step)
    return np.stack(vectors).astype(np.float32)


def test_chain_does_not_become_one_person() -> None:
    vectors = chain(200, 0.85)
    assert (vectors[1:] * vectors[:-1]).sum(axis=1) == pytest.approx(0.85, abs=1e-3)
    assert np.bincount(infer_identities(vectors, nobody(200), nobody(200))).max() < 10


def test_a_chain_spares_strong_links_and_other_groups() -> None:
    vectors = chain(200, 0.85)
    copies = np.stack([beside(vector, 0.99, seed=7) for vector in vectors[::20]])
    pair = strangers(1, 123)
    everyone = np.concatenate([vectors, copies, pair, beside(pair[0], 0.82)[None]])
    groups = infer_identities(everyone, nobody(len(everyone)), nobody(len(everyone)))
    assert groups[200:210].tolist() == groups[:200:20].tolist()
    assert groups[-1] == groups[-2]


def test_candidates_are_compared_part_by_part_where_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = chain(300, 0.85)
    copies = np.stack([beside(vector, 0.99, seed=7) for vector in vectors[::20]])
    everyone = np.concatenate([vectors, copies])
    sizes: list[int] = []
    joined = people._joined

    def spy(embeddings: Floats, masked: npt.NDArray[np.bool_], codes: Ints) -> Ints:
        sizes.append(len(codes))
        return joined(embeddings, masked, codes)

    monkeypatch.setattr(people, "_joined", spy)
    monkeypatch.setattr(people, "MAX_CANDIDATE", 40)
    groups = infer_identities(everyone, nobody(len(everyone)), nobody(len(everyone)))
    assert max(sizes) <= 40
    assert groups[300:].tolist() == groups[:300:20].tolist()


def test_a_copy_joins_a_named_person_whose_masked_photos_look_different() -> None:
    vectors = strangers(5)
    everyone = np.concatenate([vectors, beside(vectors[0], 0.83)[None]])
    masks = words("normal", "wear", "wear", "wear", "wear", None)
    groups = infer_identities(everyone, words("a", "a", "a", "a", "a", None), masks)
    assert set(groups.tolist()) == {0}


def test_a_large_named_group_is_not_cut() -> None:
    count = 150
    groups = infer_identities(strangers(count), words(*["a"] * count), nobody(count))
    assert set(groups.tolist()) == {0}
