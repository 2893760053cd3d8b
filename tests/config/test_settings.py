import math
import pkgutil
import tomllib

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bnao
from bnao.config import settings as configs
from bnao.config.evaluation import EvaluateConfig
from bnao.config.fields import build, kinds_of, merge, read_toml, setting, settings_of, to_settings, to_toml
from bnao.config.presets import PRESETS, preset
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.config.strategies import STEP_LEVEL, section_of
from bnao.config.studies import StudyConfig
from bnao.config.table_studies import ControllersConfig, PredictorConfig
from bnao.errors import BnaoError, ConfigError
from bnao.sampler import SAMPLERS
from bnao.space.spaces import SPACES, space_named
from bnao.strategies.registry import CONTROLLERS

CONFIGS = [(config, name) for config, presets in PRESETS.items() for name in presets]


def read_back(config):
    return build(type(config), tomllib.loads(to_toml(config)))


@pytest.mark.parametrize(("config", "name"), CONFIGS)
def test_each_preset_builds_and_says_its_name(config, name):
    assert preset(config, name).preset == name


@pytest.mark.parametrize(("config", "name"), CONFIGS)
def test_a_preset_comes_back_from_its_toml(config, name):
    assert read_back(preset(config, name)) == preset(config, name)


# what a file of settings can hold
TEXT = st.characters(codec="utf-8", exclude_characters="\0")


@given(st.integers(0, 2**63), st.floats(1e-9, 1e9), st.booleans(), st.text(TEXT, max_size=20), st.integers(1, 10**9))
def test_any_settings_come_back_from_their_toml(seed, rate, flip, folder, steps):
    config = build(
        SearchConfig,
        {
            "seed": seed,
            "steps": steps,
            "training": {"learning_rate": rate},
            "data": {"flip": flip, "data_dir": folder},
        },
    )

    assert read_back(config) == config


def test_the_defaults_are_the_papers():
    search, alone = SearchConfig(), EvaluateConfig()

    assert (search.rounds, search.pool, search.new, search.n_seeds, search.epochs) == (4, 1000, 300, 100, 50)
    assert (search.rerank_epochs, search.rerank_drop_path_epochs) == (10, 50)  # as the authors always re-rank
    assert (search.network.channels, search.network.cells) == (20, 3)
    assert space_named(search.network.space, search.network.nodes).nodes == 5
    assert attrs.astuple(search.training) == (
        *(64, 0.025, 0.001, 0.9, 3e-4, 5.0, "path", 0.9, "round", "none"),
        *((), "restart", "none", 1.0, 0.5, True),
    )
    assert (search.sampler, search.size, search.alpha, search.sample_from) == (
        "proportional",
        "live-parameters",
        1.0,
        "new",
    )  # in nao, the paper's space, all parameters are alive
    assert (alone.epochs, alone.network.channels, alone.network.cells, alone.data.cutout) == (600, 36, 6, 16)
    assert attrs.astuple(alone.training) == (
        128, 0.025, 0.0, "cosine", 10, 2, 0.97, 0.9, 5e-4, 5.0, 0.8, None, "linear", 0.6, 0.4, 0.0,
    )  # fmt: skip


def test_the_imagenet_preset_is_the_papers():
    alone = preset(EvaluateConfig, "imagenet")

    assert (alone.epochs, alone.network.channels, alone.network.cells, alone.network.network) == (
        250,
        52,
        4,
        "imagenet",
    )
    assert (alone.data.dataset, alone.data.crop, alone.data.flip, alone.data.cutout) == ("imagenet", "resized", True, 0)
    assert (alone.data.jitter, alone.data.hue) == (0.4, 0.2)  # "exactly follow DARTS" (Sec. 5.4)
    training = alone.training
    assert (training.batch_size, training.learning_rate, training.schedule, training.decay) == (
        128, 0.1, "exponential", 0.97,
    )  # fmt: skip
    assert (training.momentum, training.weight_decay, training.auxiliary, training.label_smoothing) == (
        0.9, 3e-5, 0.4, 0.1,
    )  # fmt: skip
    assert (training.drop_path_keep, training.dropout_keep, training.gradient_norm) == (1, 1, 5)


def test_a_word_stands_for_its_number_and_the_bounds_do_not_hold_for_it():
    assert NetworkConfig(channels="auto").channels == NetworkConfig(channels=0).channels == configs.AUTO == 0
    assert build(EvaluateConfig, {"network": {"channels": "auto"}}).network.channels == 0
    for channels, told in (
        (1, "1; it must be >= 2 and <= 16384, or 0 (auto)"),
        ("wide", "'wide'; it must be a whole number"),
    ):
        with pytest.raises(ConfigError) as error:
            NetworkConfig(channels=channels)
        assert str(error.value) == f"channels is {told}"


