"""The ``train`` job: networks for every fold of people, their out-of-fold answers, a folder that explains itself."""

from __future__ import annotations

import functools
import json
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ....embedder.errors import MaskclsError
from ....embedder.photo import shown
from ....embedder.storage.atomic import write_csv, write_json, write_table
from ....embedder.storage.atomic_folder import check_folder
from ....embedder.storage.manifest import checksums, key_of
from ....embedder.storage.step_cache import Step, StepCache
from ...data.provenance import barred, refuse_knowing, unseen
from ...evaluation.cross_validation import Progress, truth_of
from ...evaluation.leakage_guard import fold_notes
from ...evaluation.splits import pool_folds, scarce_classes
from ...metrics.scores import summarise
from .fit import Part, train_network
from .job import Job
from .network import parameters
from .photos import Photos, read_photos
from .targets import Targets, sample_factors, targets_of
from .trained import (
    ANSWERS,
    CONFIG,
    CURVES,
    FACES,
    FORMAT,
    KIND,
    METRICS,
    PICTURE,
    draw_curves,
    prediction_table,
    probabilities_of,
    read_config,
    save_networks,
)

HELD_OUT_PARTS = 10
"""One of so many parts of a fold's training people is not trained on, but chooses the epoch and the temperatures."""
LIBRARIES = ("maskcls", "torch", "torchvision", "numpy")
FOLDS = ".folds"


def train(job: Job, out: Path, progress: Progress = lambda what, done, total: None) -> dict[str, Any]:
    """Train the networks of every scored fold, and write the run's folder.

    A run that was killed goes on from its last checkpoint; a finished one is left as it is.

    Returns:
        The run's metrics: see :func:`~...metrics.scores.summarise`, and ``data`` and ``networks``.

    Raises:
        MaskclsError: ``out`` holds something else or a run of other settings, a task cannot be learnt, training fails,
            a photo is gone, or a teacher of pseudo-labels has seen people who are held out.
    """
    pool, settings = job.pool, job.settings
    _pseudo_notes(job)
    targets = targets_of(pool.table, pool.people, settings, job.named)
    factors = sample_factors(pool.table, settings.sample_weights)
    parts = {fold: _part(job, fold, factors) for fold in np.unique(job.plan.fold[job.plan.scored]).tolist()}
    config = _config(job)
    if _finished(out, config):
        shutil.rmtree(out / FOLDS, ignore_errors=True)  # a kill may have come before that
        return dict(json.loads((out / METRICS).read_text(encoding="utf-8")))
    config["started"] = read_config(out).get("started", config["started"])
    cache = StepCache(out / FOLDS, config["key"])
    write_json(out / CONFIG, config)
    write_table(out / FACES, _faces(job))

    @functools.cache
    def photos() -> Photos:
        return read_photos(pool.table, settings.crop, settings.image_size, partial(progress, "reading photos"))

    def trained(fold: int) -> Step:
        return _train_fold(job, photos(), targets, parts[fold], fold, out, config["key"], progress)

    answers, curves = [], []
    for number, fold in enumerate(parts):
        progress("folds", number, len(parts))
        tables = cache.once(f"fold-{fold}", partial(trained, fold)).tables
        answers.append(tables["answers"])
        curves.append(tables["curves"])
    progress("folds", len(parts), len(parts))
    answered = pd.concat(answers).loc[job.plan.scored].reset_index(drop=True)
    curve = pd.concat(curves, ignore_index=True)
    metrics = _metrics(job, targets, answered, curve)
    write_table(out / ANSWERS, answered)
    write_csv(out / CURVES, curve)
    draw_curves(out / PICTURE, curve)
    write_json(out / METRICS, metrics)
    files = [CURVES, PICTURE, METRICS, *(f"fold-{fold}.safetensors" for fold in parts)]  # a person may leave the tables
    write_json(out / CONFIG, config | {"finished": _now(), "files": checksums(out, files)})
    cache.clear()
    return metrics


def _part(job: Job, fold: int, factors: np.ndarray[Any, np.dtype[np.float64]]) -> Part:
    """Everybody of other folds, a tenth of the people apart; of the latter only real photos count.

    Pseudo-labels take no part if what gave them has seen the people of the fold, or if they show them. The tenth is
    taken of people that no teacher of the others has seen; where there are fewer than two, these labels are refused.
    """
    pool = job.pool
    fit = np.flatnonzero((job.plan.fold != fold) & ~barred(pool, np.unique(pool.people[job.plan.fold == fold])))
    seen = pool.subset(fit)
    judged = np.flatnonzero(unseen(seen))
    people = len(np.unique(seen.people[judged]))
    if people < 2:
        refuse_knowing(seen, seen.people[seen.real], f"the training of fold {fold}, a tenth of which choose the epoch")
        raise MaskclsError(f"fold {fold}: one person is left to train on, and another must be held out; add people")
    tenth = judged[pool_folds(seen.subset(judged), min(HELD_OUT_PARTS, people), job.seed) == 0]
    held_out = np.isin(seen.people, seen.people[tenth])
    if np.count_nonzero(~held_out) < 2:
        raise MaskclsError(f"fold {fold}: one face is left to train on; add people")
    real = seen.table["drawn_on"].isna().to_numpy(bool) & seen.real
    judges = held_out & real if (held_out & real).any() else held_out & seen.real
    return Part(fit[~held_out], fit[judges], factors)


