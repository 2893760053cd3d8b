"""The supernet's forward pass as a function of its arrays, an architecture and images (docs/network.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from attrs import frozen
from keras import ops

from bnao.backends.keras.cell import Weights, fitted, layer, mixed_states_of, stem_states
from bnao.backends.keras.engine import ENGINE, by_shape
from bnao.backends.keras.mixed import Mixed, MixedData
from bnao.backends.keras.one_cell import mixed_one_cell, residual
from bnao.backends.keras.operations import Norm, Tensor, by_batch, convolution, linear, pooled, relu
from bnao.backends.keras.used import Used, used_slots
from bnao.config.settings import NetworkConfig
from bnao.network.stack import Position
from bnao.network.stack import stack as cells_of
from bnao.network.stacked import Centre, Stack, centres_of, stacks_of
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, space_named

if ENGINE == "tensorflow":
    import tensorflow as tf

    from bnao.backends.keras import interpreter
    from bnao.backends.keras.mixture_graph import MixtureGraph
else:
    from bnao.backends.keras import jax_cells


#: a cell's output in front of its norm, of the cell's fitted inputs
Output = Callable[[Position, tuple[Tensor, Tensor]], Tensor]


@frozen(slots=False)
class Forward:
    """What a supernet computes; it holds no array, so all supernets of one shape share what was built for it.

    Attributes:
        network: space, stack, classes and image.
        dtype: number format of states and kernels; norms and the classifier stay float32.
        norm: how batch norms are computed.
    """

    network: NetworkConfig
    dtype: str = "float32"
    norm: Norm = by_batch

    @cached_property
    def space(self) -> SearchSpace:
        """The space of its genotypes."""
        return space_named(self.network.space, self.network.nodes)

    @cached_property
    def positions(self) -> list[Position]:
        """Its cells."""
        return cells_of(self.network)

    @cached_property
    def stacks(self) -> list[Stack]:
        """Its arrays, in the order in which it takes them."""
        return list(stacks_of(self.network).values())

    @cached_property
    def centres(self) -> tuple[Centre, ...]:
        """Kernels that are the centre of its arrays' larger ones."""
        return centres_of(self.network)

    def __call__(
        self, values: Sequence[Tensor], images: Tensor, arch: Tensor | Mixed | MixedData, masks: Tensor | None = None
    ) -> Tensor:
        """Logits (b, classes), float32.

        Args:
            values: the arrays.
            images: (b, height, width, channels), normalised.
            arch: (cells, nodes, edges, 2), valid, edges in canonical order. Under TensorFlow it is data, and one graph
                serves all; JAX must know it, as a NumPy array, and gives it to the cells' programs.
                Or a mixture: as data in a TensorFlow graph, or computed operation by operation.
            masks: of drop path, shape (cells, nodes, edges, b), or of a mixture's identities, shape (cells, places, b);
                None: nothing is dropped.
        """
        arrays = self.named(values)
        weights: Weights
        output: Output
        if isinstance(arch, MixedData):
            weights, output = arrays, MixtureGraph(self.network, arrays, arch, masks, self.norm)
        elif isinstance(arch, Mixed):
            weights = by_name(self, arrays, used_slots(self.network, arch.cells, computed=True))
            output = _Summed(self, weights, arch, masks)
        elif ENGINE == "jax":
            (genotype,) = self.space.decode(arch)
            weights, output = arrays, _Planned(self, arrays, genotype, masks)
        else:
            weights, output = arrays, _Interpreted(self, arrays, arch, masks)
        return self.through(ops.cast(images, self.dtype), weights, output)

    def named(self, values: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return its arrays, as they are computed with, and the kernels that are their centres, by name."""
        arrays = {each.name: self._cast(each.name, value) for each, value in zip(self.stacks, values, strict=True)}
        return arrays | {each.name: each.of(arrays[each.larger]) for each in self.centres}

    def through(self, images: Tensor, weights: Weights, output: Output) -> Tensor:
        """Return the logits (b, classes), given each cell's output in front of its norm.

        Args:
            images: (b, height, width, channels), normalised, in its number format.
            weights: of what stands around the cells, by canonical name.
            output: of a cell.
        """
        before, last = stem_states(self.network, images, weights, self.norm)
        for position in self.positions:
            if self.space.rules.residual:
                last = output(position, (last, last))
                continue
            inputs = fitted(position, before, last, weights, self.norm)
            new = output(position, inputs)
            if self.space.rules.mixes:
                new = self.norm(new, *layer(weights, f"cells.{position.index}.output.norm", ("scale", "shift")))
            before, last = last, new
        if self.space.rules.residual:
            last = relu(self.norm(last, *layer(weights, "head.norm", ("scale", "shift"))))
        features = ops.cast(pooled(last), "float32")
        return linear(features, weights["classifier.weight"], weights["classifier.bias"])

    def _cast(self, name: str, value: Tensor) -> Tensor:
        stays = name.endswith((".scale", ".shift")) or name.startswith("classifier.")
        return value if stays else ops.cast(value, self.dtype)

    @property
    def has_graph(self) -> bool:
        """Whether one graph serves every path, as TensorFlow's does; in JAX each cell is a program."""
        return ENGINE == "tensorflow"


def by_name(forward: Forward, arrays: Weights, used: Used) -> dict[str, Tensor]:
    """Return the parameters of an architecture by canonical name, of the slots it uses."""
    path = {}
    for stack, slots in zip(forward.stacks, used, strict=True):
        array = arrays[stack.name]
        if stack.kind == "single":
            path[stack.name] = array
        elif slots.any():
            chosen = np.flatnonzero(slots).astype(np.int32)
            # JAX compiles one program for any slot
            path |= {stack.names[slot]: _row(array, slot) for slot in chosen}
    for each in forward.centres:
        kernels = zip(each.names, each.wholes, strict=True)
        path |= {name: each.of(path[whole]) for name, whole in kernels if whole in path}
    return path


@by_shape
def _row(array: Tensor, slot: Tensor) -> Tensor:
    return array[slot]


class _Summed:
    """A cell's output in front of its norm, of a mixture operation by operation; of NAS-Bench-201's the whole of it."""

    def __init__(self, forward: Forward, weights: Weights, mixed: Mixed, masks: Tensor | None) -> None:
        self._rules, self._network, self._norm = forward.space.rules, forward.network, forward.norm
        self._weights, self._mixed, self._masks = weights, mixed, masks

    def __call__(self, position: Position, inputs: tuple[Tensor, Tensor]) -> Tensor:
        rules, weights = self._rules, self._weights
        masks = None if self._masks is None else self._masks[position.index]
        if rules.residual:
            return mixed_one_cell(position, self._mixed, self._network, inputs[1], weights, self._norm, masks)
        states = mixed_states_of(position, self._mixed, self._network, inputs, weights, self._norm, masks)
        outputs = self._mixed.cell(position.reduction).outputs(rules.output)
        return joined(position, states, outputs if rules.mixes else None, weights)


def joined(position: Position, states: Sequence[Tensor], mixes: Sequence[int] | None, weights: Weights) -> Tensor:
    """The states concatenated; and their ReLU and 1x1 convolution, where it mixes them, states of these numbers."""
    whole = ops.concatenate(states, -1)
    if mixes is None:
        return whole
    kernels = [weights[f"cells.{position.index}.output.state.{state}"] for state in mixes]
    return convolution(relu(whole), ops.concatenate(kernels, 2))


class _Interpreted:
    """The same of a path that is data in a TensorFlow graph."""

    def __init__(self, forward: Forward, arrays: Weights, arch: Tensor, masks: Tensor | None) -> None:
        self._space, self._network, self._norm = forward.space, forward.network, forward.norm
        self._arrays, self._arch, self._masks = arrays, arch, masks

    def __call__(self, position: Position, inputs: tuple[Tensor, Tensor]) -> Tensor:
        space, arrays, name = self._space, self._arrays, f"cells.{position.index}"
        masks = tf.zeros(()) if self._masks is None else self._masks[position.index]
        slots, share_over = self._network.slots, self._network.share_over
        masked = self._masks is not None
        kind = interpreter.Kind(space, slots, share_over, position.reduction, masked, self._norm)
        if space.rules.residual:
            if position.reduction:
                return residual(inputs[1], arrays, f"{name}.residual", self._norm)
            stacks = [arrays[f"{name}.{owner}.{part}"] for owner, part in kind.layers()]
            return interpreter.one_cell(kind)(inputs[1], self._arch[0, :, 0, 1], masks, *stacks)
        stacks = [arrays[f"{name}.{owner}.{part}"] for owner, part in (*kind.outer_layers(), *kind.layers())]
        edges = self._arch[int(position.reduction)]
        return interpreter.cell(kind)(*inputs, edges, masks, *stacks)


class _Planned:
    """The same of a path that is known, in JAX: a program of each kind of cell is given it as numbers."""

    def __init__(self, forward: Forward, arrays: Weights, genotype: Genotype, masks: Tensor | None) -> None:
        self._space, self._network = forward.space, forward.network
        self._arrays, self._genotype, self._masks = arrays, genotype, masks

    def __call__(self, position: Position, inputs: tuple[Tensor, Tensor]) -> Tensor:
        space, arrays, name = self._space, self._arrays, f"cells.{position.index}"
        residuals = space.rules.residual
        if residuals and position.reduction:
            return residual(inputs[1], arrays, f"{name}.residual", by_batch)
        masks = None if self._masks is None else self._masks[position.index]
        kind = jax_cells.Kind(space, position.reduction, masked=masks is not None)
        plan = jax_cells.plan(self._network, space, self._genotype.cell(position.reduction), position)
        return jax_cells.cell(kind, plan, inputs[1:] if residuals else inputs, masks, arrays, name)
