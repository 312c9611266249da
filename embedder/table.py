"""The table of faces that all rooms share: one row a face, fixed columns and dtypes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .labels import GENDERS, MASKS, MAX_AGE
from .photo import shown

COLUMNS: dict[str, str] = {
    "face_id": "str",
    "path": "str",
    "person": "str",
    "mask": "str",
    "gender": "str",
    "race": "str",
    "age_low": "float32",
    "age_high": "float32",
    "drawn_on": "str",
    "box": "object",
    "landmarks": "object",
    "face": "str",
    "face_score": "float32",
    "faces_in_photo": "int32",
    "sharpness": "float32",
    "norm": "float32",
    "source": "str",
    "file_sha256": "str",
    "file_size": "int64",
    "file_mtime_ns": "int64",
    "label_box": "str",
}
"""Column -> pandas dtype. A missing label is null (strings) or NaN (ages).

``box`` is ``[x0, y0, x1, y1]`` and ``landmarks`` is ``[x, y] * 5`` (eyes, nose, mouth corners; empty where the
whole photo was taken), both in pixels of the upright photo; ``face`` is ``detect`` or ``whole``; ``sharpness``
is the variance of the Laplacian of the grey crop, in squared 8-bit grey levels; ``norm`` is the length of the
embedding before it was normalised; ``age_low`` and ``age_high``
are years, both ends included; ``drawn_on`` is the ``file_sha256`` of the photo that a mask was drawn on;
``label_box`` is the box of the face in the label table (``42 109 66 140``), missing where the photo's
largest face was taken.
"""


def face_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A table of rows given by column name; columns left out are missing."""
    frame = pd.DataFrame.from_records(list(rows), columns=list(COLUMNS))
    return frame.astype(COLUMNS)


def gallery_ids(face_ids: pd.Series[str]) -> Any:
    """``face_id`` (16 hexadecimal digits, below 2**63) as the int64 ids of a gallery, shape (n,)."""
    return face_ids.map(lambda digits: int(digits, 16)).to_numpy("int64")


_TESTS: dict[str, Callable[[pd.Series[Any]], pd.Series[bool]]] = {
    "face_id": lambda cells: cells.str.fullmatch("[0-7]?[0-9a-f]{1,15}"),
    "dataset": lambda cells: cells.str.fullmatch("[0-9a-f]{16}"),
    "file_sha256": lambda cells: cells.str.fullmatch("[0-9a-f]{64}"),
    "path": lambda cells: ~cells.str.contains(r"^/|(?:^|/)\.\.(?:/|$)|\0"),
    "root": lambda cells: cells.str.fullmatch("[^\0]+"),
    "mask": lambda cells: cells.isin(MASKS),
    "gender": lambda cells: cells.isin(GENDERS),
    "age_low": lambda cells: cells.between(0, MAX_AGE),
    "age_high": lambda cells: cells.between(0, MAX_AGE),
    "box": lambda cells: cells.map(len) == 4,
    "landmarks": lambda cells: cells.map(len).isin((0, 10)),
}


def check_rows(table: pd.DataFrame, never_missing: Sequence[str]) -> None:
    """Make sure that every cell of a table is one or, but for some columns, missing.

    ``root``, where the table has it, is the folder of photos, and ``path`` must stay below it.

    Raises:
        ValueError: which is not.
    """
    for name in never_missing:
        if (missing := table[name].isna()).any():
            raise ValueError(f"{name} of row {int(missing.to_numpy().argmax())} is missing")
    for name, test in _TESTS.items():
        if name not in table:
            continue
        cells = table[name].dropna()
        good = test(cells).to_numpy(bool) if len(cells) else np.ones(0, bool)
        if not good.all():
            bad = int(good.argmin())
            raise ValueError(f"{name} of row {cells.index[bad]} is {shown(str(cells.iloc[bad])[:60])}")
    if (table["age_low"] > table["age_high"]).any():
        raise ValueError("an age that ends before it begins")
