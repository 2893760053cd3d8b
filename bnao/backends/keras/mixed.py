"""A mixture as the forward pass reads it: cell by cell, what each node sums and which weight multiplies each term."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.backends.keras.operations import Tensor
from bnao.config.settings import NetworkConfig
from bnao.network.parameters import shared_place
from bnao.network.stack import rules
from bnao.space.genotype import Edge
from bnao.space.mixture import MixedCell, Mixture, mixture_shape
from bnao.space.mixture import mixed_cells as cells_of
from bnao.space.spaces import space_named


@frozen
class Term:
    """One summand of a node.

    Attributes:
        edge: its source and operation.
        factor: (cell, place, operation): which of the mixture's weights multiplies its output.
        idle: whether that is 0, so that the output counts for the slope alone.
    """

    edge: Edge
    factor: tuple[int, int, int]
    idle: bool

    def place(self, network: NetworkConfig, cell: str, node: int) -> str:
        """Return the canonical name of the weights it trains in a cell of that name, at a node."""
        return term_place(network, cell, node, self.edge.source, self.edge.operation)


def term_place(network: NetworkConfig, cell: str, node: int, source: int, operation: str) -> str:
    """Return the canonical name of the weights of an operation between two states, in a cell of that name."""
    if rules(network).residual:  # a node has one edge from each state, and numbers them by these
        return shared_place(network.share_over, cell, node, source, operation)
    return shared_place(network.share_over, cell, node, 0, operation, source)


#: the cells of a mixture: the normal and the reduction cell, or the one there is
MixedCells = tuple[MixedCell[Term], ...]


@frozen(eq=False)
class Mixed:
    """A mixture in a network.

    Attributes:
        cells: which terms are computed.
        weights: of the mixture, shape (cells, places, operations).
    """

    cells: MixedCells
    weights: Tensor

    def cell(self, reduction: bool) -> MixedCell[Term]:
        """Return the cell of a kind; where there is but one, that."""
        return self.cells[-1 if reduction else 0]


#: what counts of a term: nothing, its output for the slope alone, or all of it
LEFT_OUT, SLOPE_ALONE, SUMMED = range(3)


@frozen(eq=False)
class MixedData:
    """A mixture as data, in a graph that serves all of them.

    Attributes:
        weights: of the mixture, shape (cells, places, operations).
        terms: what counts of each, likewise: LEFT_OUT, SLOPE_ALONE or SUMMED.
        loose: whether no node reads a state, shape (cells, states).
        learns: whether gradients by weights of operations are taken.
        has_slope: whether they are by the mixture's.
    """

    weights: Tensor
    terms: Tensor
    loose: Tensor
    learns: bool = False
    has_slope: bool = False

    @property
    def of_cells(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, terms and loose states."""
        return self.weights, self.terms, self.loose


def as_data(mixed: Mixed, network: NetworkConfig) -> tuple[Tensor, NDArray[np.int32], NDArray[np.bool_]]:
    """Return weights, terms and loose states of a mixture, as ``MixedData`` has them.

    Of a space whose cells give out their last node, terms that do not reach it are left out.
    """
    space = space_named(network.space, network.nodes)
    terms = np.full(mixture_shape(space), LEFT_OUT, np.int32)
    loose = np.zeros((space.cells, space.inputs + space.nodes), np.bool_)
    for number, cell in enumerate(mixed.cells):
        loose[number, list(cell.outputs("loose ends"))] = True
        live = cell.live_states if space.rules.residual else range(space.inputs + space.nodes)
        for node in range(space.nodes):
            if space.inputs + node in live:
                for _, factors in cell.past[node]:
                    for factor in factors:
                        terms[factor] = SUMMED
                for term in cell.nodes[node]:
                    terms[term.factor] = SLOPE_ALONE if term.idle else SUMMED
    return mixed.weights, terms, loose


def mixed_cells(mixture: Mixture, network: NetworkConfig, slope: str) -> MixedCells:
    """Return the terms that a mixture's cells sum; see ``bnao.space.mixture.mixed_cells``."""
    return cells_of(mixture, network, slope, lambda weight, edge, idle: Term(edge, weight, idle))
