"""Folds that no person stands on two of, and the file that hands them to any tool."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from ...embedder.errors import MaskclsError
from ...embedder.labels import AGE_BANDS, GENDERS, MASKS, band_numbers
from ...embedder.photo import shown
from ...embedder.storage.atomic import replacing, write_csv
from ..data.face_set import FaceSet, Rows

COLUMNS = ("face_id", "path", "source", "person", "name", "fold")
"""Columns of a split file. ``person`` is the group the split respects, ``name`` what the dataset calls the person."""
KEYS = ("face_id", "path")
"""Columns by which a face is found in a split file; the first one that is there counts."""
UNKNOWN = "unknown"
_CLASSES = {"mask": MASKS, "gender": GENDERS, "age": AGE_BANDS}


@dataclass(frozen=True)
class Split:
    """A split that was read from a file.

    Attributes:
        fold: (n,) number of each face's fold, 0, 1, …
        names: what the file calls fold 0, 1, …
        ignored: rows of the file whose face is not in the pool.
    """

    fold: Rows
    names: tuple[str, ...]
    ignored: int


def pool_folds(pool: FaceSet, folds: int, seed: int) -> Rows:
    """Fold number (n,) of each face of a pool, the same whatever the order of its faces.

    Raises:
        MaskclsError: see :func:`person_folds`.
    """
    return person_folds(_numbers(pool), strata_of(pool.table), folds, seed)


def person_folds(people: Rows, strata: npt.ArrayLike, folds: int, seed: int) -> Rows:
    """Fold number (n,) of each face, 0 to ``folds - 1``: no person is in two folds, no fold is empty.

    Args:
        people: (n,) number of the person on each face.
        strata: (n,) labels or numbers whose shares the folds keep, face by face, as far as whole people allow;
            missing is a value of its own.
        folds: 2 or more.
        seed: of the order in which people that weigh the same are dealt out.

    Raises:
        MaskclsError: fewer than two folds, or fewer people than folds.

    Source:
        scikit-learn's ``StratifiedGroupKFold``: people are dealt out greedily, the most unevenly labelled first.
    """
    count = len(np.unique(people))
    if folds < 2:
        raise MaskclsError(f"a split has at least 2 folds, not {folds}")
    if count < folds:
        raise MaskclsError(f"{folds} folds need {folds} people, and there are {count}; choose fewer folds")
    codes = pd.factorize(np.asarray(strata), sort=True, use_na_sentinel=False)[0]
    if np.bincount(codes).max() < folds:  # nothing to keep the shares of
        codes = np.zeros_like(codes)
    fold = _dealt_out(people, codes, folds, seed)
    if len(np.unique(fold)) < folds:  # very few people: shares were kept by leaving a fold empty
        fold = _dealt_out(people, np.zeros_like(codes), folds, seed)
    return fold


def _dealt_out(people: Rows, codes: Rows, folds: int, seed: int) -> Rows:
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold = np.empty(len(people), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # small strata: scarce_classes names them
        for number, (_, rows) in enumerate(splitter.split(codes, codes, people)):
            fold[rows] = number
    return fold


def labels_of(table: pd.DataFrame) -> pd.DataFrame:
    """Class of each face by task: columns ``mask``, ``gender`` and ``age`` (band of the middle of its years).

    Args:
        table: see :data:`maskcls.embedder.table.COLUMNS`. A missing label is ``unknown``.
    """
    middle = (table["age_low"] + table["age_high"]) / 2
    age = pd.Series(np.array(AGE_BANDS)[band_numbers(middle)], table.index, dtype="str").where(middle.notna())
    return pd.DataFrame({"mask": table["mask"], "gender": table["gender"], "age": age}).fillna(UNKNOWN)


def strata_of(table: pd.DataFrame) -> pd.Series[str]:
    """Mask state, gender and age band of each face as one word, such as ``wear/male/<30``."""
    labels = labels_of(table)
    return labels["mask"] + "/" + labels["gender"] + "/" + labels["age"]


def scarce_classes(pool: FaceSet, folds: int) -> list[str]:
    """One line for each class that fewer people show than there are folds, so that some folds lack it."""
    labels, lines = labels_of(pool.table), []
    for task, classes in _CLASSES.items():
        people = pd.Series(pool.people).groupby(labels[task]).nunique()
        lines += [
            f"{task} {name}: fewer people ({people[name]}) than folds ({folds}), so some folds have none"
            for name in classes
            if name in people and people[name] < folds
        ]
    return lines


def fold_counts(pool: FaceSet, fold: Rows) -> pd.DataFrame:
    """One row a fold: ``people``, ``faces``, and the faces of each age band and of ``unknown`` age."""
    ages = pd.crosstab(fold, labels_of(pool.table)["age"].to_numpy())
    ages = ages.reindex(columns=[*AGE_BANDS, UNKNOWN], fill_value=0)
    people = pd.Series(pool.persons).groupby(fold).nunique()
    return pd.concat([people.rename("people"), ages.sum(axis=1).rename("faces"), ages], axis=1)


def write_split(path: Path, pool: FaceSet, fold: Rows) -> None:
    """Write the fold of every face as CSV or, by suffix, Parquet (:data:`COLUMNS`), atomically."""
    faces = pool.table[["face_id", "path", "source"]]
    person = [f"g{number:06}" for number in _numbers(pool)]
    table = faces.assign(person=person, name=pool.table["person"], fold=fold)
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            write_csv(temporary, table)


def read_split(path: Path, pool: FaceSet) -> Split:
    """Read the folds of a pool's faces from a CSV or Parquet file, made here or by any other tool.

    The file needs the column ``fold`` and one of :data:`KEYS`. Folds are numbered in the order of their names:
    whole numbers by value, anything else as text.

    Raises:
        MaskclsError: the file cannot be read or lacks a column or a face, a face has no fold or two, there is only
            one fold, or the split is leaky: a person of the pool is in more than one fold.
    """
    where = shown(path)
    table = _read_table(path)
    key = _key(table, where)
    faces = pool.table[key]
    if (doubled := faces[faces.duplicated()]).size:
        raise MaskclsError(f"{where}: {shown(doubled.iloc[0])} is of several faces; the file needs the column face_id")
    mine = table[key].isin(faces)
    ignored = int((~mine).sum())
    table = table.loc[mine, [key, "fold"]]
    if (lacking := faces[~faces.isin(table[key])]).size:
        count, first = f"{len(lacking)} of {len(faces)}", shown(pool.table["path"][lacking.index[0]])
        raise MaskclsError(f"{where}: {count} faces are not in this file (by {key}), first {first}")
    codes, names = _numbered(table["fold"].str.strip())
    if "" in names:
        first = shown(table.loc[codes == names.index(""), key].iloc[0])
        raise MaskclsError(f"{where}: no fold is given for {first}")
    table = table.assign(fold=codes).drop_duplicates()
    if (twice := table[table[key].duplicated()]).size:
        raise MaskclsError(f"{where}: {shown(twice[key].iloc[0])} is in more than one fold")
    if len(names) < 2:
        raise MaskclsError(f"{where}: all faces are in one fold ({shown(names[0])}); a split has at least 2")
    fold = table.set_index(key)["fold"].reindex(faces).to_numpy(np.int64)
    _refuse_leaks(where, pool, fold, names)
    return Split(fold, names, ignored)


def fold_people(path: Path, pool: FaceSet, fold: str) -> Rows:
    """Numbers of the people with a face in one fold of a split file, which may lack faces of the pool.

    Raises:
        MaskclsError: the file cannot be read, lacks a column, or has no such fold.
    """
    where, table = shown(path), _read_table(path)
    key = _key(table, where)
    codes, names = _numbered(table["fold"].str.strip())
    if fold not in names:
        raise MaskclsError(f"{where}: no fold {shown(fold)}; it has {shown(', '.join(names))}")
    here = pool.table[key].isin(table[key][codes == names.index(fold)]).to_numpy(bool)
    return np.unique(pool.people[here & pool.real])


def _key(table: pd.DataFrame, where: str) -> str:
    key = next((name for name in KEYS if name in table), None)
    if key is None or "fold" not in table:
        have = shown(", ".join(map(str, table.columns)))
        raise MaskclsError(f"{where}: a split has the columns fold and {' or '.join(KEYS)}; this file has {have}")
    return key


def _refuse_leaks(where: str, pool: FaceSet, fold: Rows, names: tuple[str, ...]) -> None:
    leaky = pd.Series(fold).groupby(pool.people).nunique() > 1
    if not leaky.any():
        return
    of_first = np.flatnonzero(pool.people == leaky.idxmax())
    pair = (of_first[0], of_first[fold[of_first] != fold[of_first[0]]][0])
    example = " and ".join(f"{shown(pool.table['path'][row])} in fold {shown(names[fold[row]])}" for row in pair)
    count = f"{int(leaky.sum())} of {len(leaky)} people"
    raise MaskclsError(f"{where}: leaky, {count} are in more than one fold, such as {example}")


def _numbers(pool: FaceSet) -> Rows:
    """Numbers of the pool's people, 0, 1, … in the order of each one's smallest ``face_id``."""
    smallest = pool.table["face_id"].groupby(pool.people).transform("min")
    return pd.factorize(smallest, sort=True)[0].astype(np.int64)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        with path.open("rb") as file:
            if path.suffix == ".parquet":
                return pd.read_parquet(file).astype("string").fillna("").astype("str")
            return pd.read_csv(file, dtype="str", keep_default_na=False)
    except Exception as error:  # pandas and pyarrow raise many types on a damaged table
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:150]
        raise MaskclsError(f"{shown(path)}: cannot be read as a split ({shown(reason)})") from error


def _numbered(cells: pd.Series[str]) -> tuple[Rows, tuple[str, ...]]:
    """Number of each cell (n,) and the sorted names; ``1``, ``1.0`` and ``01`` are one name if all are numbers."""
    numbers = pd.to_numeric(cells, errors="coerce")
    if (numbers % 1 == 0).all():
        codes, values = pd.factorize(numbers, sort=True)
        return codes.astype(np.int64), tuple(f"{value:.0f}" for value in values)
    codes, texts = pd.factorize(cells, sort=True)
    return codes.astype(np.int64), tuple(map(str, texts))
