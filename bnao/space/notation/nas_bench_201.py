"""NAS-Bench-201's strings, ``|operation~state|+|...|``."""

from __future__ import annotations

import re

from bnao.errors import GenotypeError
from bnao.space.genotype import Cell, Edge, Genotype, Node, shortened

_BENCH_EDGE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*~\s*(\d+)\s*")


def from_nas_bench_201(text: str) -> Genotype:
    """Read the one cell of a NAS-Bench-201 string."""
    nodes = []
    for index, part in enumerate(text.strip().split("+")):
        part = part.strip()
        if len(part) < 2 or part[0] != "|" or part[-1] != "|":
            raise GenotypeError(f"node {index} is {shortened(part)}; it must be '|operation~state|...|'")
        edges = []
        for edge in part[1:-1].split("|"):
            match = _BENCH_EDGE.fullmatch(edge)
            if match is None:
                raise GenotypeError(
                    f"node {index} has the edge {shortened(edge)}; an edge is 'operation~state', such as "
                    f"'skip_connect~0'"
                )
            edges.append(Edge(int(match[2][:9]), match[1]))
        nodes.append(Node(edges))
    return Genotype(Cell(nodes, inputs=1), output="last node")


def to_nas_bench_201(genotype: Genotype) -> str:
    """Return the NAS-Bench-201 string of a genotype of one cell.

    Raises:
        GenotypeError: it has two cells, or a cell of two inputs, which the notation cannot tell.

    >>> text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
    >>> to_nas_bench_201(from_nas_bench_201(text)) == text
    True
    """
    if len(genotype.cells) != 1 or genotype.normal.inputs != 1:
        raise GenotypeError(
            "a NAS-Bench-201 string describes one cell of one input; this genotype has "
            f"{len(genotype.cells)} cells of {genotype.normal.inputs} inputs"
        )
    nodes = ("|".join(f"{edge.operation}~{edge.source}" for edge in node.edges) for node in genotype.normal.nodes)
    return "+".join(f"|{node}|" for node in nodes)


# --- DARTS ----------------------------------------------------------------------------------------------------
