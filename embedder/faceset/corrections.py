"""Corrected labels of an embedding set: a patch is checked, applied and logged, and can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import MaskclsError
from ..labels import LabelError, age_text, parse_age, parse_gender, parse_mask
from ..photo import normal_form, shown
from ..storage.atomic_folder import recover
from ..storage.lock import locked
from .store import LOG_COLUMNS, PATCH_COLUMNS, EmbeddingSet, SetTables, open_set, replace_tables

Line = Mapping[Any, Any]
_COLUMNS: dict[str, tuple[str, ...]] = {"mask": ("mask",), "gender": ("gender",), "age": ("age_low", "age_high")}
_PARSERS: dict[str, Callable[[str], Any]] = {"mask": parse_mask, "gender": parse_gender, "age": parse_age}
FIELDS = tuple(_PARSERS)
"""What a patch can change."""
FIRST_LINE = 2
"""Number of a patch's first line below its header."""


@dataclass
class Outcome:
    """What became of a patch's lines, by their number in the file (from :data:`FIRST_LINE` on).

    Attributes:
        changed: these labels are others now.
        confirmed: these were looked at and are right.
        done: these were applied before.
        refused: these were not applied, and why.
    """

    changed: set[int] = field(default_factory=set)
    confirmed: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)


def labels_of(table: pd.DataFrame) -> pd.DataFrame:
    """Labels of a table of faces as a patch writes them: texts in the columns :data:`FIELDS`, empty where unknown."""
    ages = [age_text(low, high) for low, high in zip(table["age_low"], table["age_high"], strict=True)]
    words = {name: table[name].fillna("").astype("str") for name in ("mask", "gender")}
    return pd.DataFrame(words | {"age": pd.Series(ages, table.index, dtype="str")})


def canonical(name: str, text: str) -> str:
    """A label of one of the :data:`FIELDS` as :func:`labels_of` writes it.

    Raises:
        LabelError: it is none.
    """
    value = _PARSERS[name](text)
    return age_text(*value) if name == "age" else value or ""


def read_patch(path: Path) -> pd.DataFrame:
    """A patch: one row a label, texts in the columns :data:`~.store.PATCH_COLUMNS`; those it lacks are empty.

    ``old`` and ``new`` are labels as :func:`labels_of` writes them, or as a person would; equal ones confirm a label.

    Raises:
        MaskclsError: the file cannot be read, or lacks ``face_id``, ``field``, ``old`` or ``new``.
    """
    try:
        table = pd.read_csv(path, dtype="str", keep_default_na=False)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a CSV table in UTF-8"
        raise MaskclsError(f"{shown(path)}: {reason}; name a patch such as `maskcls audit` writes") from None
    if lacking := [name for name in ("face_id", "field", "old", "new") if name not in table.columns]:
        raise MaskclsError(f"{shown(path)}: no column {', '.join(lacking)}; a patch has {', '.join(PATCH_COLUMNS)}")
    return table.reindex(columns=list(PATCH_COLUMNS), fill_value="")


def apply_patch(folders: list[Path], patch: pd.DataFrame) -> Outcome:
    """Apply a patch to embedding sets; each set changes as a whole or not at all.

    A line is refused where its face is in none of the sets, its field or label is none, or its ``old`` is not what
    the set has now.

    Raises:
        MaskclsError: a set is missing, damaged or written to by another run.
    """
    outcome = Outcome()
    lines: dict[int, Line] = dict(enumerate(patch.to_dict("records"), FIRST_LINE))
    for number, line in lines.items():
        if reason := _unusable(line):
            outcome.refused[number] = reason
    left = {number: line for number, line in lines.items() if number not in outcome.refused}
    for folder in folders:
        with locked(folder):
            found, labels = _open(folder)
            done: list[Line] = []
            for number in [number for number, line in left.items() if labels.holds(line)]:
                if labels.apply(line := left.pop(number), number, outcome):
                    done.append(line)
            if done:
                batch = int(found.corrections["batch"].max()) + 1 if len(found.corrections) else 1
                stamp = {"batch": batch, "time": datetime.now(UTC).isoformat(timespec="seconds")}
                added = pd.DataFrame([{**line, **stamp} for line in done], columns=list(LOG_COLUMNS))
                log = pd.concat([found.corrections, added.astype(LOG_COLUMNS)], ignore_index=True)
                _save(folder, found, labels.table(), log)
    for number, line in left.items():
        outcome.refused[number] = f"no face {shown(str(line['face_id']))} {shown(str(line['path']))}".rstrip()
    return outcome


