"""What the library answers with: one table of answers that was checked, in the forms that code wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...embedder.labels import class_id
from ..tasks import PROBABILITIES
from .job import ANSWERED, COLUMNS

STATUSES = (*ANSWERED, "no_face", "unreadable")
ROUNDING = 5e-4
"""Probabilities of a task add up to 1 within this much: they are rounded to four decimals."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Answers about n photos, in their order.

    Attributes:
        table: one row a photo, columns :data:`~.job.COLUMNS`: ``path``, ``status`` (``ok``, ``unsure``,
            ``no_face``, ``unreadable``), ``reason``, what is said, probabilities (0-1), years, and the voters. What was
            not answered is missing.

    Raises:
        ValueError: the table has other columns, or says what no answer can say.
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        if tuple(self.table.columns) != COLUMNS:
            raise ValueError(f"columns {list(self.table.columns)}; answers have {list(COLUMNS)}")
        for number, row in enumerate(self):
            if problem := _problem(row):
                raise ValueError(f"row {number} ({row['path']}): {problem}")

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each row by column name, as plain Python values; None is missing."""
        for row in self.table.to_dict("records"):
            yield {str(name): _plain(value) for name, value in row.items()}

    def __getitem__(self, number: int) -> dict[str, Any]:
        """One row; see :meth:`__iter__`."""
        return {str(name): _plain(value) for name, value in self.table.iloc[number].items()}

    def __repr__(self) -> str:
        counts = Counter(self.table["status"])
        return f"Predictions({', '.join(f'{counts[name]} {name}' for name in STATUSES if counts[name]) or 'none'})"

    def to_frame(self) -> pd.DataFrame:
        """A copy of the table, as ``maskcls predict`` writes it."""
        return self.table.copy()

    def to_dict(self) -> dict[str, list[Any]]:
        """Column -> n values, plain Python, fit for JSON; None is missing."""
        rows = list(self)
        return {name: [row[name] for row in rows] for name in COLUMNS}


def _problem(row: dict[str, Any]) -> str | None:
    """What is wrong with a row; None where nothing is."""
    if row["status"] not in STATUSES:
        return f"status {row['status']!r} is none of {', '.join(STATUSES)}"
    for task, columns in PROBABILITIES.items():
        told = [row[column] for column in columns.values() if row[column] is not None]
        if row[task] is None:
            if told:
                return f"probabilities of {task} without an answer"
        elif row["status"] not in ANSWERED:
            return f"{task} is answered, but the status is {row['status']}"
        elif row[task] not in columns or row[columns[row[task]]] is None:
            return f"{task} {row[task]!r} without its probability"
        elif not all(0 <= p <= 1 for p in told) or abs(sum(told) - 1) > ROUNDING:
            return f"probabilities of {task} do not add up to 1"
    said = [row[task] for task in PROBABILITIES]
    if row["class_id"] != (None if None in said else class_id(*said)):
        return f"class {row['class_id']} is not that of {', '.join(map(str, said))}"
    ages = [row[name] for name in ("age_low", "age", "age_high")]
    if (row["age_band"] is None) != (None in ages) or (None not in ages and ages != sorted(ages)):
        return f"age {ages[1]} with the interval {ages[0]} to {ages[2]}"
    return None


def _plain(value: Any) -> Any:
    """A cell as JSON has it: missing is None, numpy's numbers are Python's."""
    return None if pd.isna(value) else value.item() if isinstance(value, np.generic) else value
