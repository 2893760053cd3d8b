"""How others write a genotype down: the authors' integers, ENAS' arcs, DARTS' Genotype, NAS-Bench-201's strings, JSON.

Every text is read by a scanner of a few lines; nothing is ever evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import define

from bnao.errors import GenotypeError
from bnao.genotype import Cell, Edge, Genotype, Node, shortened
from bnao.space import SPACES, SearchSpace, space_named

#: the version of the JSON
FORMAT = 1

_ORDINALS = ("first", "second", "third", "next")
_BENCH_EDGE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*~\s*(\d+)\s*")
_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_][A-Za-z0-9_]*)|'([^']*)'|\"([^\"]*)\"|(\S))")

#: the number that NAO's first version gives the first operation of a space; the others follow
_FIRST_VERSION = {"nao": 0, "nao-large": 5}


# --- integers -------------------------------------------------------------------------------------------------


def _integers_of(text: str) -> list[int]:
    # ten characters tell a number that cannot be as well as thousands, which int() refuses
    return [int(number[:10]) for number in re.findall(r"[-+]?\d+", text)]


def from_integers(text: str, space: SearchSpace) -> Genotype:
    """Source and operation of every edge of the normal cell, then of the reduction cell, by the space's numbers."""
    return _from_numbers(_integers_of(text), space)


def _from_numbers(numbers: Sequence[int], space: SearchSpace, first: int = 0) -> Genotype:
    """The genotype of integers whose operations are counted from ``first`` on."""
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
    """The integers of a genotype, separated by blanks.

    >>> space = space_named("nao", 1)
    >>> to_integers(from_integers("0 1 1 4 0 0 1 3", space), space)
    '0 1 1 4 0 0 1 3'
    """
    return " ".join(str(number) for number in space.encode([genotype]).ravel())


def first_version_space(text: str) -> SearchSpace:
    """The space whose operations integers of NAO's first version number: the small one's 0..4 or the large one's 5..15.

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
    """As ``from_integers``, by the numbers of NAO's first version.

    >>> text = "0 7 1 15 0 5 0 5"
    >>> str(from_first_version(text, space_named("nao-large", 1)))
    '0:conv_3x3+1:avg_pool_5x5|0:skip_connect+0:skip_connect'
    """
    return _from_numbers(_integers_of(text), space, _first_number(space))


def to_first_version(genotype: Genotype, space: SearchSpace) -> str:
    """The integers of NAO's first version.

    Raises:
        GenotypeError: the space has no numbers there.
    """
    integers = space.encode([genotype]).reshape(-1, 2) + np.array([0, _first_number(space)])
    return " ".join(map(str, integers.ravel().tolist()))


def to_arcs(genotype: Genotype, space: SearchSpace) -> str:
    """ENAS' arcs: the integers of each cell in brackets.

    Raises:
        GenotypeError: an operation that ENAS has no number for.

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
    """The authors' integers (second version).

    Raises:
        GenotypeError: an operation that they have no number for.
    """
    known = SPACES["nao-large" if space.name == "nao-large" else "nao"]
    _numbers(genotype, known.operations, "the authors' notation")
    return to_integers(genotype, space)


def _numbers(genotype: Genotype, operations: Sequence[str], whose: str) -> Mapping[str, int]:
    """The number of each operation; raises GenotypeError where an edge's has none."""
    _check_two_cells(genotype, whose)
    for name, cell in genotype.named_cells:
        for index, node in enumerate(cell.nodes):
            for edge in node.edges:
                if edge.operation not in operations:
                    raise GenotypeError(
                        f"node {index} of the {name} cell has the operation {edge.operation!r}, for which {whose} has "
                        f"no number; it numbers {', '.join(operations)}"
                    )
    return {operation: number for number, operation in enumerate(operations)}


def _check_two_cells(genotype: Genotype, whose: str) -> None:
    if genotype.reduction is None:
        raise GenotypeError(f"a genotype of one cell; {whose} writes a normal and a reduction cell of two inputs each")


# --- NAS-Bench-201 --------------------------------------------------------------------------------------------


def from_nas_bench_201(text: str) -> Genotype:
    """The one cell of a NAS-Bench-201 string."""
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
    return Genotype(Cell(nodes, inputs=1))


def to_nas_bench_201(genotype: Genotype) -> str:
    """The NAS-Bench-201 string of a genotype of one cell.

    Raises:
        GenotypeError: it has two cells, or a cell of two inputs, which the notation cannot tell.

    >>> text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
    >>> to_nas_bench_201(from_nas_bench_201(text)) == text
    True
    """
    if len(genotype.cells) != 1 or genotype.normal.inputs != 1:
        raise GenotypeError(
            "a NAS-Bench-201 string tells one cell of one input; this genotype has "
            f"{len(genotype.cells)} cells of {genotype.normal.inputs} inputs"
        )
    nodes = ("|".join(f"{edge.operation}~{edge.source}" for edge in node.edges) for node in genotype.normal.nodes)
    return "+".join(f"|{node}|" for node in nodes)


