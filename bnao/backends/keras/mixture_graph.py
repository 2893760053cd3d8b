"""A mixture's cell in TensorFlow, its weights being data: one graph for every mixture, whatever it leaves out.

As in the graph of paths (``bnao.backends.keras.interpreter``) it is decided at run time what is computed, functions are
called and not copied into their caller, and there is one for all sizes of states. What a node reads from a source has
a gradient of its own, which keeps the source's state alone and computes each operation once more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property, partial

import tensorflow as tf
from attrs import evolve, frozen

from bnao.backends.keras import interpreter
from bnao.backends.keras.cell import Weights, dropped, past_operations, scaled
from bnao.backends.keras.mixed import SUMMED, MixedData, term_place
from bnao.backends.keras.one_cell import residual
from bnao.backends.keras.operations import REDUCE, Norm, Tensor, by_batch, edge, edge_layers, zeros
from bnao.config.settings import NetworkConfig
from bnao.network.stack import Position, halved
from bnao.network.stack import stack as cells_of
from bnao.network.stacked import centres_of, stacks_of
from bnao.space.mixture import mixture_places
from bnao.space.spaces import SearchSpace, space_named

Tensors = tuple[Tensor, ...]


@frozen(slots=False)
class Kind:
    """What cells have in common that share their functions.

    Attributes:
        network: the supernet's settings.
        reduction: whether the cell halves the image: edges from its inputs have stride 2.
        masked: whether identities are dropped.
        learns: whether gradients by weights of operations are taken.
        has_slope: whether they are by the mixture's.
        norm: how batch norms are computed; of others than ``by_batch`` no gradients are taken.
    """

    network: NetworkConfig
    reduction: bool
    masked: bool
    learns: bool
    has_slope: bool
    norm: Norm

    @cached_property
    def space(self) -> SearchSpace:
        """The space of its genotypes."""
        return space_named(self.network.space, self.network.nodes)

    @cached_property
    def slots(self) -> dict[str, list[str]]:
        """The arrays of a cell and the names of their slots, both without the cell's."""
        cell = next(f"cells.{each.index}." for each in cells_of(self.network) if each.reduction == self.reduction)
        arrays = (
            *(each for each in stacks_of(self.network).values() if each.kind != "single"),
            *centres_of(self.network),
        )
        return {
            each.name.removeprefix(cell): [name.removeprefix(cell) for name in each.names]
            for each in arrays
            if each.name.startswith(cell)
        }

    def stride(self, source: int) -> int:
        """Return the stride of the edges from a state."""
        return 2 if self.reduction and source < self.space.inputs else 1

    def layers(self, stride: int) -> list[tuple[str, str]]:
        """(operation, layer) of every parameter of a place, in the order in which ``place`` takes them."""
        return [(operation, part) for operation in self.space.operations for part in edge_layers(operation, stride)]

    def own(self, operation: str, stride: int, rows: Sequence[Tensor]) -> list[Tensor]:
        """Return an operation's parameters, of those of a place."""
        return [row[0] for (name, _), row in zip(self.layers(stride), rows, strict=True) if name == operation]

    def is_masked(self, operation: str) -> bool:
        """Whether an operation's output is dropped."""
        return self.masked and operation == "skip_connect"

    def computed(self) -> Iterator[tuple[int, str]]:
        """The operations that do not give zeros, with their numbers."""
        return ((number, each) for number, each in enumerate(self.space.operations) if each != "none")

    def compiled(self, function: Callable[..., Tensor | Tensors]) -> Callable[..., Tensor | Tensors]:
        """Build a function once for all sizes of states; see ``bnao.backends.keras.interpreter.compiled_for``."""
        return interpreter.compiled_for(self.space, function)


class MixtureGraph:
    """A cell's output in front of its norm, of a mixture that is data; of NAS-Bench-201's the whole of it.

    Args:
        network: the supernet's settings.
        arrays: its own, and the kernels that are centres of theirs.
        mixed: the mixture.
        masks: of identities, shape (positions, places, b); None: nothing is dropped.
        norm: how batch norms are computed.
    """

    def __init__(
        self, network: NetworkConfig, arrays: Weights, mixed: MixedData, masks: Tensor | None, norm: Norm
    ) -> None:
        self._network, self._arrays, self._mixed, self._masks, self._norm = network, arrays, mixed, masks, norm

    def __call__(self, position: Position, inputs: tuple[Tensor, Tensor]) -> Tensor:
        mixed, name = self._mixed, f"cells.{position.index}"
        masked, masks = self._masks is not None, tf.zeros(()) if self._masks is None else self._masks[position.index]
        kind = Kind(self._network, position.reduction, masked, mixed.learns, mixed.has_slope, self._norm)
        rules = kind.space.rules
        if rules.residual and position.reduction:
            return residual(inputs[1], self._arrays, f"{name}.residual", self._norm)
        of_cell = [each[kind.space.cells - 1 if position.reduction else 0] for each in mixed.of_cells]
        stacks = [self._arrays[f"{name}.{array}"] for array in kind.slots]
        output = cell(kind)(*inputs[-kind.space.inputs :], *of_cell, masks, *stacks)
        b, height, width, channels = inputs[1].shape
        size = halved((height, width)) if position.reduction else (height, width)
        wide = kind.space.nodes if rules.output == "nodes" else 1
        return tf.ensure_shape(output, (b, *size, wide * channels))


