"""Structural features of genotypes: numbers that predict a score from few labels, with no framework and no training.

An edge is *live* where it lies on a path from a cell's input to its output on which no operation is ``none``. All that
is counted here is counted of live edges alone: what an architecture computes, not what it was written as.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.network.costs import cost_of
from bnao.space.genotype import Genotype
from bnao.space.spaces import CompleteSpace, SearchSpace
from bnao.streams import stream

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# channels that an operation's weights are counted at; only their order of size matters
_CHANNELS = 16
# longer paths are as long as no path at all
_FAR = 10**6
# random genotypes that a space's scale is from
_SAMPLE = 1000


def structure(genotypes: Sequence[Genotype], space: SearchSpace) -> Floats:
    """Return structural features of genotypes, the same number for each genotype of a space.

    For each cell: how often each operation is live, in all and at each place (or node, where its edges have no
    order); which states each node reads; the logarithm of the live operations' weights; the longest and the shortest
    way from an input to the output, in edges and in operations that have weights; how many states are concatenated;
    and the logarithm of how many ways have 0, 1, 2, ... operations with weights.

    Args:
        genotypes: n of them.
        space: of the genotypes.

    Returns:
        Shape (n, features), float64, finite. Genotypes that differ in dead edges alone have equal features.

    Raises:
        GenotypeError: a genotype of another space.

    >>> from bnao.space.notation.notations import parse
    >>> from bnao.space.spaces import SPACES
    >>> space = SPACES["nas-bench-201"]
    >>> dead = "|none~0|+|{}~0|none~1|+|nor_conv_3x3~0|none~1|none~2|"  # state 2 is never read
    >>> one, other = (parse(dead.format(operation), space) for operation in ("nor_conv_3x3", "skip_connect"))
    >>> bool((structure([one], space) == structure([other], space)).all())
    True
    """
    codes = space.encode(genotypes).reshape(len(genotypes), space.cells, len(space.places), 2)
    cells = [_Cells.of(codes[:, number], space) for number in range(space.cells)]
    weights = np.sum([cell.weights for cell in cells], axis=0)
    return np.column_stack([*(cell.features() for cell in cells), np.log1p(weights)])


@lru_cache(maxsize=64)
def features_length(space: SearchSpace) -> int:
    """Return how many structural features a genotype of the space has.

    >>> from bnao.space.spaces import SPACES
    >>> features_length(SPACES["nas-bench-201"])
    47
    """
    return int(structure((), space).shape[1])


def standardised(genotypes: Sequence[Genotype], space: SearchSpace) -> Floats:
    """Return ``structure`` less its mean, over its deviation, of 1,000 random draws of the space: (n, features).

    A feature that is the same in all draws is 0. The scale is a function of the space alone.
    """
    mean, deviation = _scale(space)
    return np.where(deviation > 0, (structure(genotypes, space) - mean) / np.where(deviation > 0, deviation, 1), 0)


@lru_cache(maxsize=64)
def _scale(space: SearchSpace) -> tuple[Floats, Floats]:
    rng = stream(0, "scale of structural features")
    some = structure([space.random_genotypes(1, rng)[0] for _ in range(_SAMPLE)], space)
    return some.mean(0), some.std(0)


@frozen(eq=False)
class _Cells:
    """The n cells of one kind, edge by edge.

    Attributes:
        space: theirs.
        codes: (n, edges, 2): source and operation's number.
        outputs: (n, states): whether a state is concatenated to the output.
        live: (n, edges).
    """

    space: SearchSpace
    codes: Ints
    outputs: Bools
    live: Bools

    @classmethod
    def of(cls, codes: Ints, space: SearchSpace) -> _Cells:
        outputs = _outputs(codes, space)
        return cls(space, codes, outputs, _live(codes, outputs, space))

    @property
    def weights(self) -> Floats:
        """Weights of the live operations, shape (n,)."""
        held = np.array(
            [cost_of(operation, False).weights(_CHANNELS) for operation in self.space.operations], dtype=np.float64
        )
        weights: Floats = np.where(self.live, held[self.codes[..., 1]], 0).sum(1)
        return weights

    def features(self) -> Floats:
        """All features of the cells, (n, features)."""
        by_place = self._operations()
        return np.column_stack(
            [by_place.sum(1), self._by_place(by_place), self._sources(), np.log1p(self.weights), self._ways()]
        )

    def _operations(self) -> Floats:
        """(n, edges, operations): 1 where the operation is live there."""
        one_hot = np.eye(len(self.space.operations))[self.codes[..., 1]]
        return one_hot * self.live[..., None]

    def _by_place(self, operations: Floats) -> Floats:
        if isinstance(self.space, CompleteSpace):
            return _flat(operations)
        return self._by_node(operations)

    def _by_node(self, values: Floats) -> Floats:
        """The sums (n, nodes x k) over each node's edges of values (n, edges, k)."""
        nodes = np.eye(self.space.nodes)[[node for node, _ in self.space.places]]
        return _flat(np.einsum("nek,em->nmk", values, nodes))

    def _sources(self) -> Floats:
        """How often each node reads each state by a live edge; where its sources are given, nothing."""
        if isinstance(self.space, CompleteSpace):
            return np.empty((len(self.codes), 0))
        states = np.eye(self.space.inputs + self.space.nodes)[self.codes[..., 0]]
        return self._by_node(states * self.live[..., None])

    def _ways(self) -> Floats:
        """Lengths and numbers of the ways from an input to the output."""
        space, n = self.space, len(self.codes)
        states = space.inputs + space.nodes
        has_weights = self._has_weights()
        longest, shortest = np.full((2, n, states, 2), _FAR)  # in edges, and in operations with weights
        longest *= -1
        longest[:, : space.inputs] = shortest[:, : space.inputs] = 0
        # by how many operations with weights a way has, from no to one at each node
        ways = np.zeros((n, states, space.nodes + 1))
        ways[:, : space.inputs, 0] = 1
        rows = np.arange(n)
        for edge, (node, _) in enumerate(space.places):
            state, source = space.inputs + node, self.codes[:, edge, 0]
            live, weighted = self.live[:, edge], has_weights[:, edge]
            step = np.stack([np.ones(n, dtype=np.int64), weighted.astype(np.int64)], axis=1)
            farther = np.where(live[:, None], longest[rows, source] + step, -_FAR)
            nearer = np.where(live[:, None], shortest[rows, source] + step, _FAR)
            longest[:, state] = np.maximum(longest[:, state], farther)
            shortest[:, state] = np.minimum(shortest[:, state], nearer)
            through = ways[rows, source]
            moved = np.where(weighted[:, None], np.pad(through, ((0, 0), (1, 0)))[:, :-1], through)
            ways[:, state] += moved * live[:, None]
        out = self.outputs[..., None]
        far, near = np.where(out, longest, -_FAR).max(1), np.where(out, shortest, _FAR).min(1)
        reached = far[:, :1] >= 0
        lengths = np.where(reached, np.concatenate([far, near], 1), 0)
        return np.column_stack([lengths, reached, self.outputs.sum(1), np.log1p((ways * out).sum(1))])

    def _has_weights(self) -> Bools:
        held = np.array([cost_of(operation, False).weights(_CHANNELS) > 0 for operation in self.space.operations])
        chosen: Bools = held[self.codes[..., 1]]
        return chosen


