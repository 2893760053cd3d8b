"""DARTS' ``Genotype(...)``: scanned, never evaluated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import define

from bnao.errors import GenotypeError
from bnao.space.genotype import Cell, Edge, Genotype, Node, shortened
from bnao.space.notation.integers import check_two_cells
from bnao.space.spaces import SPACES, SearchSpace, space_named

_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_][A-Za-z0-9_]*)|'([^']*)'|\"([^\"]*)\"|(\S))")

_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
#: the spaces that a Genotype may be of, those of DARTS' own network first
_OF_DARTS = ("darts", "snas", "nasnet", "nao", "nao-large")


@define
class Tokens:
    """Tokens of a text, read from the left, each with its place.

    >>> tokens = Tokens.of("f(1)")
    >>> tokens.take("f"), tokens.take("("), tokens.number()
    ('f', '(', 1)
    """

    tokens: list[tuple[str, str, int]]
    at: int = 0

    @classmethod
    def of(cls, text: str) -> Tokens:
        """Return the tokens of a text: numbers, names, quoted texts and single signs."""
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
        """Return the next token, which must be one of these; it is passed."""
        kind, token, _ = self.tokens[self.at]
        if kind == "text" or token not in wanted:
            raise self.unexpected(" or ".join(map(repr, wanted)))
        self.at += 1
        return token

    def number(self) -> int:
        """Return the next token, which must be a whole number; it is passed."""
        return int(self._of_kind("number", "a whole number")[:9])

    def name(self) -> str:
        """Return the next token, which must be a name; it is passed."""
        return self._of_kind("name", "Genotype(...)")

    def quoted(self) -> str:
        """Return the next token, which must be a text in quotes; it is passed."""
        return self._of_kind("text", "a text in quotes")

    def _of_kind(self, wanted: str, told: str) -> str:
        kind, token, _ = self.tokens[self.at]
        if kind != wanted:
            raise self.unexpected(told)
        self.at += 1
        return token

    def unexpected(self, wanted: str) -> GenotypeError:
        """Return the error for an unexpected token."""
        kind, token, place = self.tokens[self.at]
        found = token if kind == "end" else shortened(token)
        return GenotypeError(f"Genotype(...): {found} at character {place}, where {wanted} is expected")

    def items(self, opening: str, closing: str) -> Iterator[None]:
        """Yield once per item of a list between two signs; a comma may follow the last."""
        self.take(opening)
        while self.next != closing:
            yield
            if self.next != closing:
                self.take(",")
        self.take(closing)


def from_darts(text: str, space: SearchSpace | None) -> tuple[Genotype, SearchSpace]:
    """Read the cells of a DARTS ``Genotype(...)``, and their space.

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
    concats = tuple(sorted(set(fields[f"{name}_concat"])) for name in ("normal", "reduce"))
    if space is not None:
        return _of_space(cells, concats, space), space
    refusals = []
    for name in _OF_DARTS:
        known = space_named(name, len(cells[0].nodes))
        try:
            return _of_space(cells, concats, known), known
        except GenotypeError as error:
            refusals.append(error)
    # of an operation that is in no space the widest of DARTS' spaces decides; else the first that has all of them
    operations = {edge.operation for cell in cells for node in cell.nodes for edge in node.edges}
    place = next((i for i, name in enumerate(_OF_DARTS) if operations <= set(SPACES[name].operations)), 2)
    raise refusals[place]


def _of_space(cells: Sequence[Cell], concats: Sequence[Sequence[int]], space: SearchSpace) -> Genotype:
    genotype = space.genotype_of(*cells)
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
    """Return the DARTS ``Genotype(...)`` of a genotype.

    Raises:
        GenotypeError: it has one cell, or a node that does not sum two edges.

    >>> from bnao.space.notation.integers import from_integers
    >>> space = space_named("darts", 1)
    >>> to_darts(from_integers("0 2 1 3 0 0 1 0", space))  # doctest: +ELLIPSIS
    "Genotype(normal=[('skip_connect', 0), ('sep_conv_3x3', 1)], normal_concat=[2], reduce=[...], reduce_concat=[2])"
    """
    check_two_cells(genotype, "DARTS")
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
