"""DARTS with edge normalisation: Xu et al., PC-DARTS, arXiv 1907.05737."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnao.space.mixture import mixture_places
from bnao.strategies.gradient import GradientStrategy, part
from bnao.strategies.logits import Array, entropy, softmax, softmax_slope
from bnao.strategies.step_level import SearchContext, StrategyState
from bnao.streams import stream


class PcDarts(GradientStrategy):
    """DARTS with a second softmax, over the edges that enter a node (Eq. 5): a weight is the product of both.

    Edges are strong by the product, and logits do not move in the first part of the search. Which part of the channels
    the operations see is the network's to say (``partial_channels``); the others go past them by the edge's share.

    Attributes:
        edge_logits: shape (cells, places).
    """

    def __init__(self, context: SearchContext) -> None:
        super().__init__(context, "pc-darts", context.config.pc_darts)
        self._warm_up = context.config.pc_darts.warm_up * context.steps
        rng = stream(context.seed, "pc-darts: edge logits")
        self.edge_logits = 1e-3 * rng.standard_normal(self.logits.shape[:2])
        self._edge_adam = self.adam(self.edge_logits.shape)
        nodes = np.array([node for node, _ in mixture_places(self.space)])
        self._entering = [np.flatnonzero(nodes == node) for node in range(self.space.nodes)]

    def moves_logits(self, step: int) -> bool:
        """Whether the warm-up is over."""
        return step >= self._warm_up

    def edge_shares(self) -> Array:
        """Return the softmax of the edge logits over each node's incoming edges, shape (cells, places)."""
        shares = np.empty_like(self.edge_logits)
        for places in self._entering:
            shares[:, places] = softmax(self.edge_logits[:, places])
        return shares

    def shares(self) -> Array:
        """Return the product of the operations' softmax and the edges'."""
        return softmax(self.logits) * self.edge_shares()[..., None]

    def figures(self) -> Mapping[str, float]:
        """Return the entropy of the operations at a place and that of a node's edges."""
        edges = self.edge_shares()
        of_nodes = [entropy(edges[:, places]) for places in self._entering]
        return {"entropy": entropy(softmax(self.logits)), "edge entropy": float(np.mean(of_nodes))}

    def move(self, step: int, turn: int, slope: Array) -> None:
        """Move both kinds of logits along the derivative by the product."""
        operations, edges = softmax(self.logits), self.edge_shares()
        by_edges, by_edge_logits = (slope * operations).sum(-1), np.empty_like(edges)
        for places in self._entering:
            by_edge_logits[:, places] = softmax_slope(edges[:, places], by_edges[:, places])
        self.logits = self._adam.moved(self.logits, softmax_slope(operations, slope * edges[..., None]))
        self.edge_logits = self._edge_adam.moved(self.edge_logits, by_edge_logits)

    def state(self) -> StrategyState:
        """Return the edge logits and their moments beside what all have."""
        adam = {f"edge_adam.{name}": value for name, value in self._edge_adam.state().items()}
        return {**super().state(), "edge_logits": self.edge_logits.copy(), **adam}

    def load_state(self, state: StrategyState) -> None:
        """Restore ``state``."""
        super().load_state(state)
        self.edge_logits = np.array(state["edge_logits"], np.float64)
        self._edge_adam.load_state(part(state, "edge_adam."))
