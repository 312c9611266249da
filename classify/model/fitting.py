"""Fit age space, vote and heads to a pool: on FaceNet as it is, or fine-tuning its last blocks with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from sklearn.model_selection import GroupShuffleSplit
from torch import Tensor

from ...embedder.errors import MaskclsError
from ...embedder.facenet.encoder import FaceNetEncoder
from ...embedder.facenet.weights import load_facenet
from ...embedder.faceset.crops import check_photos
from ...embedder.labels import GENDERS, MASKS
from ..age.network import find_main_directions, train_age_net
from ..age.space import MIN_FACES_TO_LEARN, LearnedSpace, fit_age_space
from ..age.tuning import MIN_PEOPLE, TunedVote, Voters, choose_vote, fit_vote, with_age
from ..data.face_set import FaceSet, Rows
from ..data.provenance import refuse_knowing
from ..heads.network import Head, TrainedHead
from ..heads.training import HeadReport, calibrated_head, retrained, train_head, usable_classes
from .finetune import FineTuning, fine_tune

TASKS = {"mask": MASKS, "gender": GENDERS}
HELD_OUT = 0.1
"""Share of the people that fine-tuning does not see: vote, calibration and scores are theirs."""

Step = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps to do."""


@dataclass(frozen=True)
class Fitted:
    """What a model is made of.

    Attributes:
        pool: the faces as the model's encoder sees them.
        heads: by task, as far as there are labels.
        reports: of the same.
        vote: age space and vote settings.
        tuned: the backbone's fine-tuned tensors; None for FaceNet as it is.
    """

    pool: FaceSet
    heads: Mapping[str, TrainedHead]
    reports: dict[str, HeadReport]
    vote: TunedVote
    tuned: Mapping[str, Tensor] | None = None


def fit_frozen(pool: FaceSet, seed: int, step: Step, senior_from: int, prototypes: int = 0) -> Fitted:
    """Heads and vote on FaceNet as it is; see :func:`..heads.training.train_head` and :func:`..age.tuning.fit_vote`."""
    heads, reports = train_heads(pool, seed, step)
    vote = fit_vote(
        pool,
        seed,
        lambda done, total: step("fitting age vote", done, total),
        senior_from=senior_from,
        prototypes=prototypes,
    )
    return Fitted(pool, heads, reports, vote)


def fit_again(first: Fitted, pool: FaceSet, seed: int, step: Step) -> Fitted:
    """Heads and age space fitted anew with the pseudo-labels of a pool, as far as it has some; choices stay.

    What gave the labels may have seen any of the pool's people: no choice and no calibration is made on or with them.

    Args:
        first: fitted to the same pool without its rows with pseudo-labels, seed and pool alike.
    """
    heads, reports = dict(first.heads), dict(first.reports)
    pseudo = pool.table[~pool.real]
    for task, head in first.heads.items():
        if not pseudo[task].isin(head.classes).any():
            continue
        heads[task], reports[task] = retrained(
            pool,
            task,
            head,
            reports[task],
            seed,
            lambda done, total, task=task: step(f"training {task} again", done, total),  # type: ignore[misc]
        )
    aged = pool.subset(with_age(pool))
    learn = isinstance(first.vote.space, LearnedSpace)
    space = fit_age_space(aged, seed, lambda done, total: step("training age again", done, total), learn=learn)
    return Fitted(pool, heads, reports, replace(first.vote, space=space))


def fit_tuned(pool: FaceSet, seed: int, step: Step, senior_from: int, wanted: FineTuning) -> Fitted:
    """Heads and age space trained together with FaceNet's last blocks.

    A tenth of the people is held out of all training; the vote settings and the heads' temperatures are chosen there,
    on labels that somebody gave. The gallery holds everybody of known age.

    Raises:
        MaskclsError: there are too few faces or people of known age, the weights are not those of the embedding
            sets, a photo is gone, or a teacher of pseudo-labels has seen people who are held out.
    """
    net, weights = load_facenet(wanted.weights)
    if weights.sha256 != pool.encoder.weights_sha256:
        raise MaskclsError("--finetune: the sets were embedded with other weights; pass the same --weights")
    people, aged = len(np.unique(pool.people)), len(with_age(pool))
    fewest, least = int(MIN_FACES_TO_LEARN / (1 - HELD_OUT)), int(MIN_PEOPLE / HELD_OUT)
    if people < least or aged < fewest:
        raise MaskclsError(
            f"--finetune: {aged} faces of known age, {people} people; it takes {fewest} and {least}, "
            "since a tenth of the people is held out"
        )
    check_photos(pool.table)
    real = pool.real
    fit, held_out = _apart(pool, seed)
    held_out = held_out[real[held_out]]
    refuse_knowing(pool, pool.people[held_out], "the tenth that --finetune chooses settings on")
    seen = pool.subset(fit)
    heads, reports = train_heads(seen, seed, step)
    age = train_age_net(seen.subset(with_age(seen)), seed, lambda done, total: step("training age", done, total))
    kept = fine_tune(seen, net, age, heads, wanted, seed, lambda done, total: step("fine-tuning", done, total))
    tuned = kept.tensors()
    encoder = FaceNetEncoder(wanted.weights, wanted.device, tuned, wanted.runtime)
    pool = pool.encoded_by(encoder, lambda done, total: step("embedding again", done, total))
    others = pool.subset(held_out)
    for task, head in heads.items():
        trained = cast(Head, kept.heads[task])
        heads[task], reports[task] = calibrated_head(trained, task, head.classes, others, reports[task].faces)
    rows = with_age(pool)
    find_main_directions(kept.age, pool.subset(np.intersect1d(rows, fit)))
    space = LearnedSpace(kept.age)
    rows = rows[real[rows]]
    faces, is_fit = pool.subset(rows), np.isin(rows, fit)
    voters = Voters(len(faces))
    voters.find(space, faces, np.flatnonzero(is_fit), np.flatnonzero(~is_fit))
    vote = choose_vote(space, faces, np.flatnonzero(~is_fit), voters, senior_from)
    return Fitted(pool, heads, reports, vote, tuned)


def train_heads(pool: FaceSet, seed: int, step: Step) -> tuple[dict[str, TrainedHead], dict[str, HeadReport]]:
    """A head for each task with at least two classes; see :func:`..heads.training.train_head`."""
    heads: dict[str, TrainedHead] = {}
    reports: dict[str, HeadReport] = {}
    for task, classes in TASKS.items():
        usable = usable_classes(pool, task, classes)
        if len(usable) > 1:
            heads[task], reports[task] = train_head(
                pool,
                task,
                usable,
                seed,
                lambda done, total, task=task: step(f"training {task}", done, total),  # type: ignore[misc]
            )
    return heads, reports


def _apart(pool: FaceSet, seed: int) -> tuple[Rows, Rows]:
    """Rows of nine tenths of the people, and rows of the others."""
    fit, held_out = next(
        GroupShuffleSplit(1, test_size=HELD_OUT, random_state=seed).split(pool.people, None, pool.people)
    )
    return fit.astype(np.int64), held_out.astype(np.int64)
