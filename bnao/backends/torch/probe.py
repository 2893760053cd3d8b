"""What zero-cost scores are made of, in PyTorch: gradients and ReLU codes of untrained networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bnao.backends.torch.layers import Half, Norm, Pair, Separable
from bnao.backends.torch.machine import Machine, prepare
from bnao.backends.torch.operations import Operations
from bnao.backends.torch.standalone import Network
from bnao.backends.torch.supernet import images_of
from bnao.config.settings import MachineConfig, NetworkConfig
from bnao.protocols import State
from bnao.space.genotype import Genotype


class PlainOperations(Operations):
    """Operations of which every norm and every ReLU is a call of ``norm`` and of ``relu``."""

    def separable(self, active: Tensor, layer: Separable, stride: int) -> Tensor:
        """Twice: ReLU, depthwise, pointwise, norm; the first ReLU has been made (``active``)."""
        return self._half(self.relu(self._half(active, layer.first, stride)), layer.second, 1)

    def _half(self, active: Tensor, half: Half, stride: int, dilation: int = 1) -> Tensor:
        channels, _, kernel, _ = half.depthwise.shape
        x = F.conv2d(active, half.depthwise, None, stride, dilation * (kernel // 2), dilation, channels)
        return self.norm(F.conv2d(x, half.pointwise), half.norm)

    def pair(self, active: Tensor, layer: Pair, stride: int) -> Tensor:
        """A row's convolution and a column's of a state behind its ReLU; with a norm between them, another ReLU."""
        far = layer.first.shape[-1] // 2
        x = F.conv2d(active, layer.first, stride=(1, stride), padding=(0, far))
        if layer.between is not None:
            x = self.relu(self.norm(x, layer.between))
        return self.norm(F.conv2d(x, layer.second, stride=(stride, 1), padding=(far, 0)), layer.norm)


class CodeOperations(PlainOperations):
    """Operations that count for each two images how many ReLUs are on for both or off for both."""

    shares_relu = False

    def __init__(self, images: int, device: torch.device) -> None:
        super().__init__()
        # float64 counts exactly up to 2^53
        self.agreements = torch.zeros(images, images, dtype=torch.float64, device=device)

    def relu(self, x: Tensor) -> Tensor:
        """max(x, 0), counted."""
        signs = torch.where(x > 0, 1.0, -1.0).flatten(1)
        # of u units of two images the product is (agreeing - differing), so agreeing = (u + product) / 2
        self.agreements += (signs.shape[1] + signs @ signs.T).double() / 2
        return super().relu(x)


class LinearOperations(PlainOperations):
    """Operations without norms: of positive weights and images a ReLU changes nothing, so the network is linear."""

    def norm(self, x: Tensor, norm: Norm) -> Tensor:
        """Return the state itself."""
        return x


class TorchProbe:
    """One genotype's untrained network: ``bnao.protocols.Probe``.

    Raises:
        BackendError: the device is not there.
        GenotypeError: a genotype of another space.
    """

    def __init__(self, genotype: Genotype, network: NetworkConfig, machine: MachineConfig, seed: int) -> None:
        self._genotype, self._network, self._seed = genotype, network, seed
        self._machine = Machine(prepare(machine).device)
        self._net = self._first(torch.float32)

    def _first(self, dtype: torch.dtype, changed: Callable[[Tensor], Tensor] = lambda weight: weight) -> Network:
        """The network with its first weights in a number format, each changed, and without running statistics."""
        net = Network(self._genotype, self._network, self._seed, self._machine)
        for name, weight in net.layers.weights.items():
            net.layers.weights[name] = changed(weight.detach().to(dtype)).requires_grad_()
        net.layers.statistics.clear()
        return net

    def kernels(self) -> State:
        """Return the first values of kernels and of the classifier's weights."""
        return {name: weight.detach().cpu().numpy() for name, weight in _kernels(self._net).items()}

    def jacobian(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the gradient of the sum of all logits by each image's values."""
        batch = images_of(images, self._net.device).requires_grad_()
        logits, _ = self._net(batch, training=True, operations=PlainOperations())
        (gradient,) = torch.autograd.grad(logits.sum(), batch, allow_unused=True)
        rows = torch.zeros_like(batch) if gradient is None else gradient
        return rows.flatten(1).double().cpu().numpy()

    @torch.inference_mode()
    def agreements(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """For each two images how many ReLUs are on for both or off for both."""
        operations = CodeOperations(len(images), self._net.device)
        self._net(images_of(images, self._net.device), training=True, operations=operations)
        return operations.agreements.cpu().numpy()

    def loss_gradients(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> State:
        """Return the gradient of the mean cross-entropy by each kernel."""
        logits, _ = self._net(images_of(images, self._net.device), training=True, operations=PlainOperations())
        loss = F.cross_entropy(logits, torch.from_numpy(labels).to(self._net.device))
        return _gradients(loss, _kernels(self._net))

    def flow_gradients(self) -> dict[str, NDArray[np.float64]]:
        """The gradient of the sum of all logits by each kernel's absolute value, without norms, of an image of ones."""
        net = self._first(torch.float64, torch.abs)
        height, width, channels = self._network.image
        ones = torch.ones(1, channels, height, width, dtype=torch.float64, device=net.device)
        logits, _ = net(ones, training=True, operations=LinearOperations())
        return _gradients(logits.sum(), _kernels(net))


def _kernels(net: Network) -> dict[str, Tensor]:
    return {name: weight for name, weight in net.layers.weights.items() if weight.ndim > 1}


def _gradients(value: Tensor, weights: dict[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Return the gradient by each weight as an array; zeros where the value does not depend on it."""
    gradients = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
    return {
        name: (torch.zeros_like(weight) if gradient is None else gradient).cpu().numpy()
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }
