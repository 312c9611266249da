"""``maskcls render-masks``."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from .dataset import LabelsOption, Layout, LayoutOption, LegendOption, warn_of_misread
from .options import JOBS, Device, DeviceOption, JobsOption
from .terminal import one_line_errors, progress_bar, tell


def render_masks(
    photos: Annotated[Path, typer.Argument(help="Folder of bare photos, searched recursively.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for photos/, labels.csv and rejects.csv.")],
    layout: LayoutOption = Layout.auto,
    labels: LabelsOption = None,
    legend: LegendOption = None,
    copies: Annotated[int, typer.Option(min=1, max=100, help="Masks drawn on each photo, one a copy.")] = 1,
    incorrect: Annotated[float, typer.Option(min=0, max=1, help="Share of masks that are worn wrongly.")] = 0.3,
    seed: Annotated[int, typer.Option(help="Another seed draws other masks.")] = 0,
    jobs: JobsOption = JOBS,
    device: DeviceOption = Device.auto,
) -> None:
    """Draw masks on bare faces, so that a model can learn masked faces from bare photos.

    Every drawing keeps the labels of its original and a link to it, so that no split separates the two. Photos
    labelled as masked are passed over. Embed the result like any folder: `maskcls embed OUT --out FACES`.
    """
    with one_line_errors():
        from ..embedder.datasets.layouts import read_dataset
        from ..embedder.datasets.legend import read_legend
        from ..embedder.detection.finder import FaceFinder
        from ..embedder.errors import MaskclsError
        from ..embedder.facenet.encoder import pick_device
        from ..embedder.masks.render import render_masks as render
        from ..embedder.photo import shown

        dataset = read_dataset(photos, layout.value, labels, legend=read_legend(legend or []))
        warn_of_misread(dataset)
        with progress_bar() as progress:
            report = render(
                dataset,
                photos,
                out,
                FaceFinder(pick_device(device.value)),
                copies=copies,
                incorrect=incorrect,
                seed=seed,
                jobs=jobs,
                progress=partial(progress, "drawing"),
            )
        tell(out=out, passed_over=dataset.passed_over.kinds, **asdict(report))
        typer.echo(f"{shown(out)}: {report.drawn} photos drawn now, {report.reused} drawn before")
        if report.masked:
            typer.echo(f"{report.masked} photos labelled as masked were passed over")
        if report.rejects:
            typer.echo(f"{report.rejects} photos or labels were not used, reasons in {shown(out / 'rejects.csv')}")
        if dataset.passed_over:
            typer.echo(f"passed over: {dataset.passed_over}")
        if not report.drawn + report.reused:
            raise MaskclsError(f"{shown(photos)}: no bare face in any of {len(dataset.photos)} photos")
