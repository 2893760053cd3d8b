"""A controller's predictor alone: how well it ranks genotypes it has not seen, by how many it learned from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.settings import ControllerConfig
from bnao.config.table_studies import PredictorConfig
from bnao.errors import ConfigError, DataError
from bnao.events import phase
from bnao.metrics import kendall_tau, spearman
from bnao.parallel.jobs import Job, run_jobs
from bnao.protocols import Listener, Predicting
from bnao.run import Folder, round_off
from bnao.space.genotype import Genotype
from bnao.streams import stream

#: makes a controller from its settings and a seed
Make = Callable[[ControllerConfig, int], Predicting]


@frozen(eq=False)
class PredictorStudy:
    """Kendall's tau and Spearman's rho of predicted and true scores of held-out genotypes.

    Attributes:
        space: the genotypes' space.
        rows: genotypes of the table.
        train_sizes: how many were learned from, shape (m,).
        held_out: how many others were predicted, shape (m,).
        tau: shape (seeds, m).
        rho: likewise.
        seconds: that each training took, likewise; NaN in a study.json from before they were kept.
        controller: what predicts.
    """

    space: str
    rows: int
    train_sizes: tuple[int, ...]
    held_out: tuple[int, ...]
    tau: NDArray[np.float64]
    rho: NDArray[np.float64]
    seconds: NDArray[np.float64]
    controller: str = "nao"

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in study.json."""
        table = [
            {
                "train_size": size,
                "held_out": held,
                "trainings": len(tau),
                "kendall_tau": round_off(float(tau.mean()), 4),
                "low": round_off(float(tau.min()), 4),
                "high": round_off(float(tau.max()), 4),
                "spearman": round_off(float(rho.mean()), 4),
                "each_tau": [round_off(value, 4) for value in tau.tolist()],
                "each_rho": [round_off(value, 4) for value in rho.tolist()],
                "each_seconds": [None if np.isnan(value) else round_off(value, 2) for value in seconds.tolist()],
            }
            for size, held, tau, rho, seconds in zip(
                self.train_sizes, self.held_out, self.tau.T, self.rho.T, self.seconds.T, strict=True
            )
        ]
        return {
            "kind": "predictor",
            "space": self.space,
            "controller": self.controller,
            "rows": self.rows,
            "predictor": table,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PredictorStudy:
        """Read the object that ``to_json`` wrote."""
        table = content["predictor"]
        return cls(
            content["space"],
            int(content["rows"]),
            tuple(int(entry["train_size"]) for entry in table),
            tuple(int(entry["held_out"]) for entry in table),
            np.array([entry["each_tau"] for entry in table], dtype=np.float64).T,
            np.array([entry["each_rho"] for entry in table], dtype=np.float64).T,
            np.array([entry.get("each_seconds", [None] * entry["trainings"]) for entry in table], dtype=np.float64).T,
            content.get("controller", "nao"),
        )


def study_predictor(
    config: PredictorConfig,
    genotypes: Sequence[Genotype],
    scores: NDArray[np.float64],
    make: Make,
    *,
    folder: Folder | None = None,
    listen: Listener = lambda event: None,
) -> PredictorStudy:
    """Train the controller on random parts of a table and rank genotypes of the rest.

    Every training makes about the same number of steps (``config.steps``), whatever it learns from.

    Args:
        config: all settings.
        genotypes: the table's n rows, all different.
        scores: shape (n,).
        make: makes an untrained controller.
        folder: finished trainings are kept there and not made again. None: nothing is kept.
        listen: is called with every event; ``bnao.events.EVENTS`` lists them.

    Raises:
        ConfigError: a part is so large that fewer than three genotypes are held out.
        DataError: all scores are equal, so that they have no order to predict.
    """
    if len(scores) and scores.min() == scores.max():
        raise DataError(f"all {len(scores)} scores are {scores[0]:g}; they have no order to predict")
    n, largest = len(genotypes), max(config.sizes)
    if largest > n - 3:
        raise ConfigError(f"sizes has {largest}, and the table has {n} genotypes; at least 3 must be left to predict")
    held_out = {size: min(config.most_held_out, n - size) for size in config.sizes}

    def trained(size: int, seed: int) -> _Figures:
        order = stream(seed, "predictor parts").permutation(n)
        # the same genotypes are held out, whatever the part, as far as the table allows
        train, test = order[:size], order[n - held_out[size] :]
        steps = -(-size * config.controller.swaps // config.controller.batch_size)
        settings = attrs.evolve(config.controller, epochs=max(1, round(config.steps / steps)))
        controller = make(settings, seed)
        start = time.perf_counter()
        for _ in controller.fit([genotypes[index] for index in train], scores[train], round_index=0):
            pass
        taken = time.perf_counter() - start
        predicted = controller.predict([genotypes[index] for index in test])
        return _Figures(kendall_tau(predicted, scores[test]), spearman(predicted, scores[test]), taken)

    seeds = range(config.seed, config.seed + config.seeds)
    places = [(size, seed) for seed in seeds for size in config.sizes]
    jobs = (
        Job(f"trainings/{size}-seed-{seed}.json", partial(trained, size, seed), _Figures._asdict, _Figures.from_json)
        for size, seed in places
    )
    rows: dict[int, list[_Figures]] = {seed: [] for seed in seeds}
    listen({"event": "plan", "phases": [phase("training", loops={"number": (1, len(places))})]})
    for number, ((size, seed), finished) in enumerate(zip(places, run_jobs(jobs, folder), strict=True), start=1):
        rows[seed].append(finished.value)
        place = {"number": number, "of": len(places), "size": size, "seed": seed}
        listen({"event": "training", **place, "tau": finished.value.kendall_tau, "known": finished.known})
    tau, rho, seconds = np.moveaxis(np.array(list(rows.values())), -1, 0)
    others = tuple(held_out[size] for size in config.sizes)
    return PredictorStudy(config.space, n, config.sizes, others, tau, rho, seconds, config.controller.controller)


class _Figures(NamedTuple):
    """What a training came to."""

    kendall_tau: float
    spearman: float
    seconds: float

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> _Figures:
        return cls(*(float(content[name]) for name in cls._fields))