@cache
def cell(kind: Kind) -> Callable[..., Tensor]:
    """Return the function of a cell.

    It takes the inputs' states, the mixture's weights (places, operations), which of them count
    (``bnao.backends.keras.mixed``), which states are loose, masks (places, b), and the stacks of ``Kind.slots``.
    """
    space, parts = kind.space, kind.network.partial_channels

    @kind.compiled
    def whole(*arguments: Tensor) -> Tensor:
        inputs, arguments = arguments[: space.inputs], arguments[space.inputs :]
        weights, terms, loose, masks, *stacks = arguments
        rows: dict[str, Tensor] = {}
        for names, array in zip(kind.slots.values(), stacks, strict=True):
            rows |= zip(names, tf.split(array, len(names)), strict=True)
        many = len(mixture_places(space))
        factors, counts = (iter(tf.unstack(each, many)) for each in (weights, terms))
        each_mask = iter(tf.unstack(masks, many)) if kind.masked else itertools.repeat(masks)
        states = list(inputs)
        few = tf.shape(inputs[0])[-1] // parts
        for node in range(space.nodes):
            seen = [state[..., :few] for state in states] if parts > 1 else states
            total, of_places = zeros(seen[0], kind.stride(0)), []
            for source, state in enumerate(seen):
                own = _rows(kind, rows, node, source)
                of_place = next(factors), next(counts), next(each_mask)
                total = place(kind, kind.stride(source))(total, state, *of_place, *own)
                of_places.append(of_place[0])
            if parts > 1:
                past = list(enumerate(map(tf.reduce_sum, of_places)))
                total = past_operations(kind.reduction, total, states, past, parts, space.inputs)
            states.append(total)
        return _given_out(kind, states, loose, rows)

    return whole


def _rows(kind: Kind, rows: Mapping[str, Tensor], node: int, source: int) -> list[Tensor]:
    """Return the parameters of a place."""
    return [
        rows[f"{term_place(kind.network, '', node, source, operation)}.{part}".removeprefix(".")]
        for operation, part in kind.layers(kind.stride(source))
    ]


def _given_out(kind: Kind, states: Sequence[Tensor], loose: Tensor, rows: Mapping[str, Tensor]) -> Tensor:
    """The last node, the nodes concatenated or, where a space mixes them, the sum of the loose states' parts."""
    space, output = kind.space, kind.space.rules.output
    if output == "last node":
        return states[-1]
    if not space.rules.mixes:
        return tf.concat(states[space.inputs :], -1)
    total = tf.zeros_like(states[-1])
    for state in range(0 if output == "loose ends" else space.inputs, len(states)):
        reduces = REDUCE if kind.stride(state) == 2 else ()
        own = [rows[f"output.state.{state}"], *(rows[f"loose.{state}.{part}"] for part in reduces)]
        total = end(kind.norm)(total, loose[state], states[state], *own)
    return total


@cache
def place(kind: Kind, stride: int) -> Callable[..., Tensor]:
    """Return the function of a place, which adds to a node what it reads from a source.

    It takes the node's sum so far, the source's state, the mixture's weights (operations,) and which of them count, the
    mask (b,), and the parameters of ``Kind.layers``, each with an axis of length 1 in front; and gives the sum.
    """
    forward, backward = _forward(evolve(kind, learns=False, has_slope=False), stride), _backward(kind, stride)

    def whole(total: Tensor, x: Tensor, weights: Tensor, terms: Tensor, mask: Tensor, *rows: Tensor) -> Tensor:
        @tf.custom_gradient
        def own(total: Tensor, x: Tensor, weights: Tensor, *learned: Tensor) -> tuple[Tensor, object]:
            given = learned or rows
            output = tf.ensure_shape(forward(total, x, weights, terms, mask, *given), total.shape)

            def gradient(by_output: Tensor) -> Tensors:
                return by_output, *backward(by_output, x, weights, terms, mask, *given)

            return output, gradient

        return own(total, x, weights, *(rows if kind.learns else ()))

    return whole


