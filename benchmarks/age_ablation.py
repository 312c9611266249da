"""What makes a good age space on the frozen FaceNet: each row changes one thing of what ``maskcls build-index`` fits.

    python benchmarks/age_ablation.py faces/contest faces/utkface faces/masks faces/fairface faces/utkface-drawn \\
        faces/fairface-drawn --seeds 0 --out table.md

The sets are made by ``maskcls embed`` (contest, UTKFace and FairFace are scored, see ``docs/results.md``); the photos
must still lie where they lay, since other layers of FaceNet are read from them (``--cache`` keeps these). People are
apart: a part is scored, a tenth of the others chooses the vote, spaces and galleries are made of the rest. ``vote`` is
the answer of the nearest faces, ``net`` that of the network whose space they are sought in.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.age_ablation_rows import DEFAULT, PARTS, Row, Trial
from benchmarks.age_ablation_votes import COLUMNS, Truth, difference, joined, scored
from maskcls.classify.age.tuning import with_age
from maskcls.classify.data.face_set import open_face_set
from maskcls.classify.metrics.bootstrap import Bootstrap, Counts, Estimate, Statistic

Key = tuple[str, str]


def main() -> None:
    """Run, print what comes, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, nargs="+", help="embedding sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one split and one training each, pooled")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS), help="spaces is always run")
    parser.add_argument("--only", default="", help="rows whose name holds this regular expression, and the default")
    parser.add_argument("--cache", type=Path, help="folder that keeps the outputs of FaceNet's layers (5 GB)")
    parser.add_argument("--out", type=Path, help="Markdown file")
    options = parser.parse_args()
    start = time.perf_counter()
    pool = open_face_set(options.faces)
    pool = pool.subset(with_age(pool))
    maps = pool.maps(np.arange(len(pool)))
    rows: dict[Key, list[Row]] = {}
    truths: list[Truth] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seeds:
            trial = Trial(pool, maps, seed, options.cache or Path(folder), options.only)
            truths.append(trial.truth())
            for part in ["spaces", *(name for name in options.parts if name != "spaces")]:
                for row in PARTS[part](trial):
                    if row.name != DEFAULT and not re.search(options.only, row.name):
                        continue
                    rows.setdefault((row.name, row.way), []).append(row)
                    figures = (
                        f"{float(statistic(counts.totals())):.3f}" for counts, statistic in _scores(truths[-1:], [row])
                    )
                    print(
                        f"{time.perf_counter() - start:5.0f} s  {seed}  {row.name}, {row.way}: {' '.join(figures)}",
                        flush=True,
                    )
    text = tables(joined(truths), rows) + f"\n{time.perf_counter() - start:.0f} s in all.\n"
    print("\n" + text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


def tables(truth: Truth, rows: dict[Key, list[Row]]) -> str:
    """Scores with 95 % intervals, and differences to the default's row of the same way on the same resamples."""
    bootstrap = Bootstrap(truth.people)
    scores = {key: _scores([truth], found) for key, found in rows.items()}
    head = " | ".join(f"{kind} {score}" for kind, score in COLUMNS)
    line = "|---|---|" + "---:|" * (len(COLUMNS) + 1)
    people = "; ".join(
        f"{name}: {kept.sum()} faces, {len(np.unique(truth.people[kept]))} people" for name, kept in truth.kinds.items()
    )
    lines = [f"Scored: {people}.", "", f"| change | way | {head} | fitting, s |", line]
    for (name, way), found in rows.items():
        cells = [_cell(bootstrap.estimate(*score)) for score in scores[name, way]]
        seconds = [row.seconds for row in found if row.seconds is not None]
        fitting = f"{statistics.mean(seconds):.0f}" if seconds else ""
        lines.append(f"| {_name(name, found)} | {way} | {' | '.join(cells)} | {fitting} |")
    lines += ["", "Less the default; bold where the interval leaves out 0.", ""]
    lines += [f"| change | way | {head} |", line.removesuffix("---:|")]
    for (name, way), found in rows.items():
        other = (DEFAULT, "vote") if name == DEFAULT else (DEFAULT, way)
        if (name, way) != other:
            pairs = zip(scores[name, way], scores[other], strict=True)
            cells = [_change(difference(bootstrap, *pair)) for pair in pairs]
            lines.append(f"| {_name(name, found)} | {way} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _scores(truths: Sequence[Truth], rows: Sequence[Row]) -> list[tuple[Counts, Statistic]]:
    age, predicted = (np.concatenate([getattr(row.answers, name) for row in rows]) for name in ("age", "predicted"))
    return scored(joined(truths), age, predicted)


def _name(name: str, rows: Sequence[Row]) -> str:
    kept = statistics.mean(row.kept for row in rows)
    return name if kept == 1 else f"{name}, {100 * kept:.0f} % kept"


def _cell(found: Estimate) -> str:
    digits = 2 if found.value > 1 else 3
    return f"{found.value:.{digits}f} ({found.low:.{digits}f}-{found.high:.{digits}f})"


def _change(found: Estimate) -> str:
    text = f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    return f"**{text}**" if found.low > 0 or found.high < 0 else text


if __name__ == "__main__":
    main()
