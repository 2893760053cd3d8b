"""A weighted sum of operations between every two states: to gradient methods what a genotype is to a path.

Source: DARTS, Liu et al., arXiv 1806.09055, Sec. 2.2, and all that follows it.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig
from bnao.errors import ConfigError, GenotypeError
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, space_named


def _finite_array(weights: object) -> NDArray[np.float64]:
    array = np.array(weights, dtype=np.float64)
    if array.ndim != 3:
        raise GenotypeError(f"a mixture's weights have shape {array.shape}; it must be (cells, places, operations)")
    if not np.isfinite(array).all():
        cell, place, operation = np.argwhere(~np.isfinite(array))[0].tolist()
        raise GenotypeError(
            f"weights[{cell}, {place}, {operation}] is {array[cell, place, operation]}; every weight must be finite"
        )
    array.flags.writeable = False
    return array


@frozen(eq=False)
class Mixture:
    """Factors of the operations' outputs before a node sums the outputs of all its sources.

    Attributes:
        weights: shape (cells, places, operations), any finite numbers; cells, and a place's node and source, as
            ``mixture_places`` lists them, operations as their space does. An operation whose weight is exactly 0 is
            not computed.
    """

    weights: NDArray[np.float64] = field(converter=_finite_array)


def mixture_places(space: SearchSpace) -> tuple[tuple[int, int], ...]:
    """Return (node, source) of every place of a cell: each node with each state before it.

    >>> from bnao.space.spaces import SPACES
    >>> len(mixture_places(SPACES["darts"])), mixture_places(SPACES["nas-bench-201"])
    (14, ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)))
    """
    return tuple((node, source) for node in range(space.nodes) for source in range(space.inputs + node))


def mixture_shape(space: SearchSpace) -> tuple[int, int, int]:
    """Return the shape of a mixture's weights: (cells, places, operations).

    >>> from bnao.space.spaces import SPACES
    >>> mixture_shape(SPACES["darts"]), mixture_shape(SPACES["nas-bench-201"])
    ((2, 14, 7), (1, 6, 5))
    """
    return space.cells, len(mixture_places(space)), len(space.operations)


def check_mixture(mixture: Mixture, network: NetworkConfig) -> None:
    """Check that a supernet of this network can compute a mixture.

    Raises:
        GenotypeError: its weights are of another space.
        ConfigError: the supernet's edges share nothing, so that there are several sets of weights for a place.
    """
    space = space_named(network.space, network.nodes)
    if mixture.weights.shape != mixture_shape(space):
        raise GenotypeError(
            f"a mixture's weights have shape {mixture.weights.shape}; in space {space.name!r} with {space.nodes} nodes "
            f"it is {mixture_shape(space)}"
        )
    if network.share_over == "edge" and not space.rules.residual:
        raise ConfigError(
            f"share_over is edge, so a node of space {space.name!r} has {space.edges} sets of weights for each source; "
            "a mixture needs one: let share_over be source, node or cell"
        )


def mixture_of(genotype: Genotype, space: SearchSpace) -> Mixture:
    """Return the mixture that computes what a genotype does: each weight is how many of its edges are that operation.

    Raises:
        GenotypeError: a genotype of another space.

    >>> from bnao.space.notation.notations import parse
    >>> from bnao.space.spaces import SPACES
    >>> cell = parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|")
    >>> mixture_of(cell, SPACES["nas-bench-201"]).weights[0].argmax(1).tolist()
    [3, 0, 1, 0, 0, 1]
    """
    space.check(genotype)
    weights = np.zeros(mixture_shape(space))
    number = {operation: index for index, operation in enumerate(space.operations)}
    place = {pair: index for index, pair in enumerate(mixture_places(space))}
    for index, cell in enumerate(genotype.cells):
        for node, edges in enumerate(cell.nodes):
            for edge in edges.edges:
                weights[index, place[node, edge.source], number[edge.operation]] += 1
    return Mixture(weights)