@cache
def _forward(kind: Kind, stride: int) -> Callable[..., Tensor]:
    space = kind.space

    @kind.compiled
    def forward(total: Tensor, x: Tensor, weights: Tensor, terms: Tensor, mask: Tensor, *rows: Tensor) -> Tensor:
        def added(total: Tensor, number: int, operation: str) -> Tensor:
            output = edge(x, kind.own(operation, stride, rows), operation, stride, space.rules, kind.norm)
            output = scaled(output, weights[number])
            return total + (dropped(output, mask) if kind.is_masked(operation) else output)

        for number, operation in kind.computed():
            more = partial(added, total, number, operation)
            total = tf.cond(tf.equal(terms[number], SUMMED), more, partial(tf.identity, total))
        return total

    return forward


def _backward(kind: Kind, stride: int) -> Callable[..., Tensors]:
    """Gradients by the state, by the mixture's weights and, where it learns, by the rows."""
    space, learns = kind.space, kind.learns

    @kind.compiled
    def backward(by_output: Tensor, x: Tensor, weights: Tensor, terms: Tensor, mask: Tensor, *rows: Tensor) -> Tensors:
        by_x, by_weights = tf.zeros_like(x), [tf.zeros(()) for _ in space.operations]
        by_rows = []

        def nothing(by_x: Tensor, own: Sequence[Tensor]) -> Tensors:
            return tf.identity(by_x), tf.zeros(()), *(map(tf.zeros_like, own) if learns else ())

        def output_of(inputs: Sequence[Tensor], operation: str) -> Tensor:
            return edge(inputs[0], inputs[1:], operation, stride, space.rules, by_batch)

        def slope_alone(by_x: Tensor, own: Sequence[Tensor], operation: str, by_term: Tensor) -> Tensors:
            slope = _product(by_term, output_of([x, *own], operation))
            return tf.identity(by_x), slope, *(map(tf.zeros_like, own) if learns else ())

        def all_of_it(by_x: Tensor, own: Sequence[Tensor], operation: str, by_term: Tensor, number: int) -> Tensors:
            inputs = [tf.identity(each) for each in (x, *own)]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                watched = inputs if learns else inputs[:1]
                tape.watch(watched)
                output = output_of(inputs, operation)
            by_state, *by_own = tape.gradient(output, watched, scaled(by_term, weights[number]))
            return by_x + by_state, _product(by_term, output) if kind.has_slope else tf.zeros(()), *by_own

        for number, operation in kind.computed():
            own = kind.own(operation, stride, rows)
            by_term = dropped(by_output, mask) if kind.is_masked(operation) else by_output
            branches = [
                partial(nothing, by_x, own),
                partial(slope_alone, by_x, own, operation, by_term) if kind.has_slope else partial(nothing, by_x, own),
                partial(all_of_it, by_x, own, operation, by_term, number),
            ]
            by_x, by_weights[number], *by_own = tf.switch_case(terms[number], branches)
            by_rows += [each[None] for each in by_own]
        return by_x, tf.stack(by_weights), *by_rows

    return backward


def _product(one: Tensor, other: Tensor) -> Tensor:
    """The sum of two states' product, in float32."""
    return tf.reduce_sum(tf.cast(one, tf.float32) * tf.cast(other, tf.float32))


@cache
def end(norm: Norm) -> Callable[..., Tensor]:
    """Return the function that adds a state's part to the output, if it is loose.

    It takes the output so far, whether the state is loose, the state, and its slice of the 1x1 convolution and, of an
    input of a reduction cell, what reduces it, each with an axis of length 1 in front; and gives the output.
    """
    forward, backward = interpreter.end_forward(norm), interpreter.end_backward

    def whole(total: Tensor, is_loose: Tensor, *arguments: Tensor) -> Tensor:
        @tf.custom_gradient
        def own(total: Tensor, *arguments: Tensor) -> tuple[Tensor, object]:
            def read() -> Tensor:
                return total + forward(*arguments)

            def gradient(by_output: Tensor) -> Tensors:
                def by_read() -> Tensors:
                    return backward(by_output, *arguments)

                return by_output, *tf.cond(is_loose, by_read, lambda: tuple(map(tf.zeros_like, arguments)))

            return tf.ensure_shape(tf.cond(is_loose, read, lambda: tf.identity(total)), total.shape), gradient

        state, *rows = arguments
        return own(total, state, *(row[0] for row in rows))

    return whole
