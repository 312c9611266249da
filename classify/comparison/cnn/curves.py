"""How a training went, as a picture."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ....embedder.storage.atomic import replacing

SIDE_INCHES = 4.0
DOTS_AN_INCH = 110


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
