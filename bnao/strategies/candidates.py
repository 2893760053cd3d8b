"""Genotypes that a search may propose: those within its budgets or in its table, and the pool they make."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.errors import ConfigError
from bnao.network.latency import LatencyModel
from bnao.parallel.ranks import Ranks, is_first
from bnao.protocols import HeldOut
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
from bnao.strategies.costs import cost

#: says of genotypes, in the order given, which may be chosen, shape (n,)
Accepts = Callable[[Sequence[Genotype]], NDArray[np.bool_]]

# random genotypes looked at, some at once, before a budget is called too tight
_AT_ONCE, _BLOCKS = 20, 100


@frozen
class Pool:
    """The genotypes that are new in a round.

    Attributes:
        genotypes: the pool.
        sources: how many came from where.
        duplicates: lines of the pool's file that say again what another line says.
        predicted: scores that the controller expects.
        held_out: how it had learned.
    """

    genotypes: list[Genotype]
    sources: Mapping[str, int]
    duplicates: int = 0
    predicted: Mapping[Genotype, float] = field(factory=dict)
    held_out: HeldOut | None = None


def shared_pool(ranks: Ranks | None, space: SearchSpace, make: Callable[[], Pool]) -> Pool:
    """Return the pool that the first process makes; in the others it is its genotypes alone."""
    if ranks is None:
        return make()
    if not is_first(ranks):
        return Pool([space.parse(text) for text in json.loads(ranks.share(b""))], {})
    pool = make()
    ranks.share(json.dumps([str(genotype) for genotype in pool.genotypes]).encode())
    return pool


def within_budgets(
    genotypes: Sequence[Genotype], config: SearchConfig, network: NetworkConfig, latency: LatencyModel | None
) -> NDArray[np.bool_]:
    """Return which of the genotypes keep a search's budgets, shape (n,).

    Args:
        genotypes: n of them.
        config: says the budgets.
        network: in which sizes are counted.
        latency: the search's model (``bnao.strategies.costs.search_latency``).
    """
    within = np.ones(len(genotypes), dtype=bool)
    for name, most in (
        ("parameters", config.max_parameters),
        ("multiply-adds", config.max_multiply_adds),
        ("latency", config.max_latency),
    ):
        if most is not None and genotypes:
            within &= cost(name, genotypes, network, latency) <= most
    return within


def random_candidates(
    space: SearchSpace, accept: Accepts, n: int, rng: np.random.Generator, config: SearchConfig
) -> list[Genotype]:
    """Return n random genotypes that a search may choose, drawn one by one: one may come twice.

    Args:
        space: of the genotypes.
        accept: says which may be chosen.
        n: how many.
        rng: decides.
        config: names the budgets, where there are too few.

    Raises:
        ConfigError: hardly any genotype keeps the budgets.
    """
    found: list[Genotype] = []
    for block in range(_BLOCKS):
        at_once = n if block == 0 else max(n, _AT_ONCE)
        some = [genotype for _ in range(at_once) for genotype in space.random_genotypes(1, rng)]
        found += itertools.compress(some, accept(some))
        if len(found) >= n:
            return found[:n]
    raise ConfigError(
        f"only {len(found)} of about {_BLOCKS * max(n, _AT_ONCE):,} random genotypes keep the budget "
        f"({budgets_text(config)}), and {n} are wanted; allow more, or take fewer channels or cells"
    )


def budgets_text(config: SearchConfig) -> str:
    """Return a search's budgets in words."""
    limits = (
        ("parameters", config.max_parameters),
        ("multiply-adds", config.max_multiply_adds),
        ("ms latency", config.max_latency),
    )
    return ", ".join(f"at most {most:,} {name}" for name, most in limits if most is not None)


def nearest(space: SearchSpace, wishes: Sequence[Genotype], left: Sequence[Genotype]) -> list[Genotype]:
    """Return for each wish the free candidate that differs in the fewest integers: a table holds but a few."""
    place = {genotype: index for index, genotype in enumerate(left)}
    free = np.ones(len(left), dtype=bool)
    codes: NDArray[np.int64] | None = None
    chosen: list[Genotype] = []
    for wish in wishes[: len(left)]:
        index = place.get(wish, -1)
        if index < 0 or not free[index]:
            if codes is None:
                codes = space.encode(left).reshape(len(left), space.length)
            code = space.encode([wish]).reshape(space.length)
            differences = np.where(free, (codes != code).sum(1), space.length + 1)
            index = int(differences.argmin())
        free[index] = False
        chosen.append(left[index])
    return chosen
