"""Search spaces: their nodes, sources and operations, and their genotypes as integers.

Paper: Sec. 2; the space ``nao`` is the one of ENAS and of NAO with weight sharing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from attrs import evolve, field, frozen, validators
from numpy.typing import NDArray

from bnao.errors import GenotypeError
from bnao.space.canonical import distinct_key
from bnao.space.genotype import Cell, Edge, Genotype, Node, shortened
from bnao.space.liveness import NONE, flow
from bnao.space.operations import Operation, add_operation

START = 0  # the token before every sequence

# random draws are repeated for distinct genotypes; past this many rounds the space is as good as exhausted
_MOST_DRAWS = 200


def _in_order(operations: Iterable[str | Operation]) -> tuple[str, ...]:
    return tuple(add_operation(each).name if isinstance(each, Operation) else each for each in operations)


@frozen
class Rules:
    """Rules of a space's networks around the cells.

    Attributes:
        output: which states a cell concatenates, one of ``bnao.space.genotype.OUTPUT_RULES``.
        always_fits: whether both inputs of every cell pass a ReLU, a 1x1 convolution and a norm (or a factorized
            reduce); else only where sizes or channels differ.
        relu_before_reduce: whether a ``skip_connect`` of stride 2 is ReLU and a factorized reduce (DARTS); else it is
            the factorized reduce alone (NAO), as a loose cell input always is. With the ReLU it is an operation of its
            own, which drop path drops in a stand-alone network; a bare identity or reduce is never dropped there.
        residual: whether residual blocks stand in place of reduction cells, with a stem of C channels and a norm in
            front of the classifier (NAS-Bench-201).
    """

    output: str = "loose ends"
    always_fits: bool = False
    relu_before_reduce: bool = False
    residual: bool = False

    @property
    def mixes(self) -> bool:
        """Whether the number of outputs varies, so that a supernet's cell brings them to C channels."""
        return self.output.startswith("loose")


