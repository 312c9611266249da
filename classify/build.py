"""The ``build-index`` job: embedding sets become a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np

from ..embedder.labels import BAND_STARTS, GENDERS, MASKS, age_band
from ..embedder.table import gallery_ids
from .age_space import fill_gallery
from .heads import TrainedHead
from .model import GALLERY_COLUMNS, Model
from .pool import Pool
from .training import HeadReport, train_head, usable_classes
from .tuning import VoteReport, fit_vote, with_age
from .vote import VoteSettings

STRANGE = 0.01
"""Share of the training faces whose embeddings are the shortest: anything below is hardly a face."""
TASKS = {"mask": MASKS, "gender": GENDERS}

Step = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps to do."""


@dataclass(frozen=True)
class BuildReport:
    """What was built, and how it did on held-out people; ``None`` where there was too little to hold out.

    ``sweep`` holds vote settings for other first years of the oldest band.
    """

    faces: int
    gallery: int
    people: int
    copies: int
    vote: VoteReport | None
    heads: dict[str, HeadReport]
    missing: tuple[str, ...]
    sweep: Mapping[int, VoteSettings]


def build_model(
    pool: Pool,
    seed: int = 0,
    step: Step = lambda what, done, total: None,
    *,
    senior_from: int = BAND_STARTS[2],
    sweep: Sequence[int] = (),
) -> tuple[Model, BuildReport]:
    """Fit the age vote on faces with an age, and train a head for each task with at least two classes.

    ``senior_from`` and ``sweep``: see :func:`.tuning.fit_vote`.
    """
    heads: dict[str, TrainedHead] = {}
    reports: dict[str, HeadReport] = {}
    for task, classes in TASKS.items():
        usable = usable_classes(pool, task, classes)
        if len(usable) > 1:
            heads[task], reports[task] = train_head(
                pool,
                task,
                usable,
                seed,
                lambda done, total, task=task: step(f"training {task}", done, total),  # type: ignore[misc]
            )
    tuned = fit_vote(
        pool,
        seed,
        lambda done, total: step("fitting age vote", done, total),
        senior_from=senior_from,
        sweep=sweep,
    )
    space = tuned.space
    rows = with_age(pool)
    faces = pool.subset(rows)
    gallery = fill_gallery(space, faces, gallery_ids(faces.table["face_id"]))
    table = faces.table[list(GALLERY_COLUMNS)].assign(group=faces.people)
    missing = tuple(task for task in TASKS if task not in heads) + (() if len(rows) else ("age",))
    people = len(np.unique(pool.people))
    report = BuildReport(len(pool), len(rows), people, pool.copies, tuned.report, reports, missing, tuned.sweep)
    least_norm = float(pool.table["norm"].quantile(STRANGE))
    card = _card(pool, report, seed)
    return Model(gallery, table, space, tuned.settings, heads, pool.encoder, pool.face, least_norm, card), report


def _card(pool: Pool, report: BuildReport, seed: int) -> dict[str, object]:
    """What the model was made of: counts, never names."""
    table = pool.table
    middle = ((table["age_low"] + table["age_high"]) / 2).dropna()
    bands = middle.map(age_band)
    counts = {
        "source": table["source"],
        "mask": table["mask"],
        "gender": table["gender"],
        "race": table["race"],
        "age_band": bands,
    }
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "maskcls": version("maskcls"),
        "seed": seed,
        "faces": report.faces,
        "gallery": report.gallery,
        "people": report.people,
        "counts": {name: {str(k): int(v) for k, v in column.value_counts().items()} for name, column in counts.items()},
        "held_out": {
            "age_vote": asdict(report.vote) if report.vote else None,
            **{task: asdict(head) for task, head in report.heads.items()},
        },
    }
