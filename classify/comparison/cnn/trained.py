"""What a training leaves: predictions of its networks, the networks, the learning curves, and the files of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from safetensors.torch import save
from scipy.special import softmax
from torch import Tensor

from ....embedder.labels import class_id
from ....embedder.storage.atomic import replacing, write_bytes
from ...tasks import ANSWER_COLUMNS, PROBABILITIES
from ...tasks import CLASSES as ANSWERED
from .fit import Machine, Trained, face_logits
from .photos import Photos
from .settings import Settings, Task
from .targets import COLUMNS

CONFIG, FACES, ANSWERS, METRICS, CURVES, PICTURE = (
    *("config.json", "faces.parquet", "answers.parquet"),
    *("metrics.json", "curves.csv", "curves.png"),
)
KIND, FORMAT = "maskcls-run", 1

SIDE_INCHES = 4.0
DOTS_AN_INCH = 110

Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]
Probabilities = dict[Task, Floats]
"""Task -> (n, classes) calibrated probabilities; 0 for a class that was not learnt."""


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a run, finished or not; an empty mapping where there is no run."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(config) if isinstance(config, dict) and config.get("kind") == KIND else {}


def probabilities_of(
    networks: Sequence[Trained], photos: Photos, rows: npt.NDArray[np.int64], settings: Settings, machine: Machine
) -> Probabilities:
    """Calibrated probabilities that the networks of one fold give faces, by task."""
    found: Probabilities = {}
    for trained in networks:
        logits_of = face_logits(trained.net, photos, rows, settings.flip, machine)
        for task, learnt in trained.classes.items():
            names = ANSWERED[COLUMNS[task]]
            found[task] = np.zeros((len(rows), len(names)))
            places = [names.index(name) for name in learnt]
            found[task][:, places] = softmax(logits_of[task].astype(np.float64) / trained.temperatures[task], axis=1)
    return found


def prediction_table(probabilities: Probabilities, count: int) -> pd.DataFrame:
    """Rows (:data:`~...tasks.ANSWER_COLUMNS`) for ``count`` faces; years, voters and unknown tasks are null."""
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
    write_bytes(path, save(tensors, {"networks": json.dumps(about)}))


def draw_curves(path: Path, curve: pd.DataFrame) -> None:
    """Write a PNG: losses, and macro F1 on held-out people, by epoch; one panel of each for every network.

    Args:
        curve: ``fold, network, epoch, train_loss, validation_loss`` and ``TASK_macro_f1``, one row an epoch.
    """
    networks = list(curve["network"].unique())
    figure = Figure((2 * SIDE_INCHES, len(networks) * SIDE_INCHES * 0.75), layout="constrained")
    panels = figure.subplots(len(networks), 2, squeeze=False)
    scores = [name for name in map(str, curve) if name.endswith("_macro_f1")]
    for (left, right), network in zip(panels, networks, strict=True):
        mine = curve[curve["network"] == network]
        for number, (_, rows) in enumerate(mine.groupby("fold")):
            first = number == 0
            left.plot(rows["epoch"], rows["train_loss"], "C0--", label="trained on" if first else None)
            left.plot(rows["epoch"], rows["validation_loss"], "C1-", label="held out" if first else None)
            best = rows.loc[rows["validation_loss"].idxmin()]
            left.plot(best["epoch"], best["validation_loss"], "C1o", label="kept" if first else None)
            for colour, name in enumerate(scores):
                if rows[name].notna().any():
                    label = name.removesuffix("_macro_f1") if first else None
                    right.plot(rows["epoch"], rows[name], f"C{colour + 2}-", label=label)
        left.set(title=f"{network}: loss", xlabel="epoch")
        right.set(title="macro F1 on held-out people", xlabel="epoch", ylim=(0, 1))
        for panel in (left, right):
            panel.legend()
            panel.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_AN_INCH)
