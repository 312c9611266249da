"""Train one network: seeded, resumable, the best epoch on held-out people kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn

from ....embedder.errors import MaskclsError
from ...heads.ensemble_training import rate
from ...heads.training import fit_temperature, log_losses
from ...model.checkpoint import Checkpoint
from .log import Log
from .network import Network, Pretrained, logits_of, put_in
from .photos import Photos, augmentation, augmented, normalised
from .settings import Settings, Task
from .targets import Targets, TaskLoss, class_balanced, order, sampling_weights, smoothed_targets

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]
BATCH = 128
PLATEAU_PATIENCE = 2
"""Epochs without a better validation loss after which ``plateau`` lowers the learning rate to a tenth."""


@dataclass(frozen=True)
class Machine:
    """Where and how it is computed: ``cpu`` or ``cuda``, and whether in bfloat16 where torch's autocast chooses it."""

    device: str = "cpu"
    bfloat16: bool = False


CPU = Machine()


@dataclass(frozen=True)
class Part:
    """Rows of the pool that a network is trained on, and those of held-out people that choose its epoch.

    Attributes:
        factors: (n,) how many times as often each face of the pool is drawn, see :func:`.targets.sample_factors`.
    """

    fit: Ints
    held_out: Ints
    factors: Floats


@dataclass
class Trained:
    """A network with what it was made of.

    Attributes:
        classes: of each of its tasks.
        temperatures: of each task, fitted on held-out people (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
        curve: one row an epoch.
    """

    net: Network
    classes: dict[Task, tuple[str, ...]]
    temperatures: dict[Task, float]
    curve: list[dict[str, Any]] = field(default_factory=list)


