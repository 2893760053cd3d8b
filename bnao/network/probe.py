"""What zero-cost scores ask of a backend: gradients and ReLU codes of untrained networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bnao.config.settings import MachineConfig, NetworkConfig
from bnao.network.state import State
from bnao.space.genotype import Genotype


class Probe(Protocol):
    """One genotype's untrained network, asked for what zero-cost scores are made of (``bnao.evaluation.proxies``).

    Images are normalised, float32, of shape (n, height, width, channels). Batch norms use the statistics of the
    images given. Asking changes nothing.
    """

    def kernels(self) -> State:
        """The first values of all convolutions' kernels and of the classifier's weights, by canonical name."""
        ...

    def jacobian(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """The gradient of the sum of all logits by each image's values, shape (n, height x width x channels)."""
        ...

    def agreements(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """For each two images how many ReLUs are on for both or off for both, shape (n, n), whole numbers.

        Every value that a ReLU is applied to is one; a state behind which several operations begin with a ReLU has one
        for each of them.
        """
        ...

    def loss_gradients(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> State:
        """The gradient of the mean cross-entropy by each of ``kernels``; zeros for what the loss does not depend on."""
        ...

    def flow_gradients(self) -> Mapping[str, NDArray[np.float64]]:
        """The gradient of the sum of all logits by each of ``kernels``, of a network made linear and positive.

        Each parameter is its absolute value, batch norms are left out, the image is one of ones; in float64.
        """
        ...


@runtime_checkable
class Probing(Protocol):
    """A backend whose untrained networks can be probed for zero-cost scores; none must be."""

    def probe(self, genotype: Genotype, network: NetworkConfig, machine: MachineConfig, *, seed: int) -> Probe:
        """A freshly initialised network of one genotype, its classes and image filled in."""
        ...
