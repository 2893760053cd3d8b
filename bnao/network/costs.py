"""Cost of each operation, by arithmetic: what ``bnao.network.size`` adds up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attrs import frozen

from bnao.network.counting import own_parameters
from bnao.space.operations import own_operation


@frozen
class Cost:
    """Cost of an operation from C to C channels: convolution weights and the batch norms after them.

    Every weight multiplies once at each output pixel, so weights give parameters and multiply-adds alike.
    """

    weights: Callable[[int], int]
    norms: int


def _separable(kernel: int) -> Cost:
    return Cost(lambda c: 2 * (kernel * kernel * c + c * c), norms=2)


def _dilated(kernel: int) -> Cost:
    return Cost(lambda c: kernel * kernel * c + c * c, norms=1)


def _convolution(kernel: int) -> Cost:
    return Cost(lambda c: kernel * kernel * c * c, norms=1)


def _pair(length: int, norms: int) -> Cost:
    """Return the cost of 1 x length and length x 1 convolutions, with one norm after both or one after each."""
    return Cost(lambda c: 2 * length * c * c, norms)


FREE = Cost(lambda c: 0, norms=0)
FACTORIZED_REDUCE = Cost(lambda c: c * c, norms=1)

#: each operation at stride 1; that at stride 2 is the same but for the identity
COSTS: dict[str, Cost] = {
    "none": FREE,
    "skip_connect": FREE,
    **{f"{kind}_pool_{k}x{k}": FREE for kind in ("avg", "max") for k in (2, 3, 5)},
    **{f"sep_conv_{k}x{k}": _separable(k) for k in (3, 5, 7)},
    **{f"dil_conv_{k}x{k}": _dilated(k) for k in (3, 5)},
    **{f"nor_conv_{k}x{k}": _convolution(k) for k in (1, 3)},
    **{f"conv_{k}x{k}": _convolution(k) for k in (1, 3)},
    "conv_1x3_3x1": _pair(3, norms=2),
    "conv_1x7_7x1": _pair(7, norms=2),
    "conv_7x1_1x7": _pair(7, norms=1),
}


#: operations that are a row's convolution and then a column's, each of so many pixels
ROWS = {"conv_1x3_3x1": 3, "conv_1x7_7x1": 7, "conv_7x1_1x7": 7}


def cost_of(operation: str, strided: bool) -> Cost:
    """Return the cost of an operation; at stride 2 the identity is a factorized reduction.

    That of one's own operation has all its parameters as weights: it says nothing of multiply-adds.
    """
    if own := own_operation(operation):
        return Cost(partial(own_parameters, own), norms=0)
    return FACTORIZED_REDUCE if strided and operation == "skip_connect" else COSTS[operation]


def is_free(operation: str) -> bool:
    """Return whether an operation has no parameters at stride 1.

    >>> is_free("skip_connect"), is_free("sep_conv_3x3")
    (True, False)
    """
    cost = cost_of(operation, strided=False)
    return cost.weights(2) == 0 and cost.norms == 0