def _flat(values: Floats) -> Floats:
    """Values (n, a, b) as (n, a x b), for n = 0 too."""
    return values.reshape(len(values), values.shape[1] * values.shape[2])


def _outputs(codes: Ints, space: SearchSpace) -> Bools:
    """Which states form the cells' outputs, (n, states): ``bnao.space.genotype.Cell.outputs`` of many cells."""
    outputs = np.zeros((len(codes), space.inputs + space.nodes), dtype=bool)
    if space.rules.output == "last node":
        outputs[:, -1] = True
        return outputs
    outputs[:, 0 if space.rules.output == "loose ends" else space.inputs :] = True
    if space.rules.mixes:
        outputs[np.arange(len(codes))[:, None], codes[..., 0]] = False
    return outputs


def _live(codes: Ints, outputs: Bools, space: SearchSpace) -> Bools:
    """Which edges lie on a way from an input to the output, (n, edges)."""
    rows = np.arange(len(codes))
    none = space.operations.index("none") if "none" in space.operations else -1
    carries = codes[..., 1] != none
    filled = np.zeros_like(outputs)
    filled[:, : space.inputs] = True
    wanted = outputs.copy()
    for edge, (node, _) in enumerate(space.places):
        filled[:, space.inputs + node] |= carries[:, edge] & filled[rows, codes[:, edge, 0]]
    for edge, (node, _) in reversed(tuple(enumerate(space.places))):
        wanted[rows, codes[:, edge, 0]] |= carries[:, edge] & wanted[:, space.inputs + node]
    nodes = space.inputs + np.array([node for node, _ in space.places])
    live: Bools = carries & filled[rows[:, None], codes[..., 0]] & wanted[:, nodes]
    return live
