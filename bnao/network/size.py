"""Exact size of architectures, without building them (the size of Sec. 4).

A cell's cost depends only on how often each operation stands in it and on its loose ends, so a whole pool is
counted at once by arithmetic on arrays.
"""

from __future__ import annotations

import reprlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import overload

import numpy as np
from attrs import astuple, evolve, frozen
from numpy.typing import NDArray

from bnao.config.bounds import (
    MOST_CHANNELS,
)
from bnao.config.settings import (
    AUTO,
    NetworkConfig,
)
from bnao.errors import ConfigError, GenotypeError
from bnao.network.costs import COSTS as COSTS
from bnao.network.costs import FACTORIZED_REDUCE, ROWS, Cost, cost_of
from bnao.network.costs import FREE as FREE
from bnao.network.counting import own_count
from bnao.network.stack import Position, stack, stem_channels, stem_sizes
from bnao.space.genotype import Genotype
from bnao.space.liveness import Flow, Mask, flow, output_states
from bnao.space.operations import own_operation
from bnao.space.spaces import SearchSpace, space_named

#: int64, or Python's own whole numbers (dtype object) where int64 could be too narrow
Ints = NDArray[np.int64]

_MOST_INT64 = int(np.iinfo(np.int64).max)


@frozen(eq=False)
class _Counts:
    """What of a pool's cells at one place matters to size, arrays of shape (n, ...)."""

    operations: Ints  # (n, operations): edges with that operation at stride 1
    strided: Ints  # (n, operations): edges with that operation on a cell input
    outputs: Ints  # (n,): states that are concatenated
    output_inputs: Ints  # (n,): cell inputs among them that are counted
    inputs: Ints  # (n, inputs): 1 where the fitting of an input is counted, else 0
    fed_outputs: Ints  # (n,): states among the outputs that count as input channels of what reads them

    def exact(self) -> _Counts:
        """The same as Python's whole numbers, whose products have no bound."""
        return _Counts(*(each.astype(object) for each in astuple(self, recurse=False)))


def _counts(cells: Ints, space: SearchSpace) -> _Counts:
    """Count all there is in cells of shape (n, nodes, edges, 2)."""
    edges = cells.reshape(len(cells), len(space.places), 2)
    output = output_states(edges, space)
    return _counted_edges(
        edges, np.ones(edges.shape[:2], dtype=bool), space, output, output,
        np.ones((len(cells), space.inputs), dtype=np.int64),
    )  # fmt: skip


def _counted_edges(
    edges: Ints, live: Mask, space: SearchSpace, output: Mask, fed_output: Mask, inputs: Ints
) -> _Counts:
    """Count the edges that are live, shape (n, places), and the states of the output that are fed."""
    on_input = edges[..., 0] < space.inputs
    by_operation = np.zeros((len(edges), 2, len(space.operations)), dtype=np.int64)
    np.add.at(by_operation, (np.arange(len(edges))[:, None], on_input.astype(np.intp), edges[..., 1]), live)
    return _Counts(
        operations=by_operation[:, 0],
        strided=by_operation[:, 1],
        outputs=output.sum(1),
        output_inputs=fed_output[:, : space.inputs].sum(1),
        inputs=inputs,
        fed_outputs=fed_output.sum(1),
    )


