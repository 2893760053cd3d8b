"""A supernet's cell in JAX whose edges are data: one program for every architecture and all cells of a shape.

A cell is a loop over its edges, whose body is a switch over the operations; which states, weights and nodes an edge
has are numbers (``Plan``). The gradient is the cell's own: it keeps the states alone, walks the edges backward, and
each computes its operation once more. Were the loop differentiated, every operation's states would be kept for every
edge; were the edges written out, compiling would take as many times as long as there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from attrs import frozen
from jax import lax
from numpy.typing import NDArray

from bnao.backends.keras.cell import dropped
from bnao.backends.keras.operations import REDUCE, Tensor, by_batch, convolution, edge, edge_layers, reduced, relu
from bnao.config.settings import NetworkConfig
from bnao.network.parameters import shared_place
from bnao.network.stack import Position, halved
from bnao.network.stacked import stacks_of
from bnao.space.genotype import Cell, edge_slots
from bnao.space.spaces import SearchSpace


@frozen
class Kind:
    """What cells have in common that share their programs; shapes are the rest.

    Attributes:
        space: states, nodes and operations.
        reduction: whether the cell halves the image: edges from its inputs have stride 2.
        masked: whether there are drop-path masks.
    """

    space: SearchSpace
    reduction: bool
    masked: bool

    def layers(self) -> list[tuple[str, str]]:
        """(operation, layer) of every stack of an edge."""
        stride = 2 if self.reduction else 1
        return [(operation, part) for operation in self.space.operations for part in edge_layers(operation, stride)]

    def cases(self) -> list[tuple[str, bool, int]]:
        """For each branch the operation, whether it reads one of the cell's inputs, and its stride."""
        if not self.reduction:
            return [(operation, False, 1) for operation in self.space.operations]
        return [(operation, inputs, 1 + inputs) for inputs in (True, False) for operation in self.space.operations]

    def own(self, operation: str, stride: int) -> list[int]:
        """Return which of the stacks of ``layers`` an operation reads."""
        places = self.layers()
        return [places.index((operation, part)) for part in edge_layers(operation, stride)]


@frozen(eq=False)
class Plan:
    """An architecture's cell as numbers.

    Attributes:
        edges: of each edge, in order, its node, the state it reads, its branch (``Kind.cases``), and its slot in the
            stacks of its operation: shape (edges, 4).
        outputs: which states are given out, shape (states,).
        masks: of each edge its node and its number there, where its drop-path mask is: shape (2, edges).
    """

    edges: NDArray[np.int32]
    outputs: NDArray[np.bool_]
    masks: NDArray[np.int32]


@lru_cache(maxsize=4096)
def plan(network: NetworkConfig, space: SearchSpace, cell: Cell, position: Position) -> Plan:
    """Return a cell of an architecture as numbers; edges that do not reach a last node are ``none``."""
    name, slots = f"cells.{position.index}", _slots(network)
    operations, complete = list(space.operations), space.rules.residual
    edges, masks = [], []
    for index, node in enumerate(cell.nodes):
        live = not complete or space.inputs + index in cell.live_states
        numbers = range(len(node.edges)) if complete else edge_slots(node, network.slots)
        for number, (slot, each) in enumerate(zip(numbers, node.edges, strict=True)):
            operation = each.operation if live else "none"
            place = shared_place(network.share_over, name, index, slot, operation, None if complete else each.source)
            inner = position.reduction and not complete and each.source >= space.inputs
            case = operations.index(operation) + inner * len(operations)
            edges.append((index, each.source, case, slots.get(place, 0)))
            masks.append((index, number))
    outputs = np.isin(np.arange(space.inputs + space.nodes), cell.outputs(space.rules.output))
    return Plan(np.array(edges, np.int32), outputs, np.array(masks, np.int32).T)


