"""What a ranking is held against: each genotype's accuracy, trained alone or from a table (Sec. 3).

Stand-alone trainings are kept in a store by all that they depend on, so none is made twice, whichever study asks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnao.config import EvaluateConfig, StudyConfig
from bnao.data import Dataset
from bnao.errors import DataError
from bnao.evaluate import Training
from bnao.genotype import Genotype
from bnao.protocols import Backend
from bnao.run import Folder
from bnao.search import round_off
from bnao.settings import to_settings
from bnao.space import space_named

#: is told the kind of an event and its values
Tell = Callable[..., None]


def alone_config(config: StudyConfig) -> EvaluateConfig:
    """The study's stand-alone training as an evaluation's settings."""
    return EvaluateConfig(
        preset=config.preset,
        seed=config.seed,
        epochs=config.alone_epochs,
        repeats=config.repeats,
        checkpoint_seconds=config.checkpoint_seconds,
        network=config.network,
        data=config.data,
        training=config.alone,
        machine=config.machine,
    )


_AUGMENTATION = ("crop", "pad", "pad_with", "flip", "jitter", "hue", "cutout")


def training_name(
    genotype: Genotype, config: EvaluateConfig, backend: Backend, dataset: Dataset, seed: int
) -> tuple[str, dict[str, Any]]:
    """Where a store keeps a stand-alone training, and all that its result depends on.

    The name changes with anything that the accuracy may depend on: genotype, network, images, augmentation, recipe,
    epochs, seed, backend and number format; not with folders, checkpoints, devices or threads.
    """
    network = config.network
    matters = {
        "genotype": str(genotype),
        "seed": seed,
        "epochs": config.epochs,
        "network": {
            "space": network.space,
            "nodes": space_named(network.space, network.nodes).nodes,
            "channels": network.channels,
            "cells": network.cells,
            "network": network.network,
            "classes": dataset.classes,
            "image": list(dataset.image),
        },
        "augmentation": {name: getattr(config.data, name) for name in _AUGMENTATION},
        "training": to_settings(config.training),
        "images": dataset.fingerprint,
        "backend": backend.name,
        "precision": config.machine.precision,
    }
    digest = hashlib.blake2b(json.dumps(matters, sort_keys=True).encode(), digest_size=12).hexdigest()
    return f"{digest[:2]}/{digest}", {**matters, "data": dataset.describe()}


def trained_truth(
    config: StudyConfig,
    genotypes: Sequence[Genotype],
    backend: Backend,
    dataset: Dataset,
    store: Folder | None,
    tell: Tell,
) -> NDArray[np.float64]:
    """Test accuracy of each genotype trained alone, shape (repeats, n).

    Args:
        config: the study.
        genotypes: n of them.
        backend: trains the networks.
        dataset: without a dev part: they are trained on all that is not test.
        store: finished trainings are taken from here and kept here.
        tell: is told the kind of an event and its values.
    """
    alone = alone_config(config)
    accuracies = np.empty((config.repeats, len(genotypes)))
    # all genotypes before any second repeat, so that a study that is cut short has a whole truth
    for repeat in range(config.repeats):
        for index, genotype in enumerate(genotypes):
            seed = config.seed + repeat
            name, matters = training_name(genotype, alone, backend, dataset, seed)
            about = {name: value for name, value in matters.items() if name not in ("genotype", "seed")}
            training = Training(
                genotype, alone, backend, dataset, seed=seed, folder=store, name=name, about=about, keep_weights=False
            )
            place = {"genotype": index + 1, "of": len(genotypes), "repeat": repeat + 1}
            known = training.done
            error = training.tested(partial(_tell_epochs, tell, place)).error
            accuracies[repeat, index] = round_off(1 - error)  # equal accuracies must be equal numbers
            tell("trained", **place, test_error=error, known=known)
    return accuracies


def _tell_epochs(tell: Tell, place: Mapping[str, Any], kind: str, **values: Any) -> None:
    """Hand on what a training tells, but for its steps: in a study these are the supernets'."""
    if kind != "step":
        tell(kind, **place, **values)


def known_truth(genotypes: Sequence[Genotype], truth: Mapping[Genotype, float]) -> NDArray[np.float64]:
    """The accuracies a table gives, shape (1, n).

    Raises:
        DataError: it lacks a genotype; how many, and the first.
    """
    missing = [genotype for genotype in genotypes if genotype not in truth]
    if missing:
        raise DataError(
            f"the truth has no row for {len(missing)} of the {len(genotypes)} genotypes; the first is {missing[0]}"
        )
    return np.array([[round_off(truth[genotype]) for genotype in genotypes]])
