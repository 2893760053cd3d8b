"""The network of each genotype of an evaluation: its search space, and its channels within a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from attrs import evolve

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import AUTO, NetworkConfig
from bnao.data.dataset import LabelledImages
from bnao.errors import ConfigError
from bnao.network.mobile import Trainable
from bnao.network.size import count_multiply_adds, count_parameters, within_budget
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, space_named

#: spaces of genotypes, where they are not all of the settings'
Spaces = Mapping[Trainable, SearchSpace]
ONE_SPACE: Spaces = MappingProxyType({})


def sized(
    config: EvaluateConfig,
    genotypes: Sequence[Trainable],
    dataset: LabelledImages,
    spaces: Spaces = ONE_SPACE,
) -> list[EvaluateConfig]:
    """Return the settings of each genotype's trainings, of its space, in which its network keeps the budget.

    Args:
        config: all settings.
        genotypes: the architectures.
        dataset: their images.
        spaces: those of genotypes that are not of the space in ``config.network``.

    Raises:
        ConfigError: a network cannot; see ``bnao.network.size.within_budget``.
    """
    own = [_in_space(config, spaces.get(genotype)) for genotype in genotypes]
    networks = [dataset.network(each.network) for each in own]  # which refuses images that are too small
    if config.network.channels != AUTO and config.max_multiply_adds is None:
        return own
    networks = [
        _within(genotype, network, config.max_multiply_adds)
        for genotype, network in zip(genotypes, networks, strict=True)
    ]
    return [
        evolve(each, network=evolve(each.network, channels=network.channels))
        for each, network in zip(own, networks, strict=True)
    ]


def _in_space(config: EvaluateConfig, space: SearchSpace | None) -> EvaluateConfig:
    """Return the settings with the network of another space; themselves where there is none."""
    if space is None:
        return config
    nodes = None if space.nodes == space_named(space.name).nodes else space.nodes
    return evolve(config, network=evolve(config.network, space=space.name, nodes=nodes))


def _within(genotype: Trainable, network: NetworkConfig, budget: int | None) -> NetworkConfig:
    if isinstance(genotype, Genotype):
        return within_budget(genotype, network, budget)
    _, needed = counts(genotype, network)
    if budget is not None and needed > budget:
        raise ConfigError(f"{genotype} has {needed:,} multiply-adds, and max_multiply_adds is {budget:,}")
    return network


def counts(genotype: Trainable, network: NetworkConfig) -> tuple[int, int]:
    """Return the parameters and multiply-adds of a genotype's own network, or of one for comparison.

    >>> from bnao.network.mobile import mobile_network
    >>> counts(mobile_network("MobileNetV2"), NetworkConfig(classes=10))[0]
    2236682
    """
    if isinstance(genotype, Genotype):
        return count_parameters(genotype, network), count_multiply_adds(genotype, network)
    return genotype.counts(network.image, network.classes)