@frozen(slots=False)
class SearchSpace:
    """All genotypes whose nodes each sum two edges, an edge being any earlier state and any operation.

    Args:
        name: how settings and files call it.
        operations: their names, in the order of their numbers; one's own may be given as they are (``Operation``).
        nodes: nodes of a cell, >= 1.
        inputs: states a cell is given.
        edges: edges a node sums at most.
        cells: 2, a normal and a reduction cell; or 1.
        rules: what surrounds the cells in a network.

    >>> SPACES["nao"].length, SPACES["nao"].vocabulary
    (40, 12)
    """

    name: str
    operations: tuple[str, ...] = field(converter=_in_order)
    nodes: int = field(default=5, validator=validators.ge(1))
    inputs: int = 2
    edges: int = 2
    cells: int = 2
    rules: Rules = Rules()

    @cached_property
    def _number(self) -> dict[str, int]:
        return {operation: number for number, operation in enumerate(self.operations)}

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(cells, nodes, edges, 2): the shape of one genotype's integers."""
        return self.cells, self.nodes, self.edges, 2

    def edges_of(self, node: int) -> int:
        """Return the number of edges that a node sums."""
        return self.edges

    @cached_property
    def places(self) -> tuple[tuple[int, int], ...]:
        """(node, which of its edges) of every edge of a cell, in the order of its integers."""
        return tuple((node, number) for node in range(self.nodes) for number in range(self.edges_of(node)))

    def sources(self, node: int, number: int) -> tuple[int, ...]:
        """Return the states that an edge of a node may read."""
        return tuple(range(self.inputs + node))

    @property
    def length(self) -> int:
        """Tokens of a genotype: a source and an operation for every edge."""
        return int(np.prod(self.shape))

    @property
    def genotypes(self) -> int:
        """The number of distinct genotypes; the edges of a node have no order.

        >>> SPACES["nao"].genotypes, SPACES["nas-bench-201"].genotypes
        (43873177410562500000000, 15625)
        """
        of_a_cell = 1
        for node in range(self.nodes):
            # edges of one node are drawn with replacement and without order
            choices = (self.inputs + node) * len(self.operations)
            of_a_cell *= math.comb(choices + self.edges - 1, self.edges)
        return int(of_a_cell**self.cells)

    @property
    def can_be_dead(self) -> bool:
        """Whether an edge, an input or a cell can be without effect on the output: by ``none``, or as nobody reads it.

        >>> [name for name, space in SPACES.items() if space.can_be_dead]
        ['darts', 'snas', 'nasnet', 'nas-bench-201']
        """
        return NONE in self.operations or self.rules.output != "loose ends"

    def passes_on(self, genotypes: Sequence[Genotype]) -> NDArray[np.bool_]:
        """Return whether each of a genotype's cells passes something of its inputs on to its output, shape (n,).

        What does not, by edges of ``none``, computes the same logits for every image.

        Raises:
            GenotypeError: a genotype of another space.

        >>> text = "0:none;0:none+1:none;0:{}+1:none+2:none"
        >>> cells = [SPACES["nas-bench-201"].parse(text.format(last)) for last in ("none", "skip_connect")]
        >>> SPACES["nas-bench-201"].passes_on(cells).tolist()
        [False, True]
        """
        return self._passes_on(self.encode(genotypes))

    def _passes_on(self, integers: NDArray[np.int64]) -> NDArray[np.bool_]:
        passes = np.ones(len(integers), dtype=bool)
        if NONE in self.operations:
            for number in range(self.cells):
                passes &= flow(integers[:, number], self).passed.any(1)
        return passes

    @property
    def readable_states(self) -> int:
        """States some node may read: the last node's output is none of them."""
        return self.inputs + self.nodes - 1

    @property
    def vocabulary(self) -> int:
        """Different tokens: the start token, the readable states and the operations."""
        return 1 + self.readable_states + len(self.operations)

    def genotype_of(self, *cells: Cell) -> Genotype:
        """Return the genotype of this space that has these cells, in the order normal, reduction.

        Raises:
            GenotypeError: as ``check``.

        >>> cell = Cell([Node([Edge(0, "skip_connect"), Edge(1, "skip_connect")])])
        >>> evolve(SPACES["darts"], nodes=1).genotype_of(cell, cell).output
        'nodes'
        """
        return self.check(Genotype(*cells, output=self.rules.output))

    def parse(self, text: str) -> Genotype:
        """Read a genotype of this space in the one-line text form; ``bnao.parse`` reads every notation.

        Raises:
            GenotypeError: the text is not one, or not of this space.

        >>> SPACES["nas-bench-201"].parse("0:none;0:none+1:none;0:none+1:none+2:nor_conv_1x1").output
        'last node'
        """
        return self.check(Genotype.parse(text, output=self.rules.output))

    def check(self, genotype: Genotype) -> Genotype:
        """Return the genotype itself, if it belongs to this space, with the space's rule of output.

        Raises:
            GenotypeError: it has other nodes, another number of edges or an operation the space lacks.
        """
        if len(genotype.cells) != self.cells:
            raise GenotypeError(
                f"{len(genotype.cells)} cell{'s' * (len(genotype.cells) != 1)}; a genotype of space {self.name!r} has "
                f"{self.cells}"
            )
        for name, cell in genotype.named_cells:
            the_cell, in_cell = f"the {name} cell".replace("  ", " "), f"{name} cell: " if name else ""
            if cell.inputs != self.inputs:
                raise GenotypeError(
                    f"{the_cell} has {cell.inputs} inputs; a cell of space {self.name!r} has {self.inputs}"
                )
            n = len(cell.nodes)
            if n != self.nodes:
                raise GenotypeError(
                    f"{the_cell} has {n} node{'s' * (n != 1)}; a cell of space {self.name!r} "
                    f"with {self.nodes} nodes needs {self.nodes}"
                )
            for index, node in enumerate(cell.nodes):
                self._check_node(index, node, in_cell)
        return genotype if genotype.output == self.rules.output else evolve(genotype, output=self.rules.output)

    def _check_node(self, index: int, node: Node, where: str) -> None:
        most = self.edges_of(index)
        if len(node.edges) != most:
            raise GenotypeError(
                f"{where}node {index} has {len(node.edges)} edge{'s' * (len(node.edges) != 1)}; "
                f"a node of space {self.name!r} has {most}"
            )
        for number, edge in enumerate(node.edges):
            if edge.operation not in self._number:
                raise GenotypeError(
                    f"{where}node {index} has the operation {shortened(edge.operation)}; "
                    f"space {self.name!r} has {', '.join(self.operations)}"
                )
            if edge.source not in self.sources(index, number):
                raise GenotypeError(
                    f"{where}node {index} reads {' and '.join(str(edge.source) for edge in node.edges)}; in space "
                    f"{self.name!r} it reads each earlier state once"
                )

    def encode(self, genotypes: Sequence[Genotype]) -> NDArray[np.int64]:
        """Return genotypes as integers: shape (n, cells, nodes, edges, 2), an edge being (source, operation's number).

        Raises:
            GenotypeError: a genotype of another space, with its place in the sequence.
        """
        number = self._number
        try:
            cells = [cell for genotype in genotypes for cell in genotype.cells]
            # their total length alone would let genotypes of 4 and of 6 nodes pass for two of 5
            if not (
                {len(genotype.cells) for genotype in genotypes} <= {self.cells}
                and {(cell.inputs, len(cell.nodes)) for cell in cells} <= {(self.inputs, self.nodes)}
                and self._have_the_edges(cells)
            ):
                raise ValueError
            flat = [
                value
                for cell in cells
                for node in cell.nodes
                for edge in node.edges
                for value in (edge.source, number[edge.operation])
            ]
            return np.array(flat, dtype=np.int64).reshape(len(genotypes), *self.shape)
        except (KeyError, ValueError):
            for index, genotype in enumerate(genotypes):
                try:
                    self.check(genotype)
                except GenotypeError as error:
                    raise GenotypeError(f"genotype {index}: {error}") from None
            raise

    def _have_the_edges(self, cells: Sequence[Cell]) -> bool:
        return {len(node.edges) for cell in cells for node in cell.nodes} <= {self.edges}

    def decode(self, integers: NDArray[np.integer]) -> list[Genotype]:
        """Return the genotypes that ``encode`` made the integers from.

        Raises:
            GenotypeError: a source or an operation that does not exist.
        """
        rows = np.asarray(integers).reshape(-1, self.cells, len(self.places), 2).tolist()
        return [Genotype(*map(self._cell, row), output=self.rules.output) for row in rows]

    def _cell(self, edges: list[list[int]]) -> Cell:
        ahead = iter(edges)
        nodes = [Node([self._edge(*next(ahead)) for _ in range(self.edges_of(node))]) for node in range(self.nodes)]
        return Cell(nodes, self.inputs)

    def _edge(self, source: int, number: int) -> Edge:
        if not 0 <= number < len(self.operations):
            raise GenotypeError(
                f"operation {number} does not exist; space {self.name!r} has 0..{len(self.operations) - 1}"
            )
        return Edge(source, self.operations[number])

    def random_genotypes(
        self, n: int, rng: np.random.Generator, exclude: Iterable[Genotype] = (), *, distinct: str = "text"
    ) -> list[Genotype]:
        """n distinct genotypes that pass something on, every source and operation of each drawn uniformly.

        Args:
            n: how many, >= 0.
            rng: where the randomness comes from; see ``bnao.streams.stream``.
            exclude: genotypes that must not come.
            distinct: ``text``, or ``computed``: no two of them, and none with an excluded one, are the same network
                (``bnao.space.canonical.computed_form``).

        Raises:
            GenotypeError: the space does not hold so many.

        >>> from bnao.streams import stream
        >>> pool = SPACES["nao"].random_genotypes(3, stream(0, "pool"))
        >>> len(set(pool))
        3
        """
        barred, chosen = {distinct_key(other, distinct) for other in exclude}, dict[object, Genotype]()
        for _ in range(_MOST_DRAWS):
            if len(chosen) >= n:
                break
            drawn = np.empty((n, *self.shape), dtype=np.int64)
            drawn[..., 0] = self._random_sources(rng, drawn.shape[:-1])
            drawn[..., 1] = rng.integers(len(self.operations), size=drawn.shape[:-1])
            for genotype in self.decode(drawn[self._passes_on(drawn)]):
                key = distinct_key(genotype, distinct)
                if len(chosen) < n and key not in barred:
                    chosen.setdefault(key, genotype)
        if len(chosen) < n:
            raise GenotypeError(
                f"space {self.name!r} with {self.nodes} nodes gave {len(chosen)} distinct genotypes"
                f"{', by what they compute,' if distinct == 'computed' else ''} where {n} are wanted; ask for fewer or "
                f"for more nodes"
            )
        return list(chosen.values())

    def tokens(self, genotypes: Sequence[Genotype]) -> NDArray[np.int64]:
        """Return the controller's token sequences: shape (n, length), states as 1.., operations after them.

        >>> from bnao.space.notation.notations import parse
        >>> genotype = parse("0 1 1 4 0 0 0 0", evolve(SPACES["nao"], nodes=1))
        >>> evolve(SPACES["nao"], nodes=1).tokens([genotype]).tolist()  # 1, 2: states; 3..7: operations
        [[1, 4, 2, 7, 1, 3, 1, 3]]
        """
        offsets = np.array([1, 1 + self.readable_states])
        shifted: NDArray[np.int64] = self.encode(genotypes) + offsets
        return shifted.reshape(len(genotypes), self.length)

    def from_tokens(self, tokens: NDArray[np.integer]) -> list[Genotype]:
        """Read the genotypes of token sequences of shape (n, length)."""
        offsets = np.array([1, 1 + self.readable_states])
        return self.decode(np.asarray(tokens).reshape(-1, *self.shape) - offsets)

    def _random_sources(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int64]:
        states = self.inputs + np.arange(self.nodes)
        return rng.integers(states[:, None], size=shape)

    def token_mask(self) -> NDArray[np.bool_]:
        """Return which token is allowed at which position: shape (length, vocabulary).

        At a source position only the states that exist before that node, at an operation position only
        operations; the start token nowhere.
        """
        mask = np.zeros((self.cells, len(self.places), 2, self.vocabulary), dtype=bool)
        for index, place in enumerate(self.places):
            for source in self.sources(*place):
                mask[:, index, 0, 1 + source] = True
        mask[..., 1, 1 + self.readable_states :] = True
        return mask.reshape(self.length, self.vocabulary)

    def swapped(self, tokens: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the same architectures as other strings: in each node the edges are in random order.

        Args:
            tokens: shape (n, length).
            rng: decides for every node of every row whether its edges change places.
        """
        edges = tokens.reshape(-1, *self.shape)
        order = rng.random(edges.shape[:-1]).argsort(axis=-1)
        return np.take_along_axis(edges, order[..., None], axis=-2).reshape(tokens.shape)


class CompleteSpace(SearchSpace):
    """All genotypes of one cell whose nodes read every earlier state by one edge each: operations alone are free.

    >>> space = SPACES["nas-bench-201"]
    >>> space.length, space.vocabulary, len(space.operations) ** len(space.places)
    (12, 9, 15625)
    """

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(1, edges of the cell, 1, 2): no two edges of a node may change places, since each has its source."""
        return self.cells, len(self.places), 1, 2

    @property
    def genotypes(self) -> int:
        """The number of distinct genotypes: any operation on every edge."""
        return int(len(self.operations) ** (self.cells * len(self.places)))

    def edges_of(self, node: int) -> int:
        """Return the number of edges that a node sums: one from every earlier state."""
        return self.inputs + node

    def sources(self, node: int, number: int) -> tuple[int, ...]:
        """Return the one state that an edge of a node reads."""
        return (number,)

    def _random_sources(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int64]:
        return np.array([number for _, number in self.places])[:, None]

    def _have_the_edges(self, cells: Sequence[Cell]) -> bool:
        wanted = [tuple(range(self.edges_of(node))) for node in range(self.nodes)]
        return all([tuple(edge.source for edge in node.edges) for node in cell.nodes] == wanted for cell in cells)


_SMALL = ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect")
_DARTS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
#: of DARTS' network, whatever its cells give out
_DARTS_RULES = Rules(always_fits=True, relu_before_reduce=True)
_LARGE = (
    "skip_connect",
    "conv_1x1",
    "conv_3x3",
    "conv_1x3_3x1",
    "conv_1x7_7x1",
    "max_pool_2x2",
    "max_pool_3x3",
    "max_pool_5x5",
    "avg_pool_2x2",
    "avg_pool_3x3",
    "avg_pool_5x5",
)

#: every space by name: ENAS' and NAO's with weight sharing, NAO's without, DARTS' without and with the operation
#: none (whose cells SNAS found), that of NASNet's and AmoebaNet's cells in DARTS' network, and NAS-Bench-201's
SPACES: dict[str, SearchSpace] = {
    space.name: space
    for space in (
        SearchSpace("nao", _SMALL),
        SearchSpace("nao-large", _LARGE),
        SearchSpace("darts", _DARTS, nodes=4, rules=evolve(_DARTS_RULES, output="nodes")),
        SearchSpace("snas", ("none", *_DARTS), nodes=4, rules=evolve(_DARTS_RULES, output="nodes")),
        SearchSpace(
            "nasnet", (*_DARTS, "sep_conv_7x7", "conv_7x1_1x7"), rules=evolve(_DARTS_RULES, output="loose nodes")
        ),
        CompleteSpace(
            "nas-bench-201",
            ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"),
            nodes=3,
            inputs=1,
            edges=3,
            cells=1,
            rules=Rules("last node", residual=True),
        ),
    )
}


def space_named(name: str, nodes: int | None = None) -> SearchSpace:
    """Return the space of that name with that many nodes a cell; with its own number, where none is given.

    A name may also be that of a user's space (``bnao.space.own``).

    >>> space_named("nao", 3).length, space_named("nao").nodes, space_named("nas-bench-201").nodes
    (24, 5, 3)
    """
    from bnao.space.own import own_space  # which is made of this module's classes

    space = SPACES.get(name) or own_space(name)
    if space is None:
        raise GenotypeError(f"no space {name!r}; there is {', '.join(sorted(SPACES))}")
    if nodes is None:
        return space
    # a complete node has as many edges as states before it
    edges = space.inputs + nodes - 1 if isinstance(space, CompleteSpace) else space.edges
    return evolve(space, nodes=nodes, edges=edges)


def parse_in(name: str, text: str) -> Genotype:
    """Read a genotype in the one-line text form, of the space of that name with whatever number of nodes it has.

    Files of runs and studies name their space so.

    Raises:
        GenotypeError: no space of that name, or the text is not a genotype of it.

    >>> parse_in("darts", "0:skip_connect+1:skip_connect|0:skip_connect+1:skip_connect").output
    'nodes'
    """
    genotype = Genotype.parse(text, output=space_named(name).rules.output)
    return space_named(name, len(genotype.normal.nodes)).check(genotype)
