"""What the person at the review page decides: one line a label in a patch, on disk before the page hears of it."""

from __future__ import annotations

import csv
import io
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import pandas as pd
from filelock import FileLock, Timeout

from ....embedder.errors import MaskclsError
from ....embedder.faceset.corrections import FIELDS, canonical, labels_of, read_patch
from ....embedder.faceset.store import PATCH_COLUMNS
from ....embedder.labels import LabelError
from ....embedder.photo import shown
from ....embedder.storage.atomic import replacing
from .changes import CLEAR, REJECT, SET, Change

CONFIRMED, CHANGED, REJECTED = "confirmed", "changed", "rejected"
_REJECT_REASON = "reject: seen, no usable face"
_UNDOS = 1000

Key = tuple[str, str, str]
Verdicts = dict[str, tuple[str, str]]


class _Line(NamedTuple):
    """A line of the patch, in the order of its columns."""

    face_id: str
    path: str
    field: str
    old: str
    new: str
    reason: str
    probability: str


class Decisions:
    """Decisions about the faces of a table, kept in a patch that is replaced as a whole with every change.

    The file holds one line for each label that was decided on: the last decision. Lines about other faces, or about
    a label that is another one by now, stay in it as they are.
    """

    def __init__(self, path: Path, table: pd.DataFrame) -> None:
        """Go on with the decisions in a file, or begin with none; nothing is written yet.

        Args:
            path: of the patch; until :meth:`close` no other review may have it.
            table: faces, see :data:`maskcls.embedder.table.COLUMNS`; a row is a position in it.

        Raises:
            MaskclsError: the file is no patch, or another review has it.
        """
        self.path = path
        self._faces = list(zip(table["face_id"], table["path"], strict=True))
        self._rows = {face: row for row, face in enumerate(self._faces)}
        self._labels = {name: list(column) for name, column in labels_of(table).items()}
        self._undos: deque[dict[Key, _Line | None]] = deque(maxlen=_UNDOS)
        self._mutex = Lock()
        self._lock = _locked(path)
        try:
            self._lines = _read(path, self._faces)
        except MaskclsError:
            self.close()
            raise
        self._texts = {key: _text(line) for key, line in self._lines.items()}
        self._states: dict[int, str] = {}
        self._restate(range(len(self._faces)))
        self.passed_over = len(self._lines) - sum(len(self.verdicts(row)) for row in self._states)

    def close(self) -> None:
        """Let another review have the file."""
        self._lock.release()

    def verdicts(self, row: int) -> Verdicts:
        """Field -> (label, state) of what was decided about a face; states are confirmed, changed and rejected."""
        found: Verdicts = {}
        for field in FIELDS:
            line = self._lines.get((*self._faces[row], field))
            if line is not None and (state := _state(line, self._labels[field][row])):
                found[field] = (line.new, state)
        return found

    def all_verdicts(self) -> dict[int, Verdicts]:
        """Row -> :meth:`verdicts` of every face that something was decided about."""
        with self._mutex:
            return {row: self.verdicts(row) for row in sorted(self._states)}

    def counts(self) -> dict[str, int]:
        """Faces with a changed label, with confirmed labels alone, and rejected ones."""
        with self._mutex:
            faces = Counter(self._states.values())
        return {state: faces[state] for state in (CHANGED, CONFIRMED, REJECTED)}

    def decide(self, changes: Iterable[Change]) -> list[int]:
        """Make changes and save them, all or none; returns the rows of the faces whose decisions are others now.

        Raises:
            OSError: the file cannot be written; the decisions are what they were.
        """
        with self._mutex:
            wanted: dict[Key, _Line | None] = {}
            for change in changes:
                wanted |= self._wanted(change, wanted)
            before = {key: self._lines.get(key) for key in wanted if self._lines.get(key) != wanted[key]}
            rows = self._put({key: wanted[key] for key in before})
            if before:
                self._undos.append(before)
            return rows

    def undo(self) -> list[int] | None:
        """Take the last :meth:`decide` of this run back; returns the rows of its faces, None if there is none left.

        Raises:
            OSError: the file cannot be written; the decisions are what they were.
        """
        with self._mutex:
            if not self._undos:
                return None
            rows = self._put(self._undos[-1])
            self._undos.pop()
            return rows

    def _wanted(self, change: Change, pending: dict[Key, _Line | None]) -> dict[Key, _Line | None]:
        """Lines that a change makes (None: takes away), given those that the batch has made so far."""
        row, act = change.row, change.act
        keys: dict[str, Key] = {field: (*self._faces[row], field) for field in FIELDS}
        labels = {field: self._labels[field][row] for field in FIELDS}
        if act == REJECT:
            return {key: self._line(key, labels[field], "", _REJECT_REASON) for field, key in keys.items()}
        if act == CLEAR:
            return dict.fromkeys(key for field, key in keys.items() if change.field in ("", field))
        now = {field: pending[key] if key in pending else self._lines.get(key) for field, key in keys.items()}
        states = {field: line and _state(line, labels[field]) for field, line in now.items()}
        out: dict[Key, _Line | None] = {keys[field]: None for field, state in states.items() if state == REJECTED}
        if act == SET:
            proposed = change.probability is not None
            reason = "seen and right" if change.value == labels[change.field] else "seen and wrong"
            probability = f"{change.probability:g}" if proposed else ""
            reason += ", as the audit proposed" if proposed else ""
            key = keys[change.field]
            return out | {key: self._line(key, labels[change.field], change.value, reason, probability)}
        fields = [change.field] if change.field else [name for name in FIELDS if states[name] != CHANGED]
        return out | {
            keys[field]: self._line(keys[field], labels[field], labels[field], "seen and right")
            for field in fields
            if labels[field]
        }

    @staticmethod
    def _line(key: Key, old: str, new: str, reason: str, probability: str = "") -> _Line:
        return _Line(*key, old, new, reason, probability)

    def _put(self, lines: dict[Key, _Line | None]) -> list[int]:
        """Save lines (None: without), then believe them."""
        texts = {key: text for key, text in self._texts.items() if key not in lines}
        texts |= {key: _text(line) for key, line in lines.items() if line}
        if lines:
            _write(self.path, texts.values())
        for key, line in lines.items():
            self._lines.pop(key, None)
            if line:
                self._lines[key] = line
        self._texts = texts
        rows = sorted({self._rows[face_id, place] for face_id, place, _ in lines})
        self._restate(rows)
        return rows

    def _restate(self, rows: Iterable[int]) -> None:
        for row in rows:
            states = {state for _, state in self.verdicts(row).values()}
            self._states.pop(row, None)
            if states:
                self._states[row] = next(state for state in (REJECTED, CHANGED, CONFIRMED) if state in states)


