"""A legend: what the codes of a data set, such as 0 and 1, mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import MaskclsError
from ..labels import LabelError, parse_age, parse_gender, parse_mask

PARSERS: dict[str, Callable[[str], Any]] = {"mask": parse_mask, "gender": parse_gender, "age": parse_age}
"""Task -> what reads its labels; raises :class:`~..labels.LabelError` for a text that is none."""
EXAMPLES = {"mask": "mask:0=normal,1=wear", "gender": "gender:0=male,1=female", "age": "age:0=<30,1=30-59,2=>=60"}
"""Task -> a legend as :func:`read_legend` takes it."""


@dataclass(frozen=True)
class Legend:
    """Task -> code in lower case -> the label that it stands for."""

    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def label(self, task: str, text: str) -> str:
        """The label that a text stands for, the text itself where it is no code of the task."""
        return self.words.get(task, {}).get(_code(text), text)

    def tasks(self, text: str) -> list[str]:
        """The tasks that a text is a code of."""
        return [task for task, words in self.words.items() if _code(text) in words]


def read_legend(texts: Sequence[str]) -> Legend:
    """The legend that ``gender:0=male,1=female`` and the like give, one text a task.

    Raises:
        MaskclsError: a text is not of this form, or gives a code no label of its task, or two.
    """
    legend: dict[str, dict[str, str]] = {}
    for text in texts:
        task, colon, pairs = text.partition(":")
        task = task.strip().lower()
        if not colon or task not in PARSERS:
            raise MaskclsError(f"legend {text!r}: not of the form {' or '.join(EXAMPLES.values())}")
        for pair in pairs.split(","):
            code, equals, word = pair.partition("=")
            if not equals or not code.strip():
                raise MaskclsError(f"legend {text!r}: {pair!r} is not CODE=LABEL, as in {EXAMPLES[task]}")
            try:
                PARSERS[task](word)
            except LabelError as error:
                raise MaskclsError(f"legend {text!r}: {error}") from None
            if legend.setdefault(task, {}).setdefault(_code(code), word) != word:
                raise MaskclsError(f"legend {text!r}: code {code.strip()!r} is given twice")
    return Legend(legend)


def is_code(text: str) -> bool:
    """Whether a text that is no label is a number, which a legend may explain."""
    return re.fullmatch(r"\d+(?:\.0+)?", text.strip()) is not None


def _code(text: str) -> str:
    """A code as it is compared: a table that had gaps writes 1 as 1.0."""
    return re.sub(r"^(\d+)\.0+$", r"\1", text.strip().lower())