def train_network(
    photos: Photos,
    targets: Targets,
    part: Part,
    tasks: tuple[Task, ...],
    settings: Settings,
    seed: int,
    machine: Machine = CPU,
    weights: Pretrained | None = None,
    checkpoint_folder: Path | None = None,
    key: tuple[object, ...] = (),
    progress: Progress = lambda done, total: None,
) -> Trained:
    """Train a network for some tasks; every step's randomness follows from ``seed`` and its number.

    After each epoch it answers for the held-out people; the epoch with the least log loss there, summed over the
    tasks, is kept. The loss is that of calibrated probabilities, since those are what is answered: growing too sure of
    itself alone makes no epoch worse.

    Args:
        checkpoint_folder: where the state is kept; a run that was cut goes on there as if it had not been.
        key: what such a state must have been made from.

    Raises:
        MaskclsError: nobody has a label, the loss is no longer a number, or ``weights`` do not fit.
    """
    classes = {task: targets.classes[task] for task in tasks}
    torch.manual_seed(seed)
    net = Network(settings.backbone, settings.image_size, {task: len(names) for task, names in classes.items()})
    if weights is not None:
        put_in(net.backbone, settings.backbone, settings.image_size, weights)
    net = net.to(machine.device).to(memory_format=torch.channels_last)
    best = Network(settings.backbone, settings.image_size, {task: len(names) for task, names in classes.items()})
    fit = part.fit[np.any([targets.learnt[task][part.fit] >= 0 for task in tasks], axis=0)]
    if not len(fit):
        raise MaskclsError(f"training {'+'.join(tasks)}: none of the people to train on has a label; add people")
    losses = {task: _loss(task, targets.learnt[task][fit], len(classes[task]), settings) for task in tasks}
    losses = {task: loss.to(machine.device) for task, loss in losses.items()}
    labels = {task: torch.from_numpy(targets.learnt[task]) for task in tasks}
    draw = sampling_weights([targets.learnt[task][fit] for task in tasks], settings.balance, part.factors[fit])
    transform = augmentation(
        settings.flip,
        settings.randaugment,
        settings.randaugment_ops,
        settings.randaugment_magnitude,
        settings.cutout_share,
    )
    optimiser = _optimiser(net, settings)
    checkpoint = Checkpoint(checkpoint_folder, {"net": net, "best": best}, optimiser, key)
    log = Log.read(checkpoint.notes)
    steps = -(-len(fit) // settings.batch_size)
    if steps > 1 and len(fit) % settings.batch_size == 1:
        steps -= 1  # batch norm needs two faces
    total = settings.epochs * steps
    done, began = checkpoint.step, monotonic() - log.seconds
    while done < total and not log.finished(settings.patience):
        epoch, first = divmod(done, steps)
        net.train()
        rows = fit[order(draw, seed, epoch)]
        for step in range(first, steps):
            progress(done, total)
            torch.manual_seed(int(np.random.default_rng((seed, done, 1)).integers(2**62)))
            chosen = rows[step * settings.batch_size : (step + 1) * settings.batch_size]
            speed = learning_rate(settings, done, total, log.losses)
            for group in optimiser.param_groups:
                group["lr"] = speed
            images = augmented(photos.images(chosen), transform).to(machine.device)
            with torch.autocast(machine.device, torch.bfloat16, machine.bfloat16):
                predicted = net(images)
            loss = sum(
                (losses[task](predicted[task], labels[task][chosen].to(machine.device)) for task in tasks),
                torch.zeros((), device=machine.device),
            )
            value = float(loss.detach())
            if not np.isfinite(value):
                raise MaskclsError(
                    f"training {'+'.join(tasks)}: the loss is {value} at step {done + 1} of {total}; lower "
                    f"--learning-rate (it is {settings.learning_rate:g})"
                )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1
            log.add(value, monotonic() - began)
            if step + 1 == steps:
                found = _validated(net, photos, targets, part.held_out, tasks, settings, machine)
                if log.end_epoch(epoch + 1, speed, found):
                    best.load_state_dict(net.state_dict())
            checkpoint.notes = log.notes()
            checkpoint.reached(done, last=done == total)
    progress(total, total)
    best = best.to(memory_format=torch.channels_last).to(machine.device).eval()
    logits = face_logits(best, photos, part.held_out, settings.flip, machine)
    temperatures = {task: _temperature(logits[task], targets.true[task][part.held_out]) for task in tasks}
    return Trained(best, classes, temperatures, log.curve)


def face_logits(
    net: nn.Module, photos: Photos, rows: Ints, flip: bool, machine: Machine
) -> dict[str, npt.NDArray[np.float32]]:
    """Logits (len(rows), classes) by task; with ``flip`` the mean of each face and its mirror image."""
    net.eval()
    parts: dict[str, list[Tensor]] = {}
    for start in range(0, len(rows), BATCH):
        images = normalised(photos.images(rows[start : start + BATCH])).to(machine.device)
        for task, logits in logits_of(net, images, flip, machine.bfloat16).items():
            parts.setdefault(task, []).append(logits.cpu())
    return {task: torch.cat(logits).numpy() for task, logits in parts.items()}


def _loss(task: Task, labels: Ints, classes: int, settings: Settings) -> TaskLoss:
    neighbours = task == "age" and settings.age_smoothing == "neighbours"
    targets = smoothed_targets(classes, settings.label_smoothing.get(task, 0.0), neighbours)
    counts = np.bincount(labels[labels >= 0], minlength=classes).tolist()
    return TaskLoss(targets, class_balanced(counts, settings.class_balance), settings.focal)


def _optimiser(net: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(net.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True)


def learning_rate(settings: Settings, step: int, steps: int, validation: Sequence[float]) -> float:
    """Of a step; it follows from the step's number and the validation losses of the epochs before it alone.

    ``cosine`` is a straight rise and half a cosine (:func:`~...heads.ensemble_training.rate`), ``plateau`` torch's
    ``ReduceLROnPlateau``.
    """
    if settings.schedule == "cosine":
        return settings.learning_rate * rate(step, steps)
    scratch = torch.optim.SGD([nn.Parameter(torch.zeros(()))], settings.learning_rate)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(scratch, patience=PLATEAU_PATIENCE)
    for loss in validation:
        plateau.step(loss)
    return float(scratch.param_groups[0]["lr"])


def _validated(
    net: Network,
    photos: Photos,
    targets: Targets,
    held_out: Ints,
    tasks: tuple[Task, ...],
    settings: Settings,
    machine: Machine,
) -> dict[str, float]:
    """Log loss at the best temperatures, summed over the tasks, and each task's accuracy and macro F1."""
    logits = face_logits(net, photos, held_out, settings.flip, machine)
    found: dict[str, float] = {"validation_loss": 0.0}
    for task in tasks:
        labels = targets.true[task][held_out]
        known = labels >= 0
        if not known.any():
            continue
        answers, predicted = logits[task][known], logits[task][known].argmax(1)
        calibrated = answers / np.float32(fit_temperature(answers, labels[known]))
        found["validation_loss"] += float(log_losses(calibrated, labels[known]).mean())
        found[f"{task}_accuracy"] = float((predicted == labels[known]).mean())
        found[f"{task}_macro_f1"] = float(f1_score(labels[known], predicted, average="macro"))
    return found


def _temperature(logits: npt.NDArray[np.float32], labels: Ints) -> float:
    known = labels >= 0
    return fit_temperature(logits[known], labels[known]) if known.any() else 1.0