@cache
def _slots(network: NetworkConfig) -> dict[str, int]:
    """Return the slot of each place of an operation's weights."""
    places = {}
    for stack in stacks_of(network).values():
        if stack.kind == "edge":
            layer = stack.name.split(".", 3)[3]
            places |= {name.removesuffix(f".{layer}"): slot for slot, name in enumerate(stack.names)}
    return places


def cell(
    kind: Kind,
    given: Plan,
    inputs: Sequence[Tensor],
    masks: Tensor | None,
    arrays: Mapping[str, Tensor],
    name: str,
) -> Tensor:
    """Return a cell's output in front of its norm.

    Args:
        kind: its kind.
        given: its edges and outputs.
        inputs: its fitted inputs.
        masks: of drop path, shape (nodes, edges, b); None: nothing is dropped.
        arrays: the supernet's, by name.
        name: the cell's own.
    """
    mixes = kind.space.rules.mixes
    loose = REDUCE if kind.reduction and kind.space.rules.output == "loose ends" else ()
    weights = {
        "edges": [arrays[f"{name}.{operation}.{part}"] for operation, part in kind.layers()],
        "outputs": [arrays[f"{name}.output.state"]] if mixes else [],
        "loose": [arrays[f"{name}.loose.{part}"] for part in loose],
    }
    chosen = jnp.zeros(()) if masks is None else masks[given.masks[0], given.masks[1]]
    return _whole(kind, tuple(inputs), weights, given.edges, given.outputs, chosen)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _whole(kind: Kind, inputs: Any, weights: Any, edges: Any, outputs: Any, masks: Any) -> Tensor:
    return _forward(kind)(inputs, weights, edges, outputs, masks)[0]


def _whole_forward(kind: Kind, inputs: Any, weights: Any, edges: Any, outputs: Any, masks: Any) -> tuple[Tensor, Any]:
    output, nodes = _forward(kind)(inputs, weights, edges, outputs, masks)
    return output, (inputs, nodes, weights, edges, outputs, masks)


def _whole_backward(kind: Kind, kept: Any, grad: Tensor) -> tuple[Any, ...]:
    return *_backward(kind)(*kept, grad), None, None, None


_whole.defvjp(_whole_forward, _whole_backward)


# --- the programs: states are (states, b, height, width, channels); of a reduction cell the inputs stand apart


