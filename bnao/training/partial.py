"""Paths through partial channels, which supernets compute as mixtures (PC-DARTS, Xu et al., arXiv 1907.05737)."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from bnao.config.settings import NetworkConfig
from bnao.errors import ConfigError
from bnao.protocols import Architecture, Pass, check_passes
from bnao.space.genotype import Genotype
from bnao.space.mixture import Mixture, mixture_of
from bnao.space.spaces import space_named


def as_computed(architecture: Architecture, network: NetworkConfig) -> Architecture:
    """Return an architecture as a supernet of this network computes it: a path through partial channels as a mixture.

    >>> import numpy as np
    >>> from bnao.space.spaces import SPACES
    >>> (path,) = SPACES["nao"].random_genotypes(1, np.random.default_rng(0))
    >>> as_computed(path, NetworkConfig()) is path
    True
    >>> as_computed(path, NetworkConfig(partial_channels=4)).weights.shape
    (2, 20, 5)
    """
    if network.partial_channels == 1 or isinstance(architecture, Mixture):
        return architecture
    return mixture_of(architecture, space_named(network.space, network.nodes))


def computed_passes(passes: Sequence[Pass], network: NetworkConfig) -> Sequence[Pass]:
    """Return passes, which are checked, with architectures as a supernet of this network computes them.

    Raises:
        ProtocolError: the passes cannot be made (``bnao.protocols.check_passes``).
        ConfigError: masks of drop path for a path through partial channels.
    """
    check_passes(passes)
    if network.partial_channels == 1:
        return passes
    if any(each.masks is not None and isinstance(each.architecture, Genotype) for each in passes):
        raise ConfigError(
            f"partial_channels is {network.partial_channels}, and paths through partial channels drop nothing; let "
            "drop_path_keep be 1"
        )
    return [evolve(each, architecture=as_computed(each.architecture, network)) for each in passes]


def check_whole(network: NetworkConfig) -> None:
    """Raise ConfigError if operations see a part of the channels, where paths are computed as they are."""
    if network.partial_channels > 1:
        raise ConfigError(f"partial_channels is {network.partial_channels}; a Keras model of paths has whole ones, 1")