def _live_counts(kinds: Sequence[Flow], space: SearchSpace, network: NetworkConfig) -> list[_Counts]:
    """Count at every place of the stack what carries something of the image to the classifier.

    Args:
        kinds: of the cells of each kind.
        space, network: of the cells.
    """
    places = stack(network)
    n = len(kinds[0].sources)
    at = [kinds[place.reduction] for place in places]
    # forwards: the image comes with both inputs, and a cell's output carries it on if a state of it does
    carried: list[Mask] = [np.ones(n, dtype=bool)] * 2
    fed: list[Mask] = []
    for cell in at:
        inputs = np.stack(carried[-2:], axis=1)
        fed.append(cell.fed(inputs))
        carried.append(np.any(fed[-1] & cell.outputs, axis=1, keepdims=False))
    # backwards: the classifier reads the last output, and a cell that is read reads what its own output depends on
    read = np.zeros((len(places) + 2, n), dtype=bool)
    read[-1] = True
    counts = []
    for index in reversed(range(len(places))):
        cell, wanted = at[index], read[index + 2][:, None]
        needed = wanted & cell.passed & fed[index][:, : space.inputs]
        read[index] |= needed[:, 0]
        read[index + 1] |= needed[:, 1]
        edges = np.stack([cell.sources, cell.operations], axis=-1)
        counts.append(
            _counted_edges(
                edges, wanted & cell.live_edges(fed[index], space), space, cell.outputs,
                wanted & cell.outputs & fed[index], needed.astype(np.int64),
            )
        )  # fmt: skip
    return counts[::-1]


@overload
def count_parameters(genotypes: Genotype, network: NetworkConfig, *, live: bool = False) -> int: ...
@overload
def count_parameters(genotypes: Sequence[Genotype], network: NetworkConfig, *, live: bool = False) -> Ints: ...
def count_parameters(
    genotypes: Genotype | Sequence[Genotype], network: NetworkConfig, *, live: bool = False
) -> int | Ints:
    """Trainable parameters of the stand-alone network, auxiliary head excluded: ``size(x)`` of Eq. 3.

    Args:
        genotypes: one, or a sequence of n.
        network: channels C, cells N, classes and image; its space says what the genotypes are.
        live: count of the cells only what carries something of the image to the classifier. An edge is dead where
            nothing but ``none`` leads to it, or from it to the output; the fitting of an input is, where no node reads
            it and it is not given out; and a cell is, where no later cell reads it. What stands around the cells
            (stem, residual blocks, classifier) always counts. In ``nao`` and ``nao-large`` nothing can be dead.

    Returns:
        An int for one genotype, else shape (n,), int64; of dtype object, and as exact, if a count is beyond int64.

    Raises:
        GenotypeError: a genotype of another space, or something else than genotypes.

    >>> from bnao.space.notation.notations import parse
    >>> from bnao.space.spaces import SPACES
    >>> published = parse(
    ...     "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1", SPACES["nao"])
    >>> count_parameters(published, NetworkConfig(channels=36, cells=6))
    4387654
    >>> cell = parse("|none~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|", SPACES["nas-bench-201"])
    >>> network = NetworkConfig(space="nas-bench-201", channels=16, cells=5)
    >>> count_parameters(cell, network), count_parameters(cell, network, live=True)  # 73,306 lie around the cells
    (344346, 73306)
    """
    return _counted(genotypes, network, per_pixel=False, live=live)


@overload
def count_multiply_adds(genotypes: Genotype, network: NetworkConfig, *, live: bool = False) -> int: ...
@overload
def count_multiply_adds(genotypes: Sequence[Genotype], network: NetworkConfig, *, live: bool = False) -> Ints: ...
def count_multiply_adds(
    genotypes: Genotype | Sequence[Genotype], network: NetworkConfig, *, live: bool = False
) -> int | Ints:
    """Multiply-adds of one image's forward pass, convolutions and linear layers, one for each product.

    Args and errors as for ``parameters``; the auxiliary head, norms and pooling are not counted.

    >>> from bnao.space.notation.notations import parse
    >>> from bnao.space.spaces import SPACES
    >>> published = parse(
    ...     "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1", SPACES["nao"])
    >>> network = NetworkConfig(
    ...     channels=44, cells=4, network="imagenet", classes=1000, image=(224, 224, 3))
    >>> round(count_multiply_adds(published, network) / 1e6, 2)
    570.13
    """
    return _counted(genotypes, network, per_pixel=True, live=live)


def _counted(
    genotypes: Genotype | Sequence[Genotype], network: NetworkConfig, per_pixel: bool, live: bool
) -> int | Ints:
    given: object = network
    if not isinstance(given, NetworkConfig):
        raise ConfigError(f"network is {reprlib.repr(given)}; give a bnao.NetworkConfig")
    if isinstance(genotypes, Genotype):
        return int(_total([genotypes], network, per_pixel, live)[0])
    _check_are_genotypes(genotypes)
    return _total(genotypes, network, per_pixel, live)