def _train_fold(
    job: Job, photos: Photos, targets: Targets, part: Part, fold: int, out: Path, key: str, progress: Progress
) -> Step:
    networks, curves = [], []
    tasks_of = [tuple(task for task in tasks if task in targets.classes) for tasks in job.settings.networks]
    for number, tasks in enumerate(tasks for tasks in tasks_of if tasks):
        network = train_network(
            photos,
            targets,
            part,
            tasks,
            job.settings,
            int(np.random.default_rng((job.seed, fold, number)).integers(2**31)),
            job.machine,
            job.weights,
            out / FOLDS / f"fold-{fold}-{number}",
            (key, fold, tasks),
            partial(progress, f"fold {fold} {'+'.join(tasks)}"),
        )
        networks.append(network)
        curves.append(pd.DataFrame(network.curve).assign(fold=fold, network="+".join(tasks)))
    save_networks(out / f"fold-{fold}.safetensors", networks)
    asked = job.plan.scored[job.plan.fold[job.plan.scored] == fold]
    answers = prediction_table(probabilities_of(networks, photos, asked, job.settings, job.machine), len(asked))
    table = pd.concat([truth_of(job.pool, asked), answers], axis=1).assign(fold=fold).set_index(asked)
    curve = pd.concat(curves, ignore_index=True)
    curve = curve[["fold", "network", *(name for name in curve if name not in ("fold", "network"))]]
    curve = curve.assign(parameters=parameters([one.net for one in networks]))
    return Step(tables={"answers": table, "curves": curve})


def _pseudo_notes(job: Job) -> list[str]:
    return fold_notes(job.pool, job.plan.fold, np.unique(job.plan.fold[job.plan.scored]).tolist())


def _metrics(job: Job, targets: Targets, answers: pd.DataFrame, curve: pd.DataFrame) -> dict[str, Any]:
    scored = job.pool.subset(job.plan.scored)
    ends = curve.groupby(["fold", "network"], sort=False)
    return summarise(answers, seed=job.seed) | {
        "data": {
            "faces": len(answers),
            "people": len(np.unique(scored.people)),
            "trained_from_faces": len(job.pool),
            "copies": job.pool.copies,
            "folds": job.plan.folds,
            "seed": job.seed,
            "notes": [*_pseudo_notes(job), *targets.notes, *scarce_classes(scored, job.plan.folds)],
        },
        "networks": {
            "parameters": int(curve["parameters"].iloc[0]),
            "epochs": [int(epochs) for epochs in ends["epoch"].max()],
            "best_epochs": [int(curve["epoch"][row]) for row in ends["validation_loss"].idxmin()],
            "seconds": float(ends["seconds"].max().sum()),
        },
    }


def _config(job: Job) -> dict[str, Any]:
    """How the run was made, as stored in its folder; ``key`` covers all that the result depends on."""
    table, weights = job.pool.table, job.weights
    labels = table[["mask", "gender", "race", "age_low", "age_high", "drawn_on", "source"]]
    config = {
        "kind": KIND,
        "format": FORMAT,
        "settings": job.settings.model_dump(mode="json"),
        "seed": job.seed,
        "weights": {"name": weights.name, "sha256": weights.sha256} if weights else None,
        "machine": asdict(job.machine),
        "data": {
            "faces": key_of(*table["face_id"], *table["file_sha256"]),
            "labels": key_of(pd.util.hash_pandas_object(labels).to_numpy().tobytes()),
            "people": key_of(job.pool.people.tobytes()),
            "folds": key_of(job.plan.fold.tobytes(), job.plan.scored.tobytes()),
        },
        "versions": {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()},
    }
    return config | {"key": key_of(*config.values())} | dict(job.about or {}) | {"started": _now()}


def _finished(out: Path, config: Mapping[str, Any]) -> bool:
    """Whether a folder holds this very run, finished; else it is new, empty, or holds a part of it.

    Raises:
        MaskclsError: it holds something else; the message names how another run differs.
    """
    there = read_config(out)
    if not there:
        check_folder(out, CONFIG, KIND, "a run", {path.name for path in out.glob(".*")})  # a kill may leave such
        return False
    if there.get("key") == config["key"]:
        return "files" in there
    old, new = there.get("settings", {}), config["settings"]
    changed = [f"{name} {old.get(name)} there, {value} here" for name, value in new.items() if old.get(name) != value]
    parts = [name for name in ("seed", "weights", "machine", "data", "versions") if there.get(name) != config[name]]
    what = "; ".join(changed) or f"other {' and '.join(parts)}"
    raise MaskclsError(f"{shown(out)}: holds another run ({what}); choose another --out")


def _faces(job: Job) -> pd.DataFrame:
    table = job.pool.table[["face_id", "file_sha256", "person", "source"]].rename(columns={"person": "name"})
    scored = np.isin(np.arange(len(table)), job.plan.scored)
    return table.assign(person=job.pool.people, fold=job.plan.fold, scored=scored)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
