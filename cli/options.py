"""Options that several commands share."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..classify.model.fitting import FineTuning


class Face(StrEnum):
    """How the face is looked for."""

    auto = "auto"
    detect = "detect"
    whole = "whole"


class Search(StrEnum):
    """What finds the faces of a photo."""

    libfacedetection = "libfacedetection"
    mtcnn = "mtcnn"


class WhichFaces(StrEnum):
    """Which faces of a photo are used."""

    largest = "largest"
    all = "all"


class Depth(StrEnum):
    """First block of FaceNet that is fine-tuned."""

    block8 = "block8"
    mixed_7a = "mixed_7a"
    repeat_2 = "repeat_2"
    mixed_6a = "mixed_6a"
    repeat_1 = "repeat_1"
    conv2d_1a = "conv2d_1a"


class Device(StrEnum):
    """Where the networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Runtime(StrEnum):
    """What runs the networks."""

    auto = "auto"
    torch = "torch"
    openvino = "openvino"


class Precision(StrEnum):
    """The precision in which the networks compute."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="Threads that decode photos.", show_default="one a core")
]
BatchOption = Annotated[int, typer.Option("--batch-size", min=1, max=1024, help="Photos per pass of the network.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="auto takes a GPU when there is one.")]
RuntimeOption = Annotated[
    Runtime, typer.Option("--runtime", help="auto takes OpenVINO on a processor if it is installed, else torch.")
]
PrecisionOption = Annotated[
    Precision, typer.Option("--precision", help="auto takes bf16 where the processor or GPU has it, else fp32.")
]
SearchOption = Annotated[
    Search | None,
    typer.Option("--search", help="What finds faces. Default: libfacedetection where it is installed, else MTCNN."),
]
MinQualityOption = Annotated[
    float, typer.Option(min=0, max=1, help="Answers about faces of lower quality get status `unsure` and a reason.")
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="FaceNet weights: facenet-pytorch's official .pt, or .safetensors. Default: the packaged ones.",
    ),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace output files even if this command did not write them.")
]
DatasetOption = Annotated[
    str | None, typer.Option(metavar="ID|FOLDER", help="Only of this data set, by its id or its folder of photos.")
]
KnownOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--known",
        help="A set that the teacher of pseudo-labels was built from; only used to know its people (repeatable).",
    ),
]
ConfidenceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--min-confidence",
        metavar="[TASK=]P",
        help="Label what the model is at least this sure of, 0-1; for one task mask=P, gender=P or age=P (repeatable). "
        "Default: 0.9.",
    ),
]
FinetuneOption = Annotated[
    Depth | None,
    typer.Option(
        "--finetune",
        help="Also train FaceNet from this block on (conv2d_1a: all of it), on the photos themselves. "
        "Takes many minutes; a killed run goes on where it was.",
    ),
]
PassesOption = Annotated[int, typer.Option("--passes", min=1, help="Of fine-tuning over the faces.")]
PASSES = 4
JOBS = os.cpu_count() or 2


def fine_tuning(
    finetune: Depth | None,
    passes: int,
    device: Device,
    weights: Path | None,
    folder: Path | None = None,
    precision: Precision = Precision.auto,
) -> FineTuning | None:
    """What the options of fine-tuning ask for, None where they do not; ``folder`` is for checkpoints.

    Torch encodes the faces again: exporting a backbone that is used once does not pay.

    Raises:
        MaskclsError: a GPU was asked for and there is none, or bf16 and the device has none.
    """
    if finetune is None:
        return None
    from ..classify.model.fitting import FineTuning
    from ..embedder.facenet.encoder import pick_device
    from ..embedder.facenet.runtimes import pick_runtime

    chosen = pick_device(device.value)
    runtime = pick_runtime("torch", precision.value, chosen)
    return FineTuning(finetune.value, passes, chosen, weights, folder, runtime)
