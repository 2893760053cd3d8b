"""The best of a search beside random genotypes of its first pool: what searching was worth (Sec. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.settings import ROUND_LEVEL, SearchConfig
from bnao.data.dataset import load_dataset
from bnao.errors import ConfigError
from bnao.metrics import Estimate
from bnao.network.latency import LatencyModel
from bnao.run import read_config
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.strategies.candidates import budgets_text, random_candidates, within_budgets
from bnao.strategies.costs import search_latency
from bnao.strategies.journal import read_pool
from bnao.streams import stream

#: resamples behind the interval of the gain
_RESAMPLES = 10_000
# draws of as many as are wanted, before too few are taken to be distinct
_DRAWS = 50


@frozen
class AgainstRandom:
    """The found genotypes beside random ones of the first pool, by test error.

    Attributes:
        first: of the genotype the search ranked first.
        top_mean: mean over the search's best.
        top: how many these are.
        random_median: median over the random ones.
        random_mean: mean over them.
        random: how many these are.
        gain: how far the mean of the best lies below that of the random ones, with a 95 % bootstrap interval over both
            groups' genotypes (n is of both); None where a group is but one genotype.
    """

    first: float
    top_mean: float
    top: int
    random_median: float
    random_mean: float
    random: int
    gain: Estimate | None


def against_random(top: Sequence[float], random: Sequence[float]) -> AgainstRandom:
    """Compare the test errors of a search's best, in its order, with those of random genotypes; at least one of each.

    >>> found = against_random([0.125, 0.25], [0.5, 0.75, 0.25])
    >>> found.top_mean, found.random_median, found.gain.value
    (0.1875, 0.5, 0.3125)
    """
    best, others = np.asarray(top, np.float64), np.asarray(random, np.float64)
    gain = _gain(best, others) if min(len(best), len(others)) > 1 else None
    middle = float(np.median(others))
    return AgainstRandom(top[0], float(best.mean()), len(best), middle, float(others.mean()), len(others), gain)


def _gain(best: NDArray[np.float64], others: NDArray[np.float64], level: float = 0.95) -> Estimate:
    rng = stream(0, "bootstrap gain")
    means = [each[rng.integers(len(each), size=(_RESAMPLES, len(each)))].mean(1) for each in (others, best)]
    low, high = np.quantile(means[0] - means[1], [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Estimate(float(others.mean() - best.mean()), low, high, len(best) + len(others), level)


def random_of_first_pool(folder: Path, n: int, seed: int) -> tuple[Genotype, ...]:
    """Draw n genotypes of a run's first pool; fewer are the first of them.

    A search by a strategy that decides at each update has no pool: they are drawn from its space, within its budgets.

    Args:
        folder: of the run.
        n: how many, >= 0.
        seed: decides which.

    Raises:
        ConfigError: the pool has not so many.
        RunError: the folder has no pool.
    """
    config = read_config(folder, SearchConfig)
    if config.strategy not in ROUND_LEVEL:
        return _random_of_space(config, search_latency(config, folder), n, seed)
    pool = read_pool(folder, 0)
    if n > len(pool):
        raise ConfigError(f"random is {n}; the first pool of {folder} has {len(pool)} genotypes")
    order = stream(seed, "evaluate pool").permutation(len(pool))[:n]
    return tuple(pool[index] for index in order)


def _random_of_space(config: SearchConfig, latency: LatencyModel | None, n: int, seed: int) -> tuple[Genotype, ...]:
    """Draw n distinct genotypes that a search with these settings may choose."""
    space, network = space_named(config.network.space, config.network.nodes), config.network
    if budgets_text(config):
        network = load_dataset(config.data).network(network)  # multiply-adds are of its images
    accept = partial(within_budgets, config=config, network=network, latency=latency)
    rng, found = stream(seed, "evaluate random"), dict[Genotype, None]()
    for _ in range(_DRAWS):
        found |= dict.fromkeys(random_candidates(space, accept, n, rng, config))
        if len(found) >= n:
            return tuple(found)[:n]
    raise ConfigError(f"random is {n}; of many random genotypes of the search's space only {len(found)} are distinct")