def _state(line: _Line, label: str) -> str | None:
    """The decision in a line of the patch, given the current label of its face; None where it is on another label."""
    if label not in (line.old, line.new):
        return None
    if not line.new and line.reason.startswith("reject"):
        return REJECTED
    return CONFIRMED if line.new == label else CHANGED


def _read(path: Path, faces: list[tuple[str, str]]) -> dict[Key, _Line]:
    """Lines of a patch by face and field, the last one of each; a line without a path is about all copies of a face."""
    if not path.exists():
        return {}
    copies: dict[str, list[str]] = {}
    for face_id, place in faces:
        copies.setdefault(face_id, []).append(place)
    lines: dict[Key, _Line] = {}
    for values in read_patch(path)[list(PATCH_COLUMNS)].itertuples(index=False, name=None):
        line = _canonical(_Line(*values))
        for place in [line.path] if line.path else copies.get(line.face_id, [""]):
            lines[line.face_id, place, line.field] = line._replace(path=place)
    return lines


def _canonical(line: _Line) -> _Line:
    try:
        return line._replace(old=canonical(line.field, line.old), new=canonical(line.field, line.new))
    except (KeyError, LabelError):
        return line


def _text(line: tuple[str, ...]) -> str:
    buffer = io.StringIO()
    odd = "\r" in "".join(line)  # names of files may hold one, and Python's csv leaves it unquoted
    csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL).writerow(line)
    return buffer.getvalue()


def _write(path: Path, texts: Iterable[str]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(_text(tuple(PATCH_COLUMNS)) + "".join(texts), encoding="utf-8", newline="")


def _locked(path: Path) -> FileLock:
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise MaskclsError(f"{shown(path)}: another review writes here; end it, or name other --decisions") from None
    except OSError as error:
        raise MaskclsError(f"{shown(path)}: cannot be written ({error.strerror})") from error
    return lock
