"""Checkpoints of a long training, so that a killed run goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ...embedder.storage.atomic import replacing
from ...embedder.storage.manifest import key_of

EVERY_SECONDS = 300.0
FILE = "checkpoint.safetensors"


class Checkpoint:
    """Networks and optimiser as they were at a step; loads the last state when made, if one fits the key.

    Attributes:
        step: the step to go on with, 0 for a new training.
        notes: text that is kept with the state, such as the figures so far; empty for a new training.
    """

    def __init__(
        self,
        folder: Path | None,
        nets: Mapping[str, nn.Module],
        optimiser: torch.optim.Optimizer,
        key: tuple[object, ...],
    ) -> None:
        self._path = None if folder is None else folder / FILE
        self._nets, self._optimiser, self._key = nets, optimiser, key_of(*key)
        self._saved = time.monotonic()
        self.notes = ""
        self.step = self._load()

    def reached(self, step: int, *, last: bool = False) -> None:
        """Save the state before ``step``: the last one, and one every :data:`EVERY_SECONDS`."""
        if self._path is not None and (last or time.monotonic() - self._saved >= EVERY_SECONDS):
            with replacing(self._path) as temporary:
                tensors, step_text = self._tensors(), str(step)
                digest = _digest(tensors, step_text, self.notes)
                metadata = {"key": self._key, "step": step_text, "notes": self.notes, "sha256": digest}
                save_file(tensors, temporary, metadata)
            self._saved = time.monotonic()

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {
            f"{name}.{part}": value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, net in self._nets.items()
            for part, value in net.state_dict().items()
        }
        for number, state in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{part}": value.cpu().contiguous() for part, value in state.items()}
        return tensors

    def _load(self) -> int:
        if self._path is None or not self._path.exists():
            return 0
        try:
            with safe_open(self._path, "pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("key") != self._key:
                    return 0
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
                if metadata.get("sha256") != _digest(tensors, metadata.get("step"), metadata.get("notes")):
                    return 0
        except (SafetensorError, OSError):
            return 0
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
        self.notes = metadata.get("notes", "")
        return int(metadata["step"])


def _digest(tensors: Mapping[str, Tensor], *words: object) -> str:
    names = sorted(tensors)
    return key_of(*words, *names, *(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes() for name in names))


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
