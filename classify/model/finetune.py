"""Fine-tune FaceNet's last blocks together with the age network and the heads that read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import pandas as pd
import torch
from facenet_pytorch import InceptionResnetV1
from sklearn.model_selection import GroupShuffleSplit
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ...embedder.errors import MaskclsError
from ...embedder.facenet.encoder import MAP_SHAPE, FaceNetEncoder
from ...embedder.facenet.network import backbone_pass, blocks_from, scaled
from ...embedder.facenet.weights import load_facenet
from ...embedder.faceset.crops import check_photos, read_crops
from ..age.network import AGE_BALANCE, AgeNet, AgeTargets, age_bins, find_main_directions, train_age_net
from ..age.space import MIN_FACES_TO_LEARN, LearnedSpace
from ..age.tuning import MIN_PEOPLE, Voters, choose_vote, with_age
from ..data.distortion import distorted
from ..data.face_set import FaceSet, Rows
from ..data.provenance import refuse_knowing
from ..data.reduction import reduced
from ..heads.ensemble import in_half_precision
from ..heads.ensemble_training import balanced, rate
from ..heads.network import Head, TrainedHead
from ..heads.training import LABEL_SMOOTHING, calibrated_head
from .checkpoint import Checkpoint
from .fitting import FineTuning, Fitted, Step, read_whole_maps, train_heads

BATCH = 64
BACKBONE_RATE = 2e-4
HEAD_RATE = 5e-4
WEIGHT_DECAY = 0.05
MAX_GRADIENT = 5.0
AVERAGED_OVER = 0.998
"""Decay of the moving average of the weights, which is what is kept."""
HELD_OUT = 0.1
"""Share of the people that fine-tuning does not see: vote, calibration and scores are theirs."""

TASK_WEIGHTS = {"mask": 0.5, "gender": 1.0}

Progress = Callable[[int, int], None]


class Together(nn.Module):
    """Backbone, age network and heads as one network; only the backbone's blocks from ``depth`` on are trained."""

    def __init__(self, backbone: InceptionResnetV1, depth: str, age: AgeNet, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.backbone, self.age, self.heads = backbone, age, nn.ModuleDict(heads)
        self.tuned = blocks_from(depth)
        backbone.requires_grad_(False)
        for name in self.tuned:
            getattr(backbone, name).requires_grad_(True)

    def forward(self, pixels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits over years (n, 121) and of each head, for scaled pixels (n, 3, 160, 160)."""
        with torch.autocast(pixels.device.type, torch.bfloat16):
            maps, vectors = backbone_pass(self.backbone, pixels)
        maps = nn.functional.adaptive_avg_pool2d(maps.float(), MAP_SHAPE[1:])
        embeddings = nn.functional.normalize(vectors.float())
        years: Tensor = self.age.years(self.age(maps, embeddings))
        return years, {name: head(maps, embeddings) for name, head in self.heads.items()}

    def tensors(self) -> dict[str, Tensor]:
        """The backbone's tuned tensors, under their names in the backbone, rounded to half precision."""
        state = self.backbone.state_dict()
        return {k: v.detach().half().cpu().contiguous() for k, v in state.items() if k.split(".")[0] in self.tuned}


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
    small, directions = reduced(seen, seed)
    heads, reports = train_heads(small, seed, step)
    age = train_age_net(small.subset(with_age(small)), seed, lambda done, total: step("training age", done, total))
    read_whole_maps(heads, LearnedSpace(age), directions)
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


def fine_tune(
    pool: FaceSet,
    backbone: InceptionResnetV1,
    age: AgeNet,
    heads: Mapping[str, TrainedHead],
    wanted: FineTuning,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> Together:
    """Train on all faces of a pool, whose photos are read again.

    Networks that were trained on the frozen backbone are where it starts: a good head keeps the backbone from being
    torn apart (Kumar et al. 2022, https://arxiv.org/abs/2202.10054). Faces are mirrored, turned, shifted, scaled and
    relit; a moving average of the weights is kept (Polyak & Juditsky 1992). Every step's randomness follows from
    ``seed`` and its number, so that a run that was cut goes on as if it had not been.

    Raises:
        MaskclsError: a photo is gone or changed.
    """
    low, high = (pool.table[name].to_numpy(np.float32) for name in ("age_low", "age_high"))
    ages = AgeTargets(low, high)
    labels = {name: pd.Categorical(pool.table[name], head.classes).codes for name, head in heads.items()}
    targets = {name: torch.from_numpy(codes.astype(np.int64)) for name, codes in labels.items()}
    draw = balanced(age_bins(low, high), AGE_BALANCE, pool.people)
    device = torch.device(wanted.device)
    torch.manual_seed(seed)
    net = Together(backbone, wanted.depth, age, {name: head.net for name, head in heads.items()})
    net = net.to(device).to(memory_format=torch.channels_last).train()
    averaged = AveragedModel(net, avg_fn=_moving_average, use_buffers=True)
    new = [*net.age.parameters(), *net.heads.parameters()]
    old = [weight for weight in net.backbone.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(
        [{"params": old, "peak": BACKBONE_RATE}, {"params": new, "peak": HEAD_RATE}],
        weight_decay=WEIGHT_DECAY,
        fused=True,
    )
    steps = wanted.passes * -(-len(pool) // BATCH)
    checkpoint = Checkpoint(wanted.folder, {"net": net, "averaged": averaged}, optimiser, _key(pool, wanted, seed))
    for step in range(checkpoint.step, steps):
        progress(step, steps)
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * rate(step, steps)
        random = np.random.default_rng((seed, step))
        torch.manual_seed(int(random.integers(2**62)))
        rows = random.choice(len(pool), max(2, min(BATCH, len(pool))), p=draw)
        years, logits = net(scaled(distorted(torch.from_numpy(read_crops(pool.table.iloc[rows])))).to(device))
        known = ~np.isnan(low[rows])
        loss = ages.loss(years[torch.from_numpy(known)], rows[known]) if known.any() else years.sum() * 0
        for name, outputs in logits.items():
            loss = loss + TASK_WEIGHTS[name] * _cross_entropy(outputs, targets[name][rows].to(device))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*old, *new], MAX_GRADIENT)
        optimiser.step()
        averaged.update_parameters(net)
        checkpoint.reached(step + 1, last=step + 1 == steps)
    progress(steps, steps)
    kept = cast(Together, averaged.module.eval().cpu())
    in_half_precision(kept.age)
    in_half_precision(kept.heads)
    return kept


def _moving_average(mean: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    """Over :data:`AVERAGED_OVER`, and over less while few steps are done."""
    decay = min(AVERAGED_OVER, (1 + float(count)) / (10 + float(count)))
    return mean * decay + new * (1 - decay)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Of the faces that have a label; 0 where none has."""
    known = labels >= 0
    if not bool(known.any()):
        return logits.sum() * 0
    return nn.functional.cross_entropy(logits[known], labels[known], label_smoothing=LABEL_SMOOTHING)


def _key(pool: FaceSet, wanted: FineTuning, seed: int) -> tuple[object, ...]:
    """What a checkpoint must have been made from to be gone on from."""
    columns = ["face_id", "mask", "gender", "age_low", "age_high"]
    faces = pd.util.hash_pandas_object(pool.table[columns]).to_numpy().tobytes()
    return (faces, pool.people.tobytes(), pool.encoder.fingerprint, wanted.depth, wanted.passes, seed)


def _apart(pool: FaceSet, seed: int) -> tuple[Rows, Rows]:
    """Rows of nine tenths of the people, and rows of the others."""
    fit, held_out = next(
        GroupShuffleSplit(1, test_size=HELD_OUT, random_state=seed).split(pool.people, None, pool.people)
    )
    return fit.astype(np.int64), held_out.astype(np.int64)
