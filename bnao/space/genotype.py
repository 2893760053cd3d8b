"""Genotypes: two cells of nodes, a node the sum of its edges, an edge an operation on a state.

Paper: Sec. 2; the cell space is the one of *Neural Architecture Optimization* and ENAS. States 0 and 1 are
the outputs of the cell before the last and of the last cell; state 2 is the first node's output, and so on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache

from attrs import field, frozen

from bnao.errors import GenotypeError
from bnao.space.drawing import Graph, Picture, picture, svg

#: how the output of a cell forms: the states that no node reads, all nodes, the nodes that no node reads, the last
OUTPUT_RULES = ("loose ends", "nodes", "loose nodes", "last node")

#: digits of a genotype's short name
ID_DIGITS = 8

_EDGE = re.compile(r"\s*(\d+)\s*:\s*([A-Za-z_][A-Za-z0-9_]*)\s*")


@frozen(order=True)
class Edge:
    """One operation applied to one earlier state of the cell."""

    source: int
    operation: str

    def __str__(self) -> str:
        return f"{self.source}:{self.operation}"


def _sorted_edges(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    # a node sums its edges, so their order means nothing: one order is kept, and equal nodes are equal
    return tuple(sorted(edges))


@frozen
class Node:
    """The sum of its edges' outputs. Edges are kept sorted, so equal nodes compare and hash as equal.

    >>> Node([Edge(1, "skip_connect"), Edge(0, "avg_pool_3x3")])
    Node(edges=(Edge(source=0, operation='avg_pool_3x3'), Edge(source=1, operation='skip_connect')))
    """

    edges: tuple[Edge, ...] = field(converter=_sorted_edges)

    def __str__(self) -> str:
        return "+".join(map(str, self.edges))


@lru_cache(maxsize=100_000)
def edge_slots(node: Node, rule: str = "hashed") -> tuple[int, ...]:
    """Return which of a node's sets of supernet weights each of its edges trains, in the order of the edges.

    A supernet holds a set of weights for the first edge of a node and one for the second. Edges are kept sorted, so
    by their order (``sorted``) the first set is trained by small sources and the second by large ones, very unequally
    (docs/decisions.md). By a hash of the node's text (``hashed``) either edge is the first with equal chance, and
    equal nodes always train the same weights, on any machine.

    Args:
        node: its edges.
        rule: ``hashed`` or ``sorted``.

    >>> edge_slots(Node([Edge(0, "skip_connect"), Edge(1, "sep_conv_3x3")]))
    (0, 1)
    >>> edge_slots(Node([Edge(0, "skip_connect"), Edge(1, "sep_conv_5x5")]))
    (1, 0)
    """
    slots = range(len(node.edges))
    if rule == "sorted" or len(slots) < 2:
        return tuple(slots)
    digest = hashlib.blake2b(str(node).encode(), digest_size=8).digest()
    first = int.from_bytes(digest, "little") % len(slots)
    return tuple((slot + first) % len(slots) for slot in slots)


def _in_order(nodes: Iterable[Node]) -> tuple[Node, ...]:
    return tuple(nodes)


@frozen
class Cell:
    """Nodes in order, each reading earlier states only; a cell that reads a later state cannot be made.

    Raises:
        GenotypeError: a node reads a state that does not exist before it, or there is no node or no edge.

    >>> Cell([Node([Edge(0, "skip_connect"), Edge(3, "skip_connect")])])
    Traceback (most recent call last):
        ...
    bnao.errors.GenotypeError: node 0 reads state 3, but only states 0..1 exist before it
    """

    nodes: tuple[Node, ...] = field(converter=_in_order)
    inputs: int = 2

    @nodes.validator
    def _check_nodes(self, attribute: object, nodes: tuple[Node, ...]) -> None:
        if not nodes:
            raise GenotypeError("a cell has no node; it needs at least one")

    def __attrs_post_init__(self) -> None:
        for index, node in enumerate(self.nodes):
            if not node.edges:
                raise GenotypeError(f"node {index} has no edge; it needs at least one")
            for edge in node.edges:
                if not 0 <= edge.source < self.inputs + index:
                    raise GenotypeError(
                        f"node {index} reads state {edge.source}, "
                        f"but only states 0..{self.inputs + index - 1} exist before it"
                    )

    @property
    def loose_ends(self) -> tuple[int, ...]:
        """The states no node reads, cell inputs included, in order; never empty (the last node is one).

        >>> Cell([Node([Edge(0, "skip_connect"), Edge(0, "skip_connect")])]).loose_ends
        (1, 2)
        """
        read = {edge.source for node in self.nodes for edge in node.edges}
        return tuple(state for state in range(self.inputs + len(self.nodes)) if state not in read)

    def outputs(self, rule: str) -> tuple[int, ...]:
        """Return the states that are concatenated to the cell's output, in order.

        Args:
            rule: one of OUTPUT_RULES; which is a matter of the search space.

        Raises:
            GenotypeError: another rule.

        >>> cell = Cell([Node([Edge(0, "skip_connect")]), Node([Edge(2, "skip_connect")])])
        >>> {rule: cell.outputs(rule) for rule in OUTPUT_RULES}
        {'loose ends': (1, 3), 'nodes': (2, 3), 'loose nodes': (3,), 'last node': (3,)}
        """
        nodes = tuple(range(self.inputs, self.inputs + len(self.nodes)))
        if rule == "loose ends":
            return self.loose_ends
        if rule == "nodes":
            return nodes
        if rule == "loose nodes":
            return tuple(state for state in self.loose_ends if state >= self.inputs)
        if rule == "last node":
            return nodes[-1:]
        raise GenotypeError(_no_rule(rule))

    @property
    def live_states(self) -> frozenset[int]:
        """The states that reach the last node through edges other than ``none``, itself among them.

        >>> Cell([Node([Edge(0, "skip_connect")]), Node([Edge(0, "none"), Edge(1, "none")])], inputs=1).live_states
        frozenset({2})
        """
        last = self.inputs + len(self.nodes) - 1
        live = {last}
        for index in range(len(self.nodes) - 1, -1, -1):
            if self.inputs + index in live:
                live |= {edge.source for edge in self.nodes[index].edges if edge.operation != "none"}
        return frozenset(live)

    def state_name(self, state: int) -> str:
        """Return the name of a state.

        >>> cell = Cell([Node([Edge(0, "skip_connect")])])
        >>> cell.state_name(0), cell.state_name(1), cell.state_name(2)
        ('the cell before the last', 'the last cell', 'node 0')
        """
        if state >= self.inputs:
            return f"node {state - self.inputs}"
        return ("the last cell", "the cell before the last")[self.inputs - 1 - state]

    def __str__(self) -> str:
        return ";".join(map(str, self.nodes))


def _check_rule(instance: object, attribute: object, rule: str) -> None:
    if rule not in OUTPUT_RULES:
        raise GenotypeError(_no_rule(rule))


def _no_rule(rule: str) -> str:
    return f"no output rule {rule!r}; there is {', '.join(OUTPUT_RULES)}"


@frozen
class Genotype:
    """An architecture: the cell that keeps the image size and the one that halves it.

    In a space of one cell, such as NAS-Bench-201, it has no reduction cell (None), and its cell has one input.
    ``output`` is the rule of its cells' outputs, one of OUTPUT_RULES. The space says which
    (``SearchSpace.genotype_of`` and ``SearchSpace.parse`` know it), and no genotype is made without; comparisons leave
    it out, since genotypes are compared within a space.

    Its text form is one line, ``source:operation`` for an edge, ``+`` within a node, ``;`` between nodes and
    ``|`` between the cells.

    >>> text = "0:sep_conv_3x3+1:skip_connect;1:avg_pool_3x3+2:skip_connect"
    >>> genotype = Genotype.parse(f"{text}|{text}", output="loose ends")
    >>> genotype.normal == genotype.reduction
    True
    >>> str(genotype) == f"{text}|{text}"
    True
    """

    normal: Cell
    reduction: Cell | None = None
    # no default: whoever makes a genotype says what its cells give out
    output: str = field(kw_only=True, eq=False, repr=False, validator=_check_rule)

    def __attrs_post_init__(self) -> None:
        if self.reduction is not None and len(self.normal.nodes) != len(self.reduction.nodes):
            raise GenotypeError(
                f"the normal cell has {len(self.normal.nodes)} nodes and the reduction cell "
                f"{len(self.reduction.nodes)}; both need the same number"
            )

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The normal cell and, where there is one, the reduction cell."""
        return (self.normal,) if self.reduction is None else (self.normal, self.reduction)

    @property
    def named_cells(self) -> tuple[tuple[str, Cell], ...]:
        """The cells by their names: normal and reduction, or the one cell."""
        names = ("",) if self.reduction is None else ("normal", "reduction")
        return tuple(zip(names, self.cells, strict=True))

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that tell its text form from others; files of its trainings are named by them."""
        return hashlib.blake2b(str(self).encode(), digest_size=6).hexdigest()

    @property
    def id(self) -> str:
        """Its short name in tables: the first eight digits of ``digest``.

        >>> genotype = Genotype.parse("0:none;0:none+1:skip_connect", output="last node")
        >>> genotype.id, genotype.digest.startswith(genotype.id)
        ('04e7e28d', True)
        """
        return self.digest[:ID_DIGITS]

    def cell(self, reduction: bool) -> Cell:
        """Return the cell at a place in the network; where there is but one, that.

        Args:
            reduction: whether the place halves the image.
        """
        return self.reduction if reduction and self.reduction is not None else self.normal

    def picture(self) -> Picture:
        """Return its cells laid out as graphs, which ``bnao.space.drawing`` writes as SVG, PNG or PDF.

        >>> picture = Genotype.parse("0:avg_pool_3x3;0:none+1:skip_connect", output="last node").picture()
        >>> sorted(label.lines[0] for label in picture.labels)
        ['avg_pool_3x3', 'none', 'skip_connect']
        """
        titles = {"": "Cell", "normal": "Normal cell", "reduction": "Reduction cell (/2: at stride 2)"}
        graphs = [
            Graph(
                title=titles[name],
                nodes=[[(edge.source, edge.operation) for edge in node.edges] for node in cell.nodes],
                names=[cell.state_name(state) for state in range(cell.inputs + len(cell.nodes))],
                outputs=cell.outputs(self.output),
                halves=name == "reduction",
            )
            for name, cell in self.named_cells
        ]
        return picture(graphs, told=str(self))

    def _repr_svg_(self) -> str:
        # how a notebook shows it
        return svg(self.picture())

    def __str__(self) -> str:
        return "|".join(map(str, self.cells))

    @classmethod
    def parse(cls, text: str, *, output: str) -> Genotype:
        """Read the one-line text form that ``str(genotype)`` returns.

        Args:
            text: the cells, without their space.
            output: how the cells' outputs form, which the text does not tell; ``SearchSpace.parse`` knows it.

        Raises:
            GenotypeError: the text is not one, with the place named.
        """
        cells = text.split("|")
        if len(cells) == 1:
            return cls(_parse_one_cell(text), output=output)
        if len(cells) != 2:
            raise GenotypeError(
                f"{len(cells)} cells in {shortened(text)}; a genotype is 'normal|reduction', two cells with '|' "
                f"between them, or one cell"
            )
        parsed = []
        for name, cell in zip(("normal", "reduction"), cells, strict=True):
            try:
                parsed.append(_parse_cell(cell))
            except GenotypeError as error:
                raise GenotypeError(f"{name} cell: {error}") from None
        return cls(*parsed, output=output)


def _parse_one_cell(text: str) -> Cell:
    try:
        return _parse_cell(text, inputs=1)
    except GenotypeError:
        _parse_cell(text)  # says what is wrong, if it is no cell of two inputs either
        raise GenotypeError(
            f"1 cell in {shortened(text)}; a genotype is 'normal|reduction', two cells with '|' between them "
            f"(a genotype of one cell reads one input, state 0)"
        ) from None


def _parse_cell(text: str, inputs: int = 2) -> Cell:
    nodes = []
    for index, node in enumerate(text.split(";")):
        edges = []
        for edge in node.split("+"):
            match = _EDGE.fullmatch(edge)
            if match is None:
                raise GenotypeError(
                    f"node {index} has the edge {shortened(edge)}; an edge is 'state:operation', "
                    f"such as '0:sep_conv_3x3'"
                )
            edges.append(Edge(int(match[1][:9]), match[2]))
        nodes.append(Node(edges))
    return Cell(nodes, inputs)


def shortened(text: str, most: int = 60) -> str:
    """Return a text as an error shows it: quoted, and cut where it is long."""
    text = text.strip()
    return repr(text if len(text) <= most else text[: most - 1] + "…")
