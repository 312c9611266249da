"""The size of the leak of pseudo-labels: a contest team's way beside the guarded one, in the same folds of people.

    python benchmarks/pseudo_leak.py faces/contest --unlabelled faces/utkface --out table.md

The team fits a teacher on all folds, lets it label photos without labels, and adds these to every fold's training: the
teacher has learnt from the people who are scored, and the photos may show them. Guarded, every fold has its own
teacher, and photos and near-copies of the people scored there are left out. Each half of the leak is measured alone,
too. The labelled faces, the folds, the unlabelled photos and the settings are the same in all rows; labels that the
unlabelled sets have are not looked at. Finished parts are kept: the same command goes on after a kill.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

sys.path.append(str(Path(__file__).resolve().parents[1]))

from maskcls.classify.data.face_set import FaceSet, merge_sets, open_sets
from maskcls.classify.data.provenance import TeacherRecord
from maskcls.classify.evaluation.cross_validation import predictions_of
from maskcls.classify.evaluation.evaluate import Plan, plan
from maskcls.classify.labels.pseudo_labels.label_set import without_labels
from maskcls.classify.labels.pseudo_labels.labels import (
    NO_TEACHER,
    TASKS,
    Thresholds,
    pseudo_labels,
    read_thresholds,
    with_pseudo_labels,
)
from maskcls.classify.metrics.bootstrap import Bootstrap, Counts, mean
from maskcls.classify.metrics.scored import scored_faces
from maskcls.classify.metrics.scores import overall
from maskcls.classify.model.build import BuildReport, build_model
from maskcls.classify.model.model import Model
from maskcls.embedder.faceset.provenance import CONFIDENCES, Teacher
from maskcls.embedder.storage.step_cache import Step, StepCache

Rows = npt.NDArray[np.int64]
NONE = "no pseudo-labels"
WAYS = {
    "guarded": (False, False),
    "photos of the people scored": (False, True),
    "a teacher that has seen the people scored": (True, False),
    "both: the contest team's way": (True, True),
}
"""What a row is called -> whether its teacher has seen all folds, and whether photos of the people scored are used."""
METRICS = ("mask accuracy", "gender accuracy", "gender accuracy, masked", "age MAE", "age band macro F1", "recall >=60")


@dataclass(frozen=True)
class Task:
    """What all parts of the measurement share."""

    pool: FaceSet
    chosen: Plan
    least: Thresholds
    seed: int

    @property
    def waiting(self) -> npt.NDArray[np.bool_]:
        """(n,) faces without labels."""
        return (self.pool.table["teacher"] == NO_TEACHER).to_numpy(bool)

    def teacher(self, fold: int) -> tuple[Model, BuildReport]:
        """Built from the labelled faces of the other folds, of all folds for -1."""
        fit = np.flatnonzero(~self.waiting & ((self.chosen.fold != fold) | (fold < 0)))
        return build_model(self.pool.subset(fit), self.seed)

    def labels(self, teacher: Model) -> pd.DataFrame:
        """What a teacher is sure of; a row for each face without labels."""
        rows = np.flatnonzero(self.waiting)
        return pseudo_labels(teacher, self.pool.subset(rows), self.least).set_axis(rows)

    def answers(
        self, fold: int, first: tuple[Model, BuildReport], labels: pd.DataFrame, of_scored: bool
    ) -> pd.DataFrame:
        """Answers for a fold by a model built with pseudo-labels, whose provenance is not looked at."""
        asked = self.chosen.scored[self.chosen.fold[self.chosen.scored] == fold]
        rows = labels.index[labels[list(CONFIDENCES.values())].notna().any(axis=1)].to_numpy(np.int64)
        if not of_scored:
            rows = rows[~np.isin(self.pool.people[rows], self.pool.people[asked])]
        taught = with_pseudo_labels(
            self.pool, rows, labels.loc[rows], TeacherRecord(Teacher("any", ()), np.empty(0, np.int64))
        )
        fit = np.flatnonzero(~self.waiting & (self.chosen.fold != fold))
        model, _ = build_model(taught.subset(np.concatenate([fit, rows])), self.seed, first=first)
        return predictions_of(model, self.pool, asked).assign(fold=fold, pseudo_labelled=len(rows))


def main() -> None:
    """Measure every way in every fold, print and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, nargs="+", help="embedding sets with labels: these are scored")
    parser.add_argument("--unlabelled", type=Path, nargs="+", required=True, help="embedding sets that are labelled")
    parser.add_argument("--min-confidence", nargs="+", default=["0.9", "age=0.7"], help="as of `maskcls pseudo-label`")
    parser.add_argument("--task", nargs="+", choices=TASKS, default=list(TASKS), help="what is labelled")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--score-folds", type=int, help="answer for this many folds only, where it takes too long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("pseudo_leak.md"), help="Markdown file")
    options = parser.parse_args()
    least = read_thresholds(options.min_confidence, options.task)
    sets = open_sets([*options.faces, *options.unlabelled])
    labelled = len(options.faces)
    pool = merge_sets([*sets[:labelled], *(without_labels(one, least) for one in sets[labelled:])])
    chosen = plan(pool, [], None, options.folds, options.seed, options.score_folds)
    task = Task(pool, chosen, least, options.seed)
    ids, fold = pool.table["face_id"].str.cat().encode(), task.chosen.fold.tobytes()
    steps = StepCache(
        options.out.with_name(f".{options.out.name}.parts"), ids, fold, options.seed, *sorted(least.items())
    )
    text = table(task, measured(task, steps))
    print(text)
    options.out.write_text(text, encoding="utf-8")
    steps.clear()


