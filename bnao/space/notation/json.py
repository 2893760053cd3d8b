"""Genotypes as JSON."""

from __future__ import annotations

import json
from typing import Any

from bnao.config.plugins import is_own_space
from bnao.errors import GenotypeError
from bnao.files import parse_json
from bnao.space.genotype import Cell, Edge, Genotype, Node, shortened
from bnao.space.spaces import SPACES, SearchSpace, space_named

#: the version of the JSON
FORMAT = 1


def to_json(genotype: Genotype, space: SearchSpace) -> str:
    """Return one self-contained line of JSON: format version, space, output rule and each cell's edges.

    >>> from bnao.space.notation.integers import from_integers
    >>> print(to_json(from_integers("0 0 1 4 0 1 0 4", space_named("nao", 1)), space_named("nao", 1)))
    {"format": 1, "space": "nao", "output": "loose ends", "normal": [[[0, "sep_conv_3x3"], [1, "skip_connect"]]], \
"reduction": [[[0, "sep_conv_5x5"], [0, "skip_connect"]]]}
    """
    cells = {
        name or "normal": [[[edge.source, edge.operation] for edge in node.edges] for node in cell.nodes]
        for name, cell in genotype.named_cells
    }
    return json.dumps({"format": FORMAT, "space": space.name, "output": space.rules.output, **cells})


def from_json(text: str) -> tuple[Genotype, SearchSpace]:
    """Read the genotype and the space of the JSON.

    Raises:
        GenotypeError: it is none, or of a format, space or output that is not known.
    """
    try:
        content = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise GenotypeError(f"the JSON cannot be read: {str(error)[:60]}") from None
    if not isinstance(content, dict):
        raise GenotypeError(
            "the JSON is not an object; it must be an object with format, space, output, normal, reduction"
        )
    if content.get("format", FORMAT) != FORMAT or isinstance(content.get("format"), bool):
        raise GenotypeError(f"the JSON has format {content['format']!r:.20}; this version of bnao reads {FORMAT}")
    for name in ("format", "space", "normal"):
        if name not in content:
            raise GenotypeError(f"the JSON has no {name!r}; it must have format, space, output, normal and reduction")
    name = content["space"]
    if not isinstance(name, str) or not (name in SPACES or is_own_space(name)):
        raise GenotypeError(f"the JSON is of space {shortened(str(name))}; there is {', '.join(SPACES)}")
    known = space_named(name)
    if content.get("output", known.rules.output) != known.rules.output:
        raise GenotypeError(
            f"the JSON's output is {shortened(str(content['output']))}; in space {name!r} it is {known.rules.output!r}"
        )
    cells = [
        _json_cell(part, content[part], known.inputs)
        for part in ("normal", "reduction")
        if content.get(part) is not None
    ]
    space = space_named(name, len(cells[0].nodes))
    return space.genotype_of(*cells), space


def _json_cell(name: str, content: Any, inputs: int) -> Cell:
    if not isinstance(content, list) or not all(isinstance(node, list) for node in content):
        raise GenotypeError(f"the JSON's {name} is not a list of nodes; a node is a list of [state, operation]")
    if len(content) > 64:
        raise GenotypeError(f"the JSON's {name} has {len(content)} nodes; a cell has at most 64")
    nodes = []
    for index, node in enumerate(content):
        edges = []
        for edge in node:
            match edge:
                case [int(source), str(operation)] if not isinstance(source, bool):
                    edges.append(Edge(max(-1, min(source, 10**9)), operation))  # more cannot be, and is long to tell
                case _:
                    raise GenotypeError(
                        f"the JSON's {name}, node {index}: {shortened(str(edge))} is not an edge; it is "
                        f'[state, operation], such as [0, "sep_conv_3x3"]'
                    )
        nodes.append(Node(edges))
    try:
        return Cell(nodes, inputs)
    except GenotypeError as error:
        raise GenotypeError(f"the JSON's {name}: {error}") from None
