"""Settings of a training and their ranges, and recipes: settings in a TOML file, shipped or the user's own."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from torchvision.transforms import v2

from ....embedder.errors import MaskclsError
from ....embedder.photo import shown

Backbone = Literal["resnet18", "resnet34", "resnet50", "resnet152", "efficientnet_b0", "vgg19", "vit_b_16"]
Crop = Literal["face", "photo"]
Task = Literal["mask", "gender", "age"]
TASKS: tuple[Task, ...] = ("mask", "gender", "age")
OPERATIONS = tuple(v2.RandAugment._AUGMENTATION_SPACE)
"""Operations that RandAugment can choose from."""
PATCH = 16
"""Side in pixels of the squares that vit_b_16 cuts an image into."""


def _for_all_tasks(value: object) -> object:
    """One number stands for all tasks."""
    return value if isinstance(value, dict) else dict.fromkeys(TASKS, value)


Share = Annotated[float, Field(ge=0, lt=1)]


class Settings(BaseModel):
    """How networks are trained; see ``docs/train.md`` for what each setting does.

    ``sample_weights`` maps ``race:NAME`` or ``source:NAME`` to how many times as often such faces are drawn;
    ``label_smoothing`` maps tasks to the share of the target that goes to other classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    backbone: Backbone = "resnet18"
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)] = TASKS
    per_task: bool = False
    crop: Crop = "face"
    image_size: Annotated[int, Field(ge=32, le=512)] = 128
    folds: Annotated[int, Field(ge=2)] = 5
    epochs: Annotated[int, Field(ge=1)] = 20
    patience: Annotated[int, Field(ge=0)] = 0
    batch_size: Annotated[int, Field(ge=2)] = 64
    optimizer: Literal["adam", "adamw"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    schedule: Literal["cosine", "plateau"] = "cosine"
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    sample_weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    label_smoothing: Annotated[dict[Task, Share], BeforeValidator(_for_all_tasks)] = {}
    age_smoothing: Literal["all", "neighbours"] = "all"
    focal: Annotated[float, Field(ge=0)] = 0.0
    class_balance: Share = 0.0
    senior_from: Annotated[int, Field(ge=31, le=100)] = 60
    flip: bool = True
    randaugment: tuple[str, ...] = (
        "Identity",
        "Rotate",
        "TranslateX",
        "TranslateY",
        "ShearX",
        "Brightness",
        "Contrast",
    )
    randaugment_ops: Annotated[int, Field(ge=1)] = 2
    randaugment_magnitude: Annotated[int, Field(ge=0, le=30)] = 9
    cutout: Share = 0.0
    cutout_pixels: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.backbone == "vit_b_16" and self.image_size % PATCH:
            raise ValueError(f"image_size {self.image_size}: vit_b_16 takes multiples of {PATCH}")
        for name in self.randaugment:
            if name not in OPERATIONS:
                raise ValueError(f"randaugment {name!r} is none of {', '.join(OPERATIONS)}")
        if self.cutout and self.cutout_pixels:
            raise ValueError("cutout and cutout_pixels are two names for one setting; give one")
        if self.cutout_pixels >= self.image_size:
            raise ValueError(f"cutout_pixels {self.cutout_pixels}: not smaller than image_size {self.image_size}")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("tasks: one is named twice")
        for name in self.sample_weights:
            if name.partition(":")[0] not in ("race", "source") or not name.partition(":")[2]:
                raise ValueError(f"sample_weights {name!r}: write race:NAME or source:NAME")
        return self

    @property
    def networks(self) -> tuple[tuple[Task, ...], ...]:
        """The tasks of each network: one network for all, or one for each."""
        return tuple((task,) for task in self.tasks) if self.per_task else (self.tasks,)

    @property
    def cutout_share(self) -> float:
        """Share of the image (0-1) that cutout blanks."""
        return (self.cutout_pixels / self.image_size) ** 2 if self.cutout_pixels else self.cutout


def settings_of(content: Mapping[str, Any], where: str) -> Settings:
    """Settings from plain values by key; what is not given has its default.

    Args:
        where: names the origin in messages, such as a recipe file.

    Raises:
        MaskclsError: an unknown key, or a value of the wrong kind or outside its range; all known keys are named.
    """
    known = tuple(Settings.model_fields)
    for key in content:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise MaskclsError(f"{where}: unknown key {key!r}{hint}; known are {', '.join(known)}")
    if bad := next(
        (key for key, value in content.items() if isinstance(value, float) and not math.isfinite(value)), None
    ):
        raise MaskclsError(f"{where}: {bad}: not a finite number")
    try:
        return Settings.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        found = f" (not {first['input']!r})" if place else ""
        text = first["msg"].removeprefix("Value error, ")
        raise MaskclsError(f"{where}: {place + ': ' if place else ''}{text}{found}") from None


SUFFIX = ".toml"


@dataclass(frozen=True)
class Recipe:
    """Settings as far as a recipe gives them, and its name."""

    name: str
    content: Mapping[str, Any]

    def settings(self, given: Mapping[str, Any]) -> Settings:
        """The recipe's settings with others in place of its own; tables such as ``label_smoothing`` are replaced whole.

        Raises:
            MaskclsError: see :func:`.settings.settings_of`.
        """
        return settings_of({**self.content, **given}, "options" if given else self.name)


NO_RECIPE = Recipe("settings", {})


def shipped() -> tuple[str, ...]:
    """Names of the recipes that come with maskcls."""
    folder = files(__package__) / "recipes"
    return tuple(sorted(item.name.removesuffix(SUFFIX) for item in folder.iterdir() if item.name.endswith(SUFFIX)))


def read_recipe(name: str) -> Recipe:
    """A shipped recipe by its name, or one in a file.

    Raises:
        MaskclsError: there is no such recipe, the file is no TOML, or it holds an unknown key or a bad value.
    """
    if name in shipped():
        text, where = (files(__package__) / "recipes" / f"{name}{SUFFIX}").read_text(encoding="utf-8"), name
    else:
        path, where = Path(name), shown(name)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise MaskclsError(f"{where}: no such recipe; shipped are {', '.join(shipped())}, or give a file") from None
        except OSError as error:
            raise MaskclsError(f"{where}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise MaskclsError(f"{where}: not a text file in UTF-8") from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MaskclsError(f"{where}: not a recipe: {error}") from error
    settings_of(content, where)
    return Recipe(where, content)