def test_a_word_is_written_as_the_word_and_comes_back():
    config = build(EvaluateConfig, {"network": {"channels": "auto"}})

    assert to_settings(config)["network"]["channels"] == "auto"
    assert read_back(config) == config
    assert to_settings(build(EvaluateConfig, {"network": {"channels": 4}}))["network"]["channels"] == 4


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"channels": 16_385}, "channels is 16385; it must be >= 2 and <= 16384, or 0 (auto)"),
        ({"cells": 999_999_999_999}, "cells is 999999999999; it must be >= 1 and <= 1000"),
        ({"cells": 10**5000}, "cells is a number of about 5000 digits; it must be >= 1 and <= 1000"),
        ({"classes": 10**6 + 1}, "classes is 1000001; it must be >= 2 and <= 1000000"),
        ({"image": (16_385, 32, 3)}, "image is 16385x32x3; height, width and channels must each be <= 16384"),
        ({"image": (32, 10**5000, 3)}, "image is 32xa number of about 5000 digitsx3; height, width and"),
        ({"image": (32, 32.5, 3)}, "image is 32x32.5x3; it must be HxWxC, such as 32x32x3"),
        ({"image": (32, "32", 3)}, "image is 32x'32'x3; it must be HxWxC, such as 32x32x3"),
    ],
)
def test_a_network_beyond_all_that_is_trained_is_refused(settings, told):
    with pytest.raises(ConfigError) as error:
        NetworkConfig(**settings)

    assert str(error.value).startswith(told)


def test_a_whole_number_beyond_any_float_is_not_a_finite_number():
    with pytest.raises(ConfigError, match="band is a number of about 400 digits; it must be a finite number"):
        StudyConfig(band=10**400)


def test_a_file_with_a_number_of_too_many_digits_is_refused(tmp_path):
    (tmp_path / "long.toml").write_text(f"seed = {'9' * 5000}\n")

    with pytest.raises(ConfigError, match=r"long.toml is not TOML: Exceeds the limit"):
        read_toml(tmp_path / "long.toml")


@given(
    st.sampled_from([SearchConfig, EvaluateConfig, StudyConfig, ControllersConfig]),
    st.sampled_from(["channels", "cells", "nodes"]),
    st.integers(-(2**70), 2**70) | st.just(10**5000),
)
def test_any_whole_number_in_a_section_of_the_network_is_taken_or_refused_by_its_name(config, name, number):
    try:
        built = build(config, {"network": {name: number}})
    except ConfigError as error:
        assert f"{name} is " in str(error)
    else:
        assert getattr(built.network, name) == number


def test_what_work_may_go_on_without_is_left_out_of_what_is_fixed():
    config = build(EvaluateConfig, {"machine": {"data_workers": 3, "threads": 2}, "data": {"unreadable": "skip"}})

    whole, fixed = tomllib.loads(to_toml(config)), tomllib.loads(to_toml(config, fixed=True))

    assert (whole["machine"].pop("data_workers"), whole["data"].pop("unreadable")) == (3, "skip")
    assert fixed == whole
    assert fixed["machine"]["threads"] == 2


def test_later_layers_win_and_leave_the_rest_of_a_section():
    settings = merge({"seed": 1, "data": {"pad": 4, "flip": True}}, {"data": {"pad": 2}}, {"seed": 2})

    assert settings == {"seed": 2, "data": {"pad": 2, "flip": True}}


def test_building_on_a_base_changes_only_what_is_given():
    base = preset(SearchConfig, "quick")

    changed = build(SearchConfig, {"data": {"pad": 1}}, base)

    assert changed == attrs.evolve(base, data=attrs.evolve(base.data, pad=1))


@pytest.mark.parametrize("strategy", ["fairnas", "darts", "snas", "pc-darts", "p-darts", "fair-darts", "darts-minus"])
def test_only_the_quick_preset_is_shorter_for_strategies_whose_updates_cost_more(strategy):
    shorter, whole = (preset(SearchConfig, name, strategy) for name in ("quick", "cifar10-small"))

    # else 3 rounds of 8 and of 20 epochs, as every strategy of paths has them
    assert shorter.epochs < preset(SearchConfig, "quick", "spos").epochs == 8
    assert whole.epochs == preset(SearchConfig, "cifar10-small", "spos").epochs == 20
    assert shorter.rounds == whole.rounds == 3
    section = section_of(strategy)
    assert getattr(shorter, section) == getattr(whole, section)
    assert shorter.network.share_over == whole.network.share_over


