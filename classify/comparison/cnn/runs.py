"""Runs in a folder, side by side, each scored on the faces that all of them predict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ....embedder.errors import MaskclsError
from ....embedder.photo import shown
from ...metrics.bootstrap import Bootstrap, Counts, Floats, Statistic, mean
from ...metrics.confusion import flattened, macro_f1
from ...metrics.scored import COLUMNS, ScoredFaces, scored_faces
from ..ensemble.members import read_table
from .trained import ANSWERS, read_config

Measure = Callable[[ScoredFaces], tuple[Counts, Statistic]]
ROUNDS = 1000


def _share(right: Callable[[ScoredFaces], Floats]) -> Measure:
    return lambda scored: (Counts.mean(right(scored)), mean)


def _macro(task: str) -> Measure:
    return lambda scored: (scored.tasks[task].counts(), flattened(macro_f1))


MEASURES: dict[str, Measure] = {
    "mask accuracy": _share(lambda scored: scored.mask.correct),
    "mask macro F1": _macro("mask"),
    "gender accuracy": _share(lambda scored: scored.gender.correct),
    "gender accuracy, masked": _share(lambda scored: np.where(scored.masked, scored.gender.correct, np.nan)),
    "age band accuracy": _share(lambda scored: scored.age_band.correct),
    "age band macro F1": _macro("age_band"),
    "recall >=60": _share(lambda scored: np.where(scored.age_band.truth == 2, scored.age_band.correct, np.nan)),
    "18-class macro F1": _macro("joint"),
}


@dataclass(frozen=True)
class Entry:
    """A run, or a table of predictions made elsewhere.

    Attributes:
        config: of a run, else empty.
        predictions: out-of-fold predictions, None while a run is not finished.
    """

    name: str
    config: Mapping[str, Any]
    predictions: pd.DataFrame | None


def find_runs(folder: Path) -> list[Entry]:
    """The runs directly in a folder, by name; or the one run that the folder is.

    Raises:
        MaskclsError: there is none, or a run's predictions cannot be read.
    """
    here = [folder] if read_config(folder) else sorted(folder.iterdir()) if folder.is_dir() else []
    found = [(path, config) for path in here if (config := read_config(path))]
    if not found:
        raise MaskclsError(f"{shown(folder)}: no runs in there; make one with `maskcls train FACES --out RUN`")
    return [
        Entry(shown(path.name), config, read_predictions(path / ANSWERS) if "files" in config else None)
        for path, config in found
    ]


def read_predictions(path: Path) -> pd.DataFrame:
    """Out-of-fold predictions with true labels, as ``train`` and ``evaluate`` write them.

    Raises:
        MaskclsError: the file cannot be read or is no such table.
    """
    table = read_table(path)
    if missing := [name for name in ("face_id", *COLUMNS) if name not in table]:
        raise MaskclsError(f"{shown(path)}: no predictions of `train` or `evaluate`: column {missing[0]} is missing")
    return table


@dataclass(frozen=True)
class Comparison:
    """Scores of several entries on the same faces.

    Attributes:
        faces, people: what the figures rest on.
        rows: one an entry: ``name`` and, by measure, ``{value, low, high, faces, people}``; all but the first also
            ``difference`` to the first, by measure, with a paired 95 % interval.
    """

    faces: int
    people: int
    rows: list[dict[str, Any]]


def compare(entries: Sequence[Entry], rounds: int = ROUNDS, seed: int = 0) -> Comparison:
    """Score finished entries on the faces that all of them predict; people are resampled, for all alike.

    Raises:
        MaskclsError: no face is predicted by all, or two entries give a face other labels.
    """
    tables = {entry.name: entry.predictions.set_index("face_id") for entry in entries if entry.predictions is not None}
    if not tables:
        return Comparison(0, 0, [])
    first, *others = tables.values()
    common = first.index
    for table in others:
        common = common.intersection(table.index, sort=False)
    if not len(common):
        raise MaskclsError(f"{' and '.join(tables)}: no face is predicted by all; compare runs on the same sets")
    people = first.loc[common, "person"]
    scored = {name: scored_faces(table.loc[common].assign(person=people)) for name, table in tables.items()}
    bootstrap = Bootstrap(people.to_numpy(np.int64), rounds, seed)
    (base_name, base), *others_scored = scored.items()
    for name, one in others_scored:
        relabelled = [task.truth != base.tasks[kind].truth for kind, task in one.tasks.items()]
        if count := int(np.any(relabelled, axis=0).sum()):
            raise MaskclsError(
                f"{base_name} and {name}: other labels of {count} faces; predict again with the current labels"
            )
    rows = []
    for name, one in scored.items():
        row: dict[str, Any] = {"name": name, "difference": {}}
        for measure, made in MEASURES.items():
            counts, statistic = made(one)
            row[measure] = bootstrap.estimate(counts, statistic).row()
            if name != base_name:
                gain = bootstrap.difference(counts, made(base)[0], statistic).row()
                row["difference"][measure] = {end: gain[end] for end in ("value", "low", "high")}
        rows.append(row)
    return Comparison(len(common), int(people.nunique()), rows)


def differing(entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Settings (and seed) in which runs differ -> the value of each, in their order."""
    runs = [entry.config for entry in entries if entry.config]
    values = [{**run.get("settings", {}), "seed": run.get("seed"), "weights": _name(run)} for run in runs]
    names = list(dict.fromkeys(name for value in values for name in value))
    shown_ = {name: [_short(value.get(name)) for value in values] for name in names}
    return {name: given for name, given in shown_.items() if len(set(given)) > 1}


def _name(run: Mapping[str, Any]) -> str:
    return (run.get("weights") or {}).get("name") or "from scratch"


def _short(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items()) or "-"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return str(value)
