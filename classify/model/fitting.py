"""Fit age space, vote and heads to a pool, on FaceNet as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ...embedder.facenet.runtimes import REFERENCE, Runtime
from ...embedder.labels import GENDERS, MASKS
from ..age.space import AgeSpace, LearnedSpace, fit_age_space
from ..age.tuning import TunedVote, can_learn, fit_vote, with_age
from ..data.face_set import FaceSet
from ..data.reduction import reduced
from ..heads.network import TrainedHead
from ..heads.training import HeadReport, retrained, train_head, usable_classes

TASKS = {"mask": MASKS, "gender": GENDERS}
Step = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps to do."""


@dataclass(frozen=True)
class FineTuning:
    """What is asked for.

    Attributes:
        depth: first block that is tuned, one of :data:`~...embedder.facenet.network.BLOCKS`.
        passes: over the faces.
        device: ``cpu`` or ``cuda``.
        weights: the file the faces were embedded with, None for the packaged one.
        folder: where checkpoints are kept; a killed run goes on from there. None keeps none.
        runtime: what encodes the faces again with the tuned backbone.
    """

    depth: str
    passes: int
    device: str = "cpu"
    weights: Path | None = None
    folder: Path | None = None
    runtime: Runtime = REFERENCE


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
    small, directions = reduced(pool, seed)
    heads, reports = train_heads(small, seed, step)
    vote = fit_vote(
        small if can_learn(pool) else pool,
        seed,
        lambda done, total: step("fitting age vote", done, total),
        senior_from=senior_from,
        prototypes=prototypes,
    )
    read_whole_maps(heads, vote.space, directions)
    return Fitted(pool, heads, reports, vote)


def fit_again(first: Fitted, pool: FaceSet, seed: int, step: Step) -> Fitted:
    """Heads and age space fitted anew with the pseudo-labels of a pool, as far as it has some; choices stay.

    What gave the labels may have seen any of the pool's people: no choice and no calibration is made on or with them.

    Args:
        first: fitted to the same pool without its rows with pseudo-labels, seed and pool alike.
    """
    heads, reports = dict(first.heads), dict(first.reports)
    small, directions = reduced(pool, seed)
    again: dict[str, TrainedHead] = {}
    pseudo = pool.table[~pool.real]
    for task, head in first.heads.items():
        if not pseudo[task].isin(head.classes).any():
            continue
        again[task], reports[task] = retrained(
            small,
            task,
            head,
            reports[task],
            seed,
            lambda done, total, task=task: step(f"training {task} again", done, total),  # type: ignore[misc]
        )
    learn = isinstance(first.vote.space, LearnedSpace)
    aged = (small if learn else pool).subset(with_age(pool))
    space = fit_age_space(aged, seed, lambda done, total: step("training age again", done, total), learn=learn)
    read_whole_maps(again, space, directions)
    return Fitted(pool, heads | again, reports, replace(first.vote, space=space))


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


def read_whole_maps(heads: Mapping[str, TrainedHead], space: AgeSpace, directions: Tensor) -> None:
    """Make what was trained on reduced maps read maps as they are."""
    nets = [head.net for head in heads.values()]
    for net in [*nets, space.net] if isinstance(space, LearnedSpace) else nets:
        net.read_whole_maps(directions)
