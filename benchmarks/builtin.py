"""How well a ready model answers about photos it was not built from, with 95 % intervals over people.

    python benchmarks/builtin.py faces/utkface faces/contest faces/masks --without builtin-build/faces --out table.md

By default the built-in model. Each set is scored by itself, and where its photos lie in folders of several names below
its root (such as `street/`, `portraits/`) each of these. People of the sets that the model was built from (`--without`)
are not scored, nor who looks like them (`classify.people`). `time` is of answering alone: the photos are embedded
already.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from maskcls.classify.data.face_set import FaceSet, Rows, merge_sets, open_sets
from maskcls.classify.evaluation.cross_validation import predictions_of
from maskcls.classify.metrics.scores import summarise
from maskcls.classify.model.loading import load_model

FIGURES = (
    "mask accuracy",
    "mask macro F1",
    "recall wear",
    "recall incorrect",
    "recall normal",
    "gender accuracy, bare",
    "gender accuracy, masked",
    "age MAE, bare",
    "age MAE, masked",
    "age band macro F1",
    "age band macro F1, bare",
    "age band macro F1, masked",
    "recall <30",
    "recall 30-59",
    "recall >=60",
    "80% interval coverage",
    "18-class macro F1",
)
LEAST = 50
"""Faces of a folder that are scored by themselves."""


def main() -> None:
    """Answer for every face of the sets, print and write a table of figures, one column a set or folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, nargs="+", help="embedding sets to answer for")
    parser.add_argument("--model", type=Path, help="default: the built-in one")
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="sets whose people are not scored")
    parser.add_argument("--slices", action="store_true", help="also the worst slices of each set")
    parser.add_argument("--seed", type=int, default=0, help="of the resampling")
    parser.add_argument("--out", type=Path, help="Markdown file")
    options = parser.parse_args()
    model = load_model(options.model)
    columns: dict[str, dict[str, Any]] = {}
    for folder in options.faces:
        sets = open_sets([folder, *options.without])
        pool = merge_sets(sets)
        for name, rows, left_out in parts(pool, sets[0].settings["root"], folder.name):
            began = time.monotonic()
            answers = predictions_of(model, pool, rows)
            seconds = time.monotonic() - began
            columns[name] = summarise(answers, seed=options.seed) | {
                "faces": f"{len(rows):,}",
                "people": f"{len(np.unique(pool.people[rows])):,}",
                "left out": f"{left_out:,}",
                "time": f"{len(rows) / seconds:,.0f} faces/s",
            }
            print(f"{name}: {len(rows)} faces answered in {seconds:.0f} s", flush=True)
            if options.slices:
                print_slices(columns[name]["slices"])
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for head in ("faces", "people", "left out"):
        lines.append(f"| {head} | {' | '.join(str(column[head]) for column in columns.values())} |")
    for figure in FIGURES:
        cells = [cell(column, figure) for column in columns.values()]
        if any(cells):
            lines.append(f"| {figure} | {' | '.join(cells)} |")
    lines.append(f"| time | {' | '.join(column['time'] for column in columns.values())} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def parts(pool: FaceSet, root: str, name: str) -> Iterator[tuple[str, Rows, int]]:
    """What is scored: a name, its rows, and how many faces are left out since their people were built from."""
    mine = (pool.table["root"] == root).to_numpy(bool)
    known = np.isin(pool.people, pool.people[~mine])
    real = np.flatnonzero(mine & pool.table["drawn_on"].isna().to_numpy(bool))
    tops = pool.table["path"].str.split("/").str[0].where(pool.table["path"].str.contains("/"))
    folders = [top for top, count in tops.iloc[real].value_counts().items() if count >= LEAST]
    for top in folders if len(folders) > 1 else [None]:
        rows = real if top is None else real[(tops.iloc[real] == top).to_numpy(bool)]
        yield (name if top is None else f"{name}/{top}"), rows[~known[rows]], int(known[rows].sum())


def cell(column: dict[str, Any], figure: str) -> str:
    """A figure with its interval, empty where there is nothing to score."""
    word = figure.removeprefix("recall ")
    if word in ("wear", "incorrect", "normal"):
        row = next((row for row in column["classes"]["mask"] if row["class"] == word), None)
        return "" if row is None or not row["support"] else f"{row['recall']:.3f} of {row['support']:,}"
    found = column["overall"][figure]
    if found is None or found["value"] is None:
        return ""
    digits = 2 if "MAE" in figure else 3
    low, high = (f"{found[end]:.{digits}f}" if found[end] is not None else "?" for end in ("low", "high"))
    return f"{found['value']:.{digits}f} ({low}-{high})"


def print_slices(found: Any) -> None:
    """The slices that are answered worst, as the evaluation names them."""
    for row in found[:12]:
        print("   ", row)


if __name__ == "__main__":
    main()
