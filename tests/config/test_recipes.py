"""Recipes: settings of other papers' stand-alone training, between a preset and the options."""

import pathlib
import tomllib

import pytest

from bnao.config.evaluation import EvaluateConfig
from bnao.config.presets import preset
from bnao.config.recipes import RECIPE_NAMES, RECIPES, SOURCES
from bnao.config.settings import SearchConfig
from bnao.errors import ConfigError
from tests.cli.test_cli import bnao, workplace  # noqa: F401  # the fixture is used by its name


def test_the_recipe_of_nao_is_the_paper_preset():
    of_recipe, paper = preset(EvaluateConfig, "paper", recipe="nao"), EvaluateConfig()

    assert (of_recipe.epochs, of_recipe.network, of_recipe.data) == (paper.epochs, paper.network, paper.data)
    assert of_recipe.training == paper.training


def test_recipes_differ_in_what_their_papers_say():
    darts, partial, enas = (preset(EvaluateConfig, "paper", recipe=name) for name in ("darts", "pc-darts", "enas"))

    assert (darts.epochs, darts.training.batch_size, darts.training.weight_decay) == (600, 96, 3e-4)
    assert (darts.training.drop_path_keep, partial.training.drop_path_keep) == (0.8, 0.7)
    assert (darts.training.dropout_keep, darts.training.drop_path_depth) == (1.0, "constant")
    # 10 + 20 + ... + 320 epochs, 15 layers and two that reduce
    assert (enas.epochs, 3 * enas.network.cells + 2) == (sum(10 * 2**k for k in range(6)), 17)
    assert tuple(SOURCES) == RECIPE_NAMES == tuple(RECIPES)


def test_a_recipe_lies_between_preset_and_options():
    shown = bnao("evaluate", "--recipe", "darts", "--preset", "quick", "--epochs", 3, "--show-config").stdout
    settings = tomllib.loads(shown)

    assert (settings["preset"], settings["recipe"], settings["epochs"]) == ("quick", "darts", 3)
    assert settings["data"]["dataset"] == "fashion-mnist"
    assert (settings["network"]["channels"], settings["training"]["batch_size"]) == (36, 96)


def test_a_file_may_name_a_recipe_too():
    pathlib.Path("mine.toml").write_text('recipe = "enas"\nepochs = 5\n')

    settings = tomllib.loads(bnao("evaluate", "--config", "mine.toml", "--show-config").stdout)

    assert (settings["recipe"], settings["preset"], settings["epochs"]) == ("enas", "paper", 5)
    assert settings["training"]["schedule"] == "restarts"
    pathlib.Path("whole.toml").write_text(bnao("evaluate", "--config", "mine.toml", "--show-config").stdout)
    assert tomllib.loads(bnao("evaluate", "--config", "whole.toml", "--show-config").stdout) == settings


def test_with_a_recipe_alone_the_preset_is_the_papers():
    assert tomllib.loads(bnao("evaluate", "--recipe", "enas", "--show-config").stdout)["preset"] == "paper"


@pytest.mark.parametrize(
    ("config", "name", "why"),
    [
        (EvaluateConfig, "dart", "no recipe 'dart'; there is nao"),
        (SearchConfig, "darts", "are for stand-alone training"),
    ],
)
def test_a_recipe_that_is_none_is_refused(config, name, why):
    with pytest.raises(ConfigError, match=why):
        preset(config, "paper", recipe=name)
