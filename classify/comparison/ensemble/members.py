"""The members of an ensemble: out-of-fold answers of several models to the same faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ....embedder.errors import MaskclsError
from ....embedder.photo import shown
from ...data.identity import sharing
from ...evaluation.cross_validation import FACE_COLUMNS, TRUTH
from ...metrics.scored import COLUMNS, scored_faces
from ...tasks import PROBABILITIES

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ENSEMBLE = "ensemble"
"""What the mixture is called beside its members."""
NEEDED = ("face_id", "fold", *COLUMNS)
"""Columns of a file of answers that are read."""
_TEXTS = dict.fromkeys(("face_id", "path", "source", "true_mask", "true_gender", "true_race", *PROBABILITIES), "str")
_YEARS = ("true_age_low", "true_age_high", "age", "age_low", "age_high")


@dataclass(frozen=True)
class Members:
    """Answers of m models, row i of all of them about the same face.

    Attributes:
        names: of the models, by their files.
        tables: their answers, columns as ``maskcls evaluate --predictions`` writes them.
        people: (n,) persons: faces that any of the models takes for one person are one.
    """

    names: tuple[str, ...]
    tables: tuple[pd.DataFrame, ...]
    people: Ints

    @property
    def fold(self) -> Ints:
        """(n,) fold of each face, the same for all members."""
        return self.tables[0]["fold"].to_numpy(np.int64)

    @property
    def faces(self) -> pd.DataFrame:
        """What the faces are, beside the predictions: where they are from, their true labels, person and fold."""
        first = self.tables[0]
        kept = [name for name in first if name in FACE_COLUMNS or str(name).startswith("true_")]
        return first[kept].assign(person=self.people, fold=self.fold)

    @property
    def true_ages(self) -> tuple[Floats, Floats]:
        """First and last year (n,) of the true ages, NaN where unknown."""
        low, high = (self.tables[0][f"true_age_{end}"].to_numpy(np.float64) for end in ("low", "high"))
        return low, high


def read_members(paths: Sequence[Path]) -> Members:
    """Read files of out-of-fold answers that can be mixed.

    Raises:
        MaskclsError: one line: a file is unreadable or holds no such answers, or other faces, folds or labels than the
            first one; or a person of one file is in two folds, so that weights would be fitted on people they are
            used for.
    """
    names = [shown(path.stem) for path in paths]
    if len({*names, ENSEMBLE}) <= len(names):
        names = [shown(str(path)) for path in paths]
    if len(set(names)) < len(names):
        raise MaskclsError("a file is named twice; name each member once")
    tables = [_read(path) for path in paths]
    first, where = tables[0], shown(paths[0])
    for path, table in zip(paths[1:], tables[1:], strict=True):
        _check_same(first, where, table, shown(path))
    tables = [table.set_index("face_id").loc[first["face_id"]].reset_index() for table in tables]
    people = sharing([table["person"] for table in tables])
    members = Members(tuple(names), tuple(tables), people)
    folds = pd.Series(members.fold).groupby(people).nunique()
    if len(np.unique(members.fold)) < 2:
        raise MaskclsError(f"{where}: all answers are of one fold, and weights are fitted on the others; it takes two")
    if (folds > 1).any():
        row = int(np.flatnonzero(people == folds.idxmax())[0])
        raise MaskclsError(
            f"{(folds > 1).sum()} people are in more than one fold, when the people of all files are joined, such as "
            f"{shown(str(first['path'][row]))}; evaluate all members on the same sets with one --split"
        )
    return members


def _check_same(first: pd.DataFrame, where: str, table: pd.DataFrame, there: str) -> None:
    one, other = first.set_index("face_id"), table.set_index("face_id")
    for here, lacks, name in ((one, other, there), (other, one, where)):
        if len(gone := here.index.difference(lacks.index)):
            example = shown(str(here["path"][gone[0]]))
            raise MaskclsError(
                f"{name}: no answer for {len(gone)} of {len(here)} faces that {where if name == there else there} "
                f"answers for, such as {example}; evaluate both on the same sets"
            )
    other = other.loc[one.index]
    if (apart := one["fold"] != other["fold"]).any():
        raise MaskclsError(
            f"{there}: {apart.sum()} of {len(one)} faces are in another fold than in {where}; evaluate both with one "
            "--split"
        )
    for label in TRUTH:
        ours, theirs = one[f"true_{label}"], other[f"true_{label}"]
        if (apart := (ours != theirs) & (ours.notna() | theirs.notna())).any():
            raise MaskclsError(
                f"{there}: {apart.sum()} faces have another true {label} than in {where}, such as "
                f"{shown(str(one['path'][apart].iloc[0]))}; evaluate both on the same labels"
            )


def read_table(path: Path) -> pd.DataFrame:
    """A table of answers, CSV or Parquet.

    Raises:
        MaskclsError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return pd.read_parquet(file) if path.suffix == ".parquet" else pd.read_csv(file, dtype=_TEXTS)
    except Exception as error:  # pandas and pyarrow raise many types on a damaged table
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:150]
        raise MaskclsError(f"{shown(path)}: cannot be read as predictions ({shown(reason)})") from error


def _read(path: Path) -> pd.DataFrame:
    where, table = shown(path), read_table(path)
    if lacking := [name for name in (*NEEDED, "path") if name not in table]:
        raise MaskclsError(
            f"{where}: no column {', '.join(lacking)}; name out-of-fold answers as of `maskcls evaluate --predictions`"
        )
    if table.empty:
        raise MaskclsError(f"{where}: no answers in there")
    if table["face_id"].duplicated().any():
        raise MaskclsError(f"{where}: a face has two answers; name the answers of one model")
    try:
        table = table.astype({"fold": "int64", "person": "int64"} | dict.fromkeys(_YEARS, "float64"))
        scored_faces(table)
        return table
    except (ValueError, TypeError) as error:
        raise MaskclsError(f"{where}: cannot be read as answers ({shown(str(error))[:150]})") from error