@cache
def _forward(kind: Kind) -> Callable[..., tuple[Tensor, Tensor]]:
    """Return the program of a cell's output and of its nodes."""
    count = kind.space.inputs

    @jax.jit
    def forward(inputs: Any, weights: Any, edges: Tensor, outputs: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        large = jnp.stack(inputs)
        empty = jnp.zeros((kind.space.nodes, *_node_shape(kind, large.shape[1:])), large.dtype)
        states = empty if kind.reduction else jnp.concatenate([large, empty])
        first = 0 if kind.reduction else count

        def body(states: Tensor, given: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
            (node, source, case, slot), mask = given
            output = lax.switch(case, _branches(kind), large, states, source, slot, weights["edges"])
            return _with_added(states, node + first, dropped(output, mask) if kind.masked else output), None

        states, _ = lax.scan(body, states, (edges, masks if kind.masked else jnp.zeros(len(edges))))
        return _given_out(kind, large, states, weights, outputs), states if kind.reduction else states[count:]

    return forward


@cache
def _backward(kind: Kind) -> Callable[..., tuple[Any, Any]]:
    """Return the program of the gradients by a cell's inputs and weights."""
    count = kind.space.inputs

    @jax.jit
    def backward(
        inputs: Any, nodes: Tensor, weights: Any, edges: Tensor, outputs: Tensor, masks: Tensor, grad: Tensor
    ) -> tuple[Any, Any]:
        large = jnp.stack(inputs)
        states = nodes if kind.reduction else jnp.concatenate([large, nodes])
        first = 0 if kind.reduction else count
        by_large, by_states, by_ends = _given_out_gradients(kind, large, states, weights, outputs, grad)

        def body(grads: tuple[Tensor, Tensor], given: tuple[Tensor, Tensor]) -> tuple[Any, Any]:
            (node, source, case, slot), mask = given
            by_node = lax.dynamic_index_in_dim(grads[1], node + first, keepdims=False)
            by_node = dropped(by_node, mask) if kind.masked else by_node
            given = by_node, large, states, source, slot, weights["edges"]
            by_input, by_source, rows = lax.switch(case, _branch_gradients(kind), *given)
            by_large, by_states = grads
            if kind.reduction:  # of the two that an edge may have read, the other's is nothing
                by_large = _with_added(by_large, jnp.minimum(source, count - 1), by_input)
                source = jnp.maximum(source - count, 0)
            return (by_large, _with_added(by_states, source, by_source)), rows

        places = edges, masks if kind.masked else jnp.zeros(len(edges))
        (by_large, by_states), rows = lax.scan(body, (by_large, by_states), places, reverse=True)
        by_edges = [
            # the rows of an operation that an edge does not have are zeros, wherever they are added
            jnp.zeros_like(stack).at[edges[:, 3]].add(row, mode="drop")
            for stack, row in zip(weights["edges"], rows, strict=True)
        ]
        by_inputs = by_large if kind.reduction else by_states[:count]
        return tuple(by_inputs), {"edges": by_edges, **by_ends}

    return backward


def _node_shape(kind: Kind, shape: Sequence[int]) -> tuple[int, ...]:
    b, height, width, channels = shape
    return (b, *halved((height, width)), channels) if kind.reduction else (b, height, width, channels)


def _with_added(states: Tensor, index: Tensor, summand: Tensor) -> Tensor:
    """Return states with something added to one."""
    before = lax.dynamic_index_in_dim(states, index, keepdims=False)
    return lax.dynamic_update_index_in_dim(states, before + summand.astype(states.dtype), index, 0)


# --- an edge


def _read(inputs: bool, large: Tensor, states: Tensor, source: Tensor, kind: Kind) -> Tensor:
    index = source - kind.space.inputs if kind.reduction and not inputs else source
    return lax.dynamic_index_in_dim(large if inputs else states, index, keepdims=False)


def _rows(stacks: Sequence[Tensor], own: Sequence[int], slot: Tensor) -> list[Tensor]:
    return [lax.dynamic_index_in_dim(stacks[index], slot, keepdims=False) for index in own]


@cache
def _branches(kind: Kind) -> list[Callable[..., Tensor]]:
    """Return what an edge computes, in each case."""

    def branch_of(operation: str, inputs: bool, stride: int) -> Callable[..., Tensor]:
        def branch(large: Tensor, states: Tensor, source: Tensor, slot: Tensor, stacks: Sequence[Tensor]) -> Tensor:
            if operation == "none":
                return jnp.zeros(states.shape[1:], states.dtype)
            own = _rows(stacks, kind.own(operation, stride), slot)
            x = _read(inputs, large, states, source, kind)
            return edge(x, own, operation, stride, kind.space.rules, by_batch, "").astype(states.dtype)

        return branch

    return [branch_of(*case) for case in kind.cases()]


@cache
def _branch_gradients(kind: Kind) -> list[Callable[..., tuple[Tensor, Tensor, list[Tensor]]]]:
    """Return an edge's gradients by the input or the state it reads, and its rows of those by the stacks."""

    def branch_of(operation: str, inputs: bool, stride: int) -> Callable[..., tuple[Tensor, Tensor, list[Tensor]]]:
        own = kind.own(operation, stride)

        def branch(
            by_node: Tensor, large: Tensor, states: Tensor, source: Tensor, slot: Tensor, stacks: Sequence[Tensor]
        ) -> tuple[Tensor, Tensor, list[Tensor]]:
            rows = [jnp.zeros(stack.shape[1:], stack.dtype) for stack in stacks]
            # beside a normal cell's states there are no inputs to have gradients
            grads = [jnp.zeros(large.shape[1:] if kind.reduction else (), large.dtype), jnp.zeros_like(by_node)]
            if operation == "none":
                return *grads, rows
            x = _read(inputs, large, states, source, kind)
            _, back = jax.vjp(
                lambda x, own: edge(x, own, operation, stride, kind.space.rules, by_batch, ""),
                x,
                _rows(stacks, own, slot),
            )
            grads[0 if inputs else 1], by_own = back(by_node)
            for index, row in zip(own, by_own, strict=True):
                rows[index] = row
            return *grads, rows

        return branch

    return [branch_of(*case) for case in kind.cases()]


# --- the output


#: states that are given out through 1x1 convolutions: themselves, kernels, factorized reduces, and which are loose
_Ends = tuple[Tensor, Tensor, list[Tensor], Tensor]


def _ends(kind: Kind, large: Tensor, states: Tensor, weights: Any, loose: Tensor) -> list[_Ends]:
    """Return the states that a cell may give out, a reduction cell's inputs apart."""
    count, (kernels,) = kind.space.inputs, weights["outputs"]
    if kind.space.rules.output == "loose nodes":
        return [(states[-kind.space.nodes :], kernels, [], loose[count:])]
    if not kind.reduction:
        return [(states, kernels, [], loose)]
    return [(large, kernels[:count], weights["loose"], loose[:count]), (states, kernels[count:], [], loose[count:])]


def _end(state: Tensor, kernel: Tensor, reduce: Sequence[Tensor]) -> Tensor:
    """Return a loose state's part in the output: ReLU and its slice of the 1x1 convolution."""
    return convolution(relu(reduced(state, reduce, by_batch, "") if reduce else state), kernel)


def _given_out(kind: Kind, large: Tensor, states: Tensor, weights: Any, outputs: Tensor) -> Tensor:
    """Return the cell's output, of all its states."""
    nodes = states[-kind.space.nodes :]
    if kind.space.rules.output == "last node":
        return nodes[-1]
    if kind.space.rules.output == "nodes":
        return jnp.concatenate(list(nodes), -1)

    def body(total: Tensor, end: Any) -> tuple[Tensor, None]:
        *parts, loose = end
        return lax.cond(loose, lambda: total + _end(*parts).astype(total.dtype), lambda: total), None

    total = jnp.zeros_like(nodes[0])
    for ends in _ends(kind, large, states, weights, outputs):
        total, _ = lax.scan(body, total, ends)
    return total


def _given_out_gradients(
    kind: Kind, large: Tensor, states: Tensor, weights: Any, outputs: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Return the gradients by inputs, by states, and by the weights of the outputs."""
    by_large, by_states = jnp.zeros_like(large), jnp.zeros_like(states)
    rest: dict[str, Any] = {"outputs": [], "loose": []}
    nodes = slice(len(states) - kind.space.nodes, None)
    if kind.space.rules.output == "last node":
        return by_large, by_states.at[-1].set(grad), rest
    if kind.space.rules.output == "nodes":
        by_nodes = jnp.stack(jnp.split(grad, kind.space.nodes, -1))
        return by_large, by_states.at[nodes].set(by_nodes), rest

    def gradients_of(end: Any) -> Any:
        *parts, loose = end
        return lax.cond(
            loose,
            lambda: jax.vjp(_end, *parts)[1](grad),
            lambda: jax.tree.map(jnp.zeros_like, tuple(parts)),
        )

    found = [lax.map(gradients_of, ends) for ends in _ends(kind, large, states, weights, outputs)]
    rest["outputs"] = [jnp.concatenate([by_kernels for _, by_kernels, _ in found])]
    if len(found) > 1:
        (by_large, _, rest["loose"]), (by_states, _, _) = found
    else:
        by_ends = found[0][0]
        by_states = by_ends if len(by_ends) == len(states) else by_states.at[nodes].set(by_ends)
    return by_large, by_states, rest
