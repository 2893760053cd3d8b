"""The stack that repeats a genotype's cells: 3N + 2 places, two of which halve the image and double the channels.

In the space ``nas-bench-201`` a residual block stands at these two, else a reduction cell.
"""

from __future__ import annotations

from attrs import frozen

from bnao.config.settings import NetworkConfig, width
from bnao.space.spaces import Rules, space_named


@frozen
class Position:
    """One cell's place in the stack.

    Attributes:
        index: 0 .. 3N + 1.
        channels: channels of the cell's nodes.
        reduction: whether it is the reduction cell, which halves the image.
        after_reduction: whether state 0 is twice as large as state 1 and needs a factorized reduce.
        size: (height, width) of the cell's output, pixels.
        input_size: (height, width) of state 1.
    """

    index: int
    channels: int
    reduction: bool
    after_reduction: bool
    size: tuple[int, int]
    input_size: tuple[int, int]


def halved(size: tuple[int, int]) -> tuple[int, int]:
    """Return the image size after a stride of 2, an odd size rounded up.

    >>> halved((14, 7))
    (7, 4)
    """
    height, width = size
    return (height + 1) // 2, (width + 1) // 2


def stem_sizes(network: NetworkConfig) -> tuple[tuple[int, int], ...]:
    """Return (height, width) after each convolution of the stem, one for CIFAR and three for ImageNet."""
    height, width, _ = network.image
    if network.network == "cifar":
        return ((height, width),)
    first = halved((height, width))
    return first, halved(first), halved(halved(first))


def stem_channels(network: NetworkConfig) -> tuple[int, ...]:
    """Return the channels after each convolution of the stem.

    >>> stem_channels(NetworkConfig(channels=20)), stem_channels(NetworkConfig(channels=52, network="imagenet"))
    ((60,), (26, 52, 52))
    """
    c = width(network)
    if network.network == "imagenet":
        return c // 2, c, c
    return (c,) if rules(network).residual else (3 * c,)


def rules(network: NetworkConfig) -> Rules:
    """Return the rules of the network's space.

    Raises:
        GenotypeError: no such space.

    >>> rules(NetworkConfig(space="darts")).output
    'nodes'
    """
    return space_named(network.space).rules


def stack(network: NetworkConfig) -> list[Position]:
    """Return the cells of the network from first to last.

    >>> [(cell.channels, cell.size) for cell in stack(NetworkConfig(channels=8, cells=1))]
    [(8, (32, 32)), (16, (16, 16)), (16, (16, 16)), (32, (8, 8)), (32, (8, 8))]
    """
    n = network.cells
    channels, size = width(network), stem_sizes(network)[-1]
    # ImageNet's state 0 leaves the stem one halving before state 1
    after_reduction = network.network == "imagenet"
    cells = []
    for index in range(3 * n + 2):
        reduction = index in (n, 2 * n + 1)
        input_size = size
        if reduction:
            channels, size = 2 * channels, halved(size)
        cells.append(Position(index, channels, reduction, after_reduction, size, input_size))
        after_reduction = reduction
    return cells