def measured(task: Task, steps: StepCache) -> dict[str, pd.DataFrame]:
    """Answers to all scored faces by way."""

    def everybody() -> Step:
        return Step(tables={"labels": task.labels(task.teacher(-1)[0])})

    seen = steps.once("everybody", everybody).tables["labels"]
    scored = np.unique(task.chosen.fold[task.chosen.scored]).tolist()
    folds = [of_fold(task, steps, fold, seen) for fold in scored]
    return {name: pd.concat([one[name] for one in folds], ignore_index=True) for name in (NONE, *WAYS)}


def of_fold(task: Task, steps: StepCache, fold: int, seen: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Answers to one fold by way; ``seen`` are the labels of the teacher that has seen all folds."""

    @cache
    def teacher() -> tuple[Model, BuildReport]:
        return task.teacher(fold)

    @cache
    def own() -> pd.DataFrame:
        return task.labels(teacher()[0])

    def without() -> Step:
        asked = task.chosen.scored[task.chosen.fold[task.chosen.scored] == fold]
        predictions = predictions_of(teacher()[0], task.pool, asked)
        return Step(tables={"answers": predictions.assign(fold=fold, pseudo_labelled=0)})

    def way(saw: bool, shown: bool) -> Step:
        return Step(tables={"answers": task.answers(fold, teacher(), seen if saw else own(), shown)})

    ways = {NONE: without} | {name: partial(way, *how) for name, how in WAYS.items()}
    found = {}
    for number, (name, make) in enumerate(ways.items()):
        found[name] = steps.once(f"{fold}-{number}", make).tables["answers"]
        print(f"fold {fold}: {name}", file=sys.stderr, flush=True)
    return found


def table(task: Task, answers: dict[str, pd.DataFrame]) -> str:
    """Scores of every way with 95 % intervals; resamples of people are the same in all rows."""
    waiting = task.pool.subset(np.flatnonzero(task.waiting))
    copies = np.isin(waiting.people, task.pool.people[task.chosen.scored]).sum()
    lines = [
        f"{len(task.chosen.scored)} faces scored in {task.chosen.folds} folds, {len(waiting)} unlabelled, "
        f"{copies} of these show people who are scored; least confidence {dict(task.least)}, seed {task.seed}.",
        "",
        "| | pseudo-labelled faces a fold | " + " | ".join(METRICS) + " |",
        "|---|---:|" + "---|" * len(METRICS),
    ]
    for name, rows in answers.items():
        scored = scored_faces(rows)
        found = overall(scored, Bootstrap(scored.people, seed=task.seed))
        cells = [f"{one.value:.3f} ({one.low:.3f}-{one.high:.3f})" for one in (found[metric] for metric in METRICS)]
        count = rows.groupby("fold")["pseudo_labelled"].first().mean()
        lines.append(f"| {name} | {count:.0f} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *differences(answers, task.seed)]) + "\n"


def differences(answers: dict[str, pd.DataFrame], seed: int) -> list[str]:
    """What every way claims more than the guarded one, on the same faces and resamples of people."""
    scored = {name: scored_faces(rows) for name, rows in answers.items()}
    guarded = next(iter(WAYS))
    bootstrap = Bootstrap(scored[guarded].people, seed=seed)
    lines = [f"| less {guarded} | gender accuracy | age MAE |", "|---|---|---|"]
    for name, one in scored.items():
        if name == guarded:
            continue
        pairs = ((one.gender.correct, scored[guarded].gender.correct), (one.age_error, scored[guarded].age_error))
        found = [bootstrap.estimate(Counts.mean(a).hstack(Counts.mean(b)), difference) for a, b in pairs]
        cells = [f"{it.value:+.3f} ({it.low:+.3f} to {it.high:+.3f})" for it in found]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def difference(totals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """First mean less the second of two :meth:`Counts.mean` side by side."""
    return np.asarray(mean(totals[:, :2]) - mean(totals[:, 2:]), np.float64)


if __name__ == "__main__":
    main()
