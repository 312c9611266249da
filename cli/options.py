"""Options that several commands share."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Face(StrEnum):
    """How the face is looked for."""

    auto = "auto"
    detect = "detect"
    whole = "whole"


class Device(StrEnum):
    """Where the networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Threads that decode photos.")]
BatchOption = Annotated[int, typer.Option("--batch-size", min=1, max=1024, help="Photos per pass of the network.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="auto takes a GPU when there is one.")]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="FaceNet weights: facenet-pytorch's official .pt, or .safetensors. Default: the packaged ones.",
    ),
]
JOBS = os.cpu_count() or 2
