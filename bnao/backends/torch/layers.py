"""A network's parameters as PyTorch tensors, gathered by canonical name into the layers that use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bnao.network.parameters import Shapes, initial_weights
from bnao.network.state import MOMENTUM, checked_state
from bnao.protocols import State


@dataclass(slots=True)
class Norm:
    """A batch norm; running statistics where the network is tested by itself, None in a supernet."""

    scale: Tensor
    shift: Tensor
    mean: Tensor | None
    variance: Tensor | None


@dataclass(slots=True)
class Half:
    """Depthwise and pointwise convolution and their norm: a dilated convolution, or half of a separable one."""

    depthwise: Tensor
    pointwise: Tensor
    norm: Norm

    @property
    def trained(self) -> tuple[Tensor, ...]:
        """All parameters."""
        return self.depthwise, self.pointwise, self.norm.scale, self.norm.shift


@dataclass(slots=True)
class Separable:
    """Two halves, and all their parameters."""

    first: Half
    second: Half
    trained: tuple[Tensor, ...]


@dataclass(slots=True)
class Reduce:
    """A factorized reduce: two 1x1 convolutions of stride 2 and a norm."""

    even: Tensor
    odd: Tensor
    norm: Norm
    trained: tuple[Tensor, ...]


@dataclass(slots=True)
class Convolution:
    """A convolution and its norm."""

    kernel: Tensor
    norm: Norm
    trained: tuple[Tensor, ...]


@dataclass(slots=True)
class Pair:
    """A convolution of a row and one of a column, with a norm behind each or, ``between`` being None, behind both."""

    first: Tensor
    between: Norm | None
    second: Tensor
    norm: Norm
    trained: tuple[Tensor, ...]


Layer = Separable | Half | Reduce | Convolution | Pair
AnyLayer = TypeVar("AnyLayer", Separable, Half, Reduce, Convolution, Pair)


def scaled(layer: AnyLayer, factor: Tensor | None) -> AnyLayer:
    """A layer whose output is multiplied by a factor: its last norm has scale and shift times that.

    So the output is not kept for the factor's gradient, and no state is multiplied.
    """
    if factor is None:
        return layer
    if isinstance(layer, Separable):
        return replace(layer, second=scaled(layer.second, factor))
    norm = layer.norm
    return replace(layer, norm=replace(norm, scale=norm.scale * factor, shift=norm.shift * factor))


class Layers:
    """All parameters of one network.

    Args:
        shapes: the parameters, by canonical name.
        seed: of their first values.
        device: where they live.
        running: whether norms keep running statistics (``.mean`` and ``.variance`` beside ``.scale``).
    """

    def __init__(self, shapes: Shapes, seed: int, device: torch.device, running: bool = False) -> None:
        self.shapes = shapes
        self.weights: dict[str, Tensor] = {
            name: torch.from_numpy(value).to(device).requires_grad_()
            for name, value in initial_weights(shapes, seed).items()
        }
        self.statistics: dict[str, Tensor] = {}
        if running:
            for name, shape in shapes.items():
                if name.endswith(".scale"):
                    norm = name.removesuffix(".scale")
                    self.statistics[f"{norm}.mean"] = torch.zeros(shape, device=device)
                    self.statistics[f"{norm}.variance"] = torch.ones(shape, device=device)
        self._layers: dict[str, Layer] = {}
        self._device = device

    def count(self) -> int:
        """Trainable parameters, the auxiliary head's left out."""
        return sum(weight.numel() for name, weight in self.weights.items() if not name.startswith("auxiliary."))

    @contextmanager
    def constant(self, are_constant: bool = True) -> Iterator[None]:
        """Within it no gradient by a parameter can be asked for, and nothing is kept for one."""
        for weight in self.weights.values() if are_constant else ():
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in self.weights.values() if are_constant else ():
                weight.requires_grad_()

    def norm(self, name: str) -> Norm:
        """The batch norm of that name."""
        return Norm(
            self.weights[f"{name}.scale"],
            self.weights[f"{name}.shift"],
            self.statistics.get(f"{name}.mean"),
            self.statistics.get(f"{name}.variance"),
        )

    def separable(self, name: str) -> Separable:
        """The separable convolution of that name."""
        layer = self._layers.get(name)
        if layer is None:
            first, second = self._half(name, "_1"), self._half(name, "_2")
            layer = self._layers[name] = Separable(first, second, first.trained + second.trained)
        assert isinstance(layer, Separable)
        return layer

    def _half(self, name: str, number: str) -> Half:
        depthwise, pointwise = self.weights[f"{name}.depthwise{number}"], self.weights[f"{name}.pointwise{number}"]
        return Half(depthwise, pointwise, self.norm(f"{name}.norm{number}"))

    def dilated(self, name: str) -> Half:
        """The dilated convolution of that name."""
        layer = self._layers.get(name)
        if layer is None:
            layer = self._layers[name] = self._half(name, "")
        assert isinstance(layer, Half)
        return layer

    def pair(self, name: str) -> Pair:
        """The row and column of that name."""
        layer = self._layers.get(name)
        if layer is None:
            first, second = self.weights[f"{name}.first"], self.weights[f"{name}.second"]
            between = self.norm(f"{name}.norm_1") if f"{name}.norm_1.scale" in self.weights else None
            norm = self.norm(f"{name}.norm" if between is None else f"{name}.norm_2")
            inner = () if between is None else (between.scale, between.shift)
            layer = Pair(first, between, second, norm, (first, *inner, second, norm.scale, norm.shift))
            self._layers[name] = layer
        assert isinstance(layer, Pair)
        return layer

    def reduce(self, name: str) -> Reduce:
        """The factorized reduce of that name."""
        layer = self._layers.get(name)
        if layer is None:
            even, odd, norm = self.weights[f"{name}.even"], self.weights[f"{name}.odd"], self.norm(f"{name}.norm")
            layer = self._layers[name] = Reduce(even, odd, norm, (even, odd, norm.scale, norm.shift))
        assert isinstance(layer, Reduce)
        return layer

    def convolution(self, name: str) -> Convolution | None:
        """The convolution of that name; None where the network has none there."""
        layer = self._layers.get(name)
        if layer is None:
            kernel = self.weights.get(f"{name}.kernel")
            if kernel is None:
                return None
            norm = self.norm(f"{name}.norm")
            layer = self._layers[name] = Convolution(kernel, norm, (kernel, norm.scale, norm.shift))
        assert isinstance(layer, Convolution)
        return layer

    def state(self, momenta: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
        """Weights, running statistics and momenta as NumPy arrays of their own."""
        tensors = {
            **self.weights,
            **self.statistics,
            **{MOMENTUM + name: momentum for name, momentum in momenta.items()},
        }
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}

    @torch.no_grad()
    def load(self, state: State) -> dict[str, Tensor]:
        """Take over weights and running statistics; gives the state's momenta by parameter name.

        Raises:
            WeightsError: something is missing, unknown or of another shape.
        """
        statistics = {name: tuple(value.shape) for name, value in self.statistics.items()}
        own, momenta = checked_state(state, self.shapes, statistics)
        for name, tensor in (*self.weights.items(), *self.statistics.items()):
            tensor.copy_(torch.from_numpy(np.asarray(own[name], np.float32)))
        return {name: torch.from_numpy(np.array(value, np.float32)) for name, value in momenta.items()}
