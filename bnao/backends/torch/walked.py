"""The layers of ``bnao.network.walk`` in PyTorch, by which operations of other packages are computed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bnao.backends.torch.layers import Layers
from bnao.backends.torch.operations import Operations


class WalkedLayers:
    """Layers on states (b, channels, height, width), with the parameters of a network.

    Args:
        operations: how what bnao's own operations have too is computed.
        layers: the network's parameters.
        path: gets the parameters that are used, each once.
    """

    def __init__(self, operations: Operations, layers: Layers, path: list[Tensor]) -> None:
        self._operations, self._layers, self._path = operations, layers, path
        self._used: set[str] = set()

    def _parameter(self, name: str) -> Tensor:
        parameter = self._layers.weights[name]
        if name not in self._used:
            self._used.add(name)
            self._path.append(parameter)
        return parameter

    def convolution(
        self,
        x: Tensor,
        name: str,
        channels: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: int = 1,
        depthwise: bool = False,
    ) -> Tensor:
        """Convolve, padded by half the kernel."""
        padding = [dilation * (side // 2) for side in kernel]
        return F.conv2d(x, self._parameter(name), None, stride, padding, dilation, channels if depthwise else 1)

    def norm(self, x: Tensor, name: str) -> Tensor:
        """Return the batch norm of that name."""
        for part in ("scale", "shift"):
            self._parameter(f"{name}.{part}")
        return self._operations.norm(x, self._layers.norm(name))

    def relu(self, x: Tensor) -> Tensor:
        """Return max(x, 0)."""
        return self._operations.relu(x)

    def average_pool(self, x: Tensor, kernel: int, stride: int) -> Tensor:
        """Return averages of windows, padding not counted."""
        return self._operations.average_pool(x, stride, kernel)

    def max_pool(self, x: Tensor, kernel: int, stride: int) -> Tensor:
        """Return maxima of windows."""
        return self._operations.max_pool(x, stride, kernel)

    def quarter(self, x: Tensor) -> Tensor:
        """Return the average of each 2 x 2 pixels."""
        return F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)

    def shifted(self, x: Tensor) -> Tensor:
        """Return each pixel's lower right neighbour."""
        return F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]

    def zeros(self, x: Tensor, stride: int) -> Tensor:
        """Return zeros in the shape of every stride-th pixel."""
        return self._operations.zeros(x, stride)

    def total(self, states: Sequence[Tensor]) -> Tensor:
        """Return the sum of states."""
        return self._operations.total(list(states), None)

    def joined(self, states: Sequence[Tensor]) -> Tensor:
        """Concatenate states along the channels."""
        return torch.cat(list(states), 1)
