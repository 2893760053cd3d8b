"""Which slots of the supernet's stacked arrays (``bnao.network.stacked``) an architecture chooses."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig
from bnao.network.stacked import Stack
from bnao.space.genotype import Edge, Node
from bnao.space.genotype import edge_slots as slots_of
from bnao.space.spaces import SearchSpace, space_named


@cache
def _swaps(space: SearchSpace, rule: str) -> NDArray[np.int32]:
    """Return what is added to the place of a node's edges, modulo their number, to find the weights they train.

    Shape (m ** edges,), for each choice of a node's edges in canonical order, an edge being source x operations +
    operation and m such numbers there being at most.
    """
    options = [Edge(s, o) for s in range(space.inputs + space.nodes - 1) for o in space.operations]
    return np.array(
        [slots_of(Node(edges), rule)[0] for edges in itertools.product(options, repeat=space.edges)], np.int32
    )


def edge_slots(space: SearchSpace, rule: str, edges: Any, strided: bool = False, share_over: str = "edge") -> Any:
    """Return the slot of every edge of a cell, shape (nodes x edges,), in a stack of all sources.

    Args:
        space: the space.
        rule: how the edges of a node choose their weights, as in ``bnao.space.genotype.edge_slots``.
        edges: (nodes, edges, 2): sources and operations' numbers, in canonical order.
        strided: in a stack of the cell's inputs alone; another source gets the slot of the last input.
        share_over: which edges share a slot, one of ``bnao.config.settings.SHARE_OVER``.

    >>> space = space_named("nao", 2)
    >>> edges = np.array([[[0, 0], [1, 0]], [[0, 0], [2, 0]]])
    >>> np.asarray(edge_slots(space, "sorted", edges)).tolist()
    [0, 3, 4, 9]
    >>> np.asarray(edge_slots(space, "sorted", edges, share_over="source")).tolist()
    [0, 1, 2, 4]
    """
    node = np.arange(space.nodes)[:, None]
    sources = ops.cast(edges[..., 0], "int32")
    if share_over in ("node", "cell"):
        return ops.reshape(0 * sources + (node * (share_over == "node")).astype(np.int32), (-1,))
    sets = space.edges if share_over == "edge" else 1  # of weights that a node has for each source
    edge = np.arange(space.edges, dtype=np.int32)[None] % sets
    if rule != "sorted" and sets > 1:
        options = len(space.operations) * (space.inputs + space.nodes - 1)
        powers = options ** np.arange(space.edges - 1, -1, -1, dtype=np.int32)
        numbers = ops.sum((sources * len(space.operations) + ops.cast(edges[..., 1], "int32")) * powers, -1)
        edge = (ops.expand_dims(ops.take(_swaps(space, rule), numbers, 0), -1) + edge) % sets
    if strided:
        offsets = (node.astype(np.int32) * sets + edge) * space.inputs
        sources = ops.minimum(sources, space.inputs - 1)
    else:
        before = (sets * (space.inputs * node + node * (node - 1) // 2)).astype(np.int32)
        offsets = before + edge * (space.inputs + node).astype(np.int32)
    return ops.reshape(sources + offsets, (-1,))


def loose_ends(space: SearchSpace, edges: Any) -> Any:
    """Return which states of a cell no node reads: shape (inputs + nodes,), bool."""
    states = np.arange(space.inputs + space.nodes, dtype=np.int32)
    sources = ops.reshape(ops.cast(edges[..., 0], "int32"), (-1, 1))
    return ops.logical_not(ops.any(ops.equal(sources, states), 0))


def chosen_slots(network: NetworkConfig, arch: Any, stack: Stack) -> tuple[Any, Any] | None:
    """Return which slots of a stack an architecture may choose, and which of these it does; None: all, always.

    Args:
        network: the supernet's settings; its space and the weights that edges share follow from them.
        arch: (cells, nodes, edges, 2): sources and operations' numbers, edges in canonical order.
        stack: which array.

    Returns:
        Slots, shape (k,), and whether each is chosen, shape (k,). A slot stands there twice only where edges share
        it, and is then chosen in either place or in none.
    """
    if stack.kind == "single":
        return None
    space = space_named(network.space, network.nodes)
    edges, slots = arch[int(stack.reduction)], len(stack.names)
    if stack.kind == "state":
        states = space.inputs + space.nodes
        first = states - slots if stack.name.endswith(".output.state") else 0
        return np.arange(slots, dtype=np.int32), loose_ends(space, edges)[first : first + slots]
    numbers = ops.cast(edges[..., 1], "int32")
    chosen = ops.equal(numbers, stack.operations[0])
    for smaller in stack.operations[1:]:  # whose kernels are the centres of its own
        chosen = ops.logical_or(chosen, ops.equal(numbers, smaller))
    # a reduction cell's factorized reduces are there for the inputs alone
    strided = stack.reduction and space.operations[stack.operations[0]] == "skip_connect"
    if strided:
        chosen = ops.logical_and(chosen, ops.less(ops.cast(edges[..., 0], "int32"), space.inputs))
    chosen = ops.reshape(chosen, (-1,))
    chosen_at = edge_slots(space, network.slots, edges, strided, network.share_over)
    if network.share_over != "edge":
        same = ops.equal(ops.expand_dims(chosen_at, 1), ops.expand_dims(chosen_at, 0))
        chosen = ops.any(ops.logical_and(same, chosen), 1)
    return chosen_at, chosen


def live_operations(space: SearchSpace, operations: Any) -> list[Any]:
    """Return the operation of each edge of a cell, ``none`` on edges of nodes that do not reach the last.

    Args:
        space: one whose nodes read every state before them, and whose cells give out the last.
        operations: their numbers, shape (edges,).

    >>> space = space_named("nas-bench-201", 3)  # edges 0>1, 0>2, 1>2, 0>3, 1>3, 2>3
    >>> [int(number) for number in live_operations(space, np.array([2, 3, 0, 1, 0, 1]))]
    [0, 3, 0, 1, 0, 1]
    """
    none = space.operations.index("none")
    live: list[Any] = [False] * (space.nodes - 1) + [True]
    kept = []
    for place, (node, source) in reversed(list(enumerate(space.places))):
        operation = ops.where(live[node], operations[place], none)
        kept.append(operation)
        if source >= space.inputs:
            live[source - space.inputs] = ops.logical_or(live[source - space.inputs], ops.not_equal(operation, none))
    return kept[::-1]


def fixed_slots(space: SearchSpace, share_over: str) -> list[int]:
    """Return the slot of each edge of a cell whose edges have one source each."""
    shared = {"node": [node for node, _ in space.places], "cell": [0] * len(space.places)}
    return shared.get(share_over, list(range(len(space.places))))


def used_of_fixed_edges(network: NetworkConfig, arch: Any, stack: Stack) -> Any:
    """Return which slots of a stack an architecture uses, shape (slots,), where each edge has its one source.

    The same as ``bnao.backends.keras.used.used_slots``, of an architecture that may be data.

    Args:
        network: the supernet's settings.
        arch: (1, edges, 1, 2): sources and operations' numbers.
        stack: which array; a single parameter is one slot.
    """
    space = space_named(network.space, network.nodes)
    operations = live_operations(space, ops.cast(arch[0, :, 0, 1], "int32"))
    if stack.kind == "edge":
        slots = fixed_slots(space, network.share_over)
        return ops.stack(
            [
                _any(
                    [
                        ops.equal(operations[place], each)
                        for each in stack.operations
                        for place in _places_of(slot, slots)
                    ]
                )
                for slot in range(len(stack.names))
            ]
        )
    if stack.name.startswith(("head.", "classifier.")):
        return ops.ones(1, "bool")
    # a cell that passes nothing on cuts off what stands before it
    inputs = [
        operation for (_, source), operation in zip(space.places, operations, strict=True) if source < space.inputs
    ]
    return ops.reshape(_any([ops.not_equal(each, space.operations.index("none")) for each in inputs]), (1,))


def _places_of(slot: int, slots: Sequence[int]) -> list[int]:
    return [place for place, each in enumerate(slots) if each == slot]


def _any(conditions: Sequence[Any]) -> Any:
    return ops.any(ops.stack(conditions))


def canonical(space: SearchSpace, arch: Any) -> Any:
    """Return the same architecture with each node's edges in the order in which genotypes keep them.

    Args:
        space: the space.
        arch: (cells, nodes, edges, 2), valid.

    >>> np.asarray(canonical(space_named("nao", 1), np.array([[[[1, 0], [0, 4]]], [[[0, 0], [0, 2]]]]))).tolist()
    [[[[0, 4], [1, 0]]], [[[0, 2], [0, 0]]]]
    """
    n = len(space.operations)
    by_name = np.argsort(np.array(space.operations)).astype(np.int32)  # operations in the order of their names
    place = np.argsort(by_name).astype(np.int32)
    keys = ops.sort(arch[..., 0] * n + ops.take(place, ops.cast(arch[..., 1], "int32"), 0), -1)
    return ops.stack([keys // n, ops.take(by_name, keys % n, 0)], -1)
