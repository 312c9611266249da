"""The figures of a training so far, kept with its checkpoint: what depends on them is worked out again after a cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class Log:
    """One row an epoch, the losses of the steps since the last one, and the seconds of training."""

    def __init__(self, curve: list[dict[str, Any]], running: list[float], seconds: float) -> None:
        self.curve, self.running, self.seconds = curve, running, seconds

    @classmethod
    def read(cls, notes: Mapping[str, Any] | None) -> Log:
        """What :meth:`notes` gave; a new log for None."""
        return cls(**notes) if notes else cls([], [], 0.0)

    def notes(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {"curve": self.curve, "running": self.running, "seconds": self.seconds}

    @property
    def losses(self) -> list[float]:
        """On held-out people, one an epoch."""
        return [row["validation_loss"] for row in self.curve]

    def add(self, loss: float, seconds: float) -> None:
        """Note a step: its loss, and the seconds since the training began."""
        self.running.append(loss)
        self.seconds = seconds

    def end_epoch(self, epoch: int, speed: float, found: Mapping[str, float]) -> bool:
        """Note an epoch; True where it is the best so far."""
        is_best = found["validation_loss"] <= min(self.losses, default=np.inf)
        loss = float(np.mean(self.running))
        self.curve.append(
            {"epoch": epoch, "learning_rate": speed, "train_loss": loss, **found, "seconds": round(self.seconds, 1)}
        )
        self.running = []
        return is_best

    def finished(self, patience: int) -> bool:
        """Whether so many epochs were no better than the best before; never for a patience of 0."""
        return bool(
            patience
            and self.curve
            and not self.running
            and len(self.losses) - 1 - int(np.argmin(self.losses)) >= patience
        )