def undo_patch(folder: Path) -> int:
    """Take the last batch of corrections of a set back, and return how many labels that changed.

    Raises:
        MaskclsError: there is none, or the set is missing, damaged or written to by another run.
    """
    with locked(folder):
        found, labels = _open(folder)
        log = found.corrections
        if log.empty:
            raise MaskclsError(f"{shown(folder)}: no corrections to take back")
        last = log["batch"] == log["batch"].max()
        outcome = Outcome()
        for number, line in reversed(list(enumerate(log[last].to_dict("records")))):
            labels.apply({**line, "old": line["new"], "new": line["old"]}, number, outcome)
        _save(folder, found, labels.table(), log[~last])
    return len(outcome.changed)


def corrected(table: pd.DataFrame, log: pd.DataFrame) -> pd.DataFrame:
    """A table of faces with labels read anew, after all corrections of a log.

    A correction holds as long as the label it was made to still stands; where the source has been changed since, the
    source is believed.
    """
    labels, outcome = _Labels(table), Outcome()
    for number, line in enumerate(log.to_dict("records")):
        if labels.holds(line):
            labels.apply(line, number, outcome)
    return labels.table()


def confirmed_labels(found: EmbeddingSet) -> set[tuple[str, str, str]]:
    """``(face_id, field, label)`` of the labels of a set that somebody has confirmed or corrected."""
    log = found.corrections[["face_id", "field", "new"]]
    return set(log.itertuples(index=False, name=None))


class _Labels:
    """Labels of a table that lines of a patch are applied to."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table
        self._texts = {name: column.to_list() for name, column in labels_of(table).items()}
        self._values = {name: table[name].to_list() for columns in _COLUMNS.values() for name in columns}
        self._paths = table["path"].to_list()
        self._rows: dict[str, list[int]] = {}
        for row, face_id in enumerate(table["face_id"]):
            self._rows.setdefault(face_id, []).append(row)

    def holds(self, line: Line) -> bool:
        """Whether a line is about a face of this table."""
        return bool(self._faces(line))

    def apply(self, line: Line, number: int, outcome: Outcome) -> bool:
        """Apply a line to the faces it is about, note the outcome, and return whether it is worth a log line."""
        name = line["field"]
        old, new = (canonical(name, line[side]) for side in ("old", "new"))
        rows = self._faces(line)
        now = {self._texts[name][row] for row in rows}
        if now == {new}:
            (outcome.confirmed if old == new else outcome.done).add(number)
            return old == new
        if now != {old}:
            found = " and ".join(sorted(text or "nothing" for text in now))
            outcome.refused[number] = f"{shown(str(self._paths[rows[0]]))}: {name} is {found}, not {old or 'nothing'}"
            return False
        value = _PARSERS[name](new)
        values = value if name == "age" else (value,)
        for row in rows:
            self._texts[name][row] = new
            for column, one in zip(_COLUMNS[name], values, strict=True):
                self._values[column][row] = one
        outcome.changed.add(number)
        return True

    def table(self) -> pd.DataFrame:
        """The table with its labels as they are now."""
        columns = {
            name: pd.Series(values, self._table.index, dtype=self._table[name].dtype)
            for name, values in self._values.items()
        }
        return self._table.assign(**columns)

    def _faces(self, line: Line) -> list[int]:
        rows = self._rows.get(line["face_id"], [])
        path = normal_form(line["path"])
        return [row for row in rows if path in ("", normal_form(self._paths[row]))]


def _open(folder: Path) -> tuple[EmbeddingSet, _Labels]:
    recover(folder)
    found = open_set(folder)
    if found.pseudo is not None:
        raise MaskclsError(
            f"{shown(folder)}: holds pseudo-labels; correct the labels their model was built from instead"
        )
    return found, _Labels(found.table)


def _save(folder: Path, found: EmbeddingSet, table: pd.DataFrame, log: pd.DataFrame) -> None:
    replace_tables(folder, SetTables(table, found.rejects, found.encoder, found.settings, log))


def _unusable(line: Line) -> str | None:
    """Why no set could take a line."""
    if line["field"] not in FIELDS:
        return f"field {line['field']!r} is none of {', '.join(FIELDS)}"
    try:
        for side in ("old", "new"):
            _PARSERS[line["field"]](line[side])
    except LabelError as error:
        return str(error)
    return None
