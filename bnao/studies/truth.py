"""Truth that a ranking is compared with: each genotype's accuracy, trained alone or read from a file (Sec. 3).

Stand-alone trainings are kept in a store by all that they depend on, so none is made twice, whichever study asks.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from bnao.config.evaluation import EvaluateConfig
from bnao.config.fields import listed, to_settings
from bnao.config.studies import AS_SUPERNET, StudyConfig
from bnao.data.dataset import Dataset
from bnao.data.tables import read_truth
from bnao.errors import ConfigError, DataError, GenotypeError
from bnao.evaluation.trainings import RESULT as EVALUATION
from bnao.evaluation.trainings import TestedNetwork, Training
from bnao.parallel.jobs import Job, run_jobs
from bnao.protocols import Backend
from bnao.provenance import STUDY, About, about_images, about_table, origin
from bnao.run import CONFIG, Folder, number, read_config, read_json, round_off, understanding
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, space_named

#: the kind that a study of several sets of genotypes says it is
SETS = "ranking sets"

#: called with the kind of an event and its values
Tell = Callable[..., None]


def alone_config(config: StudyConfig) -> EvaluateConfig:
    """Return the study's stand-alone training as an evaluation's settings."""
    network, data, alone = config.network, config.data, config.alone
    return EvaluateConfig(
        preset=config.preset,
        seed=config.seed,
        epochs=config.alone_epochs,
        repeats=config.repeats,
        checkpoint_seconds=config.checkpoint_seconds,
        network=evolve(
            network,
            channels=network.channels if alone.channels == AS_SUPERNET else alone.channels,
            cells=network.cells if alone.cells == AS_SUPERNET else alone.cells,
        ),
        data=data if alone.cutout == AS_SUPERNET else evolve(data, cutout=alone.cutout),
        training=alone.recipe,
        machine=config.machine,
    )


_AUGMENTATION = ("crop", "pad", "pad_with", "flip", "jitter", "hue", "cutout")


def training_name(
    genotype: Genotype, config: EvaluateConfig, backend: Backend, dataset: Dataset, seed: int
) -> tuple[str, dict[str, Any]]:
    """Return the name of a stand-alone training in a store, and all that its result depends on.

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
    ahead: Callable[[], bool] | None = None,
) -> NDArray[np.float64]:
    """Return the test accuracy of each genotype trained alone, shape (repeats, n).

    Args:
        config: the study.
        genotypes: n of them.
        backend: trains the networks.
        dataset: without a dev part: they are trained on all that is not test.
        store: finished trainings are taken from here and kept here.
        tell: called with the kind of an event and its values.
        ahead: does other work of the study while another process trains what is asked for; see ``run_jobs``.
    """
    places = _truth_places(config, len(genotypes))
    accuracies = []
    jobs = truth_jobs(config, genotypes, backend, dataset, store, tell)
    for place, finished in zip(places, run_jobs(jobs, store, ahead), strict=True):
        error = finished.value.error
        accuracies.append(round_off(1 - error))  # equal accuracies must be equal numbers
        if finished.known:
            tell("trained", **place, test_error=error, known=True)
    return np.array(accuracies).reshape(config.repeats, len(genotypes))


def _truth_places(config: StudyConfig, n: int) -> list[dict[str, int]]:
    """Return each training's place, all genotypes before any second repeat: a study that is cut short has a truth."""
    return [
        {"genotype": number, "of": n, "repeat": repeat}
        for repeat in range(1, config.repeats + 1)
        for number in range(1, n + 1)
    ]


def truth_jobs(
    config: StudyConfig,
    genotypes: Sequence[Genotype],
    backend: Backend,
    dataset: Dataset,
    store: Folder | None,
    tell: Tell,
) -> Iterator[Job[TestedNetwork]]:
    """Yield the stand-alone trainings of ``trained_truth``, in their order."""
    alone = alone_config(config)
    for place in _truth_places(config, len(genotypes)):
        genotype, seed = genotypes[place["genotype"] - 1], config.seed + place["repeat"] - 1
        yield _stored(genotype, alone, backend, dataset, seed, store).job(partial(_tell_alone, tell, place))


@frozen(eq=False)
class ShortTrainings:
    """All ranked genotypes, each trained alone for a few epochs.

    Attributes:
        epochs: how many.
        seed: of the trainings.
        scores: dev accuracies, shape (n,).
    """

    epochs: int
    seed: int
    scores: NDArray[np.float64]


