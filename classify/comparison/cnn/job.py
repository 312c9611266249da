"""What is trained on what: from sets, a recipe and options to a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ....embedder.errors import MaskclsError
from ....embedder.facenet.encoder import pick_device
from ....embedder.photo import shown
from ....embedder.storage.manifest import checksums
from ...data.face_set import FaceSet, merge_sets, open_sets
from ...evaluation.evaluate import Plan, datasets_to_build_from, plan
from .fit import CPU, Machine
from .network import Pretrained, download_pretrained, read_pretrained
from .settings import NO_RECIPE, Backbone, Settings, read_recipe

SLOW_IN_BFLOAT16 = ("efficientnet_b0",)
"""Measured at 128 pixels on a processor with AVX512-BF16: efficientnet_b0 takes 1.5 times as long, resnet18 half."""


@dataclass(frozen=True)
class Job:
    """What is to be trained on what.

    Attributes:
        named: the tasks were asked for by name, see :func:`.targets.targets_of`.
        weights: to start from; None starts from scratch.
        about: what else is in the run's ``config.json``: recipe, command, sets.
    """

    pool: FaceSet
    plan: Plan
    settings: Settings
    seed: int = 0
    named: bool = False
    machine: Machine = CPU
    weights: Pretrained | None = None
    about: Mapping[str, Any] | None = None

    def lines(self) -> list[str]:
        """What is about to be done, for the terminal."""
        kinds, size = ("whole photos", "faces")[self.settings.crop == "face"], self.settings.image_size
        start = f"from {shown(self.weights.name)}" if self.weights else "from scratch (ImageNet weights: --weights)"
        precision = "bfloat16" if self.machine.bfloat16 else "float32"
        return [
            f"{len(self.plan.scored)} faces scored in {self.plan.folds} folds of people, {len(self.pool)} faces to "
            f"train from, {self.pool.copies} exact copies left out",
            f"{self.settings.backbone} on {kinds} of {size} x {size} pixels, {start}, "
            f"{precision} on {self.machine.device}",
        ]


def prepare(
    faces: Sequence[Path],
    also: Sequence[Path],
    recipe: str | None,
    given: Mapping[str, Any],
    *,
    split: Path | None = None,
    score_folds: int | None = None,
    seed: int = 0,
    weights: Path | None = None,
    allow_download: bool = False,
    device: str = "auto",
    bfloat16: bool | None = None,
    command: str = "",
) -> Job:
    """Read everything that a training needs but the photos.

    Args:
        faces: embedding sets that are scored.
        also: sets that are only trained on.
        recipe: name or file.
        given: settings that win over the recipe's.

    Raises:
        MaskclsError: a set, recipe, setting, split or weights file that cannot be used.
    """
    read = NO_RECIPE if recipe is None else read_recipe(recipe)
    settings = read.settings(given)
    if weights is not None and allow_download:
        raise MaskclsError("--weights and --allow-download: give one of the two")
    pretrained: Pretrained | None = None
    if weights is not None:
        pretrained = read_pretrained(weights, settings.backbone)
    elif allow_download:
        pretrained = download_pretrained(settings.backbone)
    sets = open_sets([*faces, *also])
    pool = merge_sets(sets)
    chosen = plan(pool, datasets_to_build_from(sets, len(faces)), split, settings.folds, seed, score_folds)
    where = pick_device(device)
    return Job(
        pool,
        chosen,
        settings,
        seed,
        named="tasks" in given or "tasks" in read.content,
        machine=Machine(where, _faster(settings.backbone, where) if bfloat16 is None else bfloat16),
        weights=pretrained,
        about={
            "recipe": None if recipe is None else read.name,
            "command": command,
            "sets": [
                {
                    "name": shown(folder.name),
                    "faces": len(one),
                    "faces.parquet": checksums(folder, ["faces.parquet"])["faces.parquet"],
                }
                for folder, one in zip([*faces, *also], sets, strict=True)
            ],
        },
    )


def _faster(backbone: Backbone, device: str) -> bool:
    """Whether bfloat16 is the faster choice: on processors that compute in it, but not for every network."""
    if backbone in SLOW_IN_BFLOAT16:
        return False
    if device != "cpu":
        return bool(torch.cuda.is_bf16_supported())
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))
