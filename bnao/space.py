"""What may vary: a search space's nodes, sources and operations, and its genotypes as integers.

Paper: Sec. 2; the space ``nao`` is the one of ENAS and of NAO with weight sharing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from attrs import evolve, field, frozen, validators
from numpy.typing import NDArray

from bnao.errors import GenotypeError
from bnao.genotype import Cell, Edge, Genotype, Node

START = 0  # the token in front of every sequence

# random draws are repeated for distinct genotypes; past this many rounds the space is as good as exhausted
_MOST_DRAWS = 200


def _in_order(operations: Iterable[str]) -> tuple[str, ...]:
    return tuple(operations)


@frozen(slots=False)
class SearchSpace:
    """All genotypes whose nodes each sum two edges, an edge being any earlier state and any operation.

    Args:
        name: how settings and files call it.
        operations: their names, in the order of their numbers.
        nodes: nodes of a cell, >= 1.
        inputs: states a cell is given.
        edges: edges a node sums.

    >>> SPACES["nao"].length, SPACES["nao"].vocabulary
    (40, 12)
    """

    name: str
    operations: tuple[str, ...] = field(converter=_in_order)
    nodes: int = field(default=5, validator=validators.ge(1))
    inputs: int = 2
    edges: int = 2

    @cached_property
    def _number(self) -> dict[str, int]:
        return {operation: number for number, operation in enumerate(self.operations)}

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(cells, nodes, edges, 2): the shape of one genotype's integers."""
        return 2, self.nodes, self.edges, 2

    @property
    def length(self) -> int:
        """Tokens of a genotype: a source and an operation for every edge."""
        return int(np.prod(self.shape))

    @property
    def readable_states(self) -> int:
        """States some node may read: the last node's output is none of them."""
        return self.inputs + self.nodes - 1

    @property
    def vocabulary(self) -> int:
        """Different tokens: the start token, the readable states and the operations."""
        return 1 + self.readable_states + len(self.operations)

    def check(self, genotype: Genotype) -> Genotype:
        """The genotype itself, if it belongs to this space.

        Raises:
            GenotypeError: it has other nodes, another number of edges or an operation the space lacks.
        """
        for name, cell in zip(("normal", "reduction"), genotype.cells, strict=True):
            if cell.inputs != self.inputs:
                raise GenotypeError(
                    f"the {name} cell has {cell.inputs} inputs; a cell of space {self.name!r} has {self.inputs}"
                )
            n = len(cell.nodes)
            if n != self.nodes:
                raise GenotypeError(
                    f"the {name} cell has {n} node{'s' * (n != 1)}; a cell of space {self.name!r} "
                    f"with {self.nodes} nodes needs {self.nodes}"
                )
            for index, node in enumerate(cell.nodes):
                if len(node.edges) != self.edges:
                    raise GenotypeError(
                        f"{name} cell: node {index} has {len(node.edges)} edge{'s' * (len(node.edges) != 1)}; "
                        f"a node of space {self.name!r} has {self.edges}"
                    )
                for edge in node.edges:
                    if edge.operation not in self._number:
                        raise GenotypeError(
                            f"{name} cell: node {index} has the operation {edge.operation!r}; "
                            f"space {self.name!r} has {', '.join(self.operations)}"
                        )
        return genotype

    def encode(self, genotypes: Sequence[Genotype]) -> NDArray[np.int64]:
        """Genotypes as integers: shape (n, cells, nodes, edges, 2), an edge being (source, operation's number).

        Raises:
            GenotypeError: a genotype of another space, with its place in the sequence.
        """
        number = self._number
        try:
            cells = [cell for genotype in genotypes for cell in (genotype.normal, genotype.reduction)]
            # their total length alone would let genotypes of 4 and of 6 nodes pass for two of 5
            if not (
                {(cell.inputs, len(cell.nodes)) for cell in cells} <= {(self.inputs, self.nodes)}
                and {len(node.edges) for cell in cells for node in cell.nodes} <= {self.edges}
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

    def decode(self, integers: NDArray[np.integer]) -> list[Genotype]:
        """The genotypes that ``encode`` made the integers from.

        Raises:
            GenotypeError: a source or an operation that does not exist.
        """
        rows = np.asarray(integers).reshape(-1, *self.shape).tolist()
        return [Genotype(*map(self._cell, row)) for row in rows]

    def _cell(self, nodes: list[list[list[int]]]) -> Cell:
        return Cell([Node([self._edge(*edge) for edge in node]) for node in nodes], self.inputs)

    def _edge(self, source: int, number: int) -> Edge:
        if not 0 <= number < len(self.operations):
            raise GenotypeError(
                f"operation {number} does not exist; space {self.name!r} has 0..{len(self.operations) - 1}"
            )
        return Edge(source, self.operations[number])

    def random_genotypes(self, n: int, rng: np.random.Generator, exclude: Iterable[Genotype] = ()) -> list[Genotype]:
        """n distinct genotypes, every source and operation of each drawn uniformly.

        Args:
            n: how many, >= 0.
            rng: where the randomness comes from; see ``bnao.streams.stream``.
            exclude: genotypes that must not come.

        Raises:
            GenotypeError: the space does not hold so many.

        >>> from bnao.streams import stream
        >>> pool = SPACES["nao"].random_genotypes(3, stream(0, "pool"))
        >>> len(set(pool))
        3
        """
        barred, chosen = set(exclude), dict[Genotype, None]()
        states = self.inputs + np.arange(self.nodes)
        for _ in range(_MOST_DRAWS):
            if len(chosen) >= n:
                break
            drawn = np.empty((n, *self.shape), dtype=np.int64)
            drawn[..., 0] = rng.integers(states[:, None], size=drawn.shape[:-1])
            drawn[..., 1] = rng.integers(len(self.operations), size=drawn.shape[:-1])
            for genotype in self.decode(drawn):
                if len(chosen) < n and genotype not in barred:
                    chosen[genotype] = None
        if len(chosen) < n:
            raise GenotypeError(
                f"space {self.name!r} with {self.nodes} nodes gave {len(chosen)} distinct genotypes where {n} "
                f"are wanted; ask for fewer or for more nodes"
            )
        return list(chosen)

    def tokens(self, genotypes: Sequence[Genotype]) -> NDArray[np.int64]:
        """What the controller reads: shape (n, length), states as 1.., operations after them.

        >>> from bnao.formats import parse
        >>> genotype = parse("0 1 1 4 0 0 0 0", evolve(SPACES["nao"], nodes=1))
        >>> evolve(SPACES["nao"], nodes=1).tokens([genotype]).tolist()  # 1, 2: states; 3..7: operations
        [[1, 4, 2, 7, 1, 3, 1, 3]]
        """
        offsets = np.array([1, 1 + self.readable_states])
        shifted: NDArray[np.int64] = self.encode(genotypes) + offsets
        return shifted.reshape(len(genotypes), self.length)

    def from_tokens(self, tokens: NDArray[np.integer]) -> list[Genotype]:
        """The genotypes of token sequences of shape (n, length)."""
        offsets = np.array([1, 1 + self.readable_states])
        return self.decode(np.asarray(tokens).reshape(-1, *self.shape) - offsets)

    def token_mask(self) -> NDArray[np.bool_]:
        """Which token may stand where: shape (length, vocabulary).

        At a source position only the states that exist before that node, at an operation position only
        operations; the start token nowhere.
        """
        mask = np.zeros((*self.shape, self.vocabulary), dtype=bool)
        for node in range(self.nodes):
            mask[:, node, :, 0, 1 : 1 + self.inputs + node] = True
        mask[..., 1, 1 + self.readable_states :] = True
        return mask.reshape(self.length, self.vocabulary)

    def swapped(self, tokens: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """The same architectures as other strings: in each node the edges are in random order.

        Args:
            tokens: shape (n, length).
            rng: decides for every node of every row whether its edges change places.
        """
        edges = tokens.reshape(-1, *self.shape)
        order = rng.random(edges.shape[:-1]).argsort(axis=-1)
        return np.take_along_axis(edges, order[..., None], axis=-2).reshape(tokens.shape)


SPACES: dict[str, SearchSpace] = {
    space.name: space
    for space in (SearchSpace("nao", ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect")),)
}


def space_named(name: str, nodes: int) -> SearchSpace:
    """The space of that name with that many nodes a cell.

    >>> space_named("nao", 3).length
    24
    """
    if name not in SPACES:
        raise GenotypeError(f"no space {name!r}; there is {', '.join(sorted(SPACES))}")
    return evolve(SPACES[name], nodes=nodes)
