"""What zero-cost scores are made of, in Keras: gradients and ReLU codes of untrained networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from bnao.backends.keras.engine import double_precision, value_and_gradients
from bnao.backends.keras.machine import Machine
from bnao.backends.keras.operations import Norm, Tensor, by_batch, no_norm, to_numpy, watched_relus
from bnao.backends.keras.standalone import Arrays, Network
from bnao.config.settings import MachineConfig, NetworkConfig
from bnao.network.parameters import initial_weights
from bnao.network.stacked import to_canonical, to_keras
from bnao.protocols import State
from bnao.space.genotype import Genotype


def _watchable(x: Tensor, scale: Tensor, shift: Tensor, name: str) -> Tensor:
    """``by_batch`` under another name, so that no piece is compiled and each ReLU is a call (``operations.piece``)."""
    return by_batch(x, scale, shift)


class _Agreements:
    """A count for each two images of how many ReLUs are on for both or off for both."""

    def __init__(self, images: int) -> None:
        # float64 counts exactly up to 2^53
        self.counts = np.zeros((images, images))

    def __call__(self, x: Tensor) -> None:
        """Count the ReLUs that are applied to a state."""
        signs = ops.reshape(ops.where(x > 0, 1.0, -1.0), (x.shape[0], -1))
        # of u units of two images the product is (agreeing - differing), so agreeing = (u + product) / 2
        self.counts += (signs.shape[1] + to_numpy(ops.matmul(signs, ops.transpose(signs))).astype(np.float64)) / 2


class KerasProbe:
    """One genotype's untrained network: ``bnao.protocols.Probe``.

    Raises:
        BackendError: the device is not there, or a setting that this backend does not know.
        GenotypeError: a genotype of another space.
    """

    def __init__(self, genotype: Genotype, network: NetworkConfig, machine: MachineConfig, seed: int) -> None:
        self._genotype, self._network = genotype, network
        self._machine = Machine(machine)
        self._net = Network(genotype, network, "float32", auxiliary=False)
        self._first = initial_weights(self._net.shapes, seed)

    def kernels(self) -> State:
        """Return the first values of kernels and of the classifier's weights."""
        return {name: np.array(value) for name, value in self._first.items() if value.ndim > 1}

    def jacobian(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the gradient of the sum of all logits by each image's values."""
        with self._machine.scope():
            weights = _arrays(self._first, "float32")
            (gradient,) = _gradients(
                lambda values: ops.sum(_logits(self._net, weights, values[0], by_batch)),
                [ops.convert_to_tensor(images, "float32")],
            )
        return gradient.reshape(len(images), -1).astype(np.float64)

    def agreements(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """For each two images how many ReLUs are on for both or off for both."""
        agreements = _Agreements(len(images))
        with self._machine.scope(), watched_relus(agreements):
            weights = _arrays(self._first, "float32")
            _logits(self._net, weights, ops.convert_to_tensor(images, "float32"), _watchable)
        return agreements.counts

    def loss_gradients(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> State:
        """Return the gradient of the mean cross-entropy by each kernel."""
        with self._machine.scope():
            batch = ops.convert_to_tensor(images, "float32")
            targets = ops.convert_to_tensor(labels, "int32")

            def loss(weights: Arrays) -> Tensor:
                logits = _logits(self._net, weights, batch, by_batch)
                return ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))

            return _kernel_gradients(loss, _arrays(self._first, "float32"))

    def flow_gradients(self) -> dict[str, NDArray[np.float64]]:
        """The gradient of the sum of all logits by each kernel's absolute value, without norms, of an image of ones."""
        net = Network(self._genotype, self._network, "float64", auxiliary=False)
        positive = {name: np.abs(value) for name, value in self._first.items()}
        with self._machine.scope(), double_precision():
            image = ops.ones((1, *self._network.image), "float64")
            return _kernel_gradients(
                lambda weights: ops.sum(_logits(net, weights, image, no_norm)), _arrays(positive, "float64")
            )


def _arrays(state: State, dtype: str) -> Arrays:
    return {name: ops.convert_to_tensor(to_keras(name, value), dtype) for name, value in state.items()}


def _logits(net: Network, weights: Arrays, images: Tensor, norm: Norm) -> Tensor:
    return net(weights, {}, images, norm=norm)[0]


def _gradients(function: Callable[[list[Tensor]], Tensor], values: list[Tensor]) -> list[NDArray[Any]]:
    """Return the gradient by each value as an array; zeros where the function does not depend on it."""
    return [to_numpy(gradient) for gradient in value_and_gradients(function, values)[1]]


def _kernel_gradients(function: Callable[[Arrays], Tensor], weights: Arrays) -> dict[str, NDArray[Any]]:
    """Return the gradient by each kernel of a function of all weights, by canonical name and in canonical shape."""
    names = [name for name, weight in weights.items() if len(weight.shape) > 1]
    gradients = _gradients(
        lambda kernels: function({**weights, **dict(zip(names, kernels, strict=True))}),
        [weights[name] for name in names],
    )
    return {name: to_canonical(name, gradient) for name, gradient in zip(names, gradients, strict=True)}
