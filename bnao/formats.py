"""Notations of a genotype, in and out: bnao's text form, the authors' integers, NAS-Bench-201's strings."""

from __future__ import annotations

import re

import numpy as np

from bnao.errors import GenotypeError
from bnao.genotype import Cell, Edge, Genotype, Node
from bnao.space import SearchSpace

_ORDINALS = ("first", "second", "third", "next")
_BENCH_EDGE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*~\s*(\d+)\s*")
_INTEGERS = re.compile(r"[\s,\[\]]*[-+]?\d+(?:[\s,\[\]]+[-+]?\d+)*[\s,\[\]]*")


def parse(text: str, space: SearchSpace) -> Genotype:
    """The genotype that a text means, whatever its notation; the notation is told by the text itself.

    Args:
        text: bnao's text form; the authors' integers (source, operation, source, operation for every
            node of the normal cell, then of the reduction cell), separated by blanks or commas; or a NAS-Bench-201
            string (``|operation~source|+|operation~source|operation~source|+...``).
        space: the space it must belong to.

    Raises:
        GenotypeError: none of these notations, or not a genotype of the space.

    >>> from bnao.space import SPACES
    >>> cell = "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0"
    >>> str(parse(f"{cell} {cell}", SPACES["nao"])).split(";")[0]
    '0:sep_conv_5x5+1:sep_conv_5x5'
    """
    if _INTEGERS.fullmatch(text):
        return _from_integers(text, space)
    if "~" in text:
        return space.check(_from_nas_bench_201(text))
    if ":" not in text:
        raise GenotypeError(
            f"{text.strip()[:60]!r} is no genotype; give '0:sep_conv_3x3+1:skip_connect;...|...' "
            f"or {space.length} integers"
        )
    return space.check(Genotype.parse(text))


def _from_integers(text: str, space: SearchSpace) -> Genotype:
    # ten characters tell a number that cannot be as well as thousands, which int() refuses
    numbers = [int(number[:10]) for number in re.findall(r"[-+]?\d+", text)]
    if len(numbers) != space.length:
        raise GenotypeError(
            f"{len(numbers)} integers; a genotype of space {space.name!r} with {space.nodes} nodes has {space.length}"
        )
    for place, number in enumerate(numbers):
        cell, index, part = np.unravel_index(place, (space.cells, len(space.places), 2))
        node, edge = space.places[index]
        allowed = range(len(space.operations)) if part else space.sources(node, edge)
        if number not in allowed:
            can = f"0..{allowed[-1]}" if len(allowed) > 1 else str(allowed[0])
            in_cell = "" if space.cells == 1 else f" in the {'reduction' if cell else 'normal'} cell"
            raise GenotypeError(
                f"integer {place} (the {_ORDINALS[min(edge, 3)]} {'operation' if part else 'state'} of node "
                f"{node}{in_cell}) is {number}; it can be {can}"
            )
    return space.decode(np.array(numbers))[0]


def to_integers(genotype: Genotype, space: SearchSpace) -> str:
    """The authors' integers of a genotype, separated by blanks.

    >>> from bnao.space import space_named
    >>> space = space_named("nao", 1)
    >>> to_integers(parse("0 1 1 4 0 0 1 3", space), space)
    '0 1 1 4 0 0 1 3'
    """
    return " ".join(str(number) for number in space.encode([genotype]).ravel())


def _from_nas_bench_201(text: str) -> Genotype:
    nodes = []
    for index, part in enumerate(text.strip().split("+")):
        part = part.strip()
        if len(part) < 2 or part[0] != "|" or part[-1] != "|":
            raise GenotypeError(f"node {index} is {part[:60]!r}; it must be '|operation~state|...|'")
        edges = []
        for edge in part[1:-1].split("|"):
            match = _BENCH_EDGE.fullmatch(edge)
            if match is None:
                raise GenotypeError(
                    f"node {index} has the edge {edge[:60]!r}; an edge is 'operation~state', such as 'skip_connect~0'"
                )
            edges.append(Edge(int(match[2][:9]), match[1]))
        nodes.append(Node(edges))
    return Genotype(Cell(nodes, inputs=1))


def to_nas_bench_201(genotype: Genotype) -> str:
    """The NAS-Bench-201 string of a genotype of one cell.

    Raises:
        GenotypeError: it has two cells, or a cell of two inputs, which the notation cannot tell.

    >>> from bnao.space import SPACES
    >>> text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
    >>> to_nas_bench_201(parse(text, SPACES["nas-bench-201"])) == text
    True
    """
    if len(genotype.cells) != 1 or genotype.normal.inputs != 1:
        raise GenotypeError(
            "a NAS-Bench-201 string tells one cell of one input; this genotype has "
            f"{len(genotype.cells)} and {genotype.normal.inputs}"
        )
    nodes = ("|".join(f"{edge.operation}~{edge.source}" for edge in node.edges) for node in genotype.normal.nodes)
    return "+".join(f"|{node}|" for node in nodes)
