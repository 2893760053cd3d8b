"""What makes a supernet's scores rank cells of NAS-Bench-201: one training under some settings, scored in several ways.

    python benchmarks/supernet_ranking.py --cells-of docs/results/proxies/c8n1.json --data cifar10.npz \\
        --name pad-4 --set data.pad=4 --out ranking.json

trains a supernet on the first ``--cells`` cells of a file that ``benchmarks/proxies.py`` wrote and adds the run to
--out: CPU seconds, and how accuracy and mean log-likelihood on the dev images order the cells, alone and joined with
live size and jacob_cov by their ranks: Kendall's tau, beyond live size (partial) and in the better half by truth.
``--augmented`` scores with ``dev_augment`` as well. ``--set`` takes any setting of ``bnao search``. A run of the same
name and seed is replaced.
"""

import argparse
import json
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from arguments import file, refusals, whole
from attrs import evolve
from numpy.typing import NDArray

from bnao import fuse, load_backend, load_dataset
from bnao.config.fields import build, merge
from bnao.config.settings import SearchConfig, TrainingConfig
from bnao.errors import ConfigError
from bnao.metrics import rank_agreement
from bnao.network.size import SIZES
from bnao.sampler import sampler_of_round
from bnao.space.spaces import SPACES
from bnao.training.shared_weights import SharedWeights

SPACE = SPACES["nas-bench-201"]
#: how the runs of docs/results/shared-supernet begin; --set changes them
SETTINGS: dict[str, Any] = {
    "rounds": 1,
    "network": {"space": SPACE.name, "channels": 8, "cells": 1, "share_over": "cell"},
    "data": {"image_size": 16},
    "training": {"learning_rate": 0.1},
    "machine": {"threads": 1},
}
FIGURES = ("kendall_tau", "partial_tau_given_size", "tau_in_better_half")
IMAGES = ("plain", "augmented")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells-of", type=file, required=True)
    parser.add_argument("--data", type=file, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.SETTING=VALUE")
    for name, default, least in (("cells", 200, 20), ("steps", 2500, 1), ("seed", 0, 0)):
        parser.add_argument(f"--{name}", type=whole(least), default=default)
    parser.add_argument("--augmented", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("ranking.json"))
    a = parser.parse_args()
    with refusals(parser):
        settings = merge(SETTINGS, {"seed": a.seed, "steps": a.steps, "data": {"data": a.data}})
        config = build(SearchConfig, merge(settings, *map(given, a.set)))
        run = {"name": a.name, "set": a.set, "seed": a.seed, "steps": a.steps, "cells": a.cells}
        run |= measured(
            config, json.loads(Path(a.cells_of).read_text(encoding="utf-8"))["cells"][: a.cells], a.augmented
        )
        runs = json.loads(a.out.read_text(encoding="utf-8")) if a.out.exists() else []
        runs = [other for other in runs if (other["name"], other["seed"]) != (a.name, a.seed)] + [run]
        a.out.write_text("[\n" + ",\n".join(map(json.dumps, runs)) + "\n]\n", encoding="utf-8")
        for way, figures in run["figures"].items():
            print(f"{a.name} {a.seed} {way:<28}", *(f"{figures[name][0]:.3f}" for name in FIGURES))


def given(text: str) -> dict[str, Any]:
    """Read ``data.pad=4`` as nested settings; a value that is not TOML is a text."""
    path, _, value = text.partition("=")
    try:
        read = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        read = value
    for name in reversed(path.split(".")):
        read = {name: read}
    if not isinstance(read, dict):
        raise ConfigError(f"--set has {text!r}; give a setting and its value, such as data.pad=4")
    return read


def measured(config: SearchConfig, cells: Sequence[dict[str, Any]], augment: bool) -> dict[str, Any]:
    """Train a supernet on the cells and score them."""
    dataset = load_dataset(config.data)
    supernet = load_backend("torch").supernet(config, dataset)
    assert isinstance(supernet, SharedWeights)
    genotypes = [SPACE.parse(cell["genotype"]) for cell in cells]
    sizes = SIZES[config.size](genotypes, supernet.network).astype(np.float64)
    assert config.steps is not None
    sampler = sampler_of_round(
        config.sampler, genotypes, sizes, seed=config.seed, alpha=config.alpha, round_index=0, steps=config.steps
    )
    start = time.process_time()
    losses = [step.loss for step in supernet.train(genotypes, sampler.draw(config.steps), round_index=0)]
    trained = time.process_time()
    scores = {}
    for images in IMAGES[: 1 + augment]:
        data = evolve(config.data, dev_augment=images == "augmented")
        scoring = evolve(config, data=data, training=TrainingConfig())
        found = SharedWeights(supernet.supernet, scoring, dataset).classify(genotypes)
        for kind in ("accuracy", "log-likelihood"):
            scores[f"{kind}, {images}"] = np.array([one.score(kind) for one in found])
    scored = time.process_time()
    truth = np.array([cell["truth"] for cell in cells])
    live = SIZES["live-parameters"](genotypes, supernet.network).astype(np.float64)
    jacob_cov = np.array([cell["proxies"]["jacob_cov"]["mean"] for cell in cells], np.float64)
    joined = {
        f"{way}, fused": fuse({"score": values, "size": live, "jacob_cov": jacob_cov}).values
        for way, values in scores.items()
    }
    return {
        "cpu_seconds": {"training": round(trained - start, 1), "scoring": round(scored - trained, 1)},
        "loss": round(float(np.mean(losses[-100:])), 3),
        "mean_accuracy": round(float(scores["accuracy, plain"].mean()), 4),
        "figures": {way: figures_of(values, truth, live) for way, values in (scores | joined).items()},
        "scores": {way: values.round(5).tolist() for way, values in scores.items()},
    }


def figures_of(
    scores: NDArray[np.float64], truth: NDArray[np.float64], size: NDArray[np.float64]
) -> dict[str, list[float]]:
    """Each figure with the ends of its 95 % interval over cells."""
    found = rank_agreement(scores, truth, size=size)
    return {name: [round(getattr(found[name], end), 3) for end in ("value", "low", "high")] for name in FIGURES}


if __name__ == "__main__":
    main()
