"""Checkpoints of a long training, so that a killed run goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...embedder.storage.step_cache import StepCache

EVERY_SECONDS = 300.0
NAME = "training"


class Checkpoint:
    """Networks and optimiser as they were at a step; loads the last state when made, if one fits the key.

    Attributes:
        step: the step to go on with, 0 for a new training.
        notes: what is kept with the state, such as the figures so far, as JSON values; None for a new training.
    """

    def __init__(
        self,
        folder: Path | None,
        nets: Mapping[str, nn.Module],
        optimiser: torch.optim.Optimizer,
        key: tuple[object, ...],
    ) -> None:
        self._cache = StepCache(folder, *key)
        self._nets, self._optimiser = nets, optimiser
        self._saved = time.monotonic()
        self.notes: Any = None
        self.step = self._load()

    def reached(self, step: int, *, last: bool = False) -> None:
        """Save the state before ``step``: the last one, and one every :data:`EVERY_SECONDS`."""
        if self._cache.folder is not None and (last or time.monotonic() - self._saved >= EVERY_SECONDS):
            arrays = {name: tensor.numpy() for name, tensor in self._tensors().items()}
            self._cache.write(NAME, arrays, notes={"step": step, "notes": self.notes})
            self._saved = time.monotonic()

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {
            f"{name}.{part}": value.detach().cpu()
            for name, net in self._nets.items()
            for part, value in net.state_dict().items()
        }
        for number, state in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{part}": value.cpu() for part, value in state.items()}
        return tensors

    def _load(self) -> int:
        kept = self._cache.read(NAME)
        if kept is None:
            return 0
        tensors = {name: torch.tensor(array) for name, array in kept.arrays.items()}
        for name, net in self._nets.items():
            net.load_state_dict(_below(tensors, f"{name}."))
        weights = [weight for group in self._optimiser.param_groups for weight in group["params"]]
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in _below(tensors, "optimiser.").items():
            number, part = name.split(".")
            weight = weights[int(number)]
            if value.shape == weight.shape:  # laid out in memory like its weight, as the optimiser expects
                value = torch.empty_like(weight, requires_grad=False).copy_(value)
            states.setdefault(int(number), {})[part] = value
        self._optimiser.load_state_dict(self._optimiser.state_dict() | {"state": states})
        self.notes = kept.notes["notes"]
        return int(kept.notes["step"])


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
