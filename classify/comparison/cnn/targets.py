"""Labels as a network reads them: a class number for each face and task, -1 where a dataset does not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from ....embedder.errors import MaskclsError
from ....embedder.labels import AGE_BANDS, BAND_STARTS, GENDERS, MASKS
from .settings import Settings, Task

Ints = npt.NDArray[np.int64]
CLASSES: dict[Task, tuple[str, ...]] = {"mask": MASKS, "gender": GENDERS, "age": AGE_BANDS}
COLUMNS: dict[Task, str] = {"mask": "mask", "gender": "gender", "age": "age_band"}
"""Task -> its name in tables of answers."""
UNKNOWN = -1
FEWEST_PEOPLE = 2


@dataclass(frozen=True)
class Targets:
    """Labels of n faces.

    Attributes:
        classes: of each task that is learnt, those that are.
        learnt: task -> (n,) class number, the old counted from ``senior_from`` on.
        true: the same, the old counted from 60 on: what early stopping and calibration go by.
        notes: lines about what cannot be learnt.
    """

    classes: Mapping[Task, tuple[str, ...]]
    learnt: Mapping[Task, Ints]
    true: Mapping[Task, Ints]
    notes: tuple[str, ...]


def targets_of(table: pd.DataFrame, people: Ints, settings: Settings, named: bool) -> Targets:
    """Class numbers of all faces of a table for the tasks of the settings.

    A class that fewer than two people show is not learnt, and a task with fewer than two such classes is left out;
    a note says so.

    Args:
        people: (n,) person of each face.
        named: the tasks were asked for by name: one that cannot be learnt is an error then.

    Raises:
        MaskclsError: there is only one person, no task can be learnt, or one that was named cannot.
    """
    if len(np.unique(people)) < 2:
        raise MaskclsError("all faces are of one person; it takes other people to train on and to be held out")
    words = _words(table, settings.senior_from), _words(table, BAND_STARTS[2])
    classes: dict[Task, tuple[str, ...]] = {}
    notes = []
    for task in settings.tasks:
        shown = pd.Series(people).groupby(words[0][task].to_numpy(object)).nunique()
        usable = tuple(name for name in CLASSES[task] if shown.get(name, 0) >= FEWEST_PEOPLE)
        lacking = [name for name in CLASSES[task] if name not in usable]
        lack = f"{task} {', '.join(lacking)}: fewer than {FEWEST_PEOPLE} people show it"
        if len(usable) >= 2:
            classes[task] = usable
            notes += [f"{lack}, so it is not learnt and never said"] if lacking else []
        elif named:
            raise MaskclsError(f"{lack}, so {task} cannot be learnt; add such faces, or leave it out of --tasks")
        else:
            notes.append(f"{lack}, so {task} is left out")
    if not classes:
        raise MaskclsError(f"nothing to learn: {'; '.join(notes)}")
    learnt, true = ({task: _numbers(one[task], names) for task, names in classes.items()} for one in words)
    return Targets(classes, learnt, true, tuple(notes))


def age_words(low: pd.Series[float], high: pd.Series[float], senior_from: int) -> pd.Series[str]:
    """Band of each age from ``low`` to ``high`` (n,) years, null where unknown or across a border."""
    borders = [BAND_STARTS[1], senior_from]
    first, last = (np.digitize(end.to_numpy(np.float64), borders) for end in (low, high))
    known = low.notna().to_numpy() & high.notna().to_numpy() & (first == last)
    return pd.Series(np.array(AGE_BANDS, object)[first.clip(0, 2)], low.index, dtype="str").where(known)


def _words(table: pd.DataFrame, senior_from: int) -> dict[Task, pd.Series[str]]:
    age = age_words(table["age_low"], table["age_high"], senior_from)
    return {"mask": table["mask"], "gender": table["gender"], "age": age}


def _numbers(words: pd.Series[str], classes: tuple[str, ...]) -> Ints:
    return pd.Index(classes, dtype=object).get_indexer(pd.Index(words.to_numpy(object))).astype(np.int64)
