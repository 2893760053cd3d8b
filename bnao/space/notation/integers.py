"""Integers: the space's own, the authors' of both versions, and ENAS' arcs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from bnao.errors import GenotypeError
from bnao.space.genotype import Genotype
from bnao.space.spaces import SPACES, SearchSpace

_ORDINALS = ("first", "second", "third", "next")
#: the number that NAO's first version gives the first operation of a space; the others follow
_FIRST_VERSION = {"nao": 0, "nao-large": 5}


# --- integers -------------------------------------------------------------------------------------------------


def _integers_of(text: str) -> list[int]:
    # ten characters tell a number that cannot be as well as thousands, which int() refuses
    return [int(number[:10]) for number in re.findall(r"[-+]?\d+", text)]


def from_integers(text: str, space: SearchSpace) -> Genotype:
    """Read source and operation of every edge of the normal, then of the reduction cell, as the space's numbers."""
    return _from_numbers(_integers_of(text), space)


def _from_numbers(numbers: Sequence[int], space: SearchSpace, first: int = 0) -> Genotype:
    """Return the genotype of integers whose operations are counted from ``first`` on."""
    if len(numbers) != space.length:
        raise GenotypeError(
            f"{len(numbers)} integers; a genotype of space {space.name!r} with {space.nodes} nodes has {space.length}"
        )
    for place, number in enumerate(numbers):
        cell, index, part = np.unravel_index(place, (space.cells, len(space.places), 2))
        node, edge = space.places[index]
        allowed = range(first, first + len(space.operations)) if part else space.sources(node, edge)
        if number not in allowed:
            can = f"{allowed[0]}..{allowed[-1]}" if len(allowed) > 1 else str(allowed[0])
            in_cell = "" if space.cells == 1 else f" in the {'reduction' if cell else 'normal'} cell"
            raise GenotypeError(
                f"integer {place} (the {_ORDINALS[min(edge, 3)]} {'operation' if part else 'state'} of node "
                f"{node}{in_cell}) is {number}; it can be {can}"
            )
    integers = np.array(numbers).reshape(-1, 2) - np.array([0, first])
    return space.decode(integers)[0]


def to_integers(genotype: Genotype, space: SearchSpace) -> str:
    """Return the integers of a genotype, separated by blanks.

    >>> from bnao.space.spaces import space_named
    >>> space = space_named("nao", 1)
    >>> to_integers(from_integers("0 1 1 4 0 0 1 3", space), space)
    '0 1 1 4 0 0 1 3'
    """
    return " ".join(str(number) for number in space.encode([genotype]).ravel())


def first_version_space(text: str) -> SearchSpace:
    """Return the space of integers of NAO's first version: 0..4 are operations of the small one, 5..15 of the large.

    Raises:
        GenotypeError: numbers of both.
    """
    operations = set(_integers_of(text)[1::2]) or {0}
    large = [number >= _FIRST_VERSION["nao-large"] for number in operations]
    if any(large) and not all(large):
        raise GenotypeError(
            f"operations {min(operations)} and {max(operations)} of NAO's first version stand in one genotype; "
            f"0..4 are those of space 'nao' and 5..15 those of 'nao-large'"
        )
    return SPACES["nao-large" if all(large) else "nao"]


def _first_number(space: SearchSpace) -> int:
    if space.name not in _FIRST_VERSION:
        raise GenotypeError(
            f"space {space.name!r} has no numbers in NAO's first version; {' and '.join(_FIRST_VERSION)} have"
        )
    return _FIRST_VERSION[space.name]


def from_first_version(text: str, space: SearchSpace) -> Genotype:
    """Read what ``from_integers`` does, from the integers of NAO's first version.

    >>> from bnao.space.spaces import space_named
    >>> text = "0 7 1 15 0 5 0 5"
    >>> str(from_first_version(text, space_named("nao-large", 1)))
    '0:conv_3x3+1:avg_pool_5x5|0:skip_connect+0:skip_connect'
    """
    return _from_numbers(_integers_of(text), space, _first_number(space))


def to_first_version(genotype: Genotype, space: SearchSpace) -> str:
    """Return the integers of NAO's first version.

    Raises:
        GenotypeError: the space has no numbers there.
    """
    integers = space.encode([genotype]).reshape(-1, 2) + np.array([0, _first_number(space)])
    return " ".join(map(str, integers.ravel().tolist()))


def to_arcs(genotype: Genotype, space: SearchSpace) -> str:
    """Return ENAS' arcs: the integers of each cell in brackets.

    Raises:
        GenotypeError: an operation that ENAS has no number for.

    >>> from bnao.space.spaces import space_named
    >>> space = space_named("nao", 1)
    >>> to_arcs(from_integers("0 1 1 4 0 0 1 3", space), space)
    '[0 1 1 4] [0 0 1 3]'
    """
    number = _numbers(genotype, SPACES["nao"].operations, "ENAS")
    cells = (
        " ".join(f"{edge.source} {number[edge.operation]}" for node in cell.nodes for edge in node.edges)
        for cell in genotype.cells
    )
    return " ".join(f"[{cell}]" for cell in cells)


def to_authors_integers(genotype: Genotype, space: SearchSpace) -> str:
    """Return the authors' integers (second version).

    Raises:
        GenotypeError: an operation that they have no number for.
    """
    known = SPACES["nao-large" if space.name == "nao-large" else "nao"]
    _numbers(genotype, known.operations, "the authors' notation")
    return to_integers(genotype, space)


def _numbers(genotype: Genotype, operations: Sequence[str], whose: str) -> Mapping[str, int]:
    """Return the number of each operation; raises GenotypeError where an edge's has none."""
    check_two_cells(genotype, whose)
    for name, cell in genotype.named_cells:
        for index, node in enumerate(cell.nodes):
            for edge in node.edges:
                if edge.operation not in operations:
                    raise GenotypeError(
                        f"node {index} of the {name} cell has the operation {edge.operation!r}, for which {whose} has "
                        f"no number; it numbers {', '.join(operations)}"
                    )
    return {operation: number for number, operation in enumerate(operations)}


def check_two_cells(genotype: Genotype, whose: str) -> None:
    if genotype.reduction is None:
        raise GenotypeError(f"a genotype of one cell; {whose} writes a normal and a reduction cell of two inputs each")


# --- NAS-Bench-201 --------------------------------------------------------------------------------------------