def short_trainings(
    config: StudyConfig,
    genotypes: Sequence[Genotype],
    backend: Backend,
    dataset: Dataset,
    store: Folder | None,
    tell: Tell,
    ahead: Callable[[], bool] | None = None,
) -> list[ShortTrainings]:
    """Train each genotype alone for a few epochs and score it as supernets score it, for every length and seed.

    Paper: Sec. 3.2, Fig. 2 (a), whether trainings that are cut short keep the order. Network and recipe are those of
    the truth, the cosine ends with the few epochs; as in a search it is trained on the train part and scored on the dev
    part.

    Args:
        config: the study; its seeds are those of the supernets.
        genotypes: n of them.
        backend: trains the networks.
        dataset: with a dev part, that of the supernets.
        store: finished trainings are taken from here and kept here.
        tell: is called with the kind of an event and its values.
        ahead: as for ``trained_truth``.
    """
    found: dict[tuple[int, int], list[float]] = {}
    places = _short_places(config, len(genotypes))
    jobs = short_jobs(config, genotypes, backend, dataset, store, tell)
    for (place, epochs), finished in zip(places, run_jobs(jobs, store, ahead), strict=True):
        error = finished.value.error
        found.setdefault((epochs, place["seed"]), []).append(round_off(1 - error))
        if finished.known:
            tell("short", **place, epochs=epochs, error=error, known=True)
    return [ShortTrainings(epochs, seed, np.array(scores)) for (epochs, seed), scores in found.items()]


def _short_places(config: StudyConfig, n: int) -> list[tuple[dict[str, int], int]]:
    """Return each short training's place and epochs: every length's first seed before any second one."""
    seeds = range(config.seed, config.seed + config.seeds)
    return [
        ({"genotype": number, "of": n, "seed": seed}, epochs)
        for seed, epochs in itertools.product(seeds, config.short)
        for number in range(1, n + 1)
    ]


def short_jobs(
    config: StudyConfig,
    genotypes: Sequence[Genotype],
    backend: Backend,
    dataset: Dataset,
    store: Folder | None,
    tell: Tell,
) -> Iterator[Job[TestedNetwork]]:
    """Yield the trainings of ``short_trainings``, in their order."""
    on_dev = evolve(
        dataset, x_test=dataset.x_dev, y_test=dataset.y_dev, x_dev=dataset.x_dev[:0], y_dev=dataset.y_dev[:0]
    )
    for place, epochs in _short_places(config, len(genotypes)):
        alone, genotype = evolve(alone_config(config), epochs=epochs), genotypes[place["genotype"] - 1]
        training = _stored(genotype, alone, backend, on_dev, place["seed"], store, scored_on="dev part")
        yield training.job(partial(_tell_short, tell, place, epochs))


def _stored(
    genotype: Genotype,
    config: EvaluateConfig,
    backend: Backend,
    dataset: Dataset,
    seed: int,
    store: Folder | None,
    **more: str,
) -> Training:
    """Return a stand-alone training that is kept in a store."""
    name, matters = training_name(genotype, config, backend, dataset, seed)
    about = {name: value for name, value in matters.items() if name not in ("genotype", "seed")} | more
    return Training(
        genotype, config, backend, dataset, seed=seed, folder=store, name=name, about=about, keep_weights=False
    )


def _tell_short(tell: Tell, place: Mapping[str, Any], length: int, kind: str, **values: Any) -> None:
    """Report the epochs and the end of a short training of that length."""
    if kind == "epoch":
        tell("short_epoch", **place, **values)
    elif kind == "trained":
        tell("short", **place, epochs=length, error=values["test_error"], known=False)


def _tell_alone(tell: Tell, place: Mapping[str, Any], kind: str, **values: Any) -> None:
    """Report the epochs and the end of a training, but not its steps, which in a study are the supernets'."""
    if kind == "trained":
        tell(kind, **place, **values, known=False)
    elif kind != "step":
        tell(kind, **place, **values)


def known_truth(
    genotypes: Sequence[Genotype], truth: Mapping[Genotype, float | Sequence[float]]
) -> NDArray[np.float64]:
    """Return the accuracies that are known, shape (repeats, n).

    Raises:
        DataError: one lacks a genotype, how many and the first; or one has more repeats than another.
    """
    missing = [genotype for genotype in genotypes if genotype not in truth]
    if missing:
        raise DataError(
            f"the truth has no row for {len(missing)} of the {len(genotypes)} genotypes; the first is {missing[0]}"
        )
    rows = [np.atleast_1d(np.asarray(truth[genotype], np.float64)).tolist() for genotype in genotypes]
    for genotype, row in zip(genotypes, rows, strict=True):
        if len(row) != len(rows[0]):
            raise DataError(
                f"the truth has {len(rows[0])} accuracies of the first genotype and {len(row)} of {genotype}; each "
                f"needs one for each repeat"
            )
    return np.array([[round_off(value) for value in row] for row in rows]).T


