"""A network's parameters as PyTorch tensors, gathered by canonical name into the layers that use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bnao.network.entanglement import kernel_side, larger_kernel
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
    """Depthwise and pointwise convolution and their norm: a dilated convolution, or half of a separable one.

    What is trained are the parameters that the kernels are, or are a part of.
    """

    depthwise: Tensor
    pointwise: Tensor
    norm: Norm
    trained: tuple[Tensor, ...]

    @property
    def arguments(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What it computes with."""
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
        entangled: operations of which some kernels are the centre of others' (``bnao.network.entanglement``); none
            where each is a parameter of its own.
    """

    def __init__(
        self,
        shapes: Shapes,
        seed: int,
        device: torch.device,
        running: bool = False,
        entangled: Sequence[str] = (),
    ) -> None:
        self.shapes, self._entangled = shapes, entangled
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
        learning = [weight for weight in self.weights.values() if weight.requires_grad] if are_constant else []
        for weight in learning:
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in learning:
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
        """Return the separable convolution of that name."""
        layer = self._layers.get(name)
        if layer is None:
            first, second = self._half(name, "_1"), self._half(name, "_2")
            layer = Separable(first, second, first.trained + second.trained)
            self._keep(name, layer)
        assert isinstance(layer, Separable)
        return layer

    def _half(self, name: str, number: str) -> Half:
        depthwise, of_depthwise = self._kernel(f"{name}.depthwise{number}")
        pointwise, of_pointwise = self._kernel(f"{name}.pointwise{number}")
        norm = self.norm(f"{name}.norm{number}")
        return Half(depthwise, pointwise, norm, (of_depthwise, of_pointwise, norm.scale, norm.shift))

    def _kernel(self, name: str) -> tuple[Tensor, Tensor]:
        """Return the kernel of that name, and the parameter that it is, or is the centre of."""
        kernel = self.weights.get(name)
        larger = None if kernel is not None else larger_kernel(name, self._entangled)
        if larger is None:
            whole = self.weights[name]
            return whole, whole
        whole = self.weights[larger]
        side = kernel_side(name)
        margin = (whole.shape[-1] - side) // 2
        return whole[..., margin : margin + side, margin : margin + side], whole

    def _keep(self, name: str, layer: Separable | Half | Convolution) -> None:
        """Keep a layer for its next use; one that computes with a part of a parameter is made anew each time."""
        if not self._entangled:
            self._layers[name] = layer

    def dilated(self, name: str) -> Half:
        """Return the dilated convolution of that name."""
        layer = self._layers.get(name)
        if layer is None:
            layer = self._half(name, "")
            self._keep(name, layer)
        assert isinstance(layer, Half)
        return layer

    def pair(self, name: str) -> Pair:
        """Return the row and column of that name."""
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
        """Return the factorized reduce of that name."""
        layer = self._layers.get(name)
        if layer is None:
            even, odd, norm = self.weights[f"{name}.even"], self.weights[f"{name}.odd"], self.norm(f"{name}.norm")
            layer = self._layers[name] = Reduce(even, odd, norm, (even, odd, norm.scale, norm.shift))
        assert isinstance(layer, Reduce)
        return layer

    def convolution(self, name: str) -> Convolution | None:
        """Return the convolution of that name; None where the network has none there."""
        layer = self._layers.get(name)
        if layer is None:
            if f"{name}.norm.scale" not in self.weights:
                return None
            kernel, of_kernel = self._kernel(f"{name}.kernel")
            norm = self.norm(f"{name}.norm")
            layer = Convolution(kernel, norm, (of_kernel, norm.scale, norm.shift))
            self._keep(name, layer)
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