@pytest.mark.parametrize("config", PRESETS)
def test_every_setting_has_a_help_and_a_default_within_its_bounds(config):
    for path, attribute in settings_of(config):
        assert attribute.metadata["help"].endswith("."), path
        assert kinds_of(attribute), path
    assert config() == config()


def test_paths_of_settings_are_distinct_and_name_sections():
    paths = [path for path, _ in settings_of(SearchConfig)]

    assert len(set(paths)) == len(paths)
    assert ("rounds",) in paths
    assert ("data", "pad") in paths
    assert ("network", "classes") not in paths  # the data decide


BAD_SETTINGS = [
    ({"round": 3}, "the config has no setting 'round'; did you mean 'rounds'?"),
    ({"data": {"padd": 2}}, "[data] has no setting 'padd'; did you mean 'pad'?"),
    (
        {"network": {"classes": 3}},
        "[network] has no setting 'classes'; there is space, nodes, channels, cells, network, slots, share_over, "
        "partial_channels, entangle",
    ),
    (
        {"table": {"xyz": 3}},
        "[table] has no setting 'xyz'; there is table, score_column, size_column",
    ),
    ({"rounds": 4.0}, "rounds is 4.0; it must be a whole number"),
    ({"rounds": "4"}, "rounds is '4'; it must be a whole number"),
    ({"rounds": True}, "rounds is True; it must be a whole number"),
    ({"rounds": None}, "rounds is None; it must be a whole number"),
    ({"rounds": {"of": 3}}, "rounds is {'of': 3}; it must be a whole number"),
    ({"rounds": 0}, "rounds is 0; it must be >= 1"),
    ({"alpha": 11}, "alpha is 11; it must be >= -10 and <= 10"),
    ({"alpha": math.nan}, "alpha is nan; it must be a finite number"),
    ({"data": {"flip": 1}}, "[data] flip is 1; it must be true or false"),
    ({"data": {"dataset": 3}}, "[data] dataset is 3; it must be text"),
    ({"data": {"dataset": "mnist"}}, "[data] dataset is 'mnist'; it can be fashion-mnist, cifar10, cifar100, imagenet"),
    ({"data": {"dev_images": 0}}, "[data] dev_images is 0; it must be >= 1"),
    ({"training": {"learning_rate": math.nan}}, "[training] learning_rate is nan; it must be a finite number"),
    ({"training": {"learning_rate": math.inf}}, "[training] learning_rate is inf; it must be a finite number"),
    ({"training": {"momentum": 1.5}}, "[training] momentum is 1.5; it must be >= 0 and <= 1"),
    ({"training": 3}, "training is 3; it is a section, [training]"),
    ({"sampler": "fair"}, "sampler is 'fair'; it can be proportional, uniform, budget"),
    (
        {"network": {"share_over": "cell"}, "training": {"split_at": "0.5:edge,0.7"}},
        "[training] split_at has '0.7'; each is a fraction of the training, between 0 and 1, and what shares weights "
        "from then on (edge, source, node), such as 0.5:edge",
    ),
    (
        {"training": {"split_at": "1:edge"}},
        "[training] split_at has '1:edge'; each is a fraction of the training, between 0 and 1, and what shares "
        "weights from then on (edge, source, node), such as 0.5:edge",
    ),
    ({"training": {"split_at": 0.5}}, "[training] split_at is 0.5; it must be splits, such as 0.5:edge"),
    (
        {"training": {"split_at": "0.5:edge"}},
        "split_at has 0.5:edge, and the edges already share over edge; weights are split in the order cell, node, "
        "source, edge",
    ),
    (
        {"network": {"share_over": "cell"}, "training": {"split_at": ["0.5:node", "0.5:edge"]}},
        "split_at has 0.5:edge after 0.5:node; the fractions must rise",
    ),
    (
        {"training": {"rank_loss": "parameters", "companions": "fair"}},
        "[training] rank_loss is parameters, and companions is fair; a step that ranks trains a pair of its own, so "
        "one of them must be none",
    ),
    (
        {"score": "log-likelihood", "sharing": "none"},
        "score is log-likelihood, and stand-alone trainings have accuracies; it must be accuracy",
    ),
    (
        {"score": "log-likelihood", "machine": {"backend": "table"}},
        "score is log-likelihood, and a table has its own scores; it must be accuracy",
    ),
]


