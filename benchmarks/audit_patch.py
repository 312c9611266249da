"""What applying an audit's patch is worth: the same faces scored before and after, both by the labels of before.

    maskcls evaluate faces/ --predictions before.parquet
    maskcls relabel faces/ --patch audit/patch.csv
    maskcls evaluate faces/ --predictions after.parquet
    python benchmarks/audit_patch.py before.parquet after.parquet --out table.md

Scored by its own labels a patch flatters itself: they are what the models believe. So the truth is that of ``before``,
of all faces and of those whose labels the patch left alone. The latter is the fair figure: what is gained there is what
better labels of *other* people teach. Intervals are paired, over people.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from maskcls.classify.comparison.cnn.runs import MEASURES, Entry, compare, read_predictions


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="answers of `maskcls evaluate` before the patch")
    parser.add_argument("after", type=Path, help="and after it")
    parser.add_argument("--out", type=Path, help="Markdown file")
    options = parser.parse_args()
    before, after = (read_predictions(path).set_index("face_id") for path in (options.before, options.after))
    after = after.loc[before.index]
    truth = [name for name in map(str, before) if name.startswith("true_")]
    old, new = (table[truth].astype(object) for table in (before, after))
    alike = ((old == new) | (old.isna() & new.isna())).all(axis=1)
    after = after.assign(**before[truth], person=before["person"])
    lines = []
    for title, rows in (("all faces", alike.index), ("labels that were left alone", alike.index[alike])):
        entries = [
            Entry(name, {}, table.loc[rows].reset_index()) for name, table in zip("ab", (before, after), strict=True)
        ]
        found = compare(entries)
        lines += [
            f"| {title}: {found.faces} faces of {found.people} people | before | after | difference |",
            "|---|---|---|---|",
        ]
        first, second = found.rows
        lines += [
            f"| {name} | {_cell(first[name])} | {_cell(second[name])} | {_cell(second['difference'][name], '+')} |"
            for name in MEASURES
        ]
        lines.append("")
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines), encoding="utf-8")


def _cell(found: Mapping[str, Any], sign: str = "") -> str:
    return f"{found['value']:{sign}.3f} ({found['low']:{sign}.3f} to {found['high']:{sign}.3f})"


if __name__ == "__main__":
    main()
