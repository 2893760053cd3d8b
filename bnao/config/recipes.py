"""Recipes: settings of stand-alone training by which papers train the cells that they found, each from its source.

Table 4 of the paper sets networks side by side that were trained by different recipes. A recipe lies between the preset
and the options: it changes how a network is trained and how large it is, and leaves images and machine to the preset.
"""

from __future__ import annotations

from bnao.config.fields import Settings

#: of DARTS' ``cnn/train.py`` with ``--auxiliary --cutout`` (arXiv 1806.09055, Sec. 3.2), which PC-DARTS' begins with
_DARTS: Settings = {
    "epochs": 600,
    "network": {"channels": 36, "cells": 6},
    "data": {"cutout": 16},
    "training": {
        "batch_size": 96,
        "learning_rate": 0.025,
        "learning_rate_end": 0.0,
        "schedule": "cosine",
        "momentum": 0.9,
        "weight_decay": 3e-4,
        "gradient_norm": 5.0,
        "drop_path_keep": 0.8,
        "drop_path_depth": "constant",
        "dropout_keep": 1.0,
        "auxiliary": 0.4,
        "label_smoothing": 0.0,
    },
}

#: settings by the recipe's name
RECIPES: dict[str, Settings] = {
    # the defaults of an evaluation: NAO_V2's script of NAONet-V2 on CIFAR-10, Sec. 5 of the paper and its appendix
    "nao": {
        "epochs": 600,
        "network": {"channels": 36, "cells": 6},
        "data": {"cutout": 16},
        "training": {
            "batch_size": 128,
            "learning_rate": 0.025,
            "learning_rate_end": 0.0,
            "schedule": "cosine",
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "gradient_norm": 5.0,
            "drop_path_keep": 0.8,
            "drop_path_depth": "linear",
            "dropout_keep": 0.6,
            "auxiliary": 0.4,
            "label_smoothing": 0.0,
        },
    },
    "darts": _DARTS,
    # melodyguan/enas, scripts/cifar10_micro_final.sh: 15 layers and two that reduce; periods of 10, 20, ..., 320 epochs
    "enas": {
        "epochs": 630,
        "network": {"channels": 36, "cells": 5},
        "data": {"cutout": 16},
        "training": {
            "batch_size": 144,
            "learning_rate": 0.05,
            "learning_rate_end": 1e-4,
            "schedule": "restarts",
            "period": 10,
            "period_factor": 2,
            "momentum": 0.9,
            "weight_decay": 2e-4,
            "gradient_norm": 5.0,
            "drop_path_keep": 0.6,
            "drop_path_depth": "linear",
            "dropout_keep": 0.8,
            "auxiliary": 0.4,
            "label_smoothing": 0.0,
        },
    },
    # yuhuixu1993/PC-DARTS, train.py: as DARTS, but for the paths that are dropped
    "pc-darts": {**_DARTS, "training": {**_DARTS["training"], "drop_path_keep": 0.7}},
}
RECIPE_NAMES = tuple(RECIPES)

#: where each recipe is from, for help and documentation
SOURCES = {
    "nao": "NAO with weight sharing, as in this paper",
    "darts": "DARTS",
    "enas": "ENAS",
    "pc-darts": "PC-DARTS",
}
