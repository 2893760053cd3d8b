"""A mixture as the forward pass reads it: cell by cell, what each node sums, and a factor for each of it."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from bnao.config.settings import NetworkConfig
from bnao.space.genotype import Edge
from bnao.space.mixture import MixedCell, Mixture, mixed_cells


@dataclass(slots=True)
class Term:
    """One summand of a node.

    Attributes:
        edge: its source and operation.
        factor: what the output is multiplied by, a scalar.
        idle: whether the factor is 0, so that the output counts for the slope alone.
        place: number of its node and source among the cell's.
    """

    edge: Edge
    factor: Tensor
    idle: bool
    place: int


class Mixed:
    """A mixture in a network.

    Args:
        mixture: its weights.
        network: whose supernet computes it.
        slope: as in ``bnao.protocols.Pass``.
        device: where it is computed.

    Attributes:
        weights: of the mixture, a leaf that has a gradient where a slope is wanted.

    Raises:
        GenotypeError: a mixture of another space.
        ConfigError: the supernet has several sets of weights for a place.
    """

    def __init__(self, mixture: Mixture, network: NetworkConfig, slope: str, device: torch.device) -> None:
        self.weights = torch.tensor(mixture.weights, dtype=torch.float32, device=device, requires_grad=slope != "no")
        factors = self.weights.flatten().unbind()
        _, places, operations = mixture.weights.shape

        def factor(weight: tuple[int, int, int]) -> Tensor:
            cell, place, operation = weight
            return factors[(cell * places + place) * operations + operation]

        self._cells = mixed_cells(
            mixture, network, slope,
            lambda weight, edge, idle: Term(edge, factor(weight), idle, weight[1]),
            lambda weights: reduce(operator.add, map(factor, weights)),
        )  # fmt: skip

    def cell(self, reduction: bool) -> MixedCell[Term]:
        """Return the cell at a place in the network; where there is but one, that."""
        return self._cells[-1 if reduction else 0]
