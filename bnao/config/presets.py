"""Presets: changes of the paper's settings for smaller machines, or for other images.

``imagenet`` is the paper's own for ILSVRC-2012 (Sec. 5.4): "exactly follow DARTS", whose ImageNet training scales
gradients down to a norm of 5, changes brightness, contrast and saturation by up to 0.4, and hues by up to 0.2.
"""

from collections.abc import Mapping
from typing import TypeVar

from bnao.config.evaluation import EvaluateConfig
from bnao.config.fields import Settings, build, merge
from bnao.config.recipes import RECIPES
from bnao.config.settings import SearchConfig
from bnao.config.strategies import enas, evolution, gradient
from bnao.config.studies import ProxiesConfig, StudyConfig
from bnao.errors import ConfigError

C = TypeVar("C")

#: the NAO controller for rounds of a few dozen genotypes; the defaults are the paper's
RANKED_NAO: Settings = {"targets": "ranks", "features": "structure", "patience": 30, "selection": "neighbours"}
#: the same for rounds of 25 on a table of NAS-Bench-201, in seconds: nodes' edges cannot change places there
TABLE_NAO: Settings = {
    **RANKED_NAO,
    "embedding": 16,
    "hidden": 32,
    "mlp_layers": 1,
    "mlp_hidden": 64,
    "epochs": 60,
    "batch_size": 50,
    "learning_rate": 0.01,
    "swaps": 1,
    "most_steps": 10,
    "patience": 10,
}

#: how NAO-WS spends its updates (NAO_V1 of the authors' repository, which the paper's footnote 3 runs): one training,
#: a pool whose worst are replaced, every genotype equally often
NAO_WS: Settings = {
    "sampler": "uniform",
    "sample_from": "survivors",
    "rescore": "trained",
    "training": {"span": "search"},
}

SEARCH_PRESETS: dict[str, Settings] = {
    "quick": {
        "rounds": 3,
        "pool": 60,
        "new": 20,
        "n_seeds": 10,
        "epochs": 8,
        "alone_epochs": 2,
        "rerank_epochs": 0,
        "network": {"channels": 8, "cells": 1},
        "data": {"dataset": "fashion-mnist", "image_size": 14, "dev_share": 0.2, "pad": 2},
        "training": {"learning_rate": 0.15},
        "controller": {**RANKED_NAO, "epochs": 60},
    },
    "cifar10-small": {
        "rounds": 3,
        "pool": 200,
        "new": 60,
        "n_seeds": 30,
        "epochs": 20,
        "alone_epochs": 8,
        "rerank_epochs": 0,
        "network": {"channels": 8, "cells": 1},
        "data": {"dataset": "cifar10", "train_images": 10_000},
        "training": {"learning_rate": 0.1},
        "controller": {**RANKED_NAO, "epochs": 200},
    },
    "paper": {},
}
# one set of weights for all edges of a cell
_SHARED_EDGES: Settings = {"space": "nas-bench-201", "channels": 8, "cells": 1, "share_over": "cell"}
# the space in which networks this small differ by more than the error of a thousand test images; which weights are
# shared, how much more often large paths are drawn and what is scored are not the paper's. More threads gain little on
# images this small, and sum in another order: with one, the search is the same on any number of cores
_QUICK_SHARED: Settings = {
    **SEARCH_PRESETS["quick"],
    "network": _SHARED_EDGES,
    "controller": {**RANKED_NAO, "epochs": 60, "swaps": 1},
    "machine": {"threads": 1},
}
SEARCH_PRESETS["quick-shared"] = {
    **_QUICK_SHARED, "alpha": 7.0, "score": "log-likelihood", "distinct": "computed",
}  # fmt: skip
# the same by draws in proportion to size, its accuracies joined with what is known untrained
SEARCH_PRESETS["quick-fused"] = {
    **_QUICK_SHARED, "rank_by": "fused", "proxies": ("jacob_cov",),
}  # fmt: skip
# what docs/results.md, section J, found to rank cells of NAS-Bench-201 on a subset of CIFAR-10; not the paper's
SEARCH_PRESETS["cifar10-shared"] = {
    **SEARCH_PRESETS["cifar10-small"],
    "steps": 2_700,
    "alpha": 7.0,
    "score": "log-likelihood",
    "network": _SHARED_EDGES,
    "data": {"dataset": "cifar10", "train_images": 10_000, "image_size": 16, "dev_augment": True},
    "training": {"learning_rate": 0.2, "span": "search"},
    "controller": {**RANKED_NAO, "epochs": 200, "swaps": 1},
    "rank_by": "fused",
}

SEARCH_PRESETS["nao-ws"] = {
    **NAO_WS,
    "rounds": 5,
    "epochs": 30,
    "pool": 600,
    "controller": {"embedding": 48, "hidden": 96, "mlp_layers": 3, "mlp_hidden": 200},
}