def truth_file(path: Path) -> Path:
    """Return the file that a truth is read from: a CSV, evaluation.json or study.json, or that of a folder.

    Raises:
        DataError: a folder without either; what would be right.
    """
    if not path.is_dir():
        return path
    for name in (STUDY, EVALUATION):
        if (path / name).is_file():
            return path / name
    raise DataError(
        f"{path} has no {STUDY} and no {EVALUATION}; a truth is a CSV file, or the folder of a finished ranking study "
        f"or of an evaluation"
    )


def truth_sources(config: StudyConfig) -> dict[str, Path]:
    """Return the file that each set's truth is read from, by the set's name; nothing where it is trained.

    Raises:
        DataError: a folder without a truth, or of one set where there are several.
    """
    if config.truth is None:
        return {}
    path = Path(config.truth)
    if len(config.sizes) == 1:
        return {config.sizes[0]: truth_file(path)}
    if path.is_dir():
        missing = [name for name in config.sizes if not (path / name).is_dir()]
        if missing:
            raise DataError(
                f"{path} has no folder {missing[0]}; for sizes {listed(config.sizes)} a truth is a CSV file, or the "
                f"folder of a study of the same sets"
            )
        return {name: truth_file(path / name) for name in config.sizes}
    if path.suffix == ".json":
        raise DataError(
            f"{path} is one study's, and sizes are {listed(config.sizes)}; give a folder, or one of the sizes"
        )
    return dict.fromkeys(config.sizes, path)


def about_study(config: StudyConfig, backend: Backend, dataset: Dataset) -> About:
    """Return what a study's run.json says: images, machine, versions, and the file of the truth, or of each set's.

    Raises:
        DataError: the truth's file cannot be read; see ``truth_sources``.
    """
    found = origin(about_images(dataset), config.machine, [backend])
    tables = {name: about_table(source) for name, source in truth_sources(config).items()}
    if not tables:
        return found
    return {**found, "truth": tables if len(config.sizes) > 1 else tables[config.sizes[0]]}


def read_accuracies(path: Path, space: SearchSpace, column: str | None = None) -> dict[Genotype, tuple[float, ...]]:
    """Read each genotype's accuracies, one for each repeat of its training.

    Args:
        path: a CSV file (see ``bnao.data.tables.read_truth``), or the evaluation.json or study.json of a folder; a
            study's file alone is enough.
        space: of the genotypes.
        column: of a CSV's accuracies.

    Returns:
        By genotype, in the file's order; of an evaluation in [0, 1], else in the file's unit.

    Raises:
        DataError: as for ``read_truth``; a study of another kind, or genotypes of another space.
        RunError: the JSON file is not what bnao wrote.
        ConfigError: a column of a file that has none.
    """
    if path.suffix != ".json":
        return {genotype: (value,) for genotype, value in read_truth(path, space, column).items()}
    if column is not None:
        raise ConfigError(f"truth_column is {column!r}, and {path} is not a CSV file; leave it out")
    content = read_json(path)
    kind = "evaluation" if "evaluations" in content else content.get("kind")
    if kind == SETS:
        with understanding(path):
            one = path.parent / str(content["sets"][0]["sizes"])
        raise DataError(f"{path} is of a study of several sets of genotypes; give the folder of one, such as {one}")
    if kind not in ("evaluation", "ranking"):
        raise DataError(
            f"{path} is of a study of kind {kind!r}, which has no accuracies of genotypes; a truth is a CSV file, or "
            f"the folder of a ranking study or of an evaluation"
        )
    with understanding(path):
        if kind == "evaluation":
            rows = [row for row in content["evaluations"] if row.get("space", space.name) == space.name]
            listed = [(row["genotype"], [1 - number(error) for error in row["test_errors"]]) for row in rows]
        else:
            listed = [(row["genotype"], row["truth"]) for row in content["genotypes"]]
        read = {Genotype.parse(text, output=space.rules.output): tuple(map(number, values)) for text, values in listed}
        named = None if kind == "evaluation" else str(content["space"])
    if kind == "evaluation" and (path.parent / CONFIG).is_file():
        named = read_config(path.parent, EvaluateConfig).network.space
    if named is not None and named != space.name:
        raise DataError(f"{path} is of space {named!r}, and the study is of {space.name!r}; give --space {named}")
    try:
        return {space.check(genotype): values for genotype, values in read.items()}
    except GenotypeError as error:
        raise DataError(f"{path} is of another space than the study: {error}; give its --space and --nodes") from None