@pytest.mark.parametrize(("settings", "message"), BAD_SETTINGS)
def test_a_setting_that_cannot_be_is_refused_with_its_place(settings, message):
    with pytest.raises(ConfigError) as error:
        build(SearchConfig, settings)

    assert str(error.value) == message


def test_a_whole_number_will_do_for_a_number():
    assert build(SearchConfig, {"alpha": 1}) == SearchConfig()


def test_settings_are_checked_however_the_config_is_made():
    with pytest.raises(ConfigError, match="pool is 1; it must be >= 2"):
        SearchConfig(pool=1)
    with pytest.raises(ConfigError, match="pool is 1; it must be >= 2"):
        attrs.evolve(SearchConfig(), pool=1)


def test_bounds_themselves_are_allowed_and_what_lies_past_them_is_not():
    @attrs.frozen
    class Config:
        share: float = setting(0.5, "A share.", least=0, most=1)

    assert [Config(share=share).share for share in (0, 1)] == [0, 1]
    for share in (np.nextafter(0, -1), np.nextafter(1, 2)):
        with pytest.raises(ConfigError, match="it must be >= 0 and <= 1"):
            Config(share=float(share))


def test_a_preset_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ConfigError, match="no preset 'fast'; there is quick, cifar10-small, paper, quick-shared"):
        preset(SearchConfig, "fast")


@pytest.mark.parametrize(
    ("network", "image", "message"),
    [
        ("cifar", (7, 32, 3), "images are 7 x 32 pixels; two reductions need at least 8 x 8"),
        (
            "imagenet",
            (32, 31, 3),
            "images are 32 x 31 pixels; two reductions behind the stem of stride 8 need at least 32 x 32",
        ),
        ("cifar", (32, 32), "image is 32x32; it must be HxWxC, such as 32x32x3"),
        ("cifar", (32, 32, 0), "image is 32x32x0; it must be HxWxC, such as 32x32x3"),
    ],
)
def test_images_too_small_for_two_reductions_are_refused(network, image, message):
    with pytest.raises(ConfigError) as error:
        NetworkConfig(network=network, image=image)

    assert str(error.value) == message


def test_a_config_file_is_read_as_nested_settings(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('seed = 3\n[data]\ndataset = "cifar10"\n', encoding="utf-8")

    assert read_toml(file) == {"seed": 3, "data": {"dataset": "cifar10"}}


def test_a_config_file_that_is_absent_or_not_toml_is_refused_with_its_name(tmp_path):
    absent, broken, binary = (tmp_path / name for name in ("absent.toml", "broken.toml", "binary.toml"))
    broken.write_text("seed = 3\nrounds = = 2\n", encoding="utf-8")
    binary.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match=r"cannot read the config file .*absent\.toml: No such file or directory"):
        read_toml(absent)
    with pytest.raises(ConfigError, match=r"broken.toml is not TOML: .*line 2"):
        read_toml(broken)
    with pytest.raises(ConfigError, match=r"binary.toml is not TOML"):
        read_toml(binary)


def test_a_config_error_is_a_value_error_and_one_of_bnaos():
    assert issubclass(ConfigError, ValueError)
    assert issubclass(ConfigError, BnaoError)


def test_the_settings_name_the_spaces_samplers_and_controllers_that_there_are():
    assert set(configs.SPACE_NAMES) == set(SPACES)
    assert "proportional" in SAMPLERS and attrs.fields(configs.SearchConfig).sampler.metadata["choices"] == tuple(
        SAMPLERS
    )
    assert set(configs.CONTROLLERS) == {*configs.OF_A_BACKEND, *CONTROLLERS}


@pytest.mark.parametrize(
    ("kind", "section", "value", "told"),
    [
        (
            SearchConfig,
            "data",
            "my.npz",
            "data is 'my.npz'; it must be a DataConfig, such as DataConfig(data='my.npz')",
        ),
        (SearchConfig, "data", "cifar100", "it must be a DataConfig, such as DataConfig(dataset='cifar100')"),
        (SearchConfig, "training", {"momentum": 0.5}, "a TrainingConfig, such as TrainingConfig(momentum=0.5)"),
        (SearchConfig, "table", "t.csv", "a TableConfig, such as TableConfig(table='t.csv')"),
        (SearchConfig, "network", None, "network is None; it must be a NetworkConfig"),
        (EvaluateConfig, "training", configs.TrainingConfig(), "training is a TrainingConfig; it must be a StandAlone"),
        (StudyConfig, "alone", 5, "alone is 5; it must be a AloneConfig"),
        (ControllersConfig, "controller", "nao", "a ControllerConfig, such as ControllerConfig(controller='nao')"),
        (PredictorConfig, "machine", "cuda", "machine is 'cuda'; it must be a MachineConfig"),
    ],
)
def test_a_section_of_another_type_is_refused_at_once_by_its_name(kind, section, value, told):
    with pytest.raises(ConfigError) as refusal:
        kind(**{section: value})

    assert told in str(refusal.value)


