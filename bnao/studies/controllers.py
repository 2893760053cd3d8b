"""Controllers compared on a benchmark table: the best found, and its regret, against the number of queries.

Each search asks the table for scores (validation accuracies). It is judged by its *validation regret*, how far the best
score it found lies below the table's best, and by another column, the test accuracy of the genotype of that score. A
search's queries are all genotypes it scored, in the order in which it did.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.backends.table import TableSupernet
from bnao.config.settings import SearchConfig
from bnao.config.table_studies import ControllerEntry, ControllersConfig
from bnao.errors import ConfigError, DataError
from bnao.events import phase
from bnao.parallel.jobs import Job, run_jobs
from bnao.protocols import Controller, Listener
from bnao.run import Folder, round_off
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.strategies.registry import make_controller
from bnao.strategies.rounds import search
from bnao.streams import stream

#: makes the controller of a search's settings
Make = Callable[[SearchConfig], Controller]

# points of a curve that are kept, and round numbers that are among them
_POINTS = 40
MARKS = (100, 200, 500, 1000, 2000)
# resamples behind the interval of a mean over searches
_RESAMPLES = 10_000
# of the table, by score: a search's aim
_TOP_SHARE = 0.001


@frozen(eq=False)
class ControllerCurve:
    """Best results of one controller by number of queries.

    Attributes:
        controller: its name.
        new: genotypes of each of its rounds.
        seeds: of its searches.
        queries: at which the curve is known, shape (m,).
        best: test accuracy of the genotype whose score is the best so far, shape (seeds, m).
        scores: that score, shape (seeds, m); None in a study.json from before it was kept.
        until_top: queries until a genotype of the table's best 0.1 % was found, shape (seeds,); NaN where none was.
    """

    controller: str
    new: int
    seeds: tuple[int, ...]
    queries: tuple[int, ...]
    best: NDArray[np.float64]
    scores: NDArray[np.float64] | None = None
    until_top: NDArray[np.float64] | None = None

    def regret_at(self, queries: int, best_score: float) -> NDArray[np.float64]:
        """The validation regret of each search after so many queries, shape (seeds,); empty where it is not known."""
        if self.scores is None or queries not in self.queries:
            return np.empty(0)
        regret: NDArray[np.float64] = best_score - self.scores[:, self.queries.index(queries)]
        return regret


@frozen
class RegretRow:
    """The validation regret of a controller's searches after so many queries.

    Attributes:
        controller: its name.
        queries: genotypes scored.
        searches: how many.
        regret: their mean validation regret.
        low: lower end of its 95 % interval over searches (bootstrap).
        high: upper end.
        difference: mean of the regret less that of the baseline's search of the same seed; None for the baseline.
        difference_low: lower end of its 95 % interval, None where there is no difference.
        difference_high: upper end.
    """

    controller: str
    queries: int
    searches: int
    regret: float
    low: float
    high: float
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None


@frozen(eq=False)
class ControllersStudy:
    """A comparison of controllers.

    Attributes:
        space: the genotypes' space.
        rows: genotypes of the table.
        optimum: the best test accuracy in the table.
        test_of_best_score: test accuracy of the genotype with the best score of all.
        curves: one a controller.
        best_score: the best score in the table; None in a study.json from before it was kept.
    """

    space: str
    rows: int
    optimum: float
    test_of_best_score: float
    curves: tuple[ControllerCurve, ...]
    best_score: float | None = None

    @property
    def baseline(self) -> ControllerCurve:
        """What the others are compared with: evolution, or the first."""
        return next((curve for curve in self.curves if curve.controller == "evolution"), self.curves[0])

    def validation_regret(self) -> list[RegretRow]:
        """Validation regrets at the round numbers of queries, and their differences to the baseline's, with intervals.

        Searches of one seed begin with the same genotypes, so differences are taken seed by seed.
        """
        if self.best_score is None:
            return []
        rows = []
        for queries in MARKS:
            base = self.baseline.regret_at(queries, self.best_score)
            for curve in self.curves:
                regret = curve.regret_at(queries, self.best_score)
                if not len(regret):
                    continue
                row = RegretRow(curve.controller, queries, len(regret), float(regret.mean()), *_interval(regret))
                n = min(len(base), len(regret))
                if curve is not self.baseline and n:
                    difference = regret[:n] - base[:n]
                    low, high = _interval(difference)
                    row = attrs.evolve(
                        row, difference=float(difference.mean()), difference_low=low, difference_high=high
                    )
                rows.append(row)
        return rows

    def until_top(self) -> dict[str, float]:
        """The median of the queries until the table's best 0.1 % was found, by controller; inf: in fewer than half."""
        return {
            curve.controller: float(np.median(np.nan_to_num(curve.until_top, nan=np.inf)))
            for curve in self.curves
            if curve.until_top is not None
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in study.json."""
        curves = [
            {
                "controller": curve.controller,
                "new": curve.new,
                "seeds": list(curve.seeds),
                "queries": list(curve.queries),
                "best": [[round_off(value, 4) for value in row] for row in curve.best.tolist()],
                **_scores_to_json(curve),
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
            "best_score": self.best_score,
            "baseline": self.baseline.controller,
            "validation_regret": [
                {
                    name: round_off(value, 4) if isinstance(value, float) else value
                    for name, value in attrs.asdict(row).items()
                }
                for row in self.validation_regret()
            ],
            "until_top": {name: None if np.isinf(value) else value for name, value in self.until_top().items()},
            "curves": curves,
            "regret": table,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ControllersStudy:
        """Read the object that ``to_json`` wrote."""
        curves = tuple(
            ControllerCurve(
                entry["controller"],
                int(entry["new"]),
                tuple(entry["seeds"]),
                tuple(entry["queries"]),
                np.array(entry["best"], dtype=np.float64),
                *(
                    np.array(entry[name], dtype=np.float64) if name in entry else None
                    for name in ("scores", "until_top")
                ),
            )
            for entry in content["curves"]
        )
        return cls(
            content["space"], int(content["rows"]), float(content["optimum"]),
            float(content["test_of_best_score"]), curves, content.get("best_score"),
        )  # fmt: skip


def _scores_to_json(curve: ControllerCurve) -> dict[str, Any]:
    if curve.scores is None or curve.until_top is None:
        return {}
    return {
        "scores": [[round_off(value, 4) for value in row] for row in curve.scores.tolist()],
        "until_top": [None if np.isnan(value) else int(value) for value in curve.until_top.tolist()],
    }


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the mean of values (n,), by the percentiles of bootstrap means."""
    drawn = stream(0, "bootstrap of searches").integers(len(values), size=(_RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975]).tolist()
    return low, high


def study_controllers(
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
        scores: what a search sees, shape (n,).
        tests: what it is judged by, shape (n,).
        makers: of the controllers that need a backend, by name; the others are known.
        folder: finished searches are kept there and not made again. None: nothing is kept.
        listen: is called with every event; ``bnao.events.EVENTS`` lists them.

    Raises:
        ConfigError: more queries than rows, or a controller that is not known.
        DataError: fewer than two genotypes, a number that is not finite, or scores that are all equal.
    """
    if config.queries > len(set(genotypes)):
        raise ConfigError(f"queries is {config.queries}, and the table has {len(set(genotypes))} genotypes")
    if not np.isfinite(tests).all():
        raise DataError(f"tests[{int(np.flatnonzero(~np.isfinite(tests))[0])}] is not finite")
    if len(scores) and scores.min() == scores.max():
        raise DataError(f"all {len(scores)} scores are {scores[0]:g}; a search needs scores that differ")
    space = space_named(config.network.space, config.network.nodes)
    supernet = TableSupernet(genotypes, scores, config.network, sizes=np.ones(len(genotypes)))
    score_of = dict(zip(reversed(genotypes), reversed(scores.tolist()), strict=True))
    test_of = dict(zip(reversed(genotypes), reversed(tests.tolist()), strict=True))
    threshold = float(np.sort(scores)[-max(1, round(_TOP_SHARE * len(scores)))])
    curves = []
    even = np.linspace(config.pool, config.queries, _POINTS).round().astype(int).tolist()
    grid = tuple(sorted({*even, *(mark for mark in MARKS if config.pool <= mark <= config.queries)}))

    def searched(entry: ControllerEntry, seed: int) -> _BestSoFar:
        settings = _search_config(config, entry.name, entry.proposals, seed)
        queried = _queried(settings, supernet, makers.get(entry.name, make_controller)(settings))
        return _BestSoFar(_best_tests(queried, score_of, test_of), _best_scores(queried, score_of))

    def job(entry: ControllerEntry, seed: int) -> Job[_BestSoFar]:
        name = f"searches/{entry.name}-{entry.proposals}-seed-{seed}.json"
        return Job(name, lambda: searched(entry, seed), _BestSoFar._asdict, _BestSoFar.from_json)

    total = sum(entry.seeds for entry in config.controllers)
    listen({"event": "plan", "phases": [phase("search", loops={"number": (1, total)})]})
    numbers = itertools.count(1)
    for entry in config.controllers:
        seeds = tuple(range(config.seed, config.seed + entry.seeds))
        found = []
        for seed, finished in zip(seeds, run_jobs((job(entry, seed) for seed in seeds), folder), strict=True):
            rows = finished.value
            if len(rows.best_test) < config.queries:
                raise ConfigError(
                    f"the search of {entry.name} with seed {seed} ended after {len(rows.best_test)} queries; "
                    f"{config.queries} were wanted"
                )
            found.append(rows)
            place = {"number": next(numbers), "of": total, "controller": entry.name, "seed": seed}
            listen({"event": "search", **place, "best": rows.best_score[-1], "known": finished.known})
        best, scored = (
            np.array([[rows[which][queries - 1] for queries in grid] for rows in found]) for which in (0, 1)
        )
        until_top = np.array([_first_at_least(rows.best_score, threshold) for rows in found])
        curves.append(ControllerCurve(entry.name, entry.proposals, seeds, grid, best, scored, until_top))
    best_score = int(np.argmax(scores))
    return ControllersStudy(
        space.name, len(set(genotypes)), float(tests.max()), float(tests[best_score]), tuple(curves),
        float(scores[best_score]),
    )  # fmt: skip


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
    """Return the genotypes a search scored, in order."""
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
    """Return, after each query, the test accuracy of the genotype with the best score so far."""
    best, row = queried[0], []
    for genotype in queried:
        if score_of[genotype] > score_of[best]:
            best = genotype
        row.append(test_of[best])
    return row


def _best_scores(queried: Sequence[Genotype], score_of: Mapping[Genotype, float]) -> list[float]:
    """After each query, the best score so far."""
    best: list[float] = np.maximum.accumulate([score_of[genotype] for genotype in queried]).tolist()
    return best


def _first_at_least(row: Sequence[float], threshold: float) -> float:
    """The number of the first query, from 1, whose best score reaches a threshold; NaN where none does."""
    return next((float(query) for query, score in enumerate(row, start=1) if score >= threshold), np.nan)


class _BestSoFar(NamedTuple):
    """After each query of a search, the test accuracy of the genotype with the best score so far, and that score."""

    best_test: list[float]
    best_score: list[float]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> _BestSoFar:
        return cls(*([float(value) for value in content[name]] for name in cls._fields))
