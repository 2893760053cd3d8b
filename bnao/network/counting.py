"""Cost and parameters of an operation of one's own, counted along its walk (``bnao.space.operations``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from attrs import frozen

from bnao.errors import SpaceError
from bnao.space.operations import Operation

Shape = tuple[int, ...]
#: name of the place that an operation's parameters are named by here
_PLACE = "operation"


@frozen
class _State:
    """A state by its shape."""

    channels: int
    height: int
    width: int


class _Counter:
    """The layers of ``bnao.network.walk`` as the parameters and multiply-adds they have."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self.shapes: dict[str, Shape] = {}
        self.multiply_adds = 0

    def _held(self, name: str, shape: Shape) -> None:
        if not name.startswith(f"{_PLACE}."):
            raise _error(self._operation, f"names a parameter {name!r}; it must begin with the name it is given")
        if self.shapes.setdefault(name, shape) != shape:
            raise _error(
                self._operation, f"has two parameters called {name.removeprefix(_PLACE)[1:]!r} of other shapes"
            )

    def convolution(
        self,
        x: _State,
        name: str,
        channels: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        dilation: int = 1,
        depthwise: bool = False,
    ) -> _State:
        part = name.rpartition(".")[2]
        if part.startswith("depthwise") != depthwise:
            how = "depthwise" if depthwise else "not depthwise"
            raise _error(self._operation, f"calls a kernel {part!r} that is {how}; depthwise ones begin with depthwise")
        if depthwise and (channels != x.channels or kernel[0] != kernel[1] or stride[0] != stride[1]):
            raise _error(
                self._operation,
                f"has a depthwise convolution {part!r} of kernel {kernel}, stride {stride}, from {x.channels} to "
                f"{channels} channels; kernel and stride must be square, and the channels stay",
            )
        sides = zip((x.height, x.width), kernel, stride, strict=True)
        height, width = ((n + 2 * dilation * (k // 2) - dilation * (k - 1) - 1) // s + 1 for n, k, s in sides)
        shape = channels, 1 if depthwise else x.channels, *kernel
        self._held(name, shape)
        self.multiply_adds += math.prod(shape) * height * width
        return _State(channels, height, width)

    def norm(self, x: _State, name: str) -> _State:
        for part in ("scale", "shift"):
            self._held(f"{name}.{part}", (x.channels,))
        return x

    def relu(self, x: _State) -> _State:
        return x

    def average_pool(self, x: _State, kernel: int, stride: int) -> _State:
        return _State(x.channels, math.ceil(x.height / stride), math.ceil(x.width / stride))

    max_pool = average_pool

    def quarter(self, x: _State) -> _State:
        return self.average_pool(x, 2, 2)

    def shifted(self, x: _State) -> _State:
        return x

    def zeros(self, x: _State, stride: int) -> _State:
        return self.average_pool(x, 1, stride)

    def total(self, states: Sequence[_State]) -> _State:
        if len(set(states)) > 1:
            shapes = ", ".join(f"{s.channels}x{s.height}x{s.width}" for s in states)
            raise _error(self._operation, f"adds states of other shapes: {shapes}")
        return states[0]

    def joined(self, states: Sequence[_State]) -> _State:
        return _State(sum(state.channels for state in states), states[0].height, states[0].width)


def _error(operation: Operation, why: str) -> SpaceError:
    return SpaceError(f"operation {operation.name!r} {why}")


@lru_cache(maxsize=4096)
def _walked(operation: Operation, channels: int, size: tuple[int, int], stride: int) -> _Counter:
    counter = _Counter(operation)
    try:
        end = operation.walk(counter, _State(channels, *size), _PLACE, channels, stride)
    except (AttributeError, TypeError) as error:
        raise _error(operation, f"cannot be walked: {error}") from None
    wanted = _State(channels, math.ceil(size[0] / stride), math.ceil(size[1] / stride))
    if end != wanted:
        made = f"{end.channels}x{end.height}x{end.width}" if isinstance(end, _State) else repr(end)
        raise _error(
            operation,
            f"makes {made} of a state of {channels}x{size[0]}x{size[1]} at stride {stride}; it must make "
            f"{wanted.channels}x{wanted.height}x{wanted.width}",
        )
    return counter


def own_parts(operation: Operation) -> tuple[str, ...]:
    """Return the parts of an operation's parameters, in the order of its walk.

    Raises:
        SpaceError: its walk is not one that networks can be made of; see ``Operation``.
    """
    once, twice = (_walked(operation, 8, (9, 8), stride).shapes for stride in (1, 2))
    if once != twice:
        differ = sorted({name.removeprefix(f"{_PLACE}.") for name, _ in set(once.items()) ^ set(twice.items())})
        raise _error(operation, f"has other parameters at stride 2 than at stride 1 ({', '.join(differ)})")
    return tuple(name.removeprefix(f"{_PLACE}.") for name in once)


def own_parameters(operation: Operation, channels: int) -> int:
    """Return the parameters of an operation from so many channels to as many."""
    return sum(math.prod(shape) for shape in _walked(operation, channels, (8, 8), 1).shapes.values())


def own_count(operation: Operation, channels: int, size: tuple[int, int], stride: int, multiply_adds: bool) -> int:
    """Return the multiply-adds of an operation on a state of this height and width, or its parameters.

    >>> def convolution(layers, x, name, channels, stride):
    ...     return layers.convolution(x, f"{name}.kernel", channels, (3, 3), stride=(stride, stride))
    >>> operation = Operation("my_conv_3x3", convolution)
    >>> [own_count(operation, 4, (8, 8), 2, multiply_adds) for multiply_adds in (False, True)]
    [144, 2304]
    """
    return (
        _walked(operation, channels, size, stride).multiply_adds
        if multiply_adds
        else own_parameters(operation, channels)
    )
