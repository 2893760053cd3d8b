"""A supernet's cell in TensorFlow whose edges are data: one graph for every architecture.

What is drawn decides at run time which branch of a switch is taken, and which slots of the stacked weights it reads.
Automatic differentiation of such switches would keep every branch's states and take minutes to build, so a cell has
a gradient of its own: it keeps the states alone, walks the edges backward, and each edge computes its operation once
more under a tape. Functions are called and not copied into their caller, and there is one for all sizes of states,
not one for each edge, cell or size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import tensorflow as tf
from attrs import frozen

from bnao.backends.keras.cell import dropped
from bnao.backends.keras.engine import compiled, compiled_by_rank
from bnao.backends.keras.operations import (
    REDUCE,
    Norm,
    Tensor,
    by_batch,
    convolution,
    edge,
    edge_layers,
    reduced,
    relu,
    zeros,
)
from bnao.backends.keras.stacks import edge_slots, fixed_slots, live_operations, loose_ends
from bnao.network.stack import halved
from bnao.space.operations import own_operation
from bnao.space.spaces import SearchSpace

Tensors = tuple[Tensor, ...]


@frozen
class Kind:
    """What cells have in common that share their functions.

    Attributes:
        space: states, nodes and operations.
        slots: how the edges of a node choose their weights, as in ``bnao.space.genotype.edge_slots``.
        share_over: which edges share weights.
        reduction: whether the cell halves the image: edges from its inputs have stride 2.
        masked: whether there are drop-path masks.
        norm: how batch norms are computed; of others than ``by_batch`` no gradients are taken.
    """

    space: SearchSpace
    slots: str
    share_over: str
    reduction: bool
    masked: bool
    norm: Norm = by_batch

    def layers(self) -> list[tuple[str, str]]:
        """(operation, layer) of every stack of an edge, in the order in which ``cell`` takes them."""
        stride = 2 if self.reduction else 1
        return [(operation, part) for operation in self.space.operations for part in edge_layers(operation, stride)]

    def outer_layers(self) -> list[tuple[str, str]]:
        """(owner, layer) of the stacks that bring loose states to the output."""
        kernels = [("output", "state")] if self.space.rules.mixes else []
        reduces = self.reduction and self.space.rules.output == "loose ends"
        return kernels + [("loose", part) for part in REDUCE if reduces]

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Build a function once for all sizes of states, where that can be; see ``compiled_for``."""
        return compiled_for(self.space, function)


def compiled_for(space: SearchSpace, function: Callable[..., Any]) -> Callable[..., Any]:
    """Build a function once for all sizes of states; once for each where an operation is another package's.

    Such an operation is told its channels, as a number.
    """
    is_own = any(own_operation(operation) for operation in space.operations)
    return (compiled if is_own else compiled_by_rank)(function)


@cache
def cell(kind: Kind) -> Callable[..., Tensor]:
    """Return the function of a cell.

    It takes the inputs' two states, (nodes, edges, 2) sources and operations, masks (nodes, edges, b), and the stacks
    of ``Kind.outer_layers`` and of ``Kind.layers``; and gives the output in front of its norm.
    """
    forward, backward = _forward(kind), _backward(kind)
    given_out = 1 if kind.space.rules.mixes else kind.space.nodes

    def whole(first: Tensor, second: Tensor, edges: Tensor, masks: Tensor, *stacks: Tensor) -> Tensor:
        @tf.custom_gradient
        def own(first: Tensor, second: Tensor, *stacks: Tensor) -> tuple[Tensor, object]:
            output, *nodes = forward(first, second, edges, masks, *stacks)
            b, height, width, channels = first.shape
            size = halved((height, width)) if kind.reduction else (height, width)
            output = tf.ensure_shape(output, (b, *size, given_out * channels))

            def gradient(by_output: Tensor) -> Tensors:
                return backward([first, second, *nodes], edges, masks, by_output, *stacks)

            return output, gradient

        return own(first, second, *stacks)

    return whole


def _forward(kind: Kind) -> Callable[..., Tensors]:
    space, outer = kind.space, len(kind.outer_layers())

    @kind.compiled
    def forward(first: Tensor, second: Tensor, edges: Tensor, masks: Tensor, *stacks: Tensor) -> Tensors:
        states, outputs = [first, second], []
        for place in _places(kind, edges):
            output = _edge_forward(kind)(*_sources(kind, states, place), *place.case, *stacks[outer:])
            outputs.append(dropped(output, masks[place.node, place.number]) if kind.masked else output)
            if len(outputs) == space.edges:
                states.append(tf.add_n(outputs))
                outputs = []
        return _given_out(kind, states, edges, stacks[:outer]), *states[space.inputs :]

    return forward