def _check_are_genotypes(given: object) -> None:
    right = "give a bnao.Genotype or a sequence of them; bnao.parse(text) makes one of a text, or of a published name"
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise GenotypeError(f"genotypes is {reprlib.repr(given)}, of type {type(given).__name__}; {right}")
    for index, each in enumerate(given):
        if not isinstance(each, Genotype):
            raise GenotypeError(f"genotypes[{index}] is {reprlib.repr(each)}, of type {type(each).__name__}; {right}")


def _total(genotypes: Sequence[Genotype], network: NetworkConfig, per_pixel: bool, live: bool) -> Ints:
    space = space_named(network.space, network.nodes)
    rows = space.encode(genotypes)
    kinds = [rows[:, number] for number in range(space.cells)]
    if live and space.can_be_dead:
        flows = [flow(kind, space) for kind in kinds]
        if space.rules.residual:
            counts = [_live_counts_of_one_cell(flows[0], space)]
        else:
            counts = _live_counts(flows, space, network)
    else:
        counts = [_counts(kind, space) for kind in kinds]
        if not space.rules.residual:
            counts = [counts[place.reduction] for place in stack(network)]
    summed = _sum_of_one_cell if space.rules.residual else _sum_of_two_cells
    if _most(network, per_pixel) <= _MOST_INT64:
        return summed(counts, space, network, per_pixel)
    exact = summed([each.exact() for each in counts], space, network, per_pixel)
    return exact.astype(np.int64) if all(count <= _MOST_INT64 for count in exact) else exact


@lru_cache(maxsize=256)
def _most(network: NetworkConfig, per_pixel: bool) -> int:
    """Return an upper bound for any genotype: every operation on each edge, and all states as outputs."""
    space = space_named(network.space, network.nodes)
    each = np.full((1, len(space.operations)), len(space.places), dtype=object)
    states, inputs = (np.full(1, n, dtype=object) for n in (space.inputs + space.nodes, space.inputs))
    ones = np.ones((1, 2), dtype=object)
    counts = [_Counts(each, each, states, inputs, ones, states)]
    if space.rules.residual:
        return int(_sum_of_one_cell(counts, space, network, per_pixel)[0])
    return int(_sum_of_two_cells(counts * (3 * network.cells + 2), space, network, per_pixel)[0])


def _sum_of_two_cells(counts: Sequence[_Counts], space: SearchSpace, network: NetworkConfig, per_pixel: bool) -> Ints:
    """Add up the counts at each place of the stack, the stem and the classifier."""
    convolution = _per_pixel if per_pixel else _once
    total = np.zeros_like(counts[0].outputs)
    previous = network.image[2]
    for channels, size in zip(stem_channels(network), stem_sizes(network), strict=True):
        total += convolution(9 * previous * channels, channels, size)
        previous = channels
    before = last = np.full_like(total, previous)
    fed_before, fed_last = before, last  # channels that carry something of the image
    always = space.rules.always_fits
    for cell, kind in zip(stack(network), counts, strict=True):
        c = cell.channels
        # inputs are fitted to c channels, at the size of state 1, before the cell
        for number, state, fed, fits in (
            (0, before, fed_before, always | cell.after_reduction | (before != c)),
            (1, last, fed_last, always | (last != c)),
        ):
            fitted = np.where(fits, kind.inputs[:, number], np.zeros_like(state))
            total += convolution(fitted * fed * c, fitted * c, cell.input_size)
        for number, operation in enumerate(space.operations):
            for on_input, edges in ((False, kind.operations), (True, kind.strided)):
                strided = cell.reduction and on_input
                n = edges[:, number]
                if own := own_operation(operation):
                    stride, size = (2, cell.input_size) if strided else (1, cell.size)
                    total += n * own_count(own, c, size, stride, per_pixel)
                    continue
                cost = cost_of(operation, strided)
                total += convolution(n * cost.weights(c), n * cost.norms * c, cell.size)
                if strided and per_pixel and operation in ROWS:
                    # the row's convolution halves the width alone
                    more = (cell.input_size[0] - cell.size[0]) * cell.size[1]
                    total += n * ROWS[operation] * c * c * more
        if cell.reduction:
            n, reduce = kind.output_inputs, FACTORIZED_REDUCE
            total += convolution(n * reduce.weights(c), n * reduce.norms * c, cell.size)
        before, last = last, c * kind.outputs
        fed_before, fed_last = fed_last, c * kind.fed_outputs
    # the classifier: one weight for each feature and class, and a bias
    return total + last * network.classes + (0 if per_pixel else network.classes)


