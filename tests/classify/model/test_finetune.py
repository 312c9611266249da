from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from maskcls.classify.age.vote import NOBODY
from maskcls.classify.data.distortion import distorted
from maskcls.classify.data.face_set import FaceSet, merge_sets
from maskcls.classify.model import checkpoint, finetune
from maskcls.classify.model.build import build_model
from maskcls.classify.model.finetune import fit_tuned
from maskcls.classify.model.fitting import FineTuning, Fitted
from maskcls.classify.model.model import Model
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import FaceNetEncoder
from maskcls.embedder.facenet.network import BLOCKS, blocks_from
from maskcls.embedder.facenet.weights import load_facenet
from maskcls.embedder.faceset.store import EmbeddingSet

LAST = FineTuning("block8", passes=1)
QUIET = lambda what, done, total: None  # noqa: E731


@pytest.fixture(scope="module")
def few(pool: FaceSet) -> FaceSet:
    """A fifth of the people; some faces have no age, some no gender."""
    people = np.unique(pool.people)[::5]
    part = pool.subset(np.flatnonzero(np.isin(pool.people, people)))
    table = part.table.copy()
    table.loc[::11, ["age_low", "age_high"]] = np.nan
    table.loc[5::11, "gender"] = None
    return replace(part, table=table)


@pytest.fixture(scope="module", autouse=True)
def enough() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "MIN_FACES_TO_LEARN", 60)
        patch.setattr(finetune, "MIN_PEOPLE", 2)
        yield


@pytest.fixture(scope="module")
def fitted(few: FaceSet) -> Fitted:
    return fit_tuned(few, 0, QUIET, 60, LAST)


def test_only_the_blocks_asked_for_change_and_by_a_little(fitted: Fitted) -> None:
    assert fitted.tuned is not None
    backbone = load_facenet()[0].state_dict()
    assert {name.split(".")[0] for name in fitted.tuned} == set(blocks_from("block8")) == {"block8", "last_linear"}
    for name, tensor in fitted.tuned.items():
        assert tensor.dtype == torch.float16
        change = (tensor.float() - backbone[name]).norm() / backbone[name].norm()
        assert 1e-4 < change < 0.5, name


def test_faces_are_seen_by_the_tuned_backbone_and_people_stay(fitted: Fitted, few: FaceSet) -> None:
    assert fitted.pool.encoder.name.endswith("-tuned")
    assert fitted.pool.encoder.fingerprint != few.encoder.fingerprint
    assert np.array_equal(fitted.pool.people, few.people)
    rows = np.arange(len(few))
    assert np.array_equal(fitted.pool.maps(rows[:50])[::7], fitted.pool.maps(rows[:50:7]))
    # the blocks before the cut are as they were, up to the rounding of stored boxes to hundredths of a pixel
    before, after = few.maps(rows).astype(np.float32), fitted.pool.maps(rows).astype(np.float32)
    assert np.abs(before - after).mean() < 0.01 * before.mean()
    cosine = (few.embeddings * fitted.pool.embeddings).sum(axis=1)
    assert 0.2 < cosine.mean() < 0.9999


def test_held_out_people_are_no_voters_of_theirs(few: FaceSet) -> None:
    fit, held_out = finetune._apart(few, 0)
    assert sorted([*fit.tolist(), *held_out.tolist()]) == list(range(len(few)))
    assert not set(few.people[fit].tolist()) & set(few.people[held_out].tolist())
    again, _ = finetune._apart(few, 0)
    assert np.array_equal(fit, again)


def test_model_answers_with_its_own_backbone_after_saving(
    few: FaceSet, encoder: FaceNetEncoder, tmp_path: Path
) -> None:
    steps: list[str] = []
    model, report = build_model(few, 0, lambda what, done, total: steps.append(what), finetuning=LAST)
    assert list(dict.fromkeys(steps)) == [
        "training mask",
        "training gender",
        "training age",
        "fine-tuning",
        "embedding again",
    ]
    assert report.vote is not None
    held_out = finetune._apart(few, 0)[1]
    assert report.vote.faces == few.table["age_low"].iloc[held_out].notna().sum()
    assert report.heads["mask"].held_out_faces == len(held_out)
    model.save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    assert loaded.card["finetuned"] == {"from": "block8", "passes": 1}
    own = FaceNetEncoder(tuned=loaded.tuned)
    loaded.check_encoder(own.info, tmp_path)
    with pytest.raises(MaskclsError, match="-tuned"):
        loaded.check_encoder(encoder.info, tmp_path)
    faces = few.subset(np.arange(5)).encoded_by(own)
    ages = loaded.ages(faces.embeddings, faces.maps(np.arange(5)), np.full(5, NOBODY))
    assert (ages.similarities[1:, 0] > 0.9999).all()  # every photo of known age finds itself


