"""Answers to new photos, mixed by weights that were fitted on out-of-fold answers of the same models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ....embedder.errors import MaskclsError
from ....embedder.photo import shown
from ...metrics.scored import COLUMNS as SCORED
from ...metrics.scored import scored_faces
from ...tasks import PROBABILITIES
from .ensemble import Mixing, mixed_answers
from .members import read_table

_NEEDED = ("path", "status", *PROBABILITIES, *(name for names in PROBABILITIES.values() for name in names.values()))
_YEARS = ("age", "age_low", "age_high")


def mix_predictions(paths: Sequence[Path], weights: Path) -> pd.DataFrame:
    """Mix ``predictions.csv`` of several models, in the order in which the weights were fitted.

    A photo that some of the members answer is answered by these; one that none answers keeps the first one's status
    and reason.

    Returns:
        ``path``, ``status``, ``reason`` and the columns of :func:`.ensemble.mixed_answers`, in the first file's order.

    Raises:
        MaskclsError: a file is unreadable or about other photos, or the weights are of another number of members.
    """
    members, mixing = _read_weights(weights)
    if len(members) != len(paths):
        raise MaskclsError(
            f"{shown(weights)}: weights of {len(members)} members ({shown(', '.join(members))}), and {len(paths)} "
            "files are named; name one for each of them, in this order"
        )
    tables = [_read(path) for path in paths]
    first = tables[0]
    for path, table in zip(paths, tables, strict=True):
        if apart := set(first.index) ^ set(table.index):
            raise MaskclsError(
                f"{shown(path)}: about other photos than {shown(paths[0])}, such as {shown(min(apart))}; predict the "
                "same folder with each model"
            )
    tables = [table.loc[first.index].reset_index() for table in tables]
    unknown = {name: None for name in SCORED if name.startswith("true_")}
    scored = [scored_faces(table.assign(person=0, source=None, **unknown)) for table in tables]
    mixed = mixed_answers(tables, scored, mixing)
    answered = mixed[list(PROBABILITIES)].notna().any(axis=1)
    head = tables[0][["path"]].assign(
        status=tables[0]["status"].where(~answered, "ok"), reason=tables[0]["reason"].where(~answered)
    )
    return pd.concat([head, mixed], axis=1)


def _read_weights(path: Path) -> tuple[list[str], Mixing]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        members, mixing = list(map(str, content["members"])), Mixing.of(content["all"])
        if any(len(weights) != len(members) for weights in mixing.weights.values()) or len(mixing.prior) != 3:
            raise ValueError
    except OSError as error:
        raise MaskclsError(f"{shown(path)}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise MaskclsError(f"{shown(path)}: no weights, such as `maskcls ensemble` writes") from None
    return members, mixing


def _read(path: Path) -> pd.DataFrame:
    """Predictions by path."""
    table = read_table(path)
    if lacking := [name for name in _NEEDED if name not in table]:
        raise MaskclsError(f"{shown(path)}: no column {', '.join(lacking)}; name answers as of `maskcls predict`")
    if table["path"].duplicated().any():
        raise MaskclsError(f"{shown(path)}: a photo has two answers; name the answers of one model")
    try:
        table = table.reindex(columns=[*_NEEDED, *_YEARS, "reason"]).astype(dict.fromkeys(_YEARS, "float64"))
        scored_faces(table.assign(person=0, source=None, **{name: None for name in SCORED if name.startswith("true_")}))
    except (ValueError, TypeError) as error:
        raise MaskclsError(f"{shown(path)}: cannot be read as answers ({shown(str(error))[:150]})") from error
    return table.set_index("path")
