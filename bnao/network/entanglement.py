"""Kernels of a supernet that are the centre of larger ones (weight entanglement).

A smaller convolution of the same place trains, and computes with, the centre of the largest one's kernel: so both learn
at each other's steps (AutoFormer: Chen et al. 2021, arXiv 2107.00651). Their norms stay their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_CONVOLUTION = re.compile(r"((?:nor_|sep_|dil_)?conv_)(\d)x\2")
_KERNELS = ("kernel", "depthwise", "depthwise_1", "depthwise_2", "pointwise", "pointwise_1", "pointwise_2")


def larger_operation(operation: str, operations: Sequence[str]) -> str | None:
    """Return the largest convolution of the operation's kind, the centre of whose kernels it uses; None if it is that.

    >>> operations = ("nor_conv_1x1", "nor_conv_3x3", "sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3")
    >>> [larger_operation(operation, operations) for operation in operations]
    ['nor_conv_3x3', None, 'sep_conv_5x5', None, None]
    """
    match = _CONVOLUTION.fullmatch(operation)
    if match is None:
        return None
    alike = [other for other in operations if (of := _CONVOLUTION.fullmatch(other)) and of[1] == match[1]]
    largest = max(alike, key=lambda other: int(other[-1]))
    return None if largest[-1] == operation[-1] else largest


def larger_kernel(name: str, operations: Sequence[str]) -> str | None:
    """Return the name of the kernel whose centre a parameter of a supernet is; None for one that is its own.

    Args:
        name: canonical, of a supernet whose kernels are entangled.
        operations: of its space.

    >>> larger_kernel("cells.0.nodes.1.edges.0.nor_conv_1x1.kernel", ("nor_conv_1x1", "nor_conv_3x3"))
    'cells.0.nodes.1.edges.0.nor_conv_3x3.kernel'
    >>> larger_kernel("cells.0.nodes.1.edges.0.nor_conv_1x1.norm.scale", ("nor_conv_1x1", "nor_conv_3x3"))
    """
    parts = name.split(".")
    if parts[0] != "cells" or parts[-1] not in _KERNELS:
        return None
    for place, part in enumerate(parts):
        if part in operations and (larger := larger_operation(part, operations)):
            return ".".join([*parts[:place], larger, *parts[place + 1 :]])
    return None


def kernel_side(name: str) -> int:
    """Return the height and width of the kernel of that name.

    >>> kernel_side("cells.0.nodes.0.edges.0.sep_conv_3x3.source.0.depthwise_1")
    3
    >>> kernel_side("cells.0.nodes.0.edges.0.sep_conv_3x3.source.0.pointwise_1")
    1
    """
    *parts, layer = name.split(".")
    sides = [int(match[2]) for part in parts if (match := _CONVOLUTION.fullmatch(part))]
    return 1 if layer.startswith("pointwise") else sides[0]


def centre(kernel: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return the middle of a kernel (output, input, height, width), so many pixels high and wide.

    >>> centre(np.arange(9.0).reshape(1, 1, 3, 3), 1).item()
    4.0
    """
    margin = (kernel.shape[-1] - side) // 2
    return kernel[..., margin : margin + side, margin : margin + side]
