"""``maskcls train``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Device, DeviceOption
from .terminal import figure_lines, one_line_errors, progress_bar, tell

NETWORKS, SETTINGS = "Networks and training", "Loss and sampling"
AUGMENTATION = "Augmentation"


class Backbone(StrEnum):
    """Networks of torchvision."""

    resnet18 = "resnet18"
    resnet34 = "resnet34"
    resnet50 = "resnet50"
    resnet152 = "resnet152"
    efficientnet_b0 = "efficientnet_b0"
    vgg19 = "vgg19"
    vit_b_16 = "vit_b_16"


class Crop(StrEnum):
    """What of a photo is looked at."""

    face = "face"
    photo = "photo"


class Optimizer(StrEnum):
    """torch's optimisers."""

    adam = "adam"
    adamw = "adamw"


class Schedule(StrEnum):
    """How the learning rate falls."""

    cosine = "cosine"
    plateau = "plateau"


class AgeSmoothing(StrEnum):
    """Where the smoothed part of the age target goes."""

    all = "all"
    neighbours = "neighbours"


def _option(panel: str, help_: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help_, rich_help_panel=panel, **more)


def train(
    faces: Annotated[list[Path], typer.Argument(help="Embedding sets made by `maskcls embed`: these are scored.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    also: Annotated[
        list[Path] | None, typer.Option("--also", help="A set that is only trained on (repeatable).")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="team-a, team-b, or a TOML file of settings; options given beside it win.")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="Split made by `maskcls split`, instead of --folds.")] = None,
    score_folds: Annotated[
        int | None, typer.Option(min=1, help="Train and answer for this many folds only, where a run is too long.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of folds, training and intervals.")] = 0,
    weights: Annotated[
        Path | None, typer.Option(help="ImageNet weights: torchvision's .pth, or .safetensors. Default: from scratch.")
    ] = None,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Start from torchvision's ImageNet weights, fetched if need be.")
    ] = False,
    device: DeviceOption = Device.auto,
    bfloat16: Annotated[
        bool | None, typer.Option(help="Compute in bfloat16. Default: where it is faster (not efficientnet_b0).")
    ] = None,
    backbone: Annotated[Backbone | None, _option(NETWORKS, "Default: resnet18.")] = None,
    tasks: Annotated[str | None, _option(NETWORKS, "Of mask,gender,age. Default: all that have labels.")] = None,
    per_task: Annotated[bool | None, _option(NETWORKS, "A network for each task, instead of one for all.")] = None,
    crop: Annotated[
        Crop | None, _option(NETWORKS, "The face as it was embedded (default), or the whole photo.")
    ] = None,
    image_size: Annotated[int | None, _option(NETWORKS, "Side in pixels. Default: 128.")] = None,
    folds: Annotated[int | None, _option(NETWORKS, "Parts the people are split into. Default: 5.")] = None,
    epochs: Annotated[int | None, _option(NETWORKS, "Passes over the faces, at most. Default: 20.")] = None,
    patience: Annotated[
        int | None, _option(NETWORKS, "Stop after this many epochs no better on held-out people. Default: 0, never.")
    ] = None,
    batch_size: Annotated[int | None, _option(NETWORKS, "Faces a step. Default: 64.")] = None,
    optimizer: Annotated[Optimizer | None, _option(NETWORKS, "Default: adamw.")] = None,
    learning_rate: Annotated[float | None, _option(NETWORKS, "Default: 0.001.")] = None,
    weight_decay: Annotated[float | None, _option(NETWORKS, "Default: 0.05.")] = None,
    schedule: Annotated[
        Schedule | None, _option(NETWORKS, "cosine (default), or a tenth after two epochs no better.")
    ] = None,
    balance: Annotated[
        float | None, _option(SETTINGS, "Weighted sampling: 0 (default) as faces come, 1 all classes equally often.")
    ] = None,
    weight: Annotated[
        list[str] | None, _option(SETTINGS, "race:asian=2 or source:fairface=0.5: drawn so many times as often.")
    ] = None,
    label_smoothing: Annotated[
        list[str] | None, _option(SETTINGS, "0.1 for all tasks, or age=0.1 (repeatable). Default: 0.")
    ] = None,
    age_smoothing: Annotated[
        AgeSmoothing | None, _option(SETTINGS, "Smooth age towards all bands, or the neighbouring ones only.")
    ] = None,
    focal: Annotated[
        float | None, _option(SETTINGS, "Exponent of the focal loss; 0 (default) is cross entropy.")
    ] = None,
    class_balance: Annotated[
        float | None, _option(SETTINGS, "Beta of the class-balanced loss, such as 0.999. Default: 0, none.")
    ] = None,
    senior_from: Annotated[int | None, _option(SETTINGS, "Age trained as >=60; truth begins at 60.")] = None,
    flip: Annotated[
        bool | None, _option(AUGMENTATION, "Mirror half of the faces; answers mean both. Default: on.")
    ] = None,
    randaugment: Annotated[
        str | None, _option(AUGMENTATION, "Operations to choose from, with commas; none turns it off.")
    ] = None,
    randaugment_ops: Annotated[int | None, _option(AUGMENTATION, "Operations a face. Default: 2.")] = None,
    randaugment_magnitude: Annotated[int | None, _option(AUGMENTATION, "0 to 30. Default: 9.")] = None,
    cutout: Annotated[float | None, _option(AUGMENTATION, "Share of the image blanked in half of the faces.")] = None,
    cutout_pixels: Annotated[int | None, _option(AUGMENTATION, "The same as the side of the square.")] = None,
) -> None:
    """Train networks of torchvision on the photos, fold by fold of people, and answer out of fold.

    The peer that retrieval is measured against. Every network is scored on people it has not seen; a tenth of the
    others chooses its epoch. The run's folder explains itself; `maskcls runs` compares them. A killed run goes on where
    it was.
    """
    given: dict[str, object] = {
        "backbone": backbone,
        "tasks": None if tasks is None else [name.strip() for name in tasks.split(",")],
        "per_task": per_task,
        "crop": crop,
        "image_size": image_size,
        "folds": folds,
        "epochs": epochs,
        "patience": patience,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "balance": balance,
        "age_smoothing": age_smoothing,
        "focal": focal,
        "class_balance": class_balance,
        "senior_from": senior_from,
        "flip": flip,
        "randaugment": None if randaugment is None else [] if randaugment == "none" else randaugment.split(","),
        "randaugment_ops": randaugment_ops,
        "randaugment_magnitude": randaugment_magnitude,
        "cutout": cutout,
        "cutout_pixels": cutout_pixels,
    }
    with one_line_errors():
        import sys

        from ..classify.comparison.cnn.job import prepare
        from ..classify.comparison.cnn.train import train as run
        from ..classify.comparison.cnn.trained import read_config
        from ..embedder.photo import shown
        from ..embedder.storage.lock import locked

        given |= {
            "sample_weights": _numbers("--weight", weight),
            "label_smoothing": _numbers("--label-smoothing", label_smoothing),
        }
        job = prepare(
            faces,
            also or [],
            recipe,
            {name: value for name, value in given.items() if value is not None},
            split=split,
            score_folds=score_folds,
            seed=seed,
            weights=weights,
            allow_download=allow_download,
            device=device.value,
            bfloat16=bfloat16,
            command=" ".join(["maskcls", *map(shown, sys.argv[1:])]),
        )
        for line in job.lines():
            typer.echo(line)
        if read_config(out).get("files"):
            typer.echo(f"{shown(out)}: holds a finished run; it is left as it is")
        with locked(out), progress_bar() as progress:
            metrics = run(job, out, progress)
        tell(out=out, **metrics)
        for note in metrics["data"]["notes"]:
            typer.echo(note)
        for line in figure_lines(metrics["overall"]):
            typer.echo(line)
        seconds, networks = metrics["networks"]["seconds"], metrics["networks"]
        typer.echo(
            f"{shown(out)}: {networks['parameters'] / 1e6:.1f} M parameters a fold, {seconds / 60:.1f} minutes of "
            f"training, best epochs {', '.join(map(str, networks['best_epochs']))}"
        )


def _numbers(option: str, given: list[str] | None) -> dict[str, float] | float | None:
    """``name=number`` pairs, or one number alone; None where nothing is given."""
    from ..embedder.errors import MaskclsError

    if not given:
        return None
    pairs: dict[str, float] = {}
    for text in given:
        name, _, value = text.rpartition("=")
        try:
            pairs[name.strip()] = float(value)
        except ValueError:
            raise MaskclsError(f"{option} {text}: write NAME=NUMBER") from None
    return pairs[""] if set(pairs) == {""} else pairs