EVALUATE_PRESETS: dict[str, Settings] = {
    "quick": {
        "epochs": 15,
        "network": {"channels": 8, "cells": 1},
        "data": {"dataset": "fashion-mnist", "image_size": 14, "pad": 2, "cutout": 4},
        "training": {"batch_size": 64, "drop_path_keep": 0.95, "dropout_keep": 0.9, "learning_rate": 0.05},
    },
    "cifar10-small": {
        "epochs": 15,
        "network": {"channels": 16, "cells": 1},
        "data": {"dataset": "cifar10", "train_images": 10_000, "cutout": 8},
        "training": {"batch_size": 64, "drop_path_keep": 0.9, "dropout_keep": 0.8},
    },
    "paper": {},
    "nao-ws": {"training": {"weight_decay": 3e-4}},
    "imagenet": {
        "epochs": 250,
        "network": {"channels": 52, "cells": 4, "network": "imagenet"},
        "data": {"dataset": "imagenet", "crop": "resized", "jitter": 0.4, "hue": 0.2, "cutout": 0},
        "training": {
            "learning_rate": 0.1,
            "schedule": "exponential",
            "weight_decay": 3e-5,
            "drop_path_keep": 1.0,
            "dropout_keep": 1.0,
            "label_smoothing": 0.1,
        },
    },
}
EVALUATE_PRESETS["quick-shared"] = {**EVALUATE_PRESETS["quick"], "epochs": 8, "machine": {"threads": 1}}
EVALUATE_PRESETS["quick-fused"] = EVALUATE_PRESETS["quick-shared"]
EVALUATE_PRESETS["cifar10-shared"] = EVALUATE_PRESETS["cifar10-small"]

# a truth of the supernet's own network and images
_AS_SUPERNET = {"channels": "supernet", "cells": "supernet", "cutout": "supernet"}

STUDY_PRESETS: dict[str, Settings] = {
    "quick": {
        "genotypes": 10,
        "epochs": (1, 3, 6),
        "marks": "along",
        "seeds": 2,
        "repeats": 2,
        "top": 3,
        "alone_epochs": 3,
        "network": {"channels": 8, "cells": 1},
        "data": {"dataset": "fashion-mnist", "image_size": 14, "train_images": 2_500, "dev_share": 0.4, "pad": 2},
        "training": {"learning_rate": 0.15},
        "alone": {**_AS_SUPERNET, "learning_rate": 0.1, "drop_path_keep": 1.0, "dropout_keep": 1.0, "auxiliary": 0.0},
    },
    "cifar10-small": {
        "repeats": 2,
        "alone_epochs": 8,
        "network": {"channels": 8, "cells": 1},
        "data": {"dataset": "cifar10", "train_images": 5_000, "image_size": 16, "dev_share": 0.2, "pad": 2},
        "training": {"learning_rate": 0.1},
        "alone": {**_AS_SUPERNET, "learning_rate": 0.1, "drop_path_keep": 1.0, "dropout_keep": 1.0, "auxiliary": 0.0},
    },
    "paper": {},
}

# networks and images are those of an evaluation
PROXIES_PRESETS: dict[str, Settings] = {
    "quick": {
        "network": {"channels": 8, "cells": 1},
        "data": {"dataset": "fashion-mnist", "image_size": 14},
    },
    "cifar10-small": {
        "network": {"channels": 16, "cells": 1},
        "data": {"dataset": "cifar10", "train_images": 10_000},
    },
    "paper": {},
}

#: what a search's preset is besides where a strategy decides at each update, by strategy and preset
STRATEGY_PRESETS: dict[str, Mapping[str, Settings]] = {**evolution.PRESETS, **enas.PRESETS, **gradient.PRESETS}

PRESETS: dict[type, dict[str, Settings]] = {
    ProxiesConfig: PROXIES_PRESETS,
    SearchConfig: SEARCH_PRESETS,
    EvaluateConfig: EVALUATE_PRESETS,
    StudyConfig: STUDY_PRESETS,
}


def preset(config: type[C], name: str, strategy: str = "nao", *, recipe: str | None = None) -> C:
    """Return the config of a preset: quick, cifar10-small or paper; others are listed in ``PRESETS``.

    Args:
        config: of a search, an evaluation or a study.
        name: of the preset.
        strategy: of a search; one that decides at each update changes some settings more, ``paper`` to its authors'.
        recipe: of an evaluation (``bnao.config.recipes``), which changes the preset; None: none.

    Raises:
        ConfigError: there is no such preset or recipe, or a recipe is for something else than an evaluation.

    >>> preset(SearchConfig, "paper") == SearchConfig()
    True
    >>> preset(SearchConfig, "quick", "spos").spos.population
    20
    >>> preset(EvaluateConfig, "paper", recipe="darts").training.weight_decay
    0.0003
    """
    presets = PRESETS[config]
    if name not in presets:
        raise ConfigError(f"no preset {name!r}; there is {', '.join(presets)}")
    made = build(config, merge({"preset": name, **presets[name]}, strategy_settings(strategy, name)))
    return made if recipe is None else build(config, recipe_settings(config, recipe), made)


def recipe_settings(config: type, name: str) -> Settings:
    """Return what a recipe changes of an evaluation's preset.

    Raises:
        ConfigError: there is no such recipe, or none for this config.

    >>> recipe_settings(EvaluateConfig, "pc-darts")["training"]["drop_path_keep"]
    0.7
    """
    if config is not EvaluateConfig:
        raise ConfigError(
            f"recipe is {name!r}; recipes are for stand-alone training, that is for a bnao.EvaluateConfig"
        )
    if not isinstance(name, str) or name not in RECIPES:
        raise ConfigError(f"no recipe {name!r}; there is {', '.join(RECIPES)}")
    return {"recipe": name, **RECIPES[name]}


def strategy_settings(strategy: str, name: str) -> Settings:
    """Return what the preset of a search is besides for a strategy.

    >>> strategy_settings("fairnas", "paper")["epochs"]
    150
    """
    if strategy == "nao":
        return {}
    presets = STRATEGY_PRESETS.get(strategy, {})
    small = {} if name == "paper" else presets.get("small", {})
    return {"strategy": strategy, **merge(small, presets.get(name, {}))}