def _backward(kind: Kind) -> Callable[..., Tensors]:
    space, outer = kind.space, len(kind.outer_layers())

    @kind.compiled
    def backward(states: Sequence[Tensor], edges: Tensor, masks: Tensor, by_output: Tensor, *stacks: Tensor) -> Tensors:
        by_states, by_outer = _by_given_out(kind, states, edges, by_output, stacks[:outer])
        by_edges = []
        for place in reversed(_places(kind, edges)):
            state = space.inputs + place.node
            by_node = by_states[state]
            if "none" in space.operations:  # perhaps nothing else reads the node
                by_node = tf.broadcast_to(by_node, tf.shape(states[state]))
            if kind.masked:
                by_node = dropped(by_node, masks[place.node, place.number])
            sources = _sources(kind, states, place)
            *by_sources, by_edge = _edge_backward(kind)(by_node, *sources, *place.case, *stacks[outer:])
            by_states[:state] = _added(kind, state)(place.source, *by_sources, *by_states[:state])
            by_edges.append(by_edge)
        slots, strided = (each[::-1] for each in _slots(kind, edges))
        by_stacks = []
        for (operation, _), stack, rows in zip(kind.layers(), stacks[outer:], zip(*by_edges, strict=True), strict=True):
            at = strided if operation == "skip_connect" else slots
            by_stacks.append(tf.scatter_nd(at[:, None], tf.stack(rows), tf.shape(stack)))
        by_inputs = [tf.broadcast_to(by_states[i], tf.shape(states[i])) for i in range(space.inputs)]
        return *by_inputs, *by_outer, *by_stacks

    return backward


# --- the cell of NAS-Bench-201


@cache
def one_cell(kind: Kind) -> Callable[..., Tensor]:
    """Return the function of a cell whose nodes read every state before them, by one edge each.

    It takes the input, the number of each edge's operation (places,), masks (nodes, edges, b) and the stacks of
    ``Kind.layers``; and gives the last node. Edges that do not reach it are left out.
    """
    forward, backward = _one_cell_forward(kind), _one_cell_backward(kind)

    def whole(last: Tensor, operations: Tensor, masks: Tensor, *stacks: Tensor) -> Tensor:
        operations = tf.stack(live_operations(kind.space, operations))

        @tf.custom_gradient
        def own(last: Tensor, *stacks: Tensor) -> tuple[Tensor, object]:
            *nodes, end = forward(last, operations, masks, *stacks)
            end = tf.ensure_shape(end, last.shape)

            def gradient(by_output: Tensor) -> Tensors:
                return backward([last, *nodes, end], operations, masks, by_output, *stacks)

            return end, gradient

        return own(last, *stacks)

    return whole


def _fixed_slots(kind: Kind) -> list[Tensor]:
    """Return the slot of each edge, whose source is fixed."""
    return [tf.constant(slot) for slot in fixed_slots(kind.space, kind.share_over)]


def _one_cell_forward(kind: Kind) -> Callable[..., Sequence[Tensor]]:
    space = kind.space

    @kind.compiled
    def forward(last: Tensor, operations: Tensor, masks: Tensor, *stacks: Tensor) -> Sequence[Tensor]:
        states, outputs = [last], []
        for place, ((node, source), slot) in enumerate(zip(space.places, _fixed_slots(kind), strict=True)):
            state = states[source]
            output = _edge_forward(kind)(state, state, operations[place], slot, slot, *stacks)
            outputs.append(dropped(output, masks[node, source]) if kind.masked else output)
            if len(outputs) == space.edges_of(node):
                states.append(tf.add_n(outputs))
                outputs = []
        return states[1:]

    return forward


def _one_cell_backward(kind: Kind) -> Callable[..., Tensors]:
    space = kind.space

    @kind.compiled
    def backward(
        states: Sequence[Tensor], operations: Tensor, masks: Tensor, by_output: Tensor, *stacks: Tensor
    ) -> Tensors:
        by_states = [_nothing(by_output)] * (len(states) - 1) + [by_output]
        slots, by_edges = _fixed_slots(kind), []
        for place, (node, source) in reversed(list(enumerate(space.places))):
            by_node = tf.broadcast_to(by_states[space.inputs + node], tf.shape(states[0]))
            if kind.masked:
                by_node = dropped(by_node, masks[node, source])
            case = operations[place], slots[place], slots[place]
            by_source, _, by_edge = _edge_backward(kind)(by_node, states[source], states[source], *case, *stacks)
            by_states[source] = by_states[source] + by_source
            by_edges.append(by_edge)
        at = tf.stack(slots[::-1])[:, None]
        by_stacks = [
            tf.scatter_nd(at, tf.stack(rows), tf.shape(stack))
            for stack, rows in zip(stacks, zip(*by_edges, strict=True), strict=True)
        ]
        return tf.broadcast_to(by_states[0], tf.shape(states[0])), *by_stacks

    return backward


