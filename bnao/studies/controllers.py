"""Controllers compared on a benchmark table: the best found, and its regret, against the number of queries.

Each search asks the table for scores (validation accuracies); what it found is judged by another column (test
accuracies). A search's queries are all genotypes it scored, in the order in which it did.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.backends.table import TableSupernet
from bnao.config.settings import SearchConfig
from bnao.config.table_studies import ControllersConfig
from bnao.errors import ConfigError, DataError
from bnao.protocols import Controller, Listener
from bnao.run import Folder
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.strategies.registry import CONTROLLERS
from bnao.strategies.result import round_off
from bnao.strategies.rounds import search

#: makes the controller of a search's settings
Make = Callable[[SearchConfig], Controller]

# points of a curve that are kept, and round numbers that are among them
_POINTS = 40
MARKS = (100, 200, 500, 1000, 2000)


@frozen(eq=False)
class ControllerCurve:
    """What one controller found.

    Attributes:
        controller: its name.
        new: genotypes of each of its rounds.
        seeds: of its searches.
        queries: at which the curve is known, shape (m,).
        best: test accuracy of the genotype whose score is the best so far, shape (seeds, m).
    """

    controller: str
    new: int
    seeds: tuple[int, ...]
    queries: tuple[int, ...]
    best: NDArray[np.float64]


@frozen(eq=False)
class ControllersStudy:
    """A comparison of controllers.

    Attributes:
        space: the genotypes' space.
        rows: genotypes of the table.
        optimum: the best test accuracy in the table.
        test_of_best_score: test accuracy of the genotype with the best score of all.
        curves: one a controller.
    """

    space: str
    rows: int
    optimum: float
    test_of_best_score: float
    curves: tuple[ControllerCurve, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data, as in study.json."""
        curves = [
            {
                "controller": curve.controller,
                "new": curve.new,
                "seeds": list(curve.seeds),
                "queries": list(curve.queries),
                "best": [[round_off(value, 4) for value in row] for row in curve.best.tolist()],
            }
            for curve in self.curves
        ]
        table = [
            {
                "controller": curve.controller,
                "queries": queries,
                "searches": len(curve.seeds),
                "best": round_off(float(best.mean()), 4),
                "regret": round_off(float(self.optimum - best.mean()), 4),
                "regret_low": round_off(float(np.quantile(self.optimum - best, 0.1)), 4),
                "regret_median": round_off(float(np.median(self.optimum - best)), 4),
                "regret_high": round_off(float(np.quantile(self.optimum - best, 0.9)), 4),
                "standard_error": round_off(float(best.std(ddof=1) / len(best) ** 0.5), 4) if len(best) > 1 else None,
            }
            for curve in self.curves
            for queries, best in zip(curve.queries, curve.best.T, strict=True)
        ]
        return {
            "kind": "controllers",
            "space": self.space,
            "rows": self.rows,
            "optimum": self.optimum,
            "test_of_best_score": self.test_of_best_score,
            "curves": curves,
            "regret": table,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ControllersStudy:
        """What ``to_json`` was made from."""
        curves = tuple(
            ControllerCurve(
                entry["controller"],
                int(entry["new"]),
                tuple(entry["seeds"]),
                tuple(entry["queries"]),
                np.array(entry["best"], dtype=np.float64),
            )
            for entry in content["curves"]
        )
        return cls(
            content["space"], int(content["rows"]), float(content["optimum"]),
            float(content["test_of_best_score"]), curves,
        )  # fmt: skip


def compare_controllers(
    config: ControllersConfig,
    genotypes: Sequence[Genotype],
    scores: NDArray[np.float64],
    tests: NDArray[np.float64],
    makers: Mapping[str, Make],
    *,
    folder: Folder | None = None,
    listen: Listener = lambda event: None,
) -> ControllersStudy:
    """Search the table with each controller and each of its seeds.

    Args:
        config: all settings.
        genotypes: the table's n rows.
        scores: what a search is told, shape (n,).
        tests: what it is judged by, shape (n,).
        makers: of the controllers that need a framework, by name; the others are known.
        folder: finished searches are kept there and not made again. None: nothing is kept.
        listen: is told when a search is done.

    Raises:
        ConfigError: more queries than rows, or a controller that is not known.
        DataError: fewer than two genotypes, or a number that is not finite.
    """
    if config.queries > len(set(genotypes)):
        raise ConfigError(f"queries is {config.queries}, and the table has {len(set(genotypes))} genotypes")
    if not np.isfinite(tests).all():
        raise DataError(f"tests[{int(np.flatnonzero(~np.isfinite(tests))[0])}] is not finite")
    space = space_named(config.network.space, config.network.nodes)
    supernet = TableSupernet(genotypes, scores, config.network, sizes=np.ones(len(genotypes)))
    score_of = dict(zip(reversed(genotypes), reversed(scores.tolist()), strict=True))
    test_of = dict(zip(reversed(genotypes), reversed(tests.tolist()), strict=True))
    curves = []
    for entry in config.entries:
        make = makers.get(entry.name)
        if make is None:
            known = CONTROLLERS[entry.name]
            make = lambda settings, known=known: known(space, settings.controller, settings.seed)  # noqa: E731
        even = np.linspace(config.pool, config.queries, _POINTS).round().astype(int).tolist()
        grid = tuple(sorted({*even, *(mark for mark in MARKS if config.pool <= mark <= config.queries)}))
        found = []
        for seed in range(config.seed, config.seed + entry.seeds):
            name = f"searches/{entry.name}-{entry.new}-seed-{seed}.json"
            row = None if folder is None else folder.known(name, _best_test)
            if row is None:
                settings = _search_config(config, entry.name, entry.new, seed)
                queried = _queried(settings, supernet, make(settings))
                row = _best_tests(queried, score_of, test_of)
                if folder:
                    folder.write_json(name, {"best_test": row})
            if len(row) < config.queries:
                raise ConfigError(
                    f"the search of {entry.name} with seed {seed} ended after {len(row)} queries; {config.queries} "
                    f"were wanted"
                )
            found.append([row[queries - 1] for queries in grid])
            listen({"event": "search", "controller": entry.name, "seed": seed, "best": row[-1]})
        seeds = tuple(range(config.seed, config.seed + entry.seeds))
        curves.append(ControllerCurve(entry.name, entry.new, seeds, grid, np.array(found)))
    best_score = int(np.argmax(scores))
    return ControllersStudy(
        space.name, len(set(genotypes)), float(tests.max()), float(tests[best_score]), tuple(curves)
    )


def _search_config(config: ControllersConfig, controller: str, new: int, seed: int) -> SearchConfig:
    rounds = 1 + -(-(config.queries - config.pool) // new)
    return SearchConfig(
        seed=seed,
        rounds=rounds,
        pool=config.pool,
        new=new,
        n_seeds=config.n_seeds,
        rescore="new",  # a table's scores do not change
        network=config.network,
        controller=attrs.evolve(config.controller, controller=controller),
        machine=config.machine,
    )


def _queried(config: SearchConfig, supernet: TableSupernet, controller: Controller) -> list[Genotype]:
    """The genotypes a search scored, in order."""
    asked: dict[Genotype, None] = {}

    class Watched:
        """The table, which remembers what it was asked."""

        def __getattr__(self, name: str) -> Any:
            return getattr(supernet, name)

        def score(self, some: Sequence[Genotype]) -> NDArray[np.float64]:
            asked.update(dict.fromkeys(some))
            return supernet.score(some)

    search(config, Watched(), controller)  # its other methods are the table's
    return list(asked)


def _best_tests(
    queried: Sequence[Genotype], score_of: Mapping[Genotype, float], test_of: Mapping[Genotype, float]
) -> list[float]:
    """After each query, the test accuracy of the genotype with the best score so far."""
    best, row = queried[0], []
    for genotype in queried:
        if score_of[genotype] > score_of[best]:
            best = genotype
        row.append(test_of[best])
    return row


def _best_test(content: Mapping[str, Any]) -> list[float]:
    return [float(value) for value in content["best_test"]]
