"""Random genotypes within budgets; which ones a study ranks, and which its supernets are trained on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bnao.config.settings import NetworkConfig
from bnao.config.studies import StudyConfig
from bnao.errors import ConfigError, GenotypeError
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.space.canonical import distinct_ones
from bnao.space.genotype import Genotype
from bnao.space.spaces import space_named
from bnao.streams import stream

# random genotypes looked at for each one wanted near a size or within a budget
_TRIES = 300
# and at least so many in all
_LEAST_TRIES = 3000
# whose sizes are counted together
_AT_ONCE = 50
# of random genotypes, from which the median or the range of sizes is taken
_SAMPLE = 1000


def random_genotypes(
    n: int,
    network: NetworkConfig,
    *,
    seed: int = 0,
    max_parameters: int | None = None,
    max_multiply_adds: int | None = None,
    distinct: str = "text",
) -> list[Genotype]:
    """Return n distinct random genotypes whose own networks keep the budgets.

    Every source and operation is drawn uniformly; what does not keep a budget is drawn anew.

    Args:
        n: how many, >= 0.
        network: the space, and the stack, classes and image that sizes are counted for.
        seed: decides every draw.
        max_parameters, max_multiply_adds: the budgets; None: any size.
        distinct: ``text``, or ``computed``: no two are the same network.

    Raises:
        ConfigError: too few of the genotypes keep the budgets.
        GenotypeError: the space does not hold so many.

    >>> few = random_genotypes(3, NetworkConfig(channels=36, cells=6), max_parameters=3_500_000)
    >>> len(few), (count_parameters(few, NetworkConfig(channels=36, cells=6)) <= 3_500_000).all()
    (3, np.True_)
    """
    budgets = {
        f"at most {most:,} {name}": (most, count)
        for name, most, count in (
            ("parameters", max_parameters, count_parameters),
            ("multiply-adds", max_multiply_adds, count_multiply_adds),
        )
        if most is not None
    }
    space, rng = space_named(network.space, network.nodes), stream(seed, "random genotypes")
    if n > space.genotypes:
        raise GenotypeError(
            f"space {space.name!r} with {space.nodes} nodes has {space.genotypes:,} genotypes, and {n:,} are wanted; "
            f"ask for fewer or for more nodes"
        )
    if not budgets:
        return space.random_genotypes(n, rng, distinct=distinct)
    chosen: list[Genotype] = []
    seen: set[Genotype] = set()
    while len(chosen) < n:
        wanted = min(max(n, _AT_ONCE), space.genotypes - len(seen))
        try:
            some = space.random_genotypes(wanted, rng, exclude=seen, distinct=distinct)
        except GenotypeError:  # all but a few were seen
            some = []
        seen.update(some)
        within = np.ones(len(some), dtype=bool)
        for most, count in budgets.values():
            within &= count(some, network) <= most if some else within
        chosen += itertools.compress(some, within)
        if len(chosen) < n and (not some or len(seen) >= max(_LEAST_TRIES, _TRIES * n)):
            raise ConfigError(
                f"only {len(chosen)} of {len(seen):,} random genotypes keep the budget ({', '.join(budgets)}), and {n} "
                f"are wanted; allow more, or take fewer channels, cells or genotypes"
            )
    return chosen[:n]


def chosen_genotypes(
    config: StudyConfig, known: Sequence[Genotype] | None, sizes_of: Callable[..., Any]
) -> list[Genotype]:
    """Return the genotypes that are ranked, random within what ``config.sizes`` asks for.

    Args:
        config: how many, and of which sizes: ``diverse`` takes them as they come, ``similar`` those whose size is
            within a share ``config.band`` of the median of 1,000 random ones, ``spread`` those nearest to evenly
            spaced sizes between the 1st and the 99th percentile of as many.
        known: genotypes to choose among; None: all of the space.
        sizes_of: sizes of a list of genotypes.

    Raises:
        ConfigError: there are too few.
    """
    n, rng = config.genotypes, stream(config.seed, "study pool")
    space = space_named(config.network.space, config.network.nodes)
    if known is not None:
        known = list(itertools.compress(known, space.passes_on(known)))

    def random(wanted: int) -> list[Genotype]:
        if known is None:
            return space.random_genotypes(wanted, rng, distinct=config.distinct)
        return distinct_ones([known[index] for index in rng.permutation(len(known))], config.distinct)[:wanted]

    if known is not None and len(known) < n:
        raise ConfigError(f"genotypes is {n}, and the truth has {len(known)}; ask for fewer")
    if config.sizes == ("diverse",):
        chosen_ones = random(n)
        if len(chosen_ones) < n:
            raise ConfigError(
                f"genotypes is {n}, and the truth has {len(chosen_ones)} that are distinct by what they compute; ask "
                f"for fewer, or take distinct text"
            )
        return chosen_ones
    some = random(max(_SAMPLE, n))
    sizes = np.asarray(sizes_of(some), dtype=np.float64)
    if config.sizes == ("similar",):
        median = float(np.median(sizes))
        near: dict[Genotype, None] = {}
        for _ in range(_TRIES if known is None else 1):
            near |= dict.fromkeys(
                g for g, size in zip(some, sizes, strict=True) if abs(size / median - 1) <= config.band
            )
            if len(near) >= n:
                return list(near)[:n]
            some = random(_SAMPLE)
            sizes = np.asarray(sizes_of(some), dtype=np.float64)
        raise ConfigError(
            f"only {len(near)} genotypes are within {config.band:.1%} of the median size {median:,.0f}, and {n} are "
            f"wanted; allow more by --band"
        )
    chosen: list[int] = []
    low, high = np.quantile(sizes, [0.01, 0.99]).tolist()
    for target in np.linspace(low, high, n):
        order = np.argsort(np.abs(sizes - target), kind="stable")
        chosen.append(next(int(index) for index in order if index not in chosen))
    return [some[index] for index in chosen]


def trained_genotypes(
    config: StudyConfig, ranked: Sequence[Genotype], known: Sequence[Genotype] | None
) -> list[Genotype]:
    """Return the genotypes a supernet is trained on: the ranked ones, others of the truth, then random ones.

    As many as ``config.trained``.

    Args:
        config: how many.
        ranked: the ranked ones.
        known: genotypes that others are taken from before the space; None: from the space alone.

    Raises:
        GenotypeError: the space has not so many.
    """
    wanted = 0 if config.trained is None else config.trained - len(ranked)
    if wanted < 0 and config.trained is not None:
        raise ConfigError(f"trained is {config.trained}; the {len(ranked)} ranked genotypes are among them")
    if not wanted:
        return list(ranked)
    rng = stream(config.seed, "study trained")
    barred = set(ranked)
    space = space_named(config.network.space, config.network.nodes)
    others = [genotype for genotype in known or () if genotype not in barred]
    others = list(itertools.compress(others, space.passes_on(others)))
    chosen = [*ranked, *(others[index] for index in rng.permutation(len(others))[:wanted])]
    missing = wanted + len(ranked) - len(chosen)
    if missing:
        chosen += space.random_genotypes(missing, rng, exclude=chosen)
    return chosen


def ranked_genotypes(
    config: StudyConfig,
    given: Sequence[Genotype] | None,
    known: Sequence[Genotype] | None,
    sizes_of: Callable[..., Any],
) -> list[Genotype]:
    """Return the genotypes that are ranked: those given, each once, or chosen ones.

    Raises:
        ConfigError: fewer than three.
        GenotypeError: one of another space.
    """
    if given is None:
        return chosen_genotypes(config, known, sizes_of)
    space = space_named(config.network.space, config.network.nodes)
    once = [space.check(genotype) for genotype in dict.fromkeys(given)]
    if len(once) < 3:
        raise ConfigError(f"{len(once)} genotypes; a ranking needs at least 3 different ones")
    return once
