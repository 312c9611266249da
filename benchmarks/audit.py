"""How many wrong labels `maskcls audit` finds: labels are made wrong, and the audit must rank them first.

    python benchmarks/audit.py faces/contest --rates 0.01 0.03 0.1 --leave-out wrong.txt --out table.md

Per rate, that share of the people gets the other gender, another share an age 25 years or more away, and that share of
the photos another mask state, at random. Labels that are wrong as they come count as false alarms unless they are left
out: ``--leave-out`` names a text file with a path or a person a line. Average precision over all labels, precision
and recall among the first k, k being the number of labels made wrong.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

sys.path.append(str(Path(__file__).resolve().parents[1]))

from maskcls.classify.data.face_set import FaceSet, merge_sets, open_sets
from maskcls.classify.evaluation.evaluate import datasets_to_build_from, plan
from maskcls.classify.labels.audit.audit import find_label_issues
from maskcls.embedder.faceset.corrections import FIELDS
from maskcls.embedder.labels import GENDERS, MASKS

Bools = npt.NDArray[np.bool_]
APART = 25
YOUNGEST, OLDEST = 16, 90


def main() -> None:
    """Audit labels as they come with some made wrong, print and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, nargs="+", help="embedding sets")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="sets to train on only")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.01, 0.03, 0.1])
    parser.add_argument("--leave-out", type=Path, help="people or paths whose labels are known to be wrong")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="Markdown file")
    options = parser.parse_args()
    sets = open_sets([*options.faces, *options.also])
    pool = merge_sets(sets)
    chosen = plan(pool, datasets_to_build_from(sets, len(options.faces)), None, 5, options.seed)
    known = set(options.leave_out.read_text(encoding="utf-8").split()) if options.leave_out else set()
    table = pool.table.iloc[chosen.scored]
    counted = ~(table["person"].isin(known) | table["path"].isin(known)).to_numpy(bool)
    head = "| made wrong | label | labels | wrong | average precision | precision and recall at k |"
    lines = [head, "|---|---|--:|--:|--:|--:|"]
    for rate in options.rates:
        noisy, wrong = add_noise(pool, chosen.scored, rate, np.random.default_rng(options.seed))
        issues = find_label_issues(noisy, chosen.fold, chosen.scored, options.seed)
        for field in FIELDS:
            mine = [issue for issue in issues if issue.field == field and counted[list(issue.rows)].all()]
            truth = np.array([wrong[field][list(issue.rows)].all() for issue in mine])
            value = np.array([issue.probability for issue in mine])
            first = truth[np.argsort(-value, kind="stable")][: truth.sum()]
            precision = average_precision_score(truth, value)
            lines.append(
                f"| {rate:.0%} | {field} | {len(truth)} | {truth.sum()} | {precision:.3f} | {first.mean():.3f} |"
            )
            print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def add_noise(
    pool: FaceSet, rows: npt.NDArray[np.int64], rate: float, random: np.random.Generator
) -> tuple[FaceSet, dict[str, Bools]]:
    """The pool with labels made wrong, and which of the ``rows`` have a wrong one, by field."""
    table, wrong = pool.table.copy(), {field: np.zeros(len(pool), bool) for field in FIELDS}
    people = np.unique(pool.people[rows])
    for field in ("gender", "age"):
        for person in random.permutation(people)[: round(rate * len(people))]:
            mine = np.flatnonzero(pool.people == person)
            if field == "gender":
                other = dict(zip(GENDERS, GENDERS[::-1], strict=True))
                table.loc[mine, "gender"] = table.loc[mine, "gender"].map(other)
            else:
                now = table["age_low"].iloc[mine[0]]
                age = random.choice([year for year in range(YOUNGEST, OLDEST + 1) if abs(year - now) >= APART])
                table.loc[mine, ["age_low", "age_high"]] = float(age)
            wrong[field][mine] = True
    for row in random.permutation(rows)[: round(rate * len(rows))]:
        if (now := table["mask"].iloc[row]) in MASKS:
            table.loc[row, "mask"] = random.choice([mask for mask in MASKS if mask != now])
            wrong["mask"][row] = True
    return replace(pool, table=table), {field: marks[rows] for field, marks in wrong.items()}


if __name__ == "__main__":
    main()