def _once(weights: Ints | int, norm_channels: Ints | int, size: tuple[int, int]) -> Ints | int:
    """Return the parameters of a convolution and the norm after it."""
    return weights + 2 * norm_channels


def _per_pixel(weights: Ints | int, norm_channels: Ints | int, size: tuple[int, int]) -> Ints | int:
    """Return the multiply-adds of a convolution at so many output pixels."""
    return weights * (size[0] * size[1])


def _live_counts_of_one_cell(cell: Flow, space: SearchSpace) -> _Counts:
    """As ``_live_counts``, where all cells are alike: one that passes nothing on leaves none alive."""
    reached = cell.passed
    edges = np.stack([cell.sources, cell.operations], axis=-1)
    live = cell.live_edges(cell.fed(reached), space)
    return _counted_edges(edges, live, space, cell.outputs, cell.outputs, reached.astype(np.int64))


def _sum_of_one_cell(counts: Sequence[_Counts], space: SearchSpace, network: NetworkConfig, per_pixel: bool) -> Ints:
    """The rules of NAS-Bench-201: residual blocks between the stacks, a norm in front of the classifier.

    At C = 16, N = 5 on CIFAR-10: 73,306 parameters, 243,040 more for each nor_conv_3x3 and 28,000 for each
    nor_conv_1x1.
    """
    convolution = _per_pixel if per_pixel else _once
    (cells,) = counts
    edges = cells.operations + cells.strided
    total = np.full_like(cells.outputs, _around_one_cell(network, per_pixel))
    for cell in stack(network):
        if cell.reduction:
            continue
        for number, operation in enumerate(space.operations):
            n = edges[:, number]
            if own := own_operation(operation):
                total += n * own_count(own, cell.channels, cell.size, 1, per_pixel)
                continue
            cost = COSTS[operation]
            total += convolution(n * cost.weights(cell.channels), n * cost.norms * cell.channels, cell.size)
    return total


def _around_one_cell(network: NetworkConfig, per_pixel: bool) -> int:
    """Return the cost of stem, residual blocks and head of NAS-Bench-201's network."""
    convolution = _per_pixel if per_pixel else _once
    total: Ints | int = 0
    c = network.image[2]
    for channels, size in zip(stem_channels(network), stem_sizes(network), strict=True):
        total += convolution(9 * c * channels, channels, size)
        c = channels
    for cell in stack(network):
        if cell.reduction:
            total += convolution(9 * c * cell.channels, cell.channels, cell.size)
            total += convolution(9 * cell.channels**2, cell.channels, cell.size)
            total += convolution(c * cell.channels, 0, cell.size)
            c = cell.channels
    # the last norm, and the classifier's weights and biases
    return int(total) + c * network.classes + (0 if per_pixel else 2 * c + network.classes)


def supernet_parameters(network: NetworkConfig) -> int:
    """Count the trainable parameters of the supernet: every operation for every possible source of each edge.

    >>> supernet_parameters(NetworkConfig(channels=20, cells=3))
    7387350
    """
    space = space_named(network.space, network.nodes)
    if space.rules.residual:
        held = sum(
            len(space.places) * (cost.weights(cell.channels) + 2 * cost.norms * cell.channels)
            for cell in stack(network)
            for cost in (cost_of(operation, strided=False) for operation in space.operations)
            if not cell.reduction
        )
        return _around_one_cell(network, per_pixel=False) + held
    total, previous = 0, network.image[2]
    for channels in stem_channels(network):
        total += 9 * previous * channels + 2 * channels
        previous = channels
    before = last = previous
    for cell in stack(network):
        total += _supernet_cell(cell, before, last, space)
        before, last = last, cell.channels * (1 if space.rules.mixes else space.nodes)
    return total + last * network.classes + network.classes


