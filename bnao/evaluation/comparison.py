"""The best of a search beside random genotypes of its first pool: what searching was worth (Sec. 5)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from bnao.errors import ConfigError
from bnao.space.genotype import Genotype
from bnao.strategies.journal import read_pool
from bnao.streams import stream


@frozen
class AgainstRandom:
    """The found genotypes beside random ones of the first pool, by test error.

    Attributes:
        first: of the genotype the search ranked first.
        top_mean: mean over the search's best.
        top: how many these are.
        random_median: median over the random ones.
        random: how many these are.
    """

    first: float
    top_mean: float
    top: int
    random_median: float
    random: int


def against_random(top: Sequence[float], random: Sequence[float]) -> AgainstRandom:
    """Compare the test errors of a search's best, in its order, with those of random genotypes; at least one of each.

    >>> against_random([0.125, 0.25], [0.5, 0.75, 0.25])
    AgainstRandom(first=0.125, top_mean=0.1875, top=2, random_median=0.5, random=3)
    """
    return AgainstRandom(top[0], statistics.fmean(top), len(top), statistics.median(random), len(random))


def random_of_first_pool(folder: Path, n: int, seed: int) -> tuple[Genotype, ...]:
    """Draw n genotypes of a run's first pool; fewer are the first of them.

    Args:
        folder: of the run.
        n: how many, >= 0.
        seed: decides which.

    Raises:
        ConfigError: the pool has not so many.
        RunError: the folder has no pool.
    """
    pool = read_pool(folder, 0)
    if n > len(pool):
        raise ConfigError(f"random is {n}; the first pool of {folder} has {len(pool)} genotypes")
    order = stream(seed, "evaluate pool").permutation(len(pool))[:n]
    return tuple(pool[index] for index in order)
