"""``maskcls embed``."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, cast

import typer

from .dataset import LabelsOption, Layout, LayoutOption, LegendOption, show_layout, warn_of_misread
from .options import (
    JOBS,
    BatchOption,
    Device,
    DeviceOption,
    Face,
    JobsOption,
    Precision,
    PrecisionOption,
    Runtime,
    RuntimeOption,
    SearchOption,
    WeightsOption,
    WhichFaces,
)
from .terminal import one_line_errors, progress_bar, tell


class Engine(StrEnum):
    """Who encodes the photos."""

    local = "local"
    ray = "ray"


def embed(
    photos: Annotated[Path, typer.Argument(help="Folder of photos, searched recursively.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Embedding set to make or bring up to date.")],
    layout: LayoutOption = Layout.auto,
    labels: LabelsOption = None,
    legend: LegendOption = None,
    path_column: Annotated[str, typer.Option(help="Column of photo paths, relative to PHOTOS.")] = "path",
    person_column: Annotated[str, typer.Option(help="Column that names the person.")] = "person",
    mask_column: Annotated[str, typer.Option(help="Column: wear, incorrect, normal or such words.")] = "mask",
    gender_column: Annotated[str, typer.Option(help="Column: male, female or such words.")] = "gender",
    race_column: Annotated[str, typer.Option(help="Column, any words; used in reports only.")] = "race",
    age_column: Annotated[str, typer.Option(help="Column: 37, 30-39, 60+, <30 and the like.")] = "age",
    face: Annotated[
        Face, typer.Option(help="auto: a photo that is a face crop is taken whole, others are searched.")
    ] = Face.auto,
    faces: Annotated[
        WhichFaces,
        typer.Option(help="all: every face that the label table names by a box (x0, y0, x1, y1), one row each."),
    ] = WhichFaces.largest,
    jobs: JobsOption = JOBS,
    batch_size: BatchOption = 64,
    device: DeviceOption = Device.auto,
    runtime: RuntimeOption = Runtime.auto,
    precision: PrecisionOption = Precision.auto,
    search: SearchOption = None,
    weights: WeightsOption = None,
    engine: Annotated[
        Engine, typer.Option(help="ray: all machines of the Ray cluster of RAY_ADDRESS, or processes on this one.")
    ] = Engine.local,
) -> None:
    """Find the face in every photo and embed it with FaceNet.

    Writes FACES/faces.parquet, embeddings.npy, maps.npy, encoder.json and rejects.csv (why a photo has no face).
    A killed run goes on where it stopped; a second run embeds only new and changed photos.
    """
    with one_line_errors():
        from ..embedder.datasets.layouts import read_dataset
        from ..embedder.datasets.legend import read_legend
        from ..embedder.datasets.table import Columns
        from ..embedder.detection.finder import FaceFinder
        from ..embedder.detection.search import SearchName
        from ..embedder.errors import MaskclsError
        from ..embedder.facenet.encoder import FaceNetEncoder, pick_device
        from ..embedder.facenet.runtimes import pick_runtime
        from ..embedder.faceset.embed import embed_folder
        from ..embedder.photo import shown
        from ..embedder.pipeline import MOST_FACES

        columns = Columns(path_column, person_column, mask_column, gender_column, race_column, age_column)
        dataset = read_dataset(photos, layout.value, labels, columns, read_legend(legend or []), faces.value)
        show_layout(dataset)
        warn_of_misread(dataset)
        chosen = pick_device(device.value)
        how = pick_runtime(runtime.value, precision.value, chosen)
        encoder, finder = (
            FaceNetEncoder(weights, chosen, runtime=how),
            FaceFinder(chosen, how.engine, cast(SearchName | None, search and search.value)),
        )
        with ExitStack() as stack:
            encode = None
            if engine is Engine.ray:
                from ..embedder.ray import Work, encode_with_ray, ray_cluster

                stack.enter_context(ray_cluster())
                place = weights and weights.resolve()
                work = Work(
                    encoder.info,
                    place,
                    chosen,
                    face.value,
                    batch_size,
                    how,
                    cast(SearchName | None, search and search.value),
                    MOST_FACES if faces is WhichFaces.all else 1,
                )
                encode = partial(encode_with_ray, work=work)
            progress = stack.enter_context(progress_bar())
            report = embed_folder(
                dataset,
                photos,
                out,
                encoder,
                finder,
                mode=face.value,
                jobs=jobs,
                batch_size=batch_size,
                progress=partial(progress, "embedding"),
                encode=encode,
            )
        tell(out=out, layout=dataset.layout, passed_over=dataset.passed_over.kinds, **asdict(report))
        typer.echo(
            f"{shown(out)}: {report.faces} faces ({report.whole} photos taken whole) of layout {dataset.layout}; "
            f"{report.embedded} photos embedded now, {report.reused} unchanged"
        )
        if report.rejects:
            typer.echo(f"{report.rejects} photos or labels were not used, reasons in {shown(out / 'rejects.csv')}")
        if dataset.passed_over:
            typer.echo(f"passed over: {dataset.passed_over}")
        if not report.faces:
            raise MaskclsError(f"{shown(photos)}: no face in any of {dataset.photo_count()} photos")