# --- DARTS ----------------------------------------------------------------------------------------------------

_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
#: the spaces that a Genotype may be of, those of DARTS' own network first
_OF_DARTS = ("darts", "snas", "nasnet", "nao", "nao-large")


@define
class Tokens:
    """What a text consists of, read from the left, each with its place.

    >>> tokens = Tokens.of("f(1)")
    >>> tokens.take("f"), tokens.take("("), tokens.number()
    ('f', '(', 1)
    """

    tokens: list[tuple[str, str, int]]
    at: int = 0

    @classmethod
    def of(cls, text: str) -> Tokens:
        """The tokens of a text: numbers, names, quoted texts and single signs."""
        kinds = ("number", "name", "text", "text", "sign")
        found = []
        for match in _TOKEN.finditer(text):
            group = match.lastindex or 1
            found.append((kinds[group - 1], match[group], match.start(group)))
        return cls([*found, ("end", "the end", len(text.rstrip()))])

    @property
    def next(self) -> str:
        """The next token."""
        return self.tokens[self.at][1]

    def take(self, *wanted: str) -> str:
        """The next token, which must be one of these; it is passed."""
        kind, token, _ = self.tokens[self.at]
        if kind == "text" or token not in wanted:
            raise self.unexpected(" or ".join(map(repr, wanted)))
        self.at += 1
        return token

    def number(self) -> int:
        """The next token, which must be a whole number; it is passed."""
        return int(self._of_kind("number", "a whole number")[:9])

    def name(self) -> str:
        """The next token, which must be a name; it is passed."""
        return self._of_kind("name", "Genotype(...)")

    def quoted(self) -> str:
        """The next token, which must be a text in quotes; it is passed."""
        return self._of_kind("text", "a text in quotes")

    def _of_kind(self, wanted: str, told: str) -> str:
        kind, token, _ = self.tokens[self.at]
        if kind != wanted:
            raise self.unexpected(told)
        self.at += 1
        return token

    def unexpected(self, wanted: str) -> GenotypeError:
        """What to raise where something else stands."""
        kind, token, place = self.tokens[self.at]
        found = token if kind == "end" else shortened(token)
        return GenotypeError(f"Genotype(...): {found} at character {place}, where {wanted} is expected")

    def items(self, opening: str, closing: str) -> Iterator[None]:
        """For each item of a list between two signs; a comma may follow the last."""
        self.take(opening)
        while self.next != closing:
            yield
            if self.next != closing:
                self.take(",")
        self.take(closing)


def from_darts(text: str, space: SearchSpace | None) -> tuple[Genotype, SearchSpace]:
    """The cells of a DARTS ``Genotype(...)``, and their space.

    Args:
        text: ``Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=..., reduce=[...], reduce_concat=...)``.
        space: the space that it must be of; None: the first that has these operations and concatenates these states.

    Raises:
        GenotypeError: another text, or no space has such cells.
    """
    fields = _darts_fields(text)
    cells = []
    for name in ("normal", "reduce"):
        edges = fields[name]
        if not edges or len(edges) % 2:
            raise GenotypeError(f"Genotype(...): {name} has {len(edges)} edges; each node sums two")
        try:
            cells.append(Cell([Node(edges[at : at + 2]) for at in range(0, len(edges), 2)]))
        except GenotypeError as error:
            raise GenotypeError(f"Genotype(...): {name}: {error}") from None
    genotype = Genotype(*cells)
    concats = tuple(sorted(set(fields[f"{name}_concat"])) for name in ("normal", "reduce"))
    if space is not None:
        return _of_space(genotype, concats, space), space
    refusals = []
    for name in _OF_DARTS:
        known = space_named(name, len(genotype.normal.nodes))
        try:
            return _of_space(genotype, concats, known), known
        except GenotypeError as error:
            refusals.append(error)
    # of an operation that is in no space the widest of DARTS' spaces tells; else the first that has all of them
    operations = {edge.operation for cell in cells for node in cell.nodes for edge in node.edges}
    place = next((i for i, name in enumerate(_OF_DARTS) if operations <= set(SPACES[name].operations)), 2)
    raise refusals[place]


def _of_space(genotype: Genotype, concats: Sequence[Sequence[int]], space: SearchSpace) -> Genotype:
    genotype = space.check(genotype)
    for (name, cell), concat in zip(genotype.named_cells, concats, strict=True):
        outputs = list(cell.outputs(space.rules.output))
        if concat != outputs:
            raise GenotypeError(
                f"Genotype(...): the {name} cell concatenates states {', '.join(map(str, concat)) or 'none'}; in space "
                f"{space.name!r} its output is {space.rules.output}, here {', '.join(map(str, outputs))}"
            )
    return genotype


