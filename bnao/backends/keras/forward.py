"""The supernet's forward pass as a function of its arrays, an architecture and images (SPEC section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache

import numpy as np
from attrs import frozen
from keras import ops
from numpy.typing import NDArray

from bnao.backends.keras.cell import Weights, fitted, states_of, stem_states
from bnao.backends.keras.engine import ENGINE, compiled
from bnao.backends.keras.operations import REDUCE, Tensor, by_batch, convolution, linear, pooled, relu
from bnao.backends.keras.stacks import Stack, chosen_slots, stacks_of
from bnao.config.settings import NetworkConfig
from bnao.network.stack import Position
from bnao.network.stack import stack as cells_of
from bnao.space.spaces import SearchSpace, space_named

if ENGINE == "tensorflow":
    import tensorflow as tf

    from bnao.backends.keras import interpreter


@frozen(slots=False)
class Forward:
    """What a supernet computes; it holds no array, so all supernets of one shape share what was built for it.

    Attributes:
        network: space, stack, classes and image.
        dtype: number format of states and kernels; norms and the classifier stay float32.
    """

    network: NetworkConfig
    dtype: str = "float32"

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

    def __call__(self, values: Sequence[Tensor], images: Tensor, arch: Tensor, masks: Tensor | None = None) -> Tensor:
        """Logits (b, classes), float32.

        Args:
            values: the arrays.
            images: (b, height, width, channels), normalised.
            arch: (cells, nodes, edges, 2), valid, edges in canonical order. As a NumPy array it is known, and only
                its path is built; as a TensorFlow tensor it is data, and one graph serves all. JAX must know it.
            masks: of drop path, shape (cells, nodes, edges, b); None: nothing is dropped.
        """
        arrays = {each.name: self._cast(each.name, value) for each, value in zip(self.stacks, values, strict=True)}
        images = ops.cast(images, self.dtype)
        weights: Weights
        output: Output
        if isinstance(arch, np.ndarray):
            weights = self._path(arrays, arch)
            output = _Dispatched(self, weights, arch, masks)
        else:
            weights, output = arrays, _Interpreted(self, arrays, arch, masks)
        before, last = stem_states(self.network, images, weights, by_batch)
        for position in self.positions:
            inputs = fitted(position, before, last, weights, by_batch)
            scale, shift = (weights[f"cells.{position.index}.output.norm.{part}"] for part in ("scale", "shift"))
            before, last = last, by_batch(output(position, inputs), scale, shift)
        features = ops.cast(pooled(last), "float32")
        return linear(features, weights["classifier.weight"], weights["classifier.bias"])

    def _cast(self, name: str, value: Tensor) -> Tensor:
        stays = name.endswith((".scale", ".shift")) or name.startswith("classifier.")
        return value if stays else ops.cast(value, self.dtype)

    def _path(self, arrays: Weights, arch: NDArray[np.int32]) -> dict[str, Tensor]:
        """The parameters of a known architecture's path by canonical name."""
        path = {}
        for stack, slots in _known_slots(self, arch.tobytes()):
            array = arrays[stack.name]
            if stack.kind == "single":
                path[stack.name] = array
            else:
                path |= zip((stack.names[slot] for slot in slots), _rows(array, slots), strict=True)
        return path


@lru_cache(maxsize=4096)
def _known_slots(forward: Forward, arch: bytes) -> list[tuple[Stack, NDArray[np.int32]]]:
    """The stacks of a known architecture's path, and which slots of each it uses."""
    edges = np.frombuffer(arch, np.int32).reshape(forward.space.shape)
    known = []
    for stack in forward.stacks:
        chosen = chosen_slots(forward.space, forward.network.slots, edges, stack)
        if chosen is None:
            known.append((stack, np.empty(0, np.int32)))
        elif (used := np.asarray(chosen[1])).any():
            known.append((stack, np.asarray(chosen[0])[used]))
    return known


@compiled
def _rows(array: Tensor, slots: Tensor) -> list[Tensor]:
    return [array[slots[index]] for index in range(slots.shape[0])]


#: a cell's output in front of its norm, of the cell's fitted inputs
Output = Callable[[Position, tuple[Tensor, Tensor]], Tensor]


class _Dispatched:
    """A cell's output in front of its norm, of an architecture that is known."""

    def __init__(self, forward: Forward, weights: Weights, arch: NDArray[np.int32], masks: Tensor | None) -> None:
        self._rules = forward.space.rules
        self._slots, self._weights, self._masks = forward.network.slots, weights, masks
        (self._genotype,) = forward.space.decode(arch)

    def __call__(self, position: Position, inputs: tuple[Tensor, Tensor]) -> Tensor:
        cell = self._genotype.cell(position.reduction)
        masks = None if self._masks is None else self._masks[position.index]
        states = states_of(position, cell, self._rules, inputs, self._weights, by_batch, masks, self._slots)
        kernels = [self._weights[f"cells.{position.index}.output.state.{state}"] for state in cell.loose_ends]
        return convolution(relu(ops.concatenate(states, -1)), ops.concatenate(kernels, 2))


class _Interpreted:
    """The same of an architecture that is data in a TensorFlow graph."""

    def __init__(self, forward: Forward, arrays: Weights, arch: Tensor, masks: Tensor | None) -> None:
        self._space, self._slots = forward.space, forward.network.slots
        self._arrays, self._arch, self._masks = arrays, arch, masks

    def __call__(self, position: Position, inputs: tuple[Tensor, Tensor]) -> Tensor:
        space, arrays, name = self._space, self._arrays, f"cells.{position.index}"
        masks = tf.zeros(()) if self._masks is None else self._masks[position.index]
        kind = interpreter.Kind(space, self._slots, position.reduction, masked=self._masks is not None)
        layers = [("loose", part) for part in REDUCE] if position.reduction else []
        stacks = [arrays[f"{name}.{owner}.{part}"] for owner, part in (*layers, *kind.layers())]
        edges = self._arch[int(position.reduction)]
        return interpreter.cell(kind)(*inputs, edges, masks, arrays[f"{name}.output.state"], *stacks)
