"""What `embed` and `render-masks` are given: a folder of photos and where its labels come from."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .terminal import tell

if TYPE_CHECKING:
    from ..embedder.datasets.dataset import Dataset


class Layout(StrEnum):
    """How a data set stores the labels of its photos."""

    auto = "auto"
    contest = "contest"
    utkface = "utkface"
    fairface = "fairface"
    csv = "csv"
    folders = "folders"


LayoutOption = Annotated[
    Layout,
    typer.Option(
        "--layout", help="Where labels come from. folders: parent folders named with_mask, no_mask, male, women, …"
    ),
]
LabelsOption = Annotated[
    Path | None, typer.Option("--labels", help="Label table of layout csv: CSV, Excel (.xlsx) or Parquet.")
]
LegendOption = Annotated[
    list[str] | None,
    typer.Option(
        "--legend",
        metavar="TASK:CODE=LABEL,…",
        help="What codes in label tables and names of folders mean, such as gender:0=male,1=female (repeatable).",
    ),
]


def show_layout(dataset: Dataset) -> None:
    """Print the layout and how many photos, or labelled faces, have a label of each task."""
    counts = dataset.label_counts()
    tell(guessed=dataset.guessed, labels=counts)
    guessed = "" if not dataset.guessed else " (guessed)" if dataset.layout != "csv" else " (labels.csv found)"
    found = ", ".join(f"{task} {count:,}" for task, count in counts.items())
    photos = f"{dataset.photo_count():,} photos"
    if dataset.faces == "all":
        photos = f"{sum(item.box is not None for item in dataset.photos):,} labelled faces in {photos}"
    typer.echo(f"layout {dataset.layout}{guessed}: {photos}, labels: {found}")
    if not any(counts.values()):
        typer.echo(
            "no photo has a label of age, gender or mask: they come from a table (--labels), from folders named "
            "with_mask, no_mask, men or women, or from file names (--layout)"
        )


def warn_of_misread(dataset: Dataset) -> None:
    """Print how many cells of each column of a label table are not understood."""
    from ..embedder.datasets.legend import EXAMPLES, is_code
    from ..embedder.photo import shown

    found = dataset.misread()
    tell(not_understood={column: sum(texts.values()) for (_, column), texts in found.items()})
    for (task, column), texts in found.items():
        number, cell = sum(texts.values()), shown(texts.most_common(1)[0][0])
        cells = "1 cell" if number == 1 else f"{number:,} cells"
        verb = "is" if number == 1 else "are"
        hint = f" (codes need a legend, such as --legend {EXAMPLES[task]})" if any(map(is_code, texts)) else ""
        typer.echo(
            f"{cells} of column `{shown(column)}` {verb} not understood, such as '{cell}': left empty{hint}", err=True
        )