def _darts_fields(text: str) -> dict[str, list[Any]]:
    tokens = Tokens.of(text)
    if tokens.next != "Genotype":  # as in a line of Python: NAME = Genotype(...)
        tokens.name()
        tokens.take("=")
    tokens.take("Genotype")
    fields: dict[str, list[Any]] = {}
    for _ in tokens.items("(", ")"):
        name = tokens.take(*_FIELDS)
        if name in fields:
            raise GenotypeError(f"Genotype(...): {name} is given twice")
        tokens.take("=")
        fields[name] = _states(tokens) if name.endswith("_concat") else [_edge(tokens) for _ in tokens.items("[", "]")]
    tokens.take("the end")
    missing = [name for name in _FIELDS if name not in fields]
    if missing:
        raise GenotypeError(f"Genotype(...): {missing[0]} is missing; it has {', '.join(_FIELDS)}")
    return fields


def _edge(tokens: Tokens) -> Edge:
    tokens.take("(")
    operation = tokens.quoted()
    tokens.take(",")
    source = tokens.number()
    tokens.take(")")
    return Edge(source, operation)


def _states(tokens: Tokens) -> list[int]:
    if tokens.next == "[":
        return [tokens.number() for _ in tokens.items("[", "]")]
    tokens.take("range")
    start, stop = (tokens.number() for _ in tokens.items("(", ")"))
    return list(range(start, min(stop, start + 1000)))


def to_darts(genotype: Genotype) -> str:
    """The DARTS ``Genotype(...)`` of a genotype.

    Raises:
        GenotypeError: it has one cell, or a node that does not sum two edges.

    >>> space = space_named("darts", 1)
    >>> to_darts(from_integers("0 2 1 3 0 0 1 0", space))  # doctest: +ELLIPSIS
    "Genotype(normal=[('skip_connect', 0), ('sep_conv_3x3', 1)], normal_concat=[2], reduce=[...], reduce_concat=[2])"
    """
    _check_two_cells(genotype, "DARTS")
    fields = []
    for name, cell in genotype.named_cells:
        for index, node in enumerate(cell.nodes):
            if len(node.edges) != 2:
                raise GenotypeError(
                    f"node {index} of the {name} cell sums {len(node.edges)} edges; in DARTS' notation each sums two"
                )
        edges = [(edge.operation, edge.source) for node in cell.nodes for edge in node.edges]
        field = {"normal": "normal", "reduction": "reduce"}[name]
        fields += [f"{field}={edges}", f"{field}_concat={list(cell.outputs(genotype.output))}"]
    return f"Genotype({', '.join(fields)})"


# --- JSON -----------------------------------------------------------------------------------------------------


def to_json(genotype: Genotype, space: SearchSpace) -> str:
    """One line of JSON that says all of itself: format version, space, rule of output, and each cell's edges.

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
    """The genotype and the space of the JSON.

    Raises:
        GenotypeError: it is none, or of a format, space or output that is not known.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GenotypeError(f"the JSON cannot be read: {str(error)[:60]}") from None
    if not isinstance(content, dict):
        raise GenotypeError("the JSON is no object; it must be an object with format, space, output, normal, reduction")
    if content.get("format", FORMAT) != FORMAT or isinstance(content.get("format"), bool):
        raise GenotypeError(f"the JSON has format {content['format']!r:.20}; this version of bnao reads {FORMAT}")
    for name in ("format", "space", "normal"):
        if name not in content:
            raise GenotypeError(f"the JSON has no {name!r}; it must have format, space, output, normal and reduction")
    name = content["space"]
    if not isinstance(name, str) or name not in SPACES:
        raise GenotypeError(f"the JSON is of space {shortened(str(name))}; there is {', '.join(SPACES)}")
    if content.get("output", SPACES[name].rules.output) != SPACES[name].rules.output:
        raise GenotypeError(
            f"the JSON's output is {shortened(str(content['output']))}; in space {name!r} it is "
            f"{SPACES[name].rules.output!r}"
        )
    cells = [
        _json_cell(part, content[part], SPACES[name].inputs)
        for part in ("normal", "reduction")
        if content.get(part) is not None
    ]
    genotype = Genotype(*cells)
    space = space_named(name, len(genotype.normal.nodes))
    return space.check(genotype), space


def _json_cell(name: str, content: Any, inputs: int) -> Cell:
    if not isinstance(content, list) or not all(isinstance(node, list) for node in content):
        raise GenotypeError(f"the JSON's {name} is no list of nodes; a node is a list of [state, operation]")
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
                        f"the JSON's {name}, node {index}: {shortened(str(edge))} is no edge; it is "
                        f'[state, operation], such as [0, "sep_conv_3x3"]'
                    )
        nodes.append(Node(edges))
    try:
        return Cell(nodes, inputs)
    except GenotypeError as error:
        raise GenotypeError(f"the JSON's {name}: {error}") from None
