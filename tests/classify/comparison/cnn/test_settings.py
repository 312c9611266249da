from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maskcls.classify.comparison.cnn.settings import NO_RECIPE, Settings, read_recipe, settings_of, shipped
from maskcls.embedder.errors import MaskclsError


def test_shipped_recipes_state_what_the_teams_did() -> None:
    assert shipped() == ("team-a", "team-b")
    a, b = (read_recipe(name).settings({}) for name in shipped())
    assert a.networks == (("mask",), ("gender",), ("age",))
    assert a.crop == "photo"
    assert a.balance == 1
    assert a.label_smoothing == {"mask": 0.1, "gender": 0.1, "age": 0.1}
    assert not {"Solarize", "Posterize", "Equalize"} & set(a.randaugment)
    assert a.cutout_share == pytest.approx(100**2 / (384 * 512), abs=1e-3)
    assert b.senior_from == 58
    assert b.label_smoothing == {"age": 0.1}
    assert b.age_smoothing == "neighbours"


@pytest.mark.parametrize("name", ["team-a", "team-b"])
def test_every_key_of_a_recipe_is_commented_or_known(name: str) -> None:
    recipe = read_recipe(name)
    assert set(recipe.content) <= set(Settings.model_fields)


def test_options_win_over_a_recipe() -> None:
    settings = read_recipe("team-b").settings({"backbone": "resnet18", "label_smoothing": 0.2})
    assert (settings.backbone, settings.senior_from) == ("resnet18", 58)
    assert settings.label_smoothing == {"mask": 0.2, "gender": 0.2, "age": 0.2}


def test_settings_survive_json() -> None:
    settings = read_recipe("team-a").settings({"sample_weights": {"race:asian": 2}})
    assert settings_of(json.loads(settings.model_dump_json()), "config.json") == settings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "epoch = 3", "unknown key 'epoch' (did you mean epochs?); known are backbone, tasks", id="unknown key"
        ),
        pytest.param("wisdom = 3", "unknown key 'wisdom'", id="nothing like it"),
        pytest.param("epochs = 0", "epochs: Input should be greater than or equal to 1 (not 0)", id="too small"),
        pytest.param("epochs = '3'", "epochs: Input should be a valid integer (not '3')", id="text"),
        pytest.param("learning_rate = nan", "learning_rate: not a finite number", id="NaN"),
        pytest.param("backbone = 'alexnet'", "'resnet18', 'resnet34'", id="no such backbone"),
        pytest.param("epochs = 3\nepochs = 4", "not a recipe: Cannot overwrite a value", id="no TOML"),
        pytest.param("tasks = []", "tasks: ", id="no task"),
        pytest.param("tasks = ['age', 'age']", "tasks: one is named twice", id="twice"),
        pytest.param("cutout = 0.1\ncutout_pixels = 9", "give one", id="two cutouts"),
        pytest.param("cutout_pixels = 200", "not smaller than image_size 128", id="large cutout"),
        pytest.param("senior_from = 30", "senior_from: ", id="old at thirty"),
        pytest.param("epochs = 2026-01-01", "epochs: ", id="a date"),
    ],
)
def test_bad_recipes_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(MaskclsError) as error:
        read_recipe(str(path))
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "share"),
    [
        pytest.param({}, 0, id="none"),
        pytest.param({"cutout": 0.05}, 0.05, id="share"),
        pytest.param({"cutout_pixels": 32, "image_size": 128}, 1 / 16, id="pixels"),
    ],
)
def test_cutout_share(content: dict[str, Any], share: float) -> None:
    assert NO_RECIPE.settings(content).cutout_share == pytest.approx(share)
