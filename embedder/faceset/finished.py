"""Photos that need no work any more: their faces' rows and vectors lie in the old set, or in steps of this or a killed
run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..datasets.box import Box
from ..errors import MaskclsError
from ..photo import NO_FILE, FileState
from ..storage.step_cache import StepCache
from ..table import COLUMNS, face_table
from .labelled import NO_FACE_AT, no_face_at
from .store import EmbeddingSet

OLD = ""
"""Stands for the old set among the names of steps."""
_TOGETHER = 8192
_CHUNK = 4096


class Position(NamedTuple):
    """Where a row of a photo lies: name of the step or :data:`OLD`, row there among the faces or the rejects.

    ``text`` is the labelled box of a face, empty where it is the photo's largest, or the reason of a reject.
    """

    step: str
    row: int
    rejected: bool
    state: FileState
    text: str = ""

    def is_about(self, box: Box | None) -> bool:
        """Whether it is what became of a labelled box, or of the photo's largest face where that is None."""
        if self.rejected:  # the photo as a whole, or the box
            return not self.text.startswith(NO_FACE_AT) or (box is not None and self.text == no_face_at(box))
        return self.text == ("" if box is None else str(box))


Positions = dict[str, list[Position]]
"""By the stored path of a photo, all of its rows: one, or one a labelled face."""


def position_of(positions: Sequence[Position], box: Box | None) -> Position | None:
    """What became of a labelled box, or of the largest face (None), among the rows of its photo."""
    return next((one for one in positions if one.is_about(box)), None)


@dataclass(frozen=True)
class Finished:
    """The old set, if there is one, and the steps: one a batch of photos.

    The arrays of a step are ``embeddings`` and ``maps`` of its faces, its notes ``faces`` and ``rejects`` (rows of the
    table and of ``rejects.csv``) and ``runtime`` (what the network was run by). Only :meth:`copy_arrays` reads arrays,
    one step at a time.
    """

    old: EmbeddingSet | None
    steps: StepCache

    def positions(self) -> Positions:
        """Every photo that was embedded or rejected before, by stored path; the last work on a photo wins."""
        found: Positions = {}
        if self.old is not None:
            for table, rejected in ((self.old.table, False), (self.old.rejects, True)):
                about = (table["reason"] if rejected else table["label_box"].fillna("")).tolist()
                columns = (table[name].tolist() for name in ("path", "file_size", "file_mtime_ns"))
                for i, (path, size, mtime, text) in enumerate(zip(*columns, about, strict=True)):
                    state = FileState(size, mtime)
                    if not rejected or state != NO_FILE:  # of a label, or of a file that may be there by now
                        found.setdefault(path, []).append(Position(OLD, i, rejected, state, text))
        for name in self.steps.names():
            notes = self._notes(name)
            batch: Positions = {}  # with all rows of each of its photos
            for rows, rejected in ((notes["faces"], False), (notes["rejects"], True)):
                for i, row in enumerate(rows):
                    state = FileState(row["file_size"], row["file_mtime_ns"])
                    text = row["reason"] if rejected else row.get("label_box") or ""
                    batch.setdefault(row["path"], []).append(Position(name, i, rejected, state, text))
            found |= batch
        return found

    def runtimes(self) -> set[str]:
        """What the network was run by, for any of the photos."""
        before = self.old.encoder.runtime.split(", ") if self.old is not None else []
        return {*before, *(self._notes(name)["runtime"] for name in self.steps.names())}

    def face_rows(self, positions: Sequence[Position]) -> pd.DataFrame:
        """The rows (:data:`~..table.COLUMNS`) of faces, in the order given; labels are those of the old set."""
        parts = [face_table([])]
        order: list[int] = []
        rows: list[dict[str, Any]] = []
        for name, targets, indices in by_step(positions):
            order += targets
            if name != OLD:
                done = self._notes(name)["faces"]
                rows += [done[index] for index in indices]
            if name == OLD or len(rows) >= _TOGETHER:
                parts.append(face_table(rows))
                rows = []
            if name == OLD:
                assert self.old is not None
                parts.append(self.old.table.iloc[indices])
        parts.append(face_table(rows))
        table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
        return table.iloc[np.argsort(np.array(order, np.int64))].reset_index(drop=True).astype(COLUMNS)

    def reject_rows(self, positions: Sequence[Position]) -> list[dict[str, Any]]:
        """The rows (:data:`~.store.REJECT_COLUMNS`) of rejected photos, in the order given."""
        rows: list[dict[str, Any]] = [{}] * len(positions)
        for name, targets, indices in by_step(positions):
            if name == OLD:
                assert self.old is not None
                records = self.old.rejects.iloc[indices].to_dict("records")
                done = [{str(column): value for column, value in row.items()} for row in records]
            else:
                rejects = self._notes(name)["rejects"]
                done = [rejects[index] for index in indices]
            for target, row in zip(targets, done, strict=True):
                rows[target] = row
        return rows

    def copy_arrays(
        self, positions: Sequence[Position], embeddings: npt.NDArray[np.float32], maps: npt.NDArray[np.float16]
    ) -> None:
        """Copy the vectors and maps of faces into arrays, row i being that of position i.

        Raises:
            MaskclsError: a step has been damaged since it was written.
        """
        for name, targets, indices in by_step(positions):
            source: tuple[npt.NDArray[Any], npt.NDArray[Any]]
            if name == OLD:
                assert self.old is not None
                source = self.old.embeddings, self.old.maps
            elif (step := self.steps.read(name)) is not None:
                source = step.arrays["embeddings"], step.arrays["maps"]
            else:
                raise MaskclsError(f"{self.steps.folder}: kept work was damaged just now; run the same command again")
            for start in range(0, len(targets), _CHUNK):
                part = slice(start, start + _CHUNK)
                embeddings[targets[part]] = source[0][indices[part]]
                maps[targets[part]] = source[1][indices[part]]

    def _notes(self, name: str) -> Any:
        return self.steps.notes(name)


def by_step(positions: Sequence[Position]) -> Iterator[tuple[str, list[int], list[int]]]:
    """For each step: its name, which of the positions are in it, and their rows there."""
    targets: dict[str, list[int]] = {}
    for target, position in enumerate(positions):
        targets.setdefault(position.step, []).append(target)
    for name, mine in targets.items():
        yield name, mine, [positions[target].row for target in mine]