def test_every_section_of_every_config_refuses_another_type():
    for kind in vars(configs).values():
        if attrs.has(kind):
            for attribute in attrs.fields(kind):
                if attrs.has(attribute.type):
                    with pytest.raises(
                        ConfigError, match=f"^{attribute.name} is 7; it must be a {attribute.type.__name__}"
                    ):
                        kind(**{attribute.name: 7})


def test_settings_that_are_lists_are_tuples_in_python_and_lists_in_toml_and_may_be_texts_with_commas():
    config = StudyConfig(epochs=[1, 3], samplers=["uniform", "proportional:0.5"], sizes="diverse, similar")

    assert (config.epochs, config.sizes, config.short) == ((1, 3), ("diverse", "similar"), ())
    assert [str(sampler) for sampler in config.samplers] == ["uniform", "proportional:0.5"]
    written = tomllib.loads(to_toml(config))
    assert (written["epochs"], written["samplers"]) == ([1, 3], ["uniform", "proportional:0.5"])
    assert build(StudyConfig, written) == config


@pytest.mark.parametrize("epochs", [5, "", (), (1, 2.5), (True,), (3, 1), None])
def test_a_list_of_other_values_is_refused_by_name(epochs):
    with pytest.raises(ConfigError, match=r"^epochs is .*; it must be whole numbers >= 1 that rise, such as 5,10,20$"):
        StudyConfig(epochs=epochs)


def test_a_user_needs_no_import_from_deep_inside_and_no_public_name_is_a_modules():
    assert bnao.preset(bnao.StudyConfig, "quick").data.dataset == bnao.DataConfig(dataset="fashion-mnist").dataset
    modules = {module.name for module in pkgutil.iter_modules(bnao.__path__)}
    assert not modules & set(bnao.__all__)
    assert {"to_text", "compare_rankings", "published_cell", "preset", "load_dataset", "load_backend"} <= set(
        bnao.__all__
    )


def test_splits_are_texts_in_a_file_and_on_the_command_line():
    given = {"network": {"share_over": "cell"}, "training": {"split_at": "0.3:node, 0.60:edge"}}

    config = build(SearchConfig, given)

    assert [(split.share, split.share_over) for split in config.training.split_at] == [(0.3, "node"), (0.6, "edge")]
    assert to_settings(config)["training"]["split_at"] == ["0.3:node", "0.6:edge"]
    assert build(SearchConfig, tomllib.loads(to_toml(config))) == config


@pytest.mark.parametrize("strategy", ("nao", *STEP_LEVEL))
@pytest.mark.parametrize("name", PRESETS[SearchConfig])
def test_each_preset_builds_for_each_strategy_and_is_what_its_file_says(name, strategy):
    config = preset(SearchConfig, name, strategy)

    assert (config.preset, config.strategy) == (name, strategy)
    assert build(SearchConfig, tomllib.loads(to_toml(config))) == config
    if name == "paper" and strategy != "nao":
        assert config.rounds == 1  # in one piece, of their authors' length


def test_a_files_sections_are_those_of_its_strategy_and_those_that_were_changed():
    sections = {section_of(name) for name in STEP_LEVEL} | {"watch"}
    changed = build(SearchConfig, {"spos": {"parents": 3}})

    assert not sections & set(tomllib.loads(to_toml(SearchConfig())))
    assert sections & set(tomllib.loads(to_toml(SearchConfig(strategy="enas")))) == {"enas", "watch"}
    assert sections & set(tomllib.loads(to_toml(changed))) == {"spos"}
    assert build(SearchConfig, tomllib.loads(to_toml(changed))) == changed


def test_strategies_by_rounds_set_their_controller():
    assert SearchConfig(strategy="random").controller.controller == "random"
    assert attrs.evolve(SearchConfig(), strategy="evolution").controller.controller == "evolution"
    assert SearchConfig().controller.controller == "nao"
