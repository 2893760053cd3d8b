"""Which genotypes are one network in different words: dead edges, identities and the order of nodes say nothing.

A cell is turned into the operations that it computes, each on a sum of inputs and of other operations: edges of
``none`` and what no way leads through are left out, an identity at stride 1 hands its sum on, and two poolings of one
sum are one. What is left is compared up to the names of its operations.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeAlias

from bnao.space.genotype import Cell, Genotype
from bnao.space.liveness import NONE

#: what draws are told apart by: their text, or what they compute
DISTINCT = ("text", "computed")

#: of a cell: its operations, each with the sum it reads, and the sums it gives out
Form: TypeAlias = tuple[tuple[tuple[str, tuple[int, ...]], ...], tuple[tuple[int, ...], ...]]

# orders of operations that look alike which are tried for the least form; with more, one form may have two
_MOST_ORDERS = 720
# rounds in which the operations' places are told apart
_REFINEMENTS = 3


@lru_cache(maxsize=200_000)
def computed_form(genotype: Genotype) -> tuple[Form, ...]:
    """Return what a genotype's cells compute: equal for two genotypes only if they are the same network.

    Weights are told apart: one convolution read twice is not two convolutions of the same state. That the nodes of a
    cell stand in another order in its output counts as the same, since what reads it has a weight for each channel.
    What an operation makes of zeros is taken as nothing.

    Args:
        genotype: with the space's rule of output, as ``SearchSpace.check`` and ``SearchSpace.decode`` give it.

    Returns:
        A form for each cell, which can be compared and hashed. Where more than six operations look alike, two forms
        of the same network may differ.

    >>> from bnao.space.spaces import SPACES
    >>> one = SPACES["nas-bench-201"].parse("0:none;0:nor_conv_3x3+1:none;0:none+1:nor_conv_1x1+2:skip_connect")
    >>> other = SPACES["nas-bench-201"].parse("0:nor_conv_3x3;0:none+1:none;0:none+1:skip_connect+2:avg_pool_3x3")
    >>> computed_form(one) == computed_form(other)  # both: one convolution of the input
    True
    """
    return tuple(_form(cell, genotype.output, halves=name == "reduction") for name, cell in genotype.named_cells)


def distinct_key(genotype: Genotype, distinct: str) -> object:
    """Return what a genotype is told apart by, under a choice of ``DISTINCT``."""
    return computed_form(genotype) if distinct == "computed" else genotype


def distinct_ones(genotypes: Sequence[Genotype], distinct: str) -> list[Genotype]:
    """Return the first of each that are not told apart, in order."""
    first: dict[object, Genotype] = {}
    for genotype in genotypes:
        first.setdefault(distinct_key(genotype, distinct), genotype)
    return list(first.values())


def _form(cell: Cell, output: str, halves: bool) -> Form:
    """Return a cell's form: the least of those that its operations' orders give."""
    labels, reads, sums = _operations(cell, halves)
    ends = [sums[state] for state in cell.outputs(output)]
    alive = _alive(reads, ends)
    colours = _colours(labels, reads, ends, alive)
    groups = [
        list(group) for _, group in itertools.groupby(sorted(alive, key=colours.__getitem__), colours.__getitem__)
    ]
    orders: Iterable[Sequence[Sequence[int]]] = [groups]
    if math.prod(math.factorial(len(group)) for group in groups) <= _MOST_ORDERS:
        orders = itertools.product(*(itertools.permutations(group) for group in groups))
    return min(_written(labels, reads, ends, list(itertools.chain(*order))) for order in orders)


def _operations(cell: Cell, halves: bool) -> tuple[list[str], list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the operations of a cell, the sum that each reads, and the sum that each state is.

    A sum lists its terms in order: -1 and -2 are the inputs 0 and 1, others are numbers of operations.
    """
    labels: list[str] = []
    reads: list[tuple[int, ...]] = []
    known: dict[tuple[str, tuple[int, ...]], int] = {}
    sums: list[tuple[int, ...]] = [(-1 - index,) for index in range(cell.inputs)]
    for node in cell.nodes:
        terms: list[int] = []
        for edge in node.edges:
            read, strided = sums[edge.source], halves and edge.source < cell.inputs
            if edge.operation == NONE or not read:
                continue
            if edge.operation == "skip_connect" and not strided:
                terms += read
                continue
            label = f"{edge.operation}/2" if strided else edge.operation
            # of one sum there is but one pooling
            place = known.get((label, read)) if "pool" in label else None
            if place is None:
                place = known[label, read] = len(labels)
                labels.append(label)
                reads.append(read)
            terms.append(place)
        sums.append(tuple(sorted(terms)))
    return labels, reads, sums


def _alive(reads: Sequence[tuple[int, ...]], ends: Sequence[tuple[int, ...]]) -> list[int]:
    """Return the operations that the output depends on, in order."""
    alive = {term for end in ends for term in end if term >= 0}
    for place in reversed(range(len(reads))):
        if place in alive:
            alive |= {term for term in reads[place] if term >= 0}
    return sorted(alive)


def _colours(
    labels: Sequence[str], reads: Sequence[tuple[int, ...]], ends: Sequence[tuple[int, ...]], alive: Sequence[int]
) -> dict[int, bytes]:
    """Return what tells the operations apart, whatever their numbers are: what they read and who reads them."""
    colours: dict[int, bytes] = {-1: b"input 0", -2: b"input 1"}
    for place in alive:  # an operation reads earlier ones only
        colours[place] = _digest(labels[place], sorted(colours[term] for term in reads[place]))
    for _ in range(_REFINEMENTS):
        readers: dict[int, list[object]] = {place: [] for place in alive}
        for kind, whole, own in [
            *(("operation", reads[place], colours[place]) for place in alive),
            *(("output", end, _digest(sorted(colours[term] for term in end))) for end in ends),
        ]:
            for term, times in Counter(whole).items():
                if term >= 0:
                    readers[term].append((kind, own, times))
        colours |= {place: _digest(colours[place], sorted(map(repr, readers[place]))) for place in alive}
        colours |= {place: _digest(colours[place], sorted(colours[term] for term in reads[place])) for place in alive}
    return colours


def _digest(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()


def _written(
    labels: Sequence[str], reads: Sequence[tuple[int, ...]], ends: Sequence[tuple[int, ...]], order: Sequence[int]
) -> Form:
    """Return the form in which the operations have the numbers of their places in the order."""
    number = {-1: -1, -2: -2} | {place: index for index, place in enumerate(order)}

    def renamed(terms: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(number[term] for term in terms))

    return tuple((labels[place], renamed(reads[place])) for place in order), tuple(sorted(map(renamed, ends)))
