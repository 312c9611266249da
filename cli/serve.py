"""``maskcls serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .opening import opened
from .options import (
    JOBS,
    BatchOption,
    Device,
    DeviceOption,
    Face,
    JobsOption,
    MinQualityOption,
    Precision,
    PrecisionOption,
    Runtime,
    RuntimeOption,
    SearchOption,
    WeightsOption,
    WhichFaces,
)
from .terminal import announce, one_line_errors

PORT = 8765


def serve(
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="Model made by `maskcls build-index`. Default: the built-in one."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="To listen on; 0 takes a free one.")] = PORT,
    host: Annotated[str, typer.Option(help="To listen on; any but this machine's own needs --allow-remote.")] = (
        "127.0.0.1"
    ),
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let other machines in that have the token, which is printed.")
    ] = False,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Answers less sure than this get status `unsure` and a reason.")
    ] = 0.0,
    face: Annotated[
        Face | None, typer.Option(help="How the face is looked for. Default: as for the model's own photos.")
    ] = None,
    faces: Annotated[
        WhichFaces, typer.Option(help="Predict all faces of a photo (the 32 largest), or the largest.")
    ] = WhichFaces.all,
    min_quality: MinQualityOption = 0.0,
    search: SearchOption = None,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = False,
    jobs: JobsOption = JOBS,
    batch_size: BatchOption = 32,
    device: DeviceOption = Device.auto,
    runtime: RuntimeOption = Runtime.auto,
    precision: PrecisionOption = Precision.auto,
    weights: WeightsOption = None,
) -> None:
    """Answer over HTTP: a page to drop photos on, and an API for programs; Ctrl-C ends it.

    POST /predict takes one photo, POST /predict/batch several, GET /openapi.json describes both; /healthz and /metrics
    are for monitors. Nothing that is sent is stored. With $MASKCLS_TOKEN set, clients need that token.
    """
    with one_line_errors():
        from ..classify.serving.answerer import MAX_FACES, Answerer
        from ..classify.serving.guard import is_loopback
        from ..classify.serving.local import open_browser
        from ..classify.serving.server import serve as run
        from ..classify.serving.server import token_for

        token = token_for(host, allow_remote)
        answerer = Answerer(
            *opened(model, device, runtime, precision, weights, face, search),
            faces=1 if faces is WhichFaces.largest else MAX_FACES,
            min_confidence=min_confidence,
            min_quality=min_quality,
        )

        def ready(url: str) -> None:
            if not is_loopback(host):
                typer.echo(f"warning: photos and the token reach {host} unencrypted", err=True)
            page = url if token is None else f"{url}?token={token}"
            announce(f"{page}  (Ctrl-C ends)", url=url, token=token)
            if open_page:
                open_browser(page)

        run(answerer, host, port, ready, token=token, jobs=jobs, batch=batch_size)