def test_same_seed_same_weights_and_a_cut_run_goes_on(
    few: FaceSet, fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_SECONDS", 0.0)
    wanted = replace(LAST, folder=tmp_path)

    class KilledError(Exception):
        pass

    def kill(what: str, done: int, total: int) -> None:
        if what == "fine-tuning" and done == 2:
            raise KilledError

    with pytest.raises(KilledError):
        fit_tuned(few, 0, kill, 60, wanted)
    first: list[int] = []

    def note(what: str, done: int, total: int) -> None:
        if what == "fine-tuning":
            first.append(done)

    resumed = fit_tuned(few, 0, note, 60, wanted)
    assert first[0] == 2
    assert resumed.tuned is not None
    assert fitted.tuned is not None
    for name, tensor in resumed.tuned.items():
        assert torch.equal(tensor, fitted.tuned[name]), name
    assert np.array_equal(resumed.pool.embeddings, fitted.pool.embeddings)


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        pytest.param({}, 6, id="the same: where it was"),
        pytest.param({"passes": 2}, 0, id="other settings: from the beginning"),
        pytest.param(-3, 0, id="cut short: from the beginning"),
        pytest.param(1, 0, id="a bit is another: from the beginning"),
    ],
)
def test_checkpoint_of_something_else_is_not_gone_on_from(
    tmp_path: Path, change: dict[str, object] | int, begins: int
) -> None:
    net = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    key = replace(LAST)
    checkpoint.Checkpoint(tmp_path, {"net": net}, optimiser, (key,)).reached(6, last=True)
    if isinstance(change, int):
        file = tmp_path / "training.step"
        data = file.read_bytes()
        file.write_bytes(data[:change] if change < 0 else data[:-1] + bytes([data[-1] ^ change]))
        change = {}
    other = torch.nn.Linear(2, 2)
    fresh = torch.optim.AdamW(other.parameters())
    found = checkpoint.Checkpoint(tmp_path, {"net": other}, fresh, (replace(key, **change),))  # type: ignore[arg-type]
    assert found.step == begins
    assert torch.equal(other.weight, net.weight) == bool(begins)
    if begins:
        state = fresh.state_dict()["state"]
        assert torch.equal(state[0]["exp_avg"], optimiser.state_dict()["state"][0]["exp_avg"])


MakeSet = Callable[..., EmbeddingSet]


@pytest.mark.parametrize(
    ("faces", "labels", "message"),
    [
        pytest.param(50, {"age": 30.0}, "50 faces of known age, ", id="too few faces"),
        pytest.param(200, {"mask": "wear"}, "0 faces of known age", id="no ages"),
        pytest.param(200, {"age": 30.0, "person": "one"}, "200 faces of known age, 1 people", id="one person"),
    ],
)
def test_too_little_to_tune_on_is_one_line(
    make_set: MakeSet, encoder: FaceNetEncoder, faces: int, labels: dict[str, object], message: str
) -> None:
    pool = merge_sets([make_set(faces, encoder=encoder.info, **labels)])
    with pytest.raises(MaskclsError, match=message):
        fit_tuned(pool, 0, QUIET, 60, LAST)


def test_other_weights_than_the_sets_are_refused(make_set: MakeSet) -> None:
    with pytest.raises(MaskclsError, match="pass the same --weights"):
        fit_tuned(merge_sets([make_set(200, age=30.0)]), 0, QUIET, 60, LAST)


def test_distorted_faces_keep_shape_and_range_and_differ() -> None:
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (9, 160, 160, 3), np.uint8))
    torch.manual_seed(1)
    once = distorted(crops)
    torch.manual_seed(1)
    assert torch.equal(once, distorted(crops))
    assert once.shape == (9, 3, 160, 160)
    assert once.dtype == torch.uint8
    assert not torch.equal(once, distorted(crops))


@pytest.mark.parametrize("depth", BLOCKS)
def test_blocks_from_a_depth_end_with_the_embedding(depth: str) -> None:
    blocks = blocks_from(depth)
    assert blocks[0] == depth
    assert blocks[-1] == "last_linear"
    assert len(blocks) == len(BLOCKS) - BLOCKS.index(depth) + 1
