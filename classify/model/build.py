"""The ``build-index`` job: embedding sets become a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from ...embedder.errors import MaskclsError
from ...embedder.labels import BAND_STARTS, age_band
from ...embedder.photo import shown
from ...embedder.table import gallery_ids
from ...index.flat import Gallery
from ...index.storage import kind_in_memory
from ..age.prototypes import gallery_of, make_prototypes
from ..age.space import AgeSpace, fill_gallery
from ..age.tuning import TunedVote, VoteReport, with_age
from ..data.face_set import FaceSet
from ..data.provenance import seen_of
from ..heads.training import HeadReport
from .fitting import TASKS, FineTuning, Fitted, Step, fit_again, fit_frozen
from .model import Model
from .storage import GALLERY_COLUMNS

STRANGE = 0.01
"""Share of the training faces whose embeddings are the shortest: anything below is hardly a face."""


@dataclass(frozen=True)
class BuildReport:
    """What was built, and its scores on the held-out people that chose its settings.

    They are no estimate for other people: nothing is held out from the choice. ``maskcls evaluate`` estimates that.

    Attributes:
        faces, people: in the pool.
        gallery: faces or prototypes in the gallery.
        copies: exact copies of a photo that were left out.
        vote: None where there were too few people to hold out.
        heads: by task.
        missing: tasks without a prediction, for lack of labels.
    """

    faces: int
    gallery: int
    people: int
    copies: int
    vote: VoteReport | None
    heads: dict[str, HeadReport]
    missing: tuple[str, ...]


def build_model(
    pool: FaceSet,
    seed: int = 0,
    step: Step = lambda what, done, total: None,
    *,
    senior_from: int = BAND_STARTS[2],
    finetuning: FineTuning | None = None,
    gallery_kind: str = "auto",
    first: tuple[Model, BuildReport] | None = None,
    prototypes: int = 0,
) -> tuple[Model, BuildReport]:
    """Fit the age vote on faces with an age, and train a head for each task with at least two classes.

    Rows with pseudo-labels train heads and age space. They do not vote, and no setting is chosen on or with them.

    Args:
        senior_from: see :func:`..age.tuning.fit_vote`.
        finetuning: also train FaceNet's last blocks, see :func:`.finetune.fit_tuned`.
        gallery_kind: see :func:`~...index.storage.check_kind`.
        first: what this function made, with the same arguments, of the pool without its rows with pseudo-labels; it is
            built here if it is not given.
        prototypes: the gallery holds prototypes of so many people at least (:mod:`..age.prototypes`), nobody's face;
            0 for faces.

    Raises:
        MaskclsError: there are too few faces to fine-tune on or to make prototypes of, or a photo is gone.
    """
    if prototypes and finetuning:
        raise MaskclsError("prototypes: not with fine-tuning")
    pool = replace(pool, table=with_bare(pool.table))
    if finetuning is not None:
        from .finetune import fit_tuned  # loads torchvision: three seconds that others need not wait

        fitted = fit_tuned(pool, seed, step, senior_from, finetuning)
    elif first is None:
        fitted = fit_frozen(pool, seed, step, senior_from, prototypes)
    else:
        vote = TunedVote(first[0].age_space, first[0].settings, first[1].vote)
        fitted = Fitted(pool, first[0].heads, first[1].heads, vote)
    if finetuning is None and not pool.real.all():
        fitted = fit_again(fitted, pool, seed, step)
    seen = fitted.pool
    rows = np.intersect1d(with_age(seen), np.flatnonzero(seen.real))
    faces = seen.subset(rows)
    gallery, table = gallery_for(fitted.vote.space, faces, prototypes)
    gallery = gallery.fitting(kind_in_memory(gallery_kind))
    missing = tuple(task for task in TASKS if task not in fitted.heads) + (() if len(rows) else ("age",))
    people = len(np.unique(pool.persons))
    report = BuildReport(len(pool), len(table), people, pool.copies, fitted.vote.report, fitted.reports, missing)
    model = Model(
        gallery,
        table,
        fitted.vote.space,
        fitted.vote.settings,
        fitted.heads,
        seen.encoder,
        pool.face,
        least_norm=float(seen.table["norm"].quantile(STRANGE)),
        card=_card(pool, report, seed, finetuning, prototypes),
        tuned=fitted.tuned,
        gallery_kind=gallery_kind,
        seen=seen_of(pool),
    )
    return model, report


def check_answers(report: BuildReport, sets: Sequence[Path]) -> None:
    """Make sure that a model built from embedding sets answers at least one task.

    Raises:
        MaskclsError: it could answer nothing, for lack of labels.
    """
    if set(report.missing) == {*TASKS, "age"}:
        raise MaskclsError(
            f"{', '.join(map(shown, sets))}: a model of these faces could answer nothing: none has an age, and too few "
            "have a mask state or gender (two classes with two people each are the least); label the photos and embed "
            "them again"
        )


def with_bare(table: pd.DataFrame) -> pd.DataFrame:
    """A pool's table in which photos whose mask state is unknown, and that masks were drawn on, are ``normal``."""
    bare = table["mask"].isna() & table["file_sha256"].isin(table["drawn_on"].dropna())
    return table.assign(mask=table["mask"].mask(bare, "normal"))


def gallery_for(space: AgeSpace, faces: FaceSet, prototypes: int) -> tuple[Gallery, pd.DataFrame]:
    """The gallery of faces that all have an age, or of their prototypes, and its table.

    Raises:
        MaskclsError: there are not enough people alike for a prototype.
    """
    if not prototypes:
        table = faces.table[list(GALLERY_COLUMNS)].assign(group=faces.people)
        return fill_gallery(space, faces, gallery_ids(table["face_id"])), table
    made = make_prototypes(space, faces, prototypes)
    if len(faces) and not len(made.table):
        raise MaskclsError(f"no {prototypes} people are of one age, gender and mask state; make prototypes of fewer")
    return gallery_of(made, GALLERY_COLUMNS)


def _card(
    pool: FaceSet, report: BuildReport, seed: int, finetuning: FineTuning | None, prototypes: int
) -> dict[str, object]:
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
        "views": len(pool.augmentations),
        "finetuned": None if finetuning is None else {"from": finetuning.depth, "passes": finetuning.passes},
        "faces": report.faces,
        "gallery": report.gallery,
        "prototypes": prototypes,
        "people": report.people,
        "pseudo_labelled": {str(name): int(count) for name, count in table["teacher"].value_counts().items()},
        "counts": {name: {str(k): int(v) for k, v in column.value_counts().items()} for name, column in counts.items()},
        "chosen_on_held_out_people": {
            "age_vote": asdict(report.vote) if report.vote else None,
            **{task: asdict(head) for task, head in report.heads.items()},
        },
    }
