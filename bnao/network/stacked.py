"""A supernet's parameters in few arrays, as in Keras: those of one cell, operation and layer are the rows of a stack.

A row is a *slot*. An edge's stack has one for each (node, edge, source), in that order, or fewer where edges share
weights (``share_over``); an architecture chooses one for each edge. A state's stack has one for each state, and an
architecture chooses its loose ends. On disk every slot is a parameter by its canonical name, as in every backend.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig
from bnao.network.entanglement import kernel_side, larger_kernel
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
        operations: those that read it, by number in the space, of an edge; several where kernels are entangled.
    """

    name: str
    names: tuple[str, ...]
    kind: str
    reduction: bool = False
    operations: tuple[int, ...] = ()

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


@frozen
class Centre:
    """Kernels that are the centres of larger ones, slot by slot, where a supernet's are entangled.

    Attributes:
        name: that its stack would have.
        names: canonical names of its slots.
        larger: name of the stack whose centres they are.
        wholes: canonical names of that one's slots.
        side: their height and width.
    """

    name: str
    names: tuple[str, ...]
    larger: str
    wholes: tuple[str, ...]
    side: int

    def of(self, array: Any) -> Any:
        """Return the centres of kernels, of a stack or of one slot, as Keras keeps them."""
        margin = (array.shape[-3] - self.side) // 2
        middle = slice(margin, margin + self.side)
        return array[..., middle, middle, :, :]


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
    entangled = space.operations if network.entangle else ()
    return {
        name: Stack(name, tuple(names), kind, cell in reductions, _readers(names[0], operation, entangled))
        for (name, kind, cell, operation), names in groups.items()
    }


def _readers(name: str, operation: int, entangled: Sequence[str]) -> tuple[int, ...]:
    """Return the operations that compute with a parameter of one, which may be the whole of others' kernels."""
    if operation < 0 or not entangled:
        return (operation,) * (operation >= 0)
    place, layer = name.split(f".{entangled[operation]}.")
    smaller = (larger_kernel(f"{place}.{other}.{layer}", entangled) == name for other in entangled)
    return operation, *(number for number, is_centre in enumerate(smaller) if is_centre)


@cache
def centres_of(network: NetworkConfig) -> tuple[Centre, ...]:
    """Return the kernels of the supernet that are the centre of larger ones; none where they are not entangled.

    >>> network = NetworkConfig(space="nas-bench-201", channels=4, cells=1, share_over="cell", entangle=True)
    >>> [(one.name, one.larger) for one in centres_of(network)][:1]
    [('cells.0.nor_conv_1x1.kernel', 'cells.0.nor_conv_3x3.kernel')]
    """
    if not network.entangle:
        return ()
    space = space_named(network.space, network.nodes)
    untangled = stacks_of(evolve(network, entangle=False))
    whole_of = {stack.names: stack for stack in untangled.values()}
    found = []
    for stack in untangled.values():
        wholes = tuple(larger_kernel(name, space.operations) or name for name in stack.names)
        if wholes != stack.names:
            larger, side = whole_of[wholes].name, kernel_side(stack.names[0])
            found.append(Centre(stack.name, stack.names, larger, wholes, side))
    return tuple(found)
