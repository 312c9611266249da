"""Recipes: settings in a TOML file, shipped or the user's own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ....embedder.errors import MaskclsError
from ....embedder.photo import shown
from .settings import Settings, settings_of

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
