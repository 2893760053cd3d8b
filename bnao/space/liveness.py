"""What of a cell is alive: on a way from the cell's inputs to its output, over edges other than ``none`` (Sec. 2).

All is counted on integers of whole pools, as ``SearchSpace.encode`` makes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bnao.space.spaces import SearchSpace

Mask = NDArray[np.bool_]

#: the operation that passes nothing on
NONE = "none"


@frozen(eq=False)
class Flow:
    """How the inputs of n cells of one kind flow to their outputs.

    Attributes:
        sources, operations: of each edge, shape (n, places): a state, and an operation's number.
        passes: whether the edge's operation passes anything on, shape (n, places).
        outputs: the states that are concatenated to the output, shape (n, states).
        reaching: the states that the output depends on, shape (n, states).
        depends: whether a state depends on an input, shape (n, states, inputs).
    """

    sources: NDArray[np.int64]
    operations: NDArray[np.int64]
    passes: Mask
    outputs: Mask
    reaching: Mask
    depends: Mask

    @property
    def passed(self) -> Mask:
        """Whether the output depends on an input, shape (n, inputs)."""
        inputs = self.depends.shape[2]
        return self.reaching[:, :inputs]

    def fed(self, inputs: Mask) -> Mask:
        """Return which states carry something of the image where these inputs do.

        Args:
            inputs: shape (n, inputs).

        Returns:
            Shape (n, states).
        """
        fed: Mask = np.logical_or.reduce(self.depends & inputs[:, None, :], axis=2)
        return fed

    def live_edges(self, fed: Mask, space: SearchSpace) -> Mask:
        """Return which edges carry something of the image to the output.

        Args:
            fed: which states carry something, shape (n, states).
            space: of the cells.

        Returns:
            Shape (n, places).
        """
        nodes = [space.inputs + node for node, _ in space.places]
        return np.logical_and(self.passes & np.take_along_axis(fed, self.sources, 1), self.reaching[:, nodes])


def flow(cells: NDArray[np.int64], space: SearchSpace) -> Flow:
    """Return how the inputs of cells flow to their outputs.

    Args:
        cells: shape (n, nodes, edges, 2), one of the cells of ``space.encode``.
        space: of the cells.
    """
    edges = cells.reshape(len(cells), len(space.places), 2)
    sources, operations = edges[..., 0], edges[..., 1]
    passes = np.array([name != NONE for name in space.operations])[operations]
    rows = np.arange(len(edges))
    n_states = space.inputs + space.nodes

    outputs = output_states(edges, space)
    reaching = outputs.copy()
    for place in reversed(range(len(space.places))):
        node = space.inputs + space.places[place][0]
        reaching[rows, sources[:, place]] |= passes[:, place] & reaching[:, node]

    depends = np.zeros((len(edges), n_states, space.inputs), dtype=bool)
    depends[:, range(space.inputs), range(space.inputs)] = True
    for place, (node, _) in enumerate(space.places):
        depends[:, space.inputs + node] |= passes[:, place, None] & depends[rows, sources[:, place]]
    return Flow(sources, operations, passes, outputs, reaching, depends)


def output_states(edges: NDArray[np.int64], space: SearchSpace) -> Mask:
    """Return which states cells give out, shape (n, states); ``edges`` has shape (n, places, 2)."""
    output = np.ones((len(edges), space.inputs + space.nodes), dtype=bool)
    if space.rules.mixes:
        output[np.arange(len(edges))[:, None], edges[..., 0]] = False
    if space.rules.output != "loose ends":
        output[:, : space.inputs] = False
    if space.rules.output == "last node":
        output[:, :-1] = False
    return output
