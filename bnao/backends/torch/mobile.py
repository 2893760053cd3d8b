"""Networks that are not made of cells in PyTorch (``bnao.network.mobile``), trained as a genotype's own network is."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bnao.backends.torch.layers import Layers
from bnao.backends.torch.machine import Machine
from bnao.backends.torch.operations import Operations
from bnao.config.settings import NetworkConfig
from bnao.network.mobile import MobileNetwork


class MobileNet:
    """The forward pass of a network for comparison; see ``bnao.backends.torch.standalone.Network``.

    Args:
        genotype: which network.
        network: its classes and image; channels and cells are its own.
        seed: of the first weights.
        machine: where and how it computes.
    """

    def __init__(self, genotype: MobileNetwork, network: NetworkConfig, seed: int, machine: Machine) -> None:
        self.genotype, self.network = genotype, network
        self.machine, self.device = machine, machine.device
        shapes = genotype.shapes(network.image[2], network.classes)
        self.layers = Layers(shapes, seed, self.device, running=True)

    def __call__(
        self,
        images: Tensor,
        training: bool = False,
        masks: NDArray[np.float32] | None = None,
        dropout: NDArray[np.float32] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Logits (b, classes) of normalised images (b, channels, height, width); there is no auxiliary head.

        Args:
            images: normalised.
            training: norms use the batch's statistics and update the running ones.
            masks: none: there are no edges to drop.
            dropout: what the features in front of the classifier are multiplied by, shape (b, features).
        """
        with self.machine.forward_pass():
            return self.genotype.logits(_Walked(self.layers, Operations(training), dropout), images), None

    def features(self) -> int:
        """Inputs of the classifier."""
        return self.genotype.features


class _Walked:
    """The layers of ``bnao.network.mobile`` on states (b, channels, height, width)."""

    def __init__(self, layers: Layers, operations: Operations, dropout: NDArray[np.float32] | None) -> None:
        self._layers, self._operations, self._dropout = layers, operations, dropout

    def convolution(self, x: Tensor, name: str, channels: int, kernel: int, *, stride: int, depthwise: bool) -> Tensor:
        groups = channels if depthwise else 1
        return F.conv2d(x, self._layers.weights[name], None, stride, kernel // 2, 1, groups)

    def norm(self, x: Tensor, name: str) -> Tensor:
        return self._operations.norm(x, self._layers.norm(name))

    def relu(self, x: Tensor, most: float | None) -> Tensor:
        return F.relu(x) if most is None else F.hardtanh(x, 0.0, most)

    def squeezed(self, x: Tensor, name: str, hidden: int) -> Tensor:
        inner = F.relu(self._linear(self._operations.pooled(x), f"{name}.reduce"))
        return x * self._linear(inner, f"{name}.expand").sigmoid()[..., None, None]

    def total(self, first: Tensor, second: Tensor) -> Tensor:
        return first + second

    def linear(self, x: Tensor, name: str) -> Tensor:
        features = self._operations.pooled(x)
        if self._dropout is not None:
            features = features * features.new_tensor(self._dropout)
        return self._linear(features, name).float()

    def _linear(self, features: Tensor, name: str) -> Tensor:
        weights = self._layers.weights
        return F.linear(features, weights[f"{name}.weight"], weights[f"{name}.bias"])
