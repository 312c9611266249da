"""What the review page asks to be decided, checked before anything is done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from ....embedder.faceset.corrections import FIELDS, canonical
from ....embedder.labels import LabelError

SET, CONFIRM, REJECT, CLEAR = "set", "confirm", "reject", "clear"
ACTS = (SET, CONFIRM, REJECT, CLEAR)
MAX_CHANGES = 20_000
_KEYS = {"row", "act", "field", "value", "probability"}


class ChangeError(ValueError):
    """A change that cannot be made; the text is the reason."""


class Change(NamedTuple):
    """One decision about one face.

    Attributes:
        row: of the table of faces.
        act: ``set`` gives ``field`` the label ``value``, ``confirm`` finds a label right (all that are known and not
            changed, where no field is named), ``reject`` empties all labels, ``clear`` takes decisions back.
        field: ``mask``, ``gender``, ``age`` or empty.
        value: a label as a patch writes it; empty where the label is unknown.
        probability: that the label was wrong (0-1), where the audit's proposal is taken.
    """

    row: int
    act: str
    field: str = ""
    value: str = ""
    probability: float | None = None


def read_changes(content: object, rows: int) -> list[Change]:
    """The changes in a request's JSON, ``{"changes": [{"row": …, "act": …}, …]}``.

    Args:
        rows: faces that there are.

    Raises:
        ChangeError: it holds something else, a label that is none, or too much.
    """
    changes = content.get("changes") if isinstance(content, Mapping) else None
    if not isinstance(changes, list) or not changes:
        raise ChangeError("a request holds a list of changes")
    if len(changes) > MAX_CHANGES:
        raise ChangeError(f"{len(changes)} changes at once; the limit is {MAX_CHANGES}")
    return [_read(change, rows) for change in changes]


def _read(change: object, rows: int) -> Change:
    if not isinstance(change, Mapping) or not set(change) <= _KEYS:
        raise ChangeError(f"a change holds {', '.join(sorted(_KEYS))} and nothing else")
    row, act, field = change.get("row"), change.get("act"), change.get("field", "")
    value, probability = change.get("value", ""), change.get("probability")
    if type(row) is not int or not 0 <= row < rows:
        raise ChangeError("there is no such face")
    if act not in ACTS:
        raise ChangeError(f"what to do is one of {', '.join(ACTS)}")
    if field not in FIELDS and (field != "" or act == SET):
        raise ChangeError(f"a field is one of {', '.join(FIELDS)}")
    if not isinstance(value, str) or len(value) > 20:
        raise ChangeError("a label is a short text")
    if probability is not None and not (
        type(probability) in (int, float) and math.isfinite(probability) and 0 <= probability <= 1
    ):
        raise ChangeError("a probability is a number from 0 to 1")
    if act == SET:
        try:
            value = canonical(field, value)
        except LabelError as error:
            raise ChangeError(str(error)) from None
    return Change(row, act, field, value, probability)