def _nothing(like: Tensor) -> Tensor:
    """Return a zero that any state can be added to."""
    return tf.zeros((1, 1, 1, 1), like.dtype)


def _slot_of_zeros(stack: Tensor) -> Tensor:
    """Return zeros of the shape of a stack's slot."""
    return tf.zeros(tf.shape(stack)[1:], stack.dtype)


# --- where an edge reads, and what


@frozen
class _Place:
    """An edge of a cell.

    Attributes:
        node, number: where it stands.
        source: the state it reads.
        case: which branch it takes, its slot, and its slot among those of the inputs alone.
    """

    node: int
    number: int
    source: Tensor
    case: Tensors


def _places(kind: Kind, edges: Tensor) -> list[_Place]:
    space = kind.space
    slots, strided = _slots(kind, edges)
    sources, cases = edges[..., 0], edges[..., 1]
    if kind.reduction:  # the branches of stride 2 come first
        cases += len(space.operations) * tf.cast(sources >= space.inputs, tf.int32)
    places = []
    for at in range(space.nodes * space.edges):
        node, number = divmod(at, space.edges)
        places.append(_Place(node, number, sources[node, number], (cases[node, number], slots[at], strided[at])))
    return places


def _slots(kind: Kind, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slot of every edge, and among those of the inputs alone."""
    slots, strided = (edge_slots(kind.space, kind.slots, edges, only, kind.share_over) for only in (False, True))
    return slots, strided


def _sources(kind: Kind, states: Sequence[Tensor], place: _Place) -> Tensors:
    """Return the state an edge reads, as the first or, if it is a reduction cell's node, as the second."""
    inputs = kind.space.inputs
    if not kind.reduction:
        state = _selected(kind, inputs + place.node)(place.source, *states[: inputs + place.node])
        return state, state
    large = _selected(kind, inputs)(tf.minimum(place.source, inputs - 1), *states[:inputs])
    if not place.node:
        return large, large  # there is no node yet; the edge never reads this one
    nodes = states[inputs : inputs + place.node]
    return large, _selected(kind, place.node)(tf.maximum(place.source - inputs, 0), *nodes)


@cache
def _selected(kind: Kind, count: int) -> Callable[..., Tensor]:
    @kind.compiled
    def selected(index: Tensor, *states: Tensor) -> Tensor:
        return tf.switch_case(index, [lambda state=state: tf.identity(state) for state in states])

    return selected if count > 1 else lambda index, state: state


@cache
def _added(kind: Kind, count: int) -> Callable[..., Sequence[Tensor]]:
    """The gradients of so many states with an edge's added to its source's; the others pass through untouched."""

    @kind.compiled
    def added(source: Tensor, by_large: Tensor, by_small: Tensor, *by_states: Tensor) -> Sequence[Tensor]:
        def branch(index: int) -> list[Tensor]:
            by_source = by_small if kind.reduction and index >= kind.space.inputs else by_large
            return [each + by_source if i == index else tf.identity(each) for i, each in enumerate(by_states)]

        return tf.switch_case(source, [lambda index=index: branch(index) for index in range(count)])

    return added


# --- an edge


def _cases(kind: Kind) -> list[tuple[str, int, int]]:
    """For each branch the operation, which of the two states it reads, and its stride."""
    cases = [(operation, 0, 2 if kind.reduction else 1) for operation in kind.space.operations]
    return cases + [(operation, 1, 1) for operation in kind.space.operations if kind.reduction]


def _own(kind: Kind, operation: str, stride: int) -> list[int]:
    """Return which of the stacks an operation reads."""
    places = kind.layers()
    return [places.index((operation, part)) for part in edge_layers(operation, stride)]


@cache
def _edge_forward(kind: Kind) -> Callable[..., Tensor]:
    @kind.compiled
    def forward(large: Tensor, small: Tensor, case: Tensor, slot: Tensor, strided: Tensor, *stacks: Tensor) -> Tensor:
        def branch(operation: str, side: int, stride: int) -> Tensor:
            at = strided if operation == "skip_connect" else slot
            weights = [stacks[index][at] for index in _own(kind, operation, stride)]
            if operation == "none":
                return zeros((large, small)[side], stride)
            return tf.identity(edge((large, small)[side], weights, operation, stride, kind.space.rules, kind.norm))

        return tf.switch_case(case, [lambda case=case: branch(*case) for case in _cases(kind)])

    return forward


@cache
def _edge_backward(kind: Kind) -> Callable[..., tuple[Tensor, Tensor, Sequence[Tensor]]]:
    """Gradients by the two states, of which one is nothing, and by the edge's slot of every stack."""

    @kind.compiled
    def backward(
        by_output: Tensor, large: Tensor, small: Tensor, case: Tensor, slot: Tensor, strided: Tensor, *stacks: Tensor
    ) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        def branch(operation: str, side: int, stride: int) -> Tensors:
            at, own = strided if operation == "skip_connect" else slot, _own(kind, operation, stride)
            inputs = [tf.identity((large, small)[side]), *(stacks[index][at] for index in own)]
            if operation == "none":
                return _nothing(large), _nothing(large), *map(_slot_of_zeros, stacks)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(inputs)
                output = edge(inputs[0], inputs[1:], operation, stride, kind.space.rules, by_batch)
            by_state, *by_own = tape.gradient(output, inputs, by_output)
            by_states = [_nothing(large), _nothing(large)]
            by_states[side] = by_state
            by_rows = dict(zip(own, by_own, strict=True))
            rows = (by_rows[i] if i in by_rows else _slot_of_zeros(stack) for i, stack in enumerate(stacks))
            return *by_states, *rows

        by_large, by_small, *by_rows = tf.switch_case(case, [lambda case=case: branch(*case) for case in _cases(kind)])
        return by_large, by_small, by_rows

    return backward


# --- what a cell gives out


def _given_out(kind: Kind, states: Sequence[Tensor], edges: Tensor, stacks: Sequence[Tensor]) -> Tensor:
    """Return the nodes concatenated or, where a space mixes them, the sum of the loose states' parts."""
    if not kind.space.rules.mixes:
        return tf.concat(states[kind.space.inputs :], -1)
    (*others, (_, last)), end = _parts(kind, states, edges, stacks), end_forward(kind.norm)
    total = end(*last)  # the last node is always loose
    for is_loose, part in others:
        total += tf.cond(is_loose, lambda part=part: end(*part), lambda: _nothing(states[0]))
    return total


def _by_given_out(
    kind: Kind, states: Sequence[Tensor], edges: Tensor, by_output: Tensor, stacks: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the gradients of its states and of the stacks by what a cell gives out."""
    space = kind.space
    if not space.rules.mixes:
        by_nodes = tf.split(by_output, space.nodes, -1)
        return [_nothing(by_output) for _ in range(space.inputs)] + by_nodes, []
    by_ends = []
    *others, (_, last) = _parts(kind, states, edges, stacks)
    for is_loose, part in others:

        def read(part: Tensors = part) -> Tensors:
            return end_backward(by_output, *part)

        def unread(part: Tensors = part) -> Tensors:
            return _nothing(by_output), *map(tf.zeros_like, part[1:])

        by_ends.append(tf.cond(is_loose, read, unread))
    by_ends.append(end_backward(by_output, *last))
    by_states = [_nothing(by_output) for _ in range(len(states) - len(by_ends))]
    by_kernels = tf.stack([by_end[1] for by_end in by_ends])
    reduces = zip(*(by_end[2:] for by_end in by_ends[: space.inputs]), strict=True)
    return by_states + [by_end[0] for by_end in by_ends], [by_kernels, *map(tf.stack, reduces)]


def _parts(
    kind: Kind, states: Sequence[Tensor], edges: Tensor, stacks: Sequence[Tensor]
) -> list[tuple[Tensor, Tensors]]:
    """For each state that may be given out whether it is, and what its part in the output is computed from."""
    inputs, (kernels, *reduces) = kind.space.inputs, stacks
    loose = loose_ends(kind.space, edges)
    first = 0 if kind.space.rules.output == "loose ends" else inputs
    return [
        (loose[state], (states[state], kernels[index], *(reduce[index] for reduce in reduces if index < inputs)))
        for index, state in enumerate(range(first, len(states)))
    ]


def _end(norm: Norm, state: Tensor, kernel: Tensor, *reduce: Tensor) -> Tensor:
    """Return a loose state's part in the output: ReLU and its slice of the 1x1 convolution."""
    if reduce:
        state = reduced(state, reduce, norm)
    return convolution(relu(state), kernel)


@cache
def end_forward(norm: Norm) -> Callable[..., Tensor]:
    """Return the function of a loose state, its slice of the 1x1 convolution and what reduces it: its part."""
    return compiled_by_rank(partial(_end, norm))


@compiled_by_rank
def end_backward(by_output: Tensor, *arguments: Tensor) -> Tensors:
    """Gradients by what ``end_forward`` takes."""
    inputs = [tf.identity(argument) for argument in arguments]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        output = _end(by_batch, *inputs)
    return tuple(tape.gradient(output, inputs, by_output))
