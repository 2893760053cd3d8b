"""Supernets whose edges share weights, and those that begin with theirs.

In the paper each edge trains weights of its own. An operation that more edges share is trained at more steps, at no
cost (sharing extent: CLOSE, Zhou et al. 2022, arXiv 2207.07868).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig
from bnao.config.training import Split
from bnao.network.parameters import shared_place, supernet_shapes
from bnao.network.state import MOMENTUM, without_momenta

_PLACE = re.compile(r"(cells\.\d+)\.nodes\.(\d+)(?:\.edges\.(\d+))?\.(\w+)(?:\.source\.(\d+))?\.(.+)")


def split_weights(
    state: Mapping[str, NDArray[np.float32]], names: Iterable[str], share_over: str
) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a supernet whose edges share less than those of the supernet they come from.

    Each edge begins with a copy of what it shared, momenta (``momentum.<name>``) included.

    Args:
        state: of the supernet that shares more, by canonical name.
        names: parameters of the other supernet.
        share_over: which edges shared an operation's weights in ``state``.

    Returns:
        What ``state`` has of each name, or of what its edge shared; names of which it has nothing are left out.

    >>> shared = {"cells.0.nor_conv_1x1.kernel": np.ones((2, 2, 1, 1), np.float32)}
    >>> names = [f"cells.0.nodes.{node}.edges.0.nor_conv_1x1.kernel" for node in range(2)]
    >>> sorted(split_weights(shared, names, "cell")) == names
    True
    """
    split = {}
    for name in names:
        place = _PLACE.fullmatch(name)
        shared = name
        if place is not None:
            cell, node, edge, operation, source, rest = place.groups()
            reads = None if source is None else int(source)
            shared = f"{shared_place(share_over, cell, int(node), int(edge or 0), operation, reads)}.{rest}"
        for prefix in ("", MOMENTUM):
            if prefix + shared in state:
                split[prefix + name] = np.array(state[prefix + shared])
    return split


def split_network(network: NetworkConfig, splits: Sequence[Split]) -> NetworkConfig:
    """Return the network's settings behind these splits, all of which have been made.

    >>> split_network(NetworkConfig(share_over="cell"), [Split(0.3, "node"), Split(0.6, "edge")]).share_over
    'edge'
    """
    return evolve(network, share_over=splits[-1].share_over) if splits else network


def network_of_state(
    state: Mapping[str, NDArray[np.float32]], network: NetworkConfig, splits: Sequence[Split]
) -> NetworkConfig:
    """Return the settings of the supernet that a state is of, by its names: the network's before or after a split.

    Where no split is known whose supernet has these names, they are the network's own, and loading the state will say
    what is wrong with it.

    >>> from bnao.network.parameters import initial_weights
    >>> network = NetworkConfig(channels=2, cells=1, share_over="node")
    >>> split = split_network(network, [Split(0.5, "edge")])
    >>> network_of_state(initial_weights(supernet_shapes(split), 0), network, [Split(0.5, "edge")]).share_over
    'edge'
    """
    names = without_momenta(state).keys()
    for made in range(len(splits), 0, -1):
        behind = split_network(network, splits[:made])
        if names == supernet_shapes(behind).keys():
            return behind
    return network
