"""Trained networks on disk, and what they say of faces."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from scipy.special import softmax
from torch import Tensor

from ....embedder.errors import MaskclsError
from ....embedder.labels import class_id
from ....embedder.photo import shown
from ....embedder.storage.atomic import replacing
from ....embedder.storage.manifest import read_manifest
from ...tasks import ANSWER_COLUMNS, PROBABILITIES
from ...tasks import CLASSES as ANSWERED
from .fit import CPU, Machine, Trained, ask
from .network import Network
from .photos import Photos, read_photos
from .settings import Settings, Task, settings_of
from .targets import COLUMNS

CONFIG, FACES, ANSWERS, METRICS, CURVES, PICTURE = (
    *("config.json", "faces.parquet", "answers.parquet"),
    *("metrics.json", "curves.csv", "curves.png"),
)
KIND, FORMAT, MAKE = "maskcls-run", 1, "maskcls train"

Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]
Probabilities = dict[Task, Floats]
"""Task -> (n, classes) calibrated probabilities; 0 for a class that was not learnt."""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it lies.
        config: see ``docs/files.md``.
        networks: fold -> the networks trained without its people.
    """

    folder: Path
    config: Mapping[str, Any]
    settings: Settings
    networks: Mapping[int, Sequence[Trained]]

    @property
    def faces(self) -> pd.DataFrame:
        """Who took part: ``face_id, file_sha256, person, name, source, fold, scored``.

        The networks of a fold have seen, in training or to choose an epoch, all faces of the other folds.
        """
        return pd.read_parquet(self.folder / FACES)

    def probabilities(
        self,
        table: pd.DataFrame,
        folds: Sequence[int] | None = None,
        machine: Machine = CPU,
        progress: Progress = lambda done, total: None,
    ) -> Probabilities:
        """What the networks of some folds (all of them, unless given) say of the faces of a pool's table, on the mean.

        Raises:
            MaskclsError: there are no such folds, or a photo is gone or changed.
        """
        wanted = list(self.networks) if folds is None else list(folds)
        if missing := [fold for fold in wanted if fold not in self.networks]:
            raise MaskclsError(
                f"{shown(self.folder)}: no network of fold {missing[0]}; there are {list(self.networks)}"
            )
        photos = read_photos(table, self.settings.crop, self.settings.image_size, progress)
        rows = np.arange(len(photos))
        return mean_probabilities([said(self.networks[fold], photos, rows, self.settings, machine) for fold in wanted])


def load_run(folder: Path) -> Run:
    """Open a finished run.

    Raises:
        MaskclsError: it is none, not finished, or damaged.
    """
    config = read_config(folder)
    if "files" not in config:
        raise MaskclsError(f"{shown(folder)}: not finished; run its `{MAKE}` command again to go on")
    config = read_manifest(folder, CONFIG, KIND, FORMAT, MAKE)
    settings = settings_of(config["settings"], shown(folder / CONFIG))
    names = [name for name in config["files"] if name.endswith(".safetensors")]
    networks = {int(name.removeprefix("fold-").removesuffix(".safetensors")): name for name in names}
    return Run(
        folder,
        config,
        settings,
        {fold: load_networks(folder / name, settings) for fold, name in sorted(networks.items())},
    )


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a run, finished or not; an empty mapping where there is no run."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(config) if isinstance(config, dict) and config.get("kind") == KIND else {}


def said(
    networks: Sequence[Trained], photos: Photos, rows: npt.NDArray[np.int64], settings: Settings, machine: Machine
) -> Probabilities:
    """Calibrated probabilities that the networks of one fold give faces, by task."""
    found: Probabilities = {}
    for trained in networks:
        logits_of = ask(trained.net, photos, rows, settings.flip, machine)
        for task, learnt in trained.classes.items():
            names = ANSWERED[COLUMNS[task]]
            found[task] = np.zeros((len(rows), len(names)))
            places = [names.index(name) for name in learnt]
            found[task][:, places] = softmax(logits_of[task].astype(np.float64) / trained.temperatures[task], axis=1)
    return found


def mean_probabilities(parts: Sequence[Probabilities]) -> Probabilities:
    """The mean over networks that learnt the same tasks."""
    return {task: np.mean([part[task] for part in parts], axis=0) for task in parts[0]}


def answer_table(probabilities: Probabilities, count: int) -> pd.DataFrame:
    """Rows (:data:`~...tasks.ANSWER_COLUMNS`) for ``count`` faces; what is not said is null: years and voters too."""
    table = pd.DataFrame(index=range(count), columns=list(ANSWER_COLUMNS), dtype=object)
    for task, values in probabilities.items():
        names = PROBABILITIES[COLUMNS[task]]
        table[COLUMNS[task]] = np.array(list(names), object)[values.argmax(1)]
        table[list(names.values())] = values.round(4)
    complete = table[list(PROBABILITIES)].notna().all(axis=1)
    table["class_id"] = [
        class_id(*row) if whole else None
        for row, whole in zip(table[list(PROBABILITIES)].itertuples(index=False), complete, strict=True)
    ]
    return table.astype(_DTYPES)


_DTYPES = {
    **dict.fromkeys((*PROBABILITIES, "neighbours", "weights"), "str"),
    **{column: "float64" for columns in PROBABILITIES.values() for column in columns.values()},
    **dict.fromkeys(("age", "age_low", "age_high"), "float64"),
    **dict.fromkeys(("class_id", "voters"), "Int64"),
}


def save_networks(path: Path, networks: Sequence[Trained]) -> None:
    """Write the networks of a fold to one safetensors file, atomically."""
    tensors: dict[str, Tensor] = {}
    about = []
    for number, trained in enumerate(networks):
        state = trained.net.state_dict()
        tensors |= {f"{number}.{name}": value.detach().cpu().contiguous() for name, value in state.items()}
        about.append({"classes": trained.classes, "temperatures": trained.temperatures})
    with replacing(path) as temporary:
        save_file(tensors, temporary, {"networks": json.dumps(about)})


def load_networks(path: Path, settings: Settings) -> list[Trained]:
    """Read what :func:`save_networks` wrote.

    Raises:
        MaskclsError: the file is damaged or was not made with these settings.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["networks"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        networks = []
        for number, one in enumerate(about):
            classes = {task: tuple(names) for task, names in one["classes"].items()}
            heads = {task: len(names) for task, names in classes.items()}
            net = Network(settings.backbone, settings.image_size, heads)
            start = f"{number}."
            net.load_state_dict({n.removeprefix(start): v for n, v in tensors.items() if n.startswith(start)})
            networks.append(Trained(net.eval(), classes, dict(one["temperatures"])))
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise MaskclsError(f"{shown(path)}: damaged or of another run; train again") from error
    return networks