def _supernet_cell(cell: Position, before: int, last: int, space: SearchSpace) -> int:
    c, rules = cell.channels, space.rules
    total = before * c + 2 * c if rules.always_fits or cell.after_reduction or before != c else 0
    total += last * c + 2 * c if rules.always_fits or last != c else 0

    def held(cost: Cost) -> int:
        return cost.weights(c) + 2 * cost.norms * c

    for node in range(space.nodes):
        for source in range(space.inputs + node):
            strided = cell.reduction and source < space.inputs
            total += space.edges * sum(held(cost_of(operation, strided)) for operation in space.operations)
    if not rules.mixes:
        return total
    inputs = space.inputs if rules.output == "loose ends" else 0
    if cell.reduction:
        total += inputs * held(FACTORIZED_REDUCE)
    # the output: a slice of a 1x1 convolution for every state, and one norm
    return total + (inputs + space.nodes) * c * c + 2 * c


# the widths that a budget is held against; the widest needs more multiply-adds than any network that is trained
_WIDTHS = range(2, MOST_CHANNELS + 1)


def within_budget(genotype: Genotype, network: NetworkConfig, budget: int | None) -> NetworkConfig:
    """Return the network's settings for one genotype, whose multiply-adds keep a budget.

    Args:
        genotype: the architecture.
        network: with classes and image; where its channels are ``auto`` they become the most that keep the budget.
        budget: multiply-adds of one image; None: any number, if the channels are given.

    Raises:
        ConfigError: the network is larger than the budget, at its channels or at any, or nothing decides its channels.

    >>> from bnao.space.notation.notations import parse
    >>> from bnao.space.spaces import SPACES
    >>> published = parse(
    ...     "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1", SPACES["nao"])
    >>> mobile = NetworkConfig(channels=0, cells=4, network="imagenet", classes=1000, image=(224, 224, 3))
    >>> within_budget(published, mobile, 600_000_000).channels
    45
    """
    if network.channels != AUTO:
        needed = count_multiply_adds(genotype, network)
        if budget is not None and needed > budget:
            raise ConfigError(
                f"with {network.channels} channels {genotype} has {needed:,} multiply-adds, and max_multiply_adds is "
                f"{budget:,}; --channels auto takes as many as keep it"
            )
        return network
    if budget is None:
        raise ConfigError("channels is auto; say how large a network may be, such as --max-multiply-adds 600M")

    # every product grows with the channels, so the widths are in the order of what they need
    def needed_at(channels: int) -> int:
        return count_multiply_adds(genotype, evolve(network, channels=channels))

    place = bisect_right(_WIDTHS, budget, key=needed_at)
    if not place:
        raise ConfigError(
            f"max_multiply_adds is {budget:,}, but even with {_WIDTHS[0]} channels {genotype} has "
            f"{needed_at(_WIDTHS[0]):,} multiply-adds"
        )
    return evolve(network, channels=_WIDTHS[place - 1])


def _live_parameters(genotypes: Sequence[Genotype], network: NetworkConfig) -> Ints:
    return count_parameters(genotypes, network, live=True)


def _live_multiply_adds(genotypes: Sequence[Genotype], network: NetworkConfig) -> Ints:
    return count_multiply_adds(genotypes, network, live=True)


#: what ``--size`` may name
SIZES: dict[str, Callable[[Sequence[Genotype], NetworkConfig], Ints]] = {
    "parameters": count_parameters,
    "multiply-adds": count_multiply_adds,
    "live-parameters": _live_parameters,
    "live-multiply-adds": _live_multiply_adds,
}
