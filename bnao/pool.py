"""Which genotypes a study ranks, and which its supernets are trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bnao.config import StudyConfig
from bnao.errors import ConfigError
from bnao.genotype import Genotype
from bnao.space import space_named
from bnao.streams import stream

# random genotypes looked at for each one wanted near a size
_TRIES = 300
# of random genotypes, from which the median or the range of sizes is taken
_SAMPLE = 1000


def chosen_genotypes(
    config: StudyConfig, known: Sequence[Genotype] | None, sizes_of: Callable[..., Any]
) -> list[Genotype]:
    """The genotypes that are ranked, random within what ``config.sizes`` asks for.

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

    def random(wanted: int) -> list[Genotype]:
        if known is None:
            return space.random_genotypes(wanted, rng)
        return [known[index] for index in rng.permutation(len(known))[:wanted]]

    if known is not None and len(known) < n:
        raise ConfigError(f"genotypes is {n}, and the truth has {len(known)}; ask for fewer")
    if config.sizes == "diverse":
        return random(n)
    some = random(max(_SAMPLE, n))
    sizes = np.asarray(sizes_of(some), dtype=np.float64)
    if config.sizes == "similar":
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
    """The genotypes a supernet is trained on: the ranked ones first, then others, as many as ``config.trained``.

    Args:
        config: how many.
        ranked: the ranked ones.
        known: genotypes to choose the others among; None, or no others in it: all of the space.

    Raises:
        ConfigError: there are not so many.
    """
    wanted = 0 if config.trained is None else config.trained - len(ranked)
    if wanted < 0 and config.trained is not None:
        raise ConfigError(f"trained is {config.trained}; the {len(ranked)} ranked genotypes are among them")
    if not wanted:
        return list(ranked)
    rng = stream(config.seed, "study trained")
    barred = set(ranked)
    others = [genotype for genotype in known or () if genotype not in barred]
    if not others:
        space = space_named(config.network.space, config.network.nodes)
        return [*ranked, *space.random_genotypes(wanted, rng, exclude=ranked)]
    if len(others) < wanted:
        raise ConfigError(f"trained is {config.trained}, and the truth has {len(known or ())} genotypes; ask for fewer")
    return [*ranked, *(others[index] for index in rng.permutation(len(others))[:wanted])]


def ranked_genotypes(
    config: StudyConfig,
    given: Sequence[Genotype] | None,
    known: Sequence[Genotype] | None,
    sizes_of: Callable[..., Any],
) -> list[Genotype]:
    """The genotypes that are ranked: those given, each once, or chosen ones.

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
