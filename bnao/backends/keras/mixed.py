"""A mixture as the forward pass reads it: cell by cell, what each node sums and which weight multiplies each term."""

from __future__ import annotations

from attrs import frozen

from bnao.backends.keras.operations import Tensor
from bnao.config.settings import NetworkConfig
from bnao.network.parameters import shared_place
from bnao.network.stack import rules
from bnao.space.genotype import Edge
from bnao.space.mixture import MixedCell, Mixture
from bnao.space.mixture import mixed_cells as cells_of


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
        source, operation = self.edge.source, self.edge.operation
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


def mixed_cells(mixture: Mixture, network: NetworkConfig, slope: str) -> MixedCells:
    """Return the terms that a mixture's cells sum; see ``bnao.space.mixture.mixed_cells``."""
    return cells_of(mixture, network, slope, lambda weight, edge, idle: Term(edge, weight, idle))
