"""A supernet's parameters in few arrays, as in Keras: those of one cell, operation and layer are the rows of a stack.

A row is a *slot*. An edge's stack has one for each (node, edge, source), in that order, or fewer where edges share
weights (``share_over``); an architecture chooses one for each edge. A state's stack has one for each state, and an
architecture chooses its loose ends. On disk every slot is a parameter by its canonical name, as in every backend.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig
from bnao.network.parameters import supernet_shapes
from bnao.network.stack import stack as cells_of
from bnao.space.spaces import space_named

_EDGE = re.compile(r"(cells\.\d+)(?:\.nodes\.\d+)?(?:\.edges\.\d+)?\.(\w+)(?:\.source\.\d+)?\.(.+)")
_STATE = re.compile(r"(cells\.\d+)\.(loose|output\.state)\.\d+(\..+)?")


def to_keras(name: str, value: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a parameter as Keras keeps it: kernels height x width x input x output."""
    if value.ndim != 4:
        return value
    depthwise = name.rpartition(".")[2].startswith("depthwise")
    return np.ascontiguousarray(value.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)))


def to_canonical(name: str, value: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a parameter as it is on disk: kernels output x input x height x width."""
    if value.ndim != 4:
        return value
    depthwise = name.rpartition(".")[2].startswith("depthwise")
    return np.ascontiguousarray(value.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)))


@frozen
class Stack:
    """One array of the supernet.

    Attributes:
        name: its own.
        names: canonical names of its slots; of a single parameter its own alone.
        kind: edge, state or single.
        reduction: whether it stands in a reduction cell.
        operation: an edge's operation, by its number in the space.
    """

    name: str
    names: tuple[str, ...]
    kind: str
    reduction: bool = False
    operation: int = -1

    @property
    def is_operations_norm(self) -> bool:
        """Whether it holds scales or shifts of an operation's norm."""
        return self.kind == "edge" and self.name.endswith((".scale", ".shift"))

    def of(self, state: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the array, of parameters by canonical name."""
        values = [to_keras(name, np.asarray(state[name], np.float32)) for name in self.names]
        return values[0] if self.kind == "single" else np.stack(values)

    def parameters(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the array's parameters by canonical name."""
        rows = [array] if self.kind == "single" else array
        return {name: np.array(to_canonical(name, np.asarray(row))) for name, row in zip(self.names, rows, strict=True)}


def stacks_of(network: NetworkConfig) -> dict[str, Stack]:
    """All arrays of the supernet, by name.

    >>> stacks = stacks_of(NetworkConfig(channels=4, cells=1))
    >>> len(stacks["cells.0.sep_conv_3x3.depthwise_1"].names)  # 2 edges x (2 + 3 + 4 + 5 + 6) sources
    40
    """
    space = space_named(network.space, network.nodes)
    reductions = {f"cells.{cell.index}" for cell in cells_of(network) if cell.reduction}
    groups: dict[tuple[str, str, str, int], list[str]] = {}
    for name in supernet_shapes(network):
        if (match := _EDGE.fullmatch(name)) and match[2] in space.operations:
            cell, operation, layer = match.groups()
            key = f"{cell}.{operation}.{layer}", "edge", cell, space.operations.index(operation)
        elif match := _STATE.fullmatch(name):
            cell, kind, layer = match.groups()
            key = f"{cell}.{kind}{layer or ''}", "state", cell, -1
        else:
            key = name, "single", "", -1
        groups.setdefault(key, []).append(name)
    return {
        name: Stack(name, tuple(names), kind, cell in reductions, operation)
        for (name, kind, cell, operation), names in groups.items()
    }
